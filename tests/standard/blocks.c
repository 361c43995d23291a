/*
 * Calls that must give a block: where it lies, how much of it may be used, what it holds.
 */
#include "standard.h"

#include <stdio.h>
#include <unistd.h>

#define FUNDAMENTAL 16	/* the alignment of max_align_t, and of every block */

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* What the block's address must be a multiple of. */
static size_t alignment_of(enum entry entry, size_t first)
{
	size_t power = FUNDAMENTAL;

	if (entry == VALLOC || entry == PVALLOC)
		return page_bytes();
	if (entry == ALIGNED_ALLOC || entry == MEMALIGN || entry == POSIX_MEMALIGN)
		while (power < first)
			power *= 2;
	return power;
}

/* The bytes asked for; pvalloc gives whole pages. */
static size_t bytes_of(enum entry entry, size_t first, size_t size)
{
	switch (entry) {
	case CALLOC:
	case REALLOCARRAY_NULL:
	case REALLOCARRAY:
		return first * size;
	case PVALLOC:
		return (size + page_bytes() - 1) / page_bytes() * page_bytes();
	default:
		return size;
	}
}

/* Three blocks at a time, filled and looked at again, so that no two share a byte. */
static bool gives(enum entry entry, size_t first, size_t size, bool all_usable)
{
	size_t alignment = alignment_of(entry, first);
	void *blocks[3];
	size_t bytes[3];

	for (unsigned i = 0; i < 3; i++) {
		struct answer answer = call(entry, first, size);

		blocks[i] = answer.block;
		bytes[i] = bytes_of(entry, first, size);
		REQUIRE(answer.block, "%s(%#zx, %#zx) gives none: error %d", entry_names[entry],
			first, size, answer.error);
		REQUIRE((uintptr_t)answer.block % alignment == 0,
			"%s(%#zx, %#zx) gives %p, which isn't aligned to %zu", entry_names[entry],
			first, size, answer.block, alignment);
		REQUIRE(!answer.old || holds(answer.block, bytes[i] < 100 ? bytes[i] : 100, 9),
			"%s(%#zx, %#zx) lost the content", entry_names[entry], first, size);
		REQUIRE(malloc_usable_size(answer.block) >= bytes[i],
			"%s(%#zx, %#zx): usable are %zu", entry_names[entry], first, size,
			malloc_usable_size(answer.block));
		if (all_usable)
			bytes[i] = malloc_usable_size(answer.block);
		fill(blocks[i], bytes[i], i);
	}
	for (unsigned i = 0; i < 3; i++) {
		REQUIRE(holds(blocks[i], bytes[i], i), "%s(%#zx, %#zx): blocks share memory",
			entry_names[entry], first, size);
		free(blocks[i]);
	}
	return true;
}

static const size_t sizes[] = { 1,     2,      7,      8,	9,    15,     16,    17,    23,
				24,    25,     31,     32,	33,   40,     41,    63,    64,
				65,    100,    127,    128,	129,  255,    256,   1000,  1032,
				1033,  2048,   4095,   4096,	4097, 8192,   10000, 32768, 32769,
				65536, 100000, 131072, 1000000, MIB,  MIB + 1 };

/* The row is the entry; each with first numbers that are as nothing to it. */
static bool any_size(const struct clause *clause)
{
	enum entry entry = *(const enum entry *)clause->row;
	bool array = is_array(entry);

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		if (!gives(entry, array ? 1 : 8, sizes[i], false))
			return false;
		if (array &&
		    !(gives(entry, sizes[i], 1, false) && gives(entry, 3, sizes[i], false)))
			return false;
	}
	return true;
}

static bool all_usable(const struct clause *clause)
{
	enum entry entry = *(const enum entry *)clause->row;

	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		if (!gives(entry, is_array(entry) ? 1 : 64, sizes[i], true))
			return false;
	return true;
}

/* Sizes that are a multiple of the alignment, and those that aren't. */
static bool any_power(const struct clause *clause)
{
	enum entry entry = *(const enum entry *)clause->row;

	for (size_t power = entry == POSIX_MEMALIGN ? sizeof(void *) : 1; power <= MIB;
	     power *= 2) {
		const size_t about[] = { 1, power - 1, power, power + 1, 100, 5000 };

		for (size_t i = 0; i < COUNT_OF(about); i++)
			if (!gives(entry, power, about[i], false))
				return false;
	}
	return true;
}

static bool memalign_rounds_up(const struct clause *clause)
{
	static const size_t firsts[] = { 0, 3, 5, 17, 24, 33, 48, 100, 1000, 4095, 4097, MIB - 1 };

	(void)clause;
	for (size_t i = 0; i < COUNT_OF(firsts); i++)
		if (!(gives(MEMALIGN, firsts[i], 1, false) &&
		      gives(MEMALIGN, firsts[i], 5000, false)))
			return false;
	return true;
}

/* Where the row's entry isn't given size 0 as such, other ways to it are tried too. */
static bool zero_is_unique(const struct clause *clause)
{
	static const size_t firsts[] = { 64, 0, SIZE_MAX };
	enum entry entry = *(const enum entry *)clause->row;
	bool array = is_array(entry);
	void *blocks[60];

	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		size_t first = array ? firsts[i % 3] : 64;
		size_t size = array && first == 0 ? SIZE_MAX : 0;
		struct answer answer = call(entry, first, size);

		blocks[i] = answer.block;
		REQUIRE(answer.block, "%s(%#zx, %#zx) gives none: error %d", entry_names[entry],
			first, size, answer.error);
		REQUIRE((uintptr_t)answer.block % alignment_of(entry, array ? 1 : first) == 0,
			"%p isn't aligned", answer.block);
		for (size_t k = 0; k < i; k++)
			REQUIRE(blocks[k] != blocks[i], "the same block twice");
	}
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		free(blocks[i]);
	return true;
}

/* Fresh memory, and such as was freed full of ones. */
static bool calloc_is_zero(const struct clause *clause)
{
	(void)clause;
	for (int round = 0; round < 4; round++)
		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			unsigned char *blocks[4];

			for (size_t k = 0; k < COUNT_OF(blocks); k++) {
				struct answer answer = k % 2 ? call(CALLOC, 1, sizes[i]) :
							       call(CALLOC, sizes[i], 2);
				size_t bytes = sizes[i] * (k % 2 ? 1 : 2);

				blocks[k] = answer.block;
				REQUIRE(blocks[k], "none of %zu bytes", bytes);
				for (size_t n = 0; n < bytes; n++)
					REQUIRE(!blocks[k][n], "byte %zu of %zu is %d", n, bytes,
						blocks[k][n]);
				memset(blocks[k], 0xff, malloc_usable_size(blocks[k]));
			}
			for (size_t k = 0; k < COUNT_OF(blocks); k++)
				free(blocks[k]);
		}
	return true;
}

static bool null_has_no_size(const struct clause *clause)
{
	void *volatile null = NULL;

	(void)clause;
	REQUIRE(malloc_usable_size(null) == 0, "it has %zu", malloc_usable_size(null));
	return true;
}

static const struct {
	const char *name;
	const char *source;
	bool (*check)(const struct clause *clause);
	enum entry entry;
} rows[] = {
	{ "malloc: disjoint blocks for any type, of any size", "C17 7.22.3, 7.22.3.4, glibc",
	  any_size, MALLOC },
	{ "calloc: disjoint blocks for any type, of any size", "C17 7.22.3, 7.22.3.2, glibc",
	  any_size, CALLOC },
	{ "realloc of NULL is malloc", "C17 7.22.3.5", any_size, REALLOC_NULL },
	{ "realloc: disjoint blocks, with their content", "C17 7.22.3.5", any_size, REALLOC },
	{ "reallocarray of NULL is malloc of the product", "POSIX realloc", any_size,
	  REALLOCARRAY_NULL },
	{ "reallocarray: disjoint blocks, with their content", "POSIX realloc", any_size,
	  REALLOCARRAY },
	{ "aligned_alloc: disjoint blocks of any size", "C17 7.22.3", any_size, ALIGNED_ALLOC },
	{ "memalign: disjoint blocks of any size", "posix_memalign(3)", any_size, MEMALIGN },
	{ "posix_memalign: disjoint blocks of any size", "POSIX", any_size, POSIX_MEMALIGN },
	{ "valloc: blocks at a page's start", "posix_memalign(3)", any_size, VALLOC },
	{ "pvalloc: whole pages", "posix_memalign(3)", any_size, PVALLOC },
	{ "aligned_alloc: any power of two, any size with it", "C17 7.22.3.1 (DR 460)", any_power,
	  ALIGNED_ALLOC },
	{ "memalign: any power of two", "posix_memalign(3)", any_power, MEMALIGN },
	{ "posix_memalign: any power of two from sizeof(void *)", "POSIX", any_power,
	  POSIX_MEMALIGN },
	{ "memalign: another alignment is rounded up", "as glibc does", memalign_rounds_up,
	  MEMALIGN },
	{ "malloc of 0 bytes gives a block of its own", "C17 7.22.3, glibc", zero_is_unique,
	  MALLOC },
	{ "calloc of 0 bytes gives a block of its own", "C17 7.22.3, malloc(3)", zero_is_unique,
	  CALLOC },
	{ "realloc of NULL to 0 bytes gives a block of its own", "C17 7.22.3.5, glibc",
	  zero_is_unique, REALLOC_NULL },
	{ "reallocarray of NULL to 0 bytes gives a block of its own", "POSIX realloc",
	  zero_is_unique, REALLOCARRAY_NULL },
	{ "aligned_alloc of 0 bytes gives a block of its own", "C17 7.22.3, POSIX", zero_is_unique,
	  ALIGNED_ALLOC },
	{ "memalign of 0 bytes gives a block of its own", "as glibc does", zero_is_unique,
	  MEMALIGN },
	{ "posix_memalign of 0 bytes gives a block of its own", "POSIX", zero_is_unique,
	  POSIX_MEMALIGN },
	{ "valloc of 0 bytes gives a block of its own", "as glibc does", zero_is_unique, VALLOC },
	{ "pvalloc of 0 bytes gives a block of its own", "as glibc does", zero_is_unique, PVALLOC },
	{ "calloc gives zeros, also where others were before", "C17 7.22.3.2", calloc_is_zero,
	  CALLOC },
	{ "malloc_usable_size of NULL is 0", "malloc_usable_size(3)", null_has_no_size, MALLOC },
	{ "malloc_usable_size: all of it may be used, of malloc", "malloc_usable_size(3)",
	  all_usable, MALLOC },
	{ "malloc_usable_size: all of it may be used, of calloc", "malloc_usable_size(3)",
	  all_usable, CALLOC },
	{ "malloc_usable_size: all of it may be used, of realloc", "malloc_usable_size(3)",
	  all_usable, REALLOC },
	{ "malloc_usable_size: all of it may be used, of memalign", "malloc_usable_size(3)",
	  all_usable, MEMALIGN },
	{ "malloc_usable_size: all of it may be used, of pvalloc", "malloc_usable_size(3)",
	  all_usable, PVALLOC },
};

size_t add_blocks(struct clause *to)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		to[i] = (struct clause){ rows[i].name, rows[i].source, rows[i].check,
					 NULL,	       NULL,	       &rows[i].entry };
	return COUNT_OF(rows);
}
