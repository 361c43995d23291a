/*
 * Runs one kernel by its name: the benchmark program that bench/run starts under each allocator.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel.h"

static const struct kernel *const families[] = {
	replace_kernels, order_kernels, growth_kernels, tree_kernels, remote_kernels,
	thread_kernels, sharing_kernels, latency_kernels, memory_kernels,
};

enum { FAMILIES = sizeof(families) / sizeof(families[0]) };

struct dice dice_of(unsigned seed)
{
	/* Any state but 0, and such that neighbouring seeds are far apart. */
	struct dice dice = { (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) };

	for (int i = 0; i < 8; i++)
		roll(&dice);
	return dice;
}

size_t small_size(struct dice *dice)
{
	return below(dice, 4) ? between(dice, 16, 128) : between(dice, 129, 256);
}

size_t mixed_size(struct dice *dice)
{
	uint32_t k = below(dice, 1000);

	if (k < 900)
		return small_size(dice);
	if (k < 980)
		return between(dice, 257, 1024);
	if (k < 998)
		return between(dice, 1025, 8192);
	return between(dice, 8193, 65536);
}

void fail(const char *what)
{
	fprintf(stderr, "kernel: %s: %s\n", what, strerror(errno));
	exit(1);
}

void refused(size_t size)
{
	fprintf(stderr, "kernel: %zu bytes were refused: %s\n", size, strerror(errno));
	exit(1);
}

void free_all(void **blocks, size_t count)
{
	for (size_t k = 0; k < count; k++)
		free(blocks[k]);
}

void *pages(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	return memory;
}

pthread_t start(void *(*body)(void *), void *argument)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, body, argument);
	if (errno)
		fail("pthread_create");
	return thread;
}

void end(pthread_t thread)
{
	errno = pthread_join(thread, NULL);
	if (errno)
		fail("pthread_join");
}

void run_threads(int count, void *(*body)(void *), void *arguments, size_t size)
{
	pthread_t *threads = pages((size_t)count * sizeof(*threads));

	for (int k = 0; k < count; k++)
		threads[k] = start(body, (char *)arguments + (size_t)k * size);
	for (int k = 0; k < count; k++)
		end(threads[k]);
	munmap(threads, (size_t)count * sizeof(*threads));
}

static int list(void)
{
	for (int f = 0; f < FAMILIES; f++)
		for (const struct kernel *kernel = families[f]; kernel->name; kernel++)
			printf("%-16s %s\n", kernel->name, kernel->what);
	return 0;
}

static const struct kernel *find(const char *name)
{
	for (int f = 0; f < FAMILIES; f++)
		for (const struct kernel *kernel = families[f]; kernel->name; kernel++)
			if (strcmp(kernel->name, name) == 0)
				return kernel;
	return NULL;
}

int main(int argc, char **argv)
{
	const struct kernel *kernel;
	long amount;
	char *rest;

	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list();
	if (argc != 3) {
		fprintf(stderr, "usage: %s KERNEL AMOUNT, or --list\n", argv[0]);
		return 2;
	}
	kernel = find(argv[1]);
	if (!kernel) {
		fprintf(stderr, "kernel: there is no '%s': see --list\n", argv[1]);
		return 2;
	}
	errno = 0;
	amount = strtol(argv[2], &rest, 10);
	if (errno || *rest || rest == argv[2] || amount < 1) {
		fprintf(stderr, "kernel: '%s' is no amount: a number above 0\n", argv[2]);
		return 2;
	}
	kernel->run(amount);
	return 0;
}
