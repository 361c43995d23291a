/*
 * False sharing, as in the Hoard paper's cache-scratch and cache-thrash: small blocks of different
 * threads in one cache line make each write wait for the other core. The writes are most of the
 * time, and an allocator that keeps threads apart has no more than them. The amount is in rounds.
 */
#include "kernel.h"

enum { THREADS = 4, SIZE = 8, WRITES = 20000 };

struct writer {
	long rounds;
	void *given;	/* by the main thread: from one cache line, most likely */
};

static void *write_much(void *argument)
{
	struct writer *writer = argument;

	/* Freed here, it may be what the next malloc here returns: still in the shared line. */
	free(writer->given);
	for (long left = writer->rounds; left > 0; left--) {
		volatile char *block = malloc(SIZE);

		if (!block)
			refused(SIZE);
		for (int n = 0; n < WRITES; n++)
			block[n % SIZE]++;
		free((void *)block);
	}
	return NULL;
}

static void write_all(long amount, int give)
{
	struct writer writers[THREADS] = { { 0, NULL } };

	for (int k = 0; k < THREADS; k++) {
		writers[k].rounds = amount;
		if (give)
			writers[k].given = allocate(SIZE);
	}
	run_threads(THREADS, write_much, writers, sizeof(writers[0]));
}

static void passive(long amount)
{
	write_all(amount, 1);
}

static void active(long amount)
{
	write_all(amount, 0);
}

const struct kernel sharing_kernels[] = {
	{ "false-passive", "4 threads write to 8-byte blocks, after freeing one of main's",
	  passive },
	{ "false-active", "4 threads write to 8-byte blocks of their own", active },
	{ NULL, NULL, NULL },
};
