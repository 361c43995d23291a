/*
 * Seeds of arenas of other kinds, of several, and of every policy. See seeds.h.
 */
#include "seeds.h"

static void the_os_refuses(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, 8 * MIB);
	for (unsigned i = 0; i < 12; i++) {
		op(REFUSE, 1);
		put(i % 3);
		op(MALLOC, 0);
		large(32 + i, 14 + i % 2);
		turn(i % 4);
		op(REFUSE, 1);
		put(i % 3);
		get(500);
	}
	drop_run(OLDEST, 16, 1);
	op(REFUSE, 2);
	put(0);
	op(TRIM, 0);
}

static void the_os_refuses_arenas(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, MIB);
	for (unsigned i = 0; i < 8; i++) {
		op(REFUSE, 1);
		put(i);
		op(ARENA, 0);
		put(1 + i % 2);
		put_arena(ACRE_FIRST_FIT, i < 5 ? PREFAULTED : FROM_OS, 2 * MIB, 0, 0);
		get(100);
	}
}

static void two_arenas(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, FROM_OS, 2 * MIB);
	run(20, 100);
	op(ARENA, 0);
	put(1);
	put_arena(ACRE_GOOD_FIT, IN_BUFFER, 2 * MIB, 7, 0);
	run(20, 100);
	turn(1);
	run(20, 50);
	op(USE, 0);
	put(0);
	run(20, 50);
	drop_run(OLDEST, 40, 2);
	op(DESTROY, 0);
	put(0);
	turn(0);
	drop_run(OLDEST, 40, 1);
	op(ARENA, 0);
	put(0);
	put_arena(ACRE_FIRST_FIT, FROM_OS, MIB, 128, 0);
	run(20, 100);
}

static void stale_caches(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, 2 * MIB);
	turn(1);
	run(20, 100);
	for (unsigned i = 0; i < 17; i++) {
		op(ARENA, 0);
		put(i % 3);
		put_arena(ACRE_FIRST_FIT, FROM_OS, MIB, 0, 0);
		get(100);
	}
	op(USE, 0);
	put(2);
	drop_run(OLDEST, 64, 1);
	op(FLUSH, 0);
}

static void not_an_arena(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, 0);
	get(100);
	op(ARENA, 0);
	put(1);
	put_arena(ACRE_GOOD_FIT, FROM_OS, 64 * KIB - 1, 0, 0);
	get(100);
}

static void in_other_memory(void)
{
	put(EACH | 4);
	put_arena(ACRE_FIRST_FIT, IN_BUFFER, MIB + 128, 3, 0);
	turn(1);
	run(60, 200);
	drop_run(OLDEST, 60, 2);
	op(FILL, 0);
	pages(3, MORE_1);
	op(TRIM, 1);
	op(ARENA, 0);
	put(1);
	put_arena(ACRE_FIRST_FIT, ONE_HEAP_IN_BUFFER, 64 * KIB + 128, 253, 0);
	op(FILL, 1);
	small(1000);
}

static void other_flags(void)
{
	begin(EACH, ACRE_FIRST_FIT, PREFAULTED, MIB);
	run(20, 500);
	op(TRIM, 0);
	op(ARENA, 0);
	put(1);
	put_arena(ACRE_FIRST_FIT, NO_PURGE | HUGE_PAGED, 4 * MIB, 0, 64 * KIB);
	op(MALLOC, 0);
	large(48, 15);
	drop(NEWEST_ONE);
	pass(5);
	pass(5);
	op(MALLOC, 0);
	large(48, 15);
	drop(NEWEST_ONE);
	op(TRIM, 0);
}

/* A mixture, for each policy, in one heap and in plots. */
static void mixture(enum acre_policy policy, unsigned kind, size_t bytes)
{
	begin(EACH_8, policy, kind, bytes);
	for (unsigned i = 0; i < 4; i++) {
		turn(i);
		run(60, 24 + i * 40);
		op(RUN, 0);
		put(10);
		pages(1 + i, i);
		op(ALIGNED, 0);
		put(5 + i);
		small(200);
		drop_run(i * 7, 80, 2 + i % 2);
		op(REALLOC, 0);
		put(i * 5);
		pages(2, LESS_8);
		op(REALLOC, 0);
		put(i * 9);
		small(50);
	}
	op(FILL, 1);
	share(QUARTER, EXACT);
	drop_run(OLDEST, 256, 3);
	op(TRIM, 0);
	op(FILL, 2);
	small(700);
}

static void good_fit(void)
{
	mixture(ACRE_GOOD_FIT, FROM_OS, 2 * MIB);
}

static void good_fit_in_one_heap(void)
{
	mixture(ACRE_GOOD_FIT, ONE_HEAP, 500000);
}

static void next_fit(void)
{
	mixture(ACRE_NEXT_FIT, FROM_OS, 2 * MIB);
}

static void next_fit_in_one_heap(void)
{
	mixture(ACRE_NEXT_FIT, ONE_HEAP, 500000);
}

static void best_fit(void)
{
	mixture(ACRE_BEST_FIT, FROM_OS, 2 * MIB);
}

static void best_fit_in_one_heap(void)
{
	mixture(ACRE_BEST_FIT, ONE_HEAP, 500000);
}

static void worst_fit(void)
{
	mixture(ACRE_WORST_FIT, FROM_OS, 2 * MIB);
}

static void worst_fit_in_one_heap(void)
{
	mixture(ACRE_WORST_FIT, ONE_HEAP, 500000);
}

static void buddies(void)
{
	mixture(ACRE_BUDDY, FROM_OS, 2 * MIB);
}

static void buddies_in_one_heap(void)
{
	mixture(ACRE_BUDDY, ONE_HEAP, 500000);
}

const struct seed_entry seeds_arenas[] = {
	{ "best-fit", best_fit },
	{ "best-fit-in-one-heap", best_fit_in_one_heap },
	{ "buddies", buddies },
	{ "buddies-in-one-heap", buddies_in_one_heap },
	{ "good-fit", good_fit },
	{ "good-fit-in-one-heap", good_fit_in_one_heap },
	{ "in-other-memory", in_other_memory },
	{ "next-fit", next_fit },
	{ "next-fit-in-one-heap", next_fit_in_one_heap },
	{ "not-an-arena", not_an_arena },
	{ "other-flags", other_flags },
	{ "stale-caches", stale_caches },
	{ "the-os-refuses", the_os_refuses },
	{ "the-os-refuses-arenas", the_os_refuses_arenas },
	{ "two-arenas", two_arenas },
	{ "worst-fit", worst_fit },
	{ "worst-fit-in-one-heap", worst_fit_in_one_heap },
	{ 0 },
};
