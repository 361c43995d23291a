/*
 * Seeds of plots, caches and threads. See seeds.h.
 */
#include "seeds.h"

static void every_class(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, FROM_OS, 16 * MIB);
	for (unsigned number = 1; number < 106; number += 3) {
		op(MALLOC, 0);
		class(number, number % 9);
	}
	drop_run(OLDEST, 64, 2);
	op(FLUSH, 0);
}

static void cache_runs_over(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, FROM_OS, 16 * MIB);
	for (unsigned i = 0; i < 6; i++) {
		run(256, 24 + i % 2 * 16);
		drop_run(OLDEST, 256, 1);
	}
	run(256, 1000);
	drop_run(OLDEST, 256, 1);
	op(FLUSH, 0);
}

/* So many classes that the rows of a cache are spent, and then the bytes of all caches. */
static void caches_compete(void)
{
	begin(EACH_32, ACRE_FIRST_FIT, FROM_OS, MIB);
	for (unsigned worker = 0; worker < 4; worker++) {
		turn(worker);
		for (unsigned i = 0; i < 24; i++) {
			op(RUN, 0);
			put(63);
			class(5 + i % 8 * 4, EXACT);
			drop_run(OLDEST, 64, 1);
		}
	}
}

static void rows_are_spent(void)
{
	put(EACH_32);
	put_arena(ACRE_FIRST_FIT, FROM_OS, 4 * MIB, 0, 20000);
	for (unsigned number = 1; number < 90; number++) {
		op(RUN, 0);
		put(9);
		class(number, EXACT);
		drop_run(OLDEST, 10, 1);
	}
}

static void small_caches(void)
{
	put(EACH_8);
	put_arena(ACRE_FIRST_FIT, FROM_OS, 4 * MIB, 0, 1);
	run(100, 48);
	drop_run(OLDEST, 100, 1);
	op(ARENA, 0);
	put(1);
	put_arena(ACRE_FIRST_FIT, FROM_OS, 4 * MIB, 0, 100);
	run(100, 48);
	drop_run(OLDEST, 100, 2);
	op(ARENA, 0);
	put(2);
	put_arena(ACRE_FIRST_FIT, FROM_OS, 4 * MIB, 0, SIZE_MAX);
	run(100, 48);
	drop_run(OLDEST, 100, 1);
}

static void freed_by_another(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, FROM_OS, 4 * MIB);
	turn(1);
	run(256, 100);
	turn(2);
	drop_run(OLDEST, 200, 1);
	run(50, 100);
	turn(3);
	drop_run(OLDEST, 100, 1);
	op(FLUSH, 0);
}

static void inboxes(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, FROM_OS, 4 * MIB);
	turn(1);
	run(256, 100);
	run(256, 100);
	turn(2);
	op(BUSY, 0);
	put(255);
	drop_run(OLDEST, 256, 1);
	op(BUSY, 0);
	put(1);
	drop_run(OLDEST, 200, 1);
	op(CHECK, 0);
	turn(1);
	run(64, 100);
	op(FLUSH, 0);
}

static void a_busy_walk(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, 2 * MIB);
	for (unsigned worker = 1; worker < 4; worker++) {
		turn(worker);
		run(20, 200);
		op(BUSY, 0);
		put(worker);
		op(CHECK, 0);
	}
}

static void threads_come_and_go(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, FROM_OS, 2 * MIB);
	for (unsigned i = 0; i < 6; i++) {
		turn(1 + i % 3);
		run(40, 64);
		if (i % 2)
			drop_run(OLDEST, 30, 1);
		op(EXIT, 0);
	}
	drop_run(OLDEST, 256, 1);
}

static void last_breath(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, 2 * MIB);
	turn(1);
	run(20, 64);
	op(EXIT, 2);
	turn(1);
	run(20, 64);
	drop_run(OLDEST, 20, 1);
	op(EXIT, 0);
	turn(2);
	op(EXIT, 2);
	turn(2);
	run(20, 64);
	turn(0);
	drop_run(OLDEST, 30, 1);
}

/* An arena that it first uses in its very last breath isn't told of a thread's end. */
static void unheard_of_end(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, 2 * MIB);
	for (unsigned worker = 1; worker < 4; worker++) {
		turn(worker);
		op(EXIT, 3);
	}
	for (unsigned worker = 1; worker < 4; worker++) {
		turn(worker);
		run(30, 64);
		drop_run(NEWEST_ONE - 20, 20, 1);
		if (worker > 1)
			op(EXIT, 0);
	}
	turn(0);
	run(30, 64);
	op(CHECK, 0);
	op(FILL, 1);
	share(QUARTER, EXACT);
}

static void more_threads_than_slabs(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, MIB);
	for (unsigned worker = 0; worker < 4; worker++) {
		turn(worker);
		run(30, 300);
	}
	op(FILL, 1);
	share(PLOT_MOST, EXACT);
}

static void no_hostage(void)
{
	begin(EACH_32, ACRE_FIRST_FIT, FROM_OS, 2 * MIB);
	turn(1);
	op(FILL, 1);
	small(1000);
	turn(2);
	drop_run(OLDEST, 256, 2);
	drop_run(OLDEST, 256, 2);
	turn(3);
	op(FILL, 1);
	small(1000);
	op(ALIGNED, 0);
	put(8);
	small(400);
	op(FREE_RUN, 0);
	put(OLDEST);
	put(255);
	op(MALLOC, 0);
	share(LARGEST, EXACT);
}

/* Each time another block lies behind it. */
static void large_blocks_move(unsigned kind, size_t bytes, unsigned shift)
{
	begin(EACH, ACRE_FIRST_FIT, kind, bytes);
	op(CALLOC, 0);
	large(32, shift);
	for (unsigned i = 0; i < 3; i++) {
		op(MALLOC, 0);
		large(33 + i * 2, shift);
		if (i) {
			op(REFUSE, 3);
			put(0);
		}
		op(REALLOC, 0);
		put(OLDEST);
		large(34 + i * 2, shift);
	}
	op(TRIM, 0);
}

/*
 * Good fit, and the block that fits isn't the newest of its class: two of 33 granules that became
 * one, then one of 65.
 */
static void not_the_newest_of_its_class(void)
{
	begin(EACH_32, ACRE_GOOD_FIT, FROM_OS, MIB);
	turn(1);
	run(10, 520);
	run(10, 1032);
	op(FILL, 3);
	small(1000);
	drop(3);
	drop(3);
	drop(12);
	op(FLUSH, 0);
	turn(2);
	op(FILL, 0);
	small(1036);
}

static void a_large_block_moves(void)
{
	large_blocks_move(FROM_OS, 16 * MIB, 15);
}

static void a_large_block_is_copied(void)
{
	large_blocks_move(IN_BUFFER, 4 * MIB, 15);
}

static void slides_in_a_plot(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, 4 * MIB);
	run(8, 1090);
	for (unsigned i = 0; i < 3; i++) {
		drop(i);
		op(FLUSH, 0);
		op(REALLOC, 0);
		put(i);
		pages(1, LESS_1 + i * 2);
		op(REALLOC, 0);
		put(i + 1);
		large(50, 5);
	}
}

static void leases_of_all_sizes(void)
{
	begin(EACH_8, ACRE_FIRST_FIT, FROM_OS, 32 * MIB);
	for (unsigned i = 0; i < 5; i++) {
		op(RUN, 0);
		put(40);
		share(i % 2 ? LEASE : PLOT_MOST, LESS_16);
		drop_run(OLDEST, 40, i % 3 + 1);
	}
	op(RUN, 0);
	put(10);
	share(PLOT_MOST, MORE_16);
}

static void all_ways_to_free(void)
{
	begin(EACH, ACRE_FIRST_FIT, FROM_OS, 2 * MIB);
	run(20, 300);
	for (unsigned varied = 0; varied < 4; varied++) {
		op(FREE, varied);
		if (varied < 3)
			put(varied);
		op(FREE_SIZED, varied);
		put(varied);
		op(CHECK, varied);
	}
	op(REALLOC, 3);
	small(100);
	for (unsigned varied = 0; varied < 4; varied++) {
		op(CALLOC, varied);
		small(333);
	}
}

const struct seed_entry seeds_plots[] = {
	{ "a-busy-walk", a_busy_walk },
	{ "a-large-block-is-copied", a_large_block_is_copied },
	{ "a-large-block-moves", a_large_block_moves },
	{ "all-ways-to-free", all_ways_to_free },
	{ "cache-runs-over", cache_runs_over },
	{ "caches-compete", caches_compete },
	{ "every-class", every_class },
	{ "freed-by-another", freed_by_another },
	{ "inboxes", inboxes },
	{ "last-breath", last_breath },
	{ "leases-of-all-sizes", leases_of_all_sizes },
	{ "more-threads-than-slabs", more_threads_than_slabs },
	{ "no-hostage", no_hostage },
	{ "not-the-newest-of-its-class", not_the_newest_of_its_class },
	{ "rows-are-spent", rows_are_spent },
	{ "slides-in-a-plot", slides_in_a_plot },
	{ "small-caches", small_caches },
	{ "threads-come-and-go", threads_come_and_go },
	{ "unheard-of-end", unheard_of_end },
	{ 0 },
};
