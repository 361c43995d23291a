/*
 * Random replacement: a working set of a given number of blocks, of which one after the other,
 * picked at random, is freed and allocated anew in another size. What servers do, seen from afar.
 * The amount is in thousands of replacements.
 */
#include "kernel.h"

/* Of large blocks, each page is written to in one of 4 alone: or the kernel's page faults would be
   all that's measured. The others are written to at both ends. */
static void *allocate_large(struct dice *dice, size_t size)
{
	char *block;

	if (below(dice, 4) == 0)
		return allocate(size);
	block = malloc(size);
	if (!block)
		refused(size);
	touch(block, 16);
	touch(block + size - 16, 16);
	return block;
}

static void replace(size_t count, long amount, size_t (*size)(struct dice *))
{
	void **blocks = pages(count * sizeof(*blocks));
	struct dice dice = dice_of(1);

	for (size_t k = 0; k < count; k++)
		blocks[k] = allocate(size(&dice));
	for (long left = amount * 1000; left > 0; left--) {
		size_t k = below(&dice, (uint32_t)count);

		free(blocks[k]);
		blocks[k] = allocate(size(&dice));
	}
	free_all(blocks, count);
}

static void replace_1k(long amount)
{
	replace(1000, amount, mixed_size);
}

static void replace_10k(long amount)
{
	replace(10000, amount, mixed_size);
}

static void replace_1m(long amount)
{
	replace(1000000, amount, mixed_size);
}

static size_t mid_size(struct dice *dice)
{
	return between(dice, 1024, 32 << 10);
}

static void mid(long amount)
{
	replace(1000, amount, mid_size);
}

/* As many from 32 to 64 KiB as from 4 to 8 MiB. */
static size_t large_size(struct dice *dice)
{
	uint32_t least = UINT32_C(32768) << below(dice, 8);

	return between(dice, least, 2 * least);
}

static void large(long amount)
{
	enum { COUNT = 50 };
	void *blocks[COUNT] = { NULL };
	struct dice dice = dice_of(1);

	for (long left = amount * 1000; left > 0; left--) {
		uint32_t k = below(&dice, COUNT);

		free(blocks[k]);
		blocks[k] = allocate_large(&dice, large_size(&dice));
	}
	free_all(blocks, COUNT);
}

const struct kernel replace_kernels[] = {
	{ "replace-1k", "random replacement among 1,000 blocks of mixed sizes", replace_1k },
	{ "replace-10k", "the same among 10,000", replace_10k },
	{ "replace-1m", "the same among 1,000,000", replace_1m },
	{ "mid", "random replacement among 1,000 blocks of 1 to 32 KiB", mid },
	{ "large", "random replacement among 50 blocks of 32 KiB to 8 MiB", large },
	{ NULL, NULL, NULL },
};
