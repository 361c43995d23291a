/*
 * Calls that must fail: NULL, the right errno, and all else as it was.
 */
#include "standard.h"

#include <sys/resource.h>
#include <stdio.h>
#include <unistd.h>

struct list {
	size_t count;
	const size_t *numbers;
};

#define LIST(...) \
	{ sizeof((const size_t[]){ __VA_ARGS__ }) / sizeof(size_t), \
	  (const size_t[]){ __VA_ARGS__ } }

/* Each of the first numbers with each of the sizes. */
struct refusal {
	enum entry entry;
	struct list firsts;
	struct list sizes;
	int error;
};

#define TOP(bit) ((size_t)1 << (bit))

#define NOTHING LIST(0)
#define HUGE_SIZES \
	LIST(PTRDIFF_MAX, TOP(63), TOP(63) + 1, TOP(63) + 4096, SIZE_MAX / 3 * 2, \
	     SIZE_MAX - TOP(32), SIZE_MAX - 8192, SIZE_MAX - 4097, SIZE_MAX - 4096, \
	     SIZE_MAX - 4095, SIZE_MAX - 64, SIZE_MAX - 33, SIZE_MAX - 32, SIZE_MAX - 31, \
	     SIZE_MAX - 24, SIZE_MAX - 23, SIZE_MAX - 17, SIZE_MAX - 16, SIZE_MAX - 15, \
	     SIZE_MAX - 8, SIZE_MAX - 7, SIZE_MAX - 1, SIZE_MAX)
#define GOOD_ALIGNMENTS LIST(8, 16, 32, 64, 4096, TOP(20), TOP(32), TOP(62), TOP(63))
#define FAR_ALIGNMENTS LIST(TOP(50), TOP(61), TOP(62), TOP(63))
#define NO_POWERS \
	LIST(3, 5, 6, 7, 12, 24, 48, 100, 4095, 4097, TOP(62) + 1, TOP(63) + 1, SIZE_MAX - 7, \
	     SIZE_MAX)

static const struct {
	const char *name;
	const char *source;
	struct refusal refusal;
	const char *glibc;
} rows[] = {
	{ "malloc beyond PTRDIFF_MAX gets ENOMEM",
	  "POSIX malloc",
	  { MALLOC, NOTHING, HUGE_SIZES, ENOMEM },
	  NULL },
	{ "calloc of one huge element gets ENOMEM",
	  "POSIX calloc",
	  { CALLOC, LIST(1), HUGE_SIZES, ENOMEM },
	  NULL },
	{ "calloc of a product that overflows gets ENOMEM",
	  "C23 7.24.3.2, glibc",
	  { CALLOC, LIST(2, 3, 16, TOP(32), TOP(33), TOP(63), SIZE_MAX - 1, SIZE_MAX),
	    LIST(TOP(63), TOP(63) + 8, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 20, SIZE_MAX), ENOMEM },
	  NULL },
	{ "calloc of a product that overflows to a small one gets ENOMEM",
	  "C23 7.24.3.2, glibc",
	  { CALLOC, LIST(4, 8, 16, 400), LIST(TOP(62), TOP(62) + 1, TOP(62) + 10), ENOMEM },
	  NULL },
	{ "realloc of NULL beyond PTRDIFF_MAX gets ENOMEM",
	  "POSIX realloc",
	  { REALLOC_NULL, NOTHING, HUGE_SIZES, ENOMEM },
	  NULL },
	{ "realloc beyond PTRDIFF_MAX gets ENOMEM and leaves the block",
	  "C17 7.22.3.5, POSIX",
	  { REALLOC, NOTHING, HUGE_SIZES, ENOMEM },
	  NULL },
	{ "reallocarray of NULL: a huge size gets ENOMEM",
	  "POSIX realloc",
	  { REALLOCARRAY_NULL, LIST(1), HUGE_SIZES, ENOMEM },
	  NULL },
	{ "reallocarray beyond PTRDIFF_MAX gets ENOMEM and leaves the block",
	  "POSIX realloc",
	  { REALLOCARRAY, LIST(1), HUGE_SIZES, ENOMEM },
	  NULL },
	{ "reallocarray: an overflow gets ENOMEM and leaves the block",
	  "POSIX realloc",
	  { REALLOCARRAY, LIST(2, 3, 16, TOP(32), TOP(63), SIZE_MAX),
	    LIST(TOP(63), TOP(63) + 8, SIZE_MAX / 2 + 1, SIZE_MAX), ENOMEM },
	  NULL },
	{ "reallocarray: an overflow to a small product gets ENOMEM",
	  "POSIX realloc",
	  { REALLOCARRAY, LIST(4, 8, 16, 400), LIST(TOP(62), TOP(62) + 1, TOP(62) + 10), ENOMEM },
	  NULL },
	{ "aligned_alloc beyond PTRDIFF_MAX gets ENOMEM",
	  "POSIX aligned_alloc",
	  { ALIGNED_ALLOC, GOOD_ALIGNMENTS, HUGE_SIZES, ENOMEM },
	  NULL },
	{ "aligned_alloc: an alignment that can't be had gets ENOMEM",
	  "posix_memalign(3)",
	  { ALIGNED_ALLOC, FAR_ALIGNMENTS, LIST(0, 1, 100, 4096), ENOMEM },
	  NULL },
	{ "aligned_alloc: an alignment of 0 gets EINVAL",
	  "C17 7.22.3.1, POSIX",
	  { ALIGNED_ALLOC, LIST(0), LIST(0, 1, 100, SIZE_MAX), EINVAL },
	  "a block, before 2.38" },
	{ "aligned_alloc: no power of two gets EINVAL",
	  "C17 7.22.3.1, POSIX",
	  { ALIGNED_ALLOC, NO_POWERS, LIST(0, 1, 48, 100, SIZE_MAX), EINVAL },
	  "rounds the alignment up, before 2.38" },
	{ "memalign beyond PTRDIFF_MAX gets ENOMEM",
	  "posix_memalign(3)",
	  { MEMALIGN, GOOD_ALIGNMENTS, HUGE_SIZES, ENOMEM },
	  NULL },
	{ "memalign: an alignment that can't be had gets ENOMEM",
	  "posix_memalign(3)",
	  { MEMALIGN, FAR_ALIGNMENTS, LIST(0, 1, 100, 4096), ENOMEM },
	  NULL },
	{ "memalign: one that rounds up to what can't be had gets ENOMEM",
	  "as glibc does",
	  { MEMALIGN, LIST(TOP(61) + 1, TOP(62) + 1, TOP(63) - 1), LIST(0, 100), ENOMEM },
	  NULL },
	{ "memalign: one beyond every power of two gets EINVAL",
	  "posix_memalign(3)",
	  { MEMALIGN, LIST(TOP(63) + 1, SIZE_MAX - 7, SIZE_MAX), LIST(0, 100, SIZE_MAX), EINVAL },
	  NULL },
	{ "posix_memalign beyond PTRDIFF_MAX returns ENOMEM and leaves *memptr",
	  "POSIX",
	  { POSIX_MEMALIGN, GOOD_ALIGNMENTS, HUGE_SIZES, ENOMEM },
	  NULL },
	{ "posix_memalign: an alignment that can't be had returns ENOMEM",
	  "POSIX",
	  { POSIX_MEMALIGN, FAR_ALIGNMENTS, LIST(0, 1, 100, 4096), ENOMEM },
	  NULL },
	{ "posix_memalign: no power of two returns EINVAL and leaves *memptr",
	  "POSIX",
	  { POSIX_MEMALIGN, NO_POWERS, LIST(0, 1, 100, SIZE_MAX), EINVAL },
	  NULL },
	{ "posix_memalign: no multiple of sizeof(void *) returns EINVAL",
	  "POSIX",
	  { POSIX_MEMALIGN, LIST(0, 1, 2, 4), LIST(0, 1, 100, SIZE_MAX), EINVAL },
	  NULL },
	{ "valloc beyond PTRDIFF_MAX gets ENOMEM",
	  "posix_memalign(3)",
	  { VALLOC, NOTHING, HUGE_SIZES, ENOMEM },
	  NULL },
	{ "pvalloc beyond PTRDIFF_MAX gets ENOMEM",
	  "posix_memalign(3)",
	  { PVALLOC, NOTHING, HUGE_SIZES, ENOMEM },
	  NULL },
};

static bool must_fail(const struct clause *clause)
{
	const struct refusal *row = clause->row;

	for (size_t i = 0; i < row->firsts.count; i++)
		for (size_t k = 0; k < row->sizes.count; k++) {
			size_t first = row->firsts.numbers[i];
			size_t size = row->sizes.numbers[k];
			struct answer answer = call(row->entry, first, size);

			REQUIRE(!answer.block, "%s(%#zx, %#zx) gives a block",
				entry_names[row->entry], first, size);
			REQUIRE(answer.error == row->error, "%s(%#zx, %#zx): error %d, not %d",
				entry_names[row->entry], first, size, answer.error, row->error);
			if (!answer.old)
				continue;
			REQUIRE(holds(answer.old, 100, 9), "%s(%#zx, %#zx): the block was changed",
				entry_names[row->entry], first, size);
			free(answer.old);
		}
	return true;
}

/* Whatever it returns. */
static bool keeps_errno(const struct clause *clause)
{
	static const size_t calls[][2] = {
		{ 0, 100 },	   { 3, 100 },	     { 4, 100 },      { 24, 100 },
		{ SIZE_MAX, 100 }, { 64, SIZE_MAX }, { 64, TOP(63) }, { 64, SIZE_MAX - 64 },
		{ TOP(62), 100 },
	};

	(void)clause;
	for (size_t i = 0; i < COUNT_OF(calls); i++) {
		struct answer answer = call(POSIX_MEMALIGN, calls[i][0], calls[i][1]);

		REQUIRE(answer.error, "posix_memalign(%#zx, %#zx) gives a block", calls[i][0],
			calls[i][1]);
		REQUIRE(answer.left == NO_ERROR, "posix_memalign(%#zx, %#zx) sets errno to %d",
			calls[i][0], calls[i][1], answer.left);
	}
	return true;
}

/*
 * Memory that comes to an end: each call fails as it must, and what was freed can be had again.
 */
#define LEFT (96 * MIB)		/* of address space; an arena is smaller or larger, and ends too */
#define LARGE (64 * MIB)	/* more than is left in any of the holes then */
#define BLOCKS 4096

static size_t mapped_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	if (!file || fscanf(file, "%zu", &pages) != 1)
		abort();
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static bool at_the_end(const struct clause *clause)
{
	enum entry entry = *(const enum entry *)clause->row;
	size_t first = is_array(entry) ? 1 : 4096;
	struct rlimit limit = { mapped_bytes() + LEFT, RLIM_INFINITY };
	static struct answer taken[BLOCKS];
	struct answer answer;
	size_t count = 0;

	REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
	do {
		taken[count] = call(MALLOC, 0, MIB);
	} while (taken[count].block && ++count < BLOCKS);
	REQUIRE(count < BLOCKS, "memory has no end");
	REQUIRE(count > 10, "only %zu MiB could be had", count);
	REQUIRE(taken[count].error == ENOMEM, "malloc: error %d", taken[count].error);
	/* Some calls are of a small block, which must be had. */
	free(taken[--count].block);
	for (int round = 0; round < 3; round++) {
		answer = call(entry, first, LARGE);
		REQUIRE(!answer.block, "64 MiB in a full memory");
		REQUIRE(answer.error == ENOMEM, "error %d", answer.error);
		REQUIRE(!answer.old || holds(answer.old, 100, 9), "the block was changed");
		free(answer.old);
	}
	while (count > 0)
		free(taken[--count].block);
	answer = call(entry, first, 8 * MIB);
	REQUIRE(answer.block, "not 8 MiB when all was freed: error %d", answer.error);
	free(answer.block);
	return true;
}

static const enum entry all_entries[ENTRIES] = {
	MALLOC,	      CALLOC,	     REALLOC_NULL, REALLOC,	   REALLOCARRAY_NULL,
	REALLOCARRAY, ALIGNED_ALLOC, MEMALIGN,	   POSIX_MEMALIGN, VALLOC,
	PVALLOC
};

size_t add_refusals(struct clause *to)
{
	static char names[ENTRIES][80];
	size_t count = 0;

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		to[count++] = (struct clause){ rows[i].name,  rows[i].source, must_fail,
					       rows[i].glibc, NULL,	      &rows[i].refusal };
	to[count++] = (struct clause){ "posix_memalign doesn't set errno",
				       "posix_memalign(3)",
				       keeps_errno,
				       "sets it where it returns ENOMEM",
				       NULL,
				       NULL };
	for (size_t i = 0; i < ENTRIES; i++) {
		snprintf(names[i], sizeof(names[i]),
			 "%s gets ENOMEM in a full memory, then goes on", entry_names[i]);
		to[count++] = (struct clause){ names[i], "POSIX, malloc(3)", at_the_end, NULL,
					       NULL,	 &all_entries[i] };
	}
	return count;
}
