/*
 * Fixed orders of allocating and freeing: at once, first in first out, and all after all. The
 * amount is in thousands of blocks, for the bursts in bursts of 100,000.
 */
#include "kernel.h"

enum { SIZES = 4096, FIFO = 1000, BURST = 100000 };

/* Drawn before, so that no more than the calls themselves is timed. */
static const uint16_t *small_sizes(void)
{
	uint16_t *sizes = pages(SIZES * sizeof(*sizes));
	struct dice dice = dice_of(1);

	for (int k = 0; k < SIZES; k++)
		sizes[k] = (uint16_t)small_size(&dice);
	return sizes;
}

static void pairs(long amount)
{
	const uint16_t *sizes = small_sizes();

	for (long left = amount * 1000; left > 0; left--)
		free(allocate(sizes[left % SIZES]));
}

static void fifo(long amount)
{
	const uint16_t *sizes = small_sizes();
	void *blocks[FIFO] = { NULL };
	size_t oldest = 0;

	for (long left = amount * 1000; left > 0; left--) {
		free(blocks[oldest]);
		blocks[oldest] = allocate(sizes[left % SIZES]);
		if (++oldest == FIFO)
			oldest = 0;
	}
	free_all(blocks, FIFO);
}

static void fill(void **blocks, const uint16_t *sizes)
{
	for (size_t k = 0; k < BURST; k++)
		blocks[k] = allocate(sizes[k % SIZES]);
}

static void bursts(long amount)
{
	const uint16_t *sizes = small_sizes();
	void **blocks = pages(BURST * sizeof(*blocks));

	while (amount--) {
		fill(blocks, sizes);
		free_all(blocks, BURST);
	}
}

static void bursts_reverse(long amount)
{
	const uint16_t *sizes = small_sizes();
	void **blocks = pages(BURST * sizeof(*blocks));

	while (amount--) {
		fill(blocks, sizes);
		for (size_t k = BURST; k-- > 0;)
			free(blocks[k]);
	}
}

const struct kernel order_kernels[] = {
	{ "pairs", "a block of 16 to 256 bytes allocated, and freed at once", pairs },
	{ "fifo", "blocks of 16 to 256 bytes, each freed after 1,000 others", fifo },
	{ "bursts", "100,000 small blocks allocated, then freed in that order", bursts },
	{ "bursts-reverse", "the same, freed in reverse order", bursts_reverse },
	{ NULL, NULL, NULL },
};
