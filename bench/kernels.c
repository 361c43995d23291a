/*
 * Kernels that keep the slow paths of an allocator busy, on plain malloc and free.
 *
 *	mix     random replacement among 200,000 blocks of sizes as programs have them
 *	middle  the same among 1,000 blocks of 1 to 32 KiB
 *	large   the same among 1,000 blocks of 2 to 200 KB
 *	bursts  100,000 blocks of 16 to 248 bytes allocated, then freed
 *
 * Each page of each block is written to, as programs do that ask for memory. At the end it prints the CPU seconds and the peak
 * resident memory of the process.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static uint64_t state = UINT64_C(88172645463325252);

/* Marsaglia's xorshift. */
static unsigned roll(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 16);
}

static size_t mixed_size(void)
{
	unsigned k = roll() % 100;

	if (k < 50)
		return 8 + roll() % 56;
	if (k < 80)
		return 64 + roll() % 192;
	if (k < 95)
		return 256 + roll() % 1024;
	if (k < 99)
		return 1024 + roll() % 8192;
	return 8192 + roll() % 65536;
}

static size_t middle_size(void)
{
	return 1024 + roll() % 31744;
}

static size_t large_size(void)
{
	return 2000 + roll() % 198000;
}

static char *block_of(size_t size)
{
	char *block = malloc(size);

	if (!block) {
		perror("malloc");
		exit(1);
	}
	for (size_t i = 0; i < size; i += 4096)
		block[i] = 1;
	block[size - 1] = 1;
	return block;
}

static void replace(size_t blocks, long steps, size_t (*size)(void))
{
	char **live = calloc(blocks, sizeof(*live));

	if (!live)
		exit(1);
	while (steps--) {
		size_t k = roll() % blocks;

		free(live[k]);
		live[k] = block_of(size());
	}
	for (size_t k = 0; k < blocks; k++)
		free(live[k]);
	free(live);
}

static void bursts(long rounds)
{
	enum { BLOCKS = 100000 };
	static char *live[BLOCKS];

	while (rounds--) {
		for (size_t k = 0; k < BLOCKS; k++)
			live[k] = block_of(16 + roll() % 30 * 8);
		for (size_t k = 0; k < BLOCKS; k++)
			free(live[k]);
	}
}

int main(int argc, char **argv)
{
	long amount = argc == 3 ? atol(argv[2]) : 0;
	const char *name = argc == 3 ? argv[1] : "";
	struct rusage used;

	if (amount > 0 && strcmp(name, "mix") == 0)
		replace(200000, amount * 1000, mixed_size);
	else if (amount > 0 && strcmp(name, "middle") == 0)
		replace(1000, amount * 1000, middle_size);
	else if (amount > 0 && strcmp(name, "large") == 0)
		replace(1000, amount * 1000, large_size);
	else if (amount > 0 && strcmp(name, "bursts") == 0)
		bursts(amount);
	else {
		fprintf(stderr, "usage: %s mix|middle|large|bursts THOUSANDS (of steps; bursts: rounds)\n",
			argv[0]);
		return 2;
	}
	getrusage(RUSAGE_SELF, &used);
	printf("%.3f %ld\n",
	       (double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec +
		       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
	       used.ru_maxrss);
	return 0;
}
