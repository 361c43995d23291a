/*
 * Blocks that grow by realloc: vectors by a factor, strings by a few bytes at a time.
 */
#include "kernel.h"

static void *grow(void *block, size_t from, size_t to)
{
	char *grown = realloc(block, to);

	if (!grown)
		refused(to);
	/* A byte of each cache line of what is new. */
	for (size_t at = from; at < to; at += 64)
		grown[at] = 1;
	grown[to - 1] = 1;
	return grown;
}

/* As C++'s standard libraries do: doubled, or half as much again. The amount is in vectors. */
static void vectors(long amount)
{
	enum { COUNT = 16, FIRST = 64 };
	struct { void *block; size_t size, most; } vectors[COUNT] = { { NULL, 0, 0 } };
	struct dice dice = dice_of(1);

	while (amount > 0) {
		uint32_t k = below(&dice, COUNT);
		size_t size = vectors[k].size;
		size_t next = k % 2 ? 2 * size : size + size / 2;

		if (size == 0) {
			/* As many end at 128 bytes as at 1 MiB. */
			vectors[k].most = (size_t)FIRST << between(&dice, 1, 14);
			next = FIRST;
		} else if (size >= vectors[k].most) {
			free(vectors[k].block);
			vectors[k].block = NULL;
			vectors[k].size = 0;
			amount--;
			continue;
		}
		vectors[k].block = grow(vectors[k].block, size, next);
		vectors[k].size = next;
	}
	for (int k = 0; k < COUNT; k++)
		free(vectors[k].block);
}

/* 10,000 strings, to any of which a few bytes are appended; one that is full begins anew, and how
   long it may become is its own. The amount is in thousands of steps. */
static void strings(long amount)
{
	enum { COUNT = 10000 };
	struct string { char *text; uint32_t length, most; } *strings;
	struct dice dice = dice_of(1);

	strings = pages(COUNT * sizeof(*strings));
	for (long left = amount * 1000; left > 0; left--) {
		struct string *string = &strings[below(&dice, COUNT)];
		uint32_t more = (uint32_t)between(&dice, 1, 32);

		if (string->length + more > string->most) {
			free(string->text);
			string->text = NULL;
			string->length = 0;
			string->most = (uint32_t)between(&dice, 32, 1000);
		}
		string->text = grow(string->text, string->length, string->length + more);
		string->length += more;
	}
	for (int k = 0; k < COUNT; k++)
		free(strings[k].text);
}

const struct kernel growth_kernels[] = {
	{ "vectors", "16 vectors that grow by 1.5 or 2 times, to up to 1 MiB", vectors },
	{ "strings", "10,000 strings that grow by 1 to 32 bytes, to at most 1,000", strings },
	{ NULL, NULL, NULL },
};
