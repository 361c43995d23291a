/*
 * What an allocator costs in memory where little is allocated. Prints figures in KiB.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"

/* A field of one of our files in /proc, in KiB. Read by hand: stdio would allocate. */
static long field(const char *file, const char *name)
{
	static char text[16384];
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *found;

	if (length < 0)
		fail(file);
	text[length] = '\0';
	close(fd);
	found = strstr(text, name);
	if (!found) {
		fprintf(stderr, "kernel: %s has no %s\n", file, name);
		exit(1);
	}
	return strtol(found + strlen(name), NULL, 10);
}

/* ---- idle-threads: what a thread keeps that has allocated a little, and waits ---- */

static struct {
	pthread_barrier_t filled;
	int allocate;
} idle;

static void *wait_idle(void *argument)
{
	enum { COUNT = 200 };
	struct dice dice = dice_of(*(unsigned *)argument);
	void *volatile blocks[COUNT];

	for (int k = 0; k < COUNT; k++)
		blocks[k] = idle.allocate ? allocate(small_size(&dice)) : NULL;
	pthread_barrier_wait(&idle.filled);
	for (;;)
		pause();
	return blocks[0];
}

/* Resident memory of so many threads, in a child of its own, so that both runs begin alike. */
static long resident(long threads, int allocates)
{
	unsigned number = 0;
	int ends[2], status;
	long kib;
	pid_t child;

	if (pipe(ends) != 0)
		fail("pipe");
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		idle.allocate = allocates;
		pthread_barrier_init(&idle.filled, NULL, (unsigned)threads + 1);
		for (long k = 0; k < threads; k++)
			start(wait_idle, &number);
		pthread_barrier_wait(&idle.filled);
		kib = field("/proc/self/smaps_rollup", "\nRss:");
		_exit(write(ends[1], &kib, sizeof(kib)) != sizeof(kib));
	}
	close(ends[1]);
	if (read(ends[0], &kib, sizeof(kib)) != sizeof(kib) ||
	    waitpid(child, &status, 0) != child || status != 0) {
		fprintf(stderr, "kernel: the child with the idle threads failed\n");
		exit(1);
	}
	close(ends[0]);
	return kib;
}

static void idle_threads(long amount)
{
	long bare = resident(amount, 0);

	printf("kib_per_thread %.2f\n", (double)(resident(amount, 1) - bare) / (double)amount);
}

/* ---- trivial: the least that a process needs ---- */

static void trivial(long amount)
{
	void *blocks[] = { allocate(16), allocate(100), allocate(1000), allocate(10000) };

	(void)amount;
	free_all(blocks, sizeof(blocks) / sizeof(blocks[0]));
	printf("peak_kib %ld\n", field("/proc/self/status", "\nVmHWM:"));
}

const struct kernel memory_kernels[] = {
	{ "idle-threads", "KiB of an idle thread with 200 small blocks", idle_threads },
	{ "trivial", "peak KiB of a process with a handful of blocks", trivial },
	{ NULL, NULL, NULL },
};
