/*
 * Seeds of one heap. See seeds.h.
 */
#include "seeds.h"

static void least_sizes(void)
{
	begin(EACH, ACRE_FIRST_FIT, ONE_HEAP, 64 * KIB);
	for (unsigned bytes = 0; bytes < 42; bytes++)
		get(bytes);
	drop_run(OLDEST, 64, 2);
	drop_run(OLDEST, 64, 1);
}

static void merges(void)
{
	begin(EACH, ACRE_FIRST_FIT, ONE_HEAP, 64 * KIB);
	run(6, 100);
	drop(1);
	drop(2);
	drop(1);
	drop(OLDEST);
	drop(NEWEST_ONE);
}

static void full_of_holes(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, ONE_HEAP, 64 * KIB);
	op(FILL, 0);
	small(100);
	drop_run(OLDEST, 256, 2);
	op(FILL, 1);
	small(216);
	op(REALLOC, 0);
	put(OLDEST);
	small(1000);
}

static void grows_and_shrinks(void)
{
	begin(EACH, ACRE_FIRST_FIT, ONE_HEAP, 256 * KIB);
	run(5, 1000);
	for (unsigned i = 0; i < 4; i++) {
		op(REALLOC, 0);
		put(2);
		small(i % 2 ? 10 : 1099);
		drop(1);
		op(REALLOC, 0);
		put(1);
		pages(i + 2, MORE_1);
	}
	op(REALLOC, 0);
	put(NEWEST_ONE);
	share(ALL, EXACT);
}

static void aligned_everywhere(void)
{
	begin(EACH, ACRE_FIRST_FIT, ONE_HEAP, 500000);
	for (unsigned log = 0; log < 18; log++) {
		op(ALIGNED, 0);
		put(log);
		small(log * 50);
		get(24);
	}
	drop_run(OLDEST, 64, 2);
	for (unsigned odd = 0xf0; odd < 0xf8; odd++) {
		op(ALIGNED, 0);
		put(odd);
		small(100);
	}
}

static void overflowing_sizes(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, MIB);
	for (unsigned top = 0; top < 8; top++)
		for (unsigned less = 0; less < 32; less += 15) {
			op(MALLOC, 0);
			huge(top, less);
		}
	op(CALLOC, 3);
	small(100);
	get(100);
	op(REALLOC, 0);
	put(OLDEST);
	huge(0, 16);
	op(ALIGNED, 0);
	put(12);
	huge(0, 1);
}

static void recycled_zeros(void)
{
	begin(EACH, ACRE_FIRST_FIT, ONE_HEAP, MIB);
	for (unsigned i = 0; i < 3; i++) {
		op(RUN, 0);
		put(3);
		pages(5, i);
		drop_run(OLDEST, 4, 1);
		if (i == 1)
			op(TRIM, 1);
		op(RUN, 1);
		put(5);
		pages(3, i + 2);
		drop_run(OLDEST, 6, 1);
		op(CALLOC, 0);
		share(HALF, EXACT);
		drop(OLDEST);
	}
}

/* What a purge gives back lies beside blocks that must not change. */
static void trimmed_neighbours(void)
{
	begin(EACH, ACRE_FIRST_FIT, ONE_HEAP, 2 * MIB);
	for (unsigned edge = 0; edge < 9; edge++) {
		op(MALLOC, 0);
		pages(4, edge);
		get(8 + edge * 16);
	}
	drop_run(OLDEST, 9, 2);
	op(TRIM, 1);
	op(FILL, 1);
	pages(2, EXACT);
}

static void purge_in_time(enum acre_policy policy)
{
	begin(EACH, policy, FROM_OS, 8 * MIB);
	for (unsigned i = 0; i < 4; i++) {
		op(RUN, 0);
		put(15);
		pages(33, EXACT);
		drop_run(OLDEST, 16, i % 2 + 1);
		pass(5);
		op(MALLOC, 0);
		large(32, 15);
		drop(NEWEST_ONE);
		pass(1);
		run(70, 40);
	}
}

/* What a free does by the way doesn't change errno, not where the OS refuses it. */
static void a_purge_is_refused(void)
{
	begin(EACH, ACRE_FIRST_FIT, ONE_HEAP, 8 * MIB);
	for (unsigned i = 0; i < 3; i++) {
		op(MALLOC, 0);
		large(48, 15);
		if (i) {
			op(REFUSE, 2);
			put(0);
		}
		drop(NEWEST_ONE);
		pass(6);
	}
}

/* The peak is one that no check has looked at. */
static void slides(void)
{
	begin(EACH_128, ACRE_FIRST_FIT, ONE_HEAP, 64 * KIB);
	run(6, 500);
	for (unsigned i = 0; i < 3; i++) {
		drop(i);
		op(REALLOC, 0);
		put(i);
		small(990 + i * 20);
	}
	drop_run(OLDEST, 6, 1);
}

static void purged_in_time(void)
{
	purge_in_time(ACRE_FIRST_FIT);
}

static void purged_in_time_by_good_fit(void)
{
	begin(EACH, ACRE_GOOD_FIT, ONE_HEAP, 16 * MIB);
	for (unsigned i = 0; i < 3; i++) {
		op(RUN, 0);
		put(39);
		pages(33 + i, EXACT);
		drop_run(OLDEST, 30, 2);
		for (unsigned k = 0; k < 3; k++) {
			op(CALLOC, 0);
			large(33, 15);
			drop(NEWEST_ONE);
			pass(6);
		}
	}
}

/* Where no free block has room to spare, one that happens to lie well serves. */
static void aligned_into_the_same_hole(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, ONE_HEAP, 128 * KIB);
	for (unsigned i = 0; i < 5; i++) {
		op(ALIGNED, 0);
		put(12);
		pages(1 + i % 2, LESS_8);
	}
	op(FILL, 1);
	pages(2, EXACT);
	for (unsigned i = 0; i < 5; i++) {
		drop(i);
		op(ALIGNED, 0);
		put(12);
		pages(1 + i % 2, i % 2 ? LESS_8 : MORE_1);
		op(ALIGNED, 0);
		put(12);
		pages(1, LESS_16);
	}
}

/* More than a pass may give, as one block and as many. */
static void purged_in_portions(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, ONE_HEAP, 64 * MIB);
	for (unsigned i = 0; i < 2; i++) {
		if (i) {
			op(RUN, 0);
			put(255);
			pages(7, EXACT);
			drop_run(OLDEST, 255, 2);
		}
		op(MALLOC, 0);
		large(40, 20 - 1);
		drop(NEWEST_ONE);
		for (unsigned k = 0; k < 6; k++) {
			pass(k ? 1 : 5);
			op(MALLOC, 0);
			large(33, 15);
			drop(NEWEST_ONE);
		}
	}
}

static void one_heap_purged_in_time(void)
{
	begin(EACH, ACRE_FIRST_FIT, ONE_HEAP, 8 * MIB);
	for (unsigned i = 0; i < 4; i++) {
		op(MALLOC, 0);
		large(48, 15);
		get(100);
		drop(OLDEST);
		pass(5);
		op(CALLOC, 0);
		large(40, 15);
		drop(NEWEST_ONE);
		pass(5);
	}
}

const struct seed_entry seeds_heap[] = {
	{ "a-purge-is-refused", a_purge_is_refused },
	{ "aligned-everywhere", aligned_everywhere },
	{ "aligned-into-the-same-hole", aligned_into_the_same_hole },
	{ "full-of-holes", full_of_holes },
	{ "grows-and-shrinks", grows_and_shrinks },
	{ "least-sizes", least_sizes },
	{ "merges", merges },
	{ "one-heap-purged-in-time", one_heap_purged_in_time },
	{ "overflowing-sizes", overflowing_sizes },
	{ "purged-in-portions", purged_in_portions },
	{ "purged-in-time", purged_in_time },
	{ "purged-in-time-by-good-fit", purged_in_time_by_good_fit },
	{ "recycled-zeros", recycled_zeros },
	{ "slides", slides },
	{ "trimmed-neighbours", trimmed_neighbours },
	{ 0 },
};
