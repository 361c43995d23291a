/*
 * What a caller sees of an arena from outside its blocks: acre_walk(), acre_stats(), acre_flush(),
 * acre_trim(), and the bounds of the cache that the statistics show (the design's section 6,
 * 'Exactly: acre_walk, Refusal, acre_stats').
 */
#include "support.h"

#include <unistd.h>

struct stop {
	int visits;
	int at;
	int with;
};

static int stop_at(const struct acre_block *block, void *user)
{
	struct stop *stop = user;

	must(block->size > 0, "%p", block->address);
	return ++stop->visits == stop->at ? stop->with : 0;
}

/* "A visitor's non-zero return ends the walk and is returned." */
START_TEST(a_visitor_may_end_the_walk)
{
	static const int values[] = { 1, -1, 42, INT32_MIN, INT32_MAX };
	struct acre *arena = new_arena(MIB, &both[_i]);
	struct stop all = { 0 };

	for (int i = 0; i < 50; i++)
		acre_free(arena, i % 3 ? NULL : acre_malloc(arena, 100));
	for (int i = 0; i < 50; i++)
		ck_assert_ptr_nonnull(acre_malloc(arena, 100));
	ck_assert_int_eq(acre_walk(arena, stop_at, &all), 0);
	ck_assert_int_ge(all.visits, 51);
	for (size_t i = 0; i < COUNT_OF(values); i++) {
		struct stop stop = { .at = (int)i * 10 + 1, .with = values[i] };

		ck_assert_int_eq(acre_walk(arena, stop_at, &stop), values[i]);
		ck_assert_int_eq(stop.visits, stop.at);
	}
	acre_free(arena, acre_malloc(arena, 100));
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/* "No caches and no plots"; "the blocks tile one range". */
START_TEST(no_cache_means_one_heap)
{
	struct acre *arena = new_arena(MIB, &both[1]);
	struct image image = { 0 };
	char *blocks[200];

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, i * 7);
	for (size_t i = 0; i < COUNT_OF(blocks); i += 3)
		acre_free(arena, blocks[i]);
	look(arena, &image);
	for (size_t i = 0; i < image.count; i++) {
		const char *address = image.blocks[i].address;

		must(image.blocks[i].plot == 0, "block %zu in plot %u", i, image.blocks[i].plot);
		must(image.blocks[i].state != ACRE_CACHED, "block %zu", i);
		if (i)
			must(address == (const char *)image.blocks[i - 1].address +
						image.blocks[i - 1].size + 8,
			     "a gap before %zu", i);
	}
	ck_assert_uint_eq(stats_of(arena).plots, 0);
	ck_assert_uint_eq(stats_of(arena).leases, 0);
	ck_assert_uint_eq(stats_of(arena).cached_bytes, 0);
	forget(&image);
	end_arena(arena);
}
END_TEST

START_TEST(statistics_count)
{
	struct acre *arena = new_arena(16 * MIB, &both[_i]);
	struct acre_stats before = stats_of(arena);
	size_t peak = 0;
	size_t live = 0;
	char *blocks[1000];

	ck_assert_uint_eq(before.live_blocks, 0);
	ck_assert_uint_eq(before.live_bytes, 0);
	ck_assert_uint_eq(before.peak_live_bytes, 0);
	ck_assert_uint_eq(before.refusals, 0);
	ck_assert_uint_eq(before.plots, 0);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = acre_malloc(arena, i * 11);
		live += acre_usable_size(arena, blocks[i]);
	}
	peak = live;
	must_be_honest(arena);
	ck_assert_uint_eq(stats_of(arena).live_bytes, live);
	ck_assert_uint_eq(stats_of(arena).plots, _i == 0 ? 1 : 0);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		live -= acre_usable_size(arena, blocks[i]);
		acre_free(arena, blocks[i]);
		must(stats_of(arena).live_bytes == live, "after %zu frees", i + 1);
		must(stats_of(arena).live_blocks == COUNT_OF(blocks) - 1 - i, "after %zu frees",
		     i + 1);
	}
	must_be_honest(arena);
	for (int i = 1; i <= 5; i++) {
		ck_assert_ptr_null(acre_malloc(arena, 17 * MIB));
		ck_assert_uint_eq(stats_of(arena).refusals, i);
	}
	ck_assert_uint_ge(stats_of(arena).peak_live_bytes, peak);
	ck_assert_uint_le(stats_of(arena).peak_live_bytes, peak + MIB + 64 * KIB);
	must_be_whole(arena);
	must_be_honest(arena);
	end_arena(arena);
}
END_TEST

/* Searches have steps, no more than the header's bound allows; what needs none has none. */
START_TEST(searches_are_counted)
{
	const struct acre_options options = { .policy = (enum acre_policy)_i,
					      .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(4 * MIB, &options);
	char *blocks[200];
	size_t before;

	ck_assert_uint_eq(stats_of(arena).search_steps, 0);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		before = stats_of(arena).search_steps;
		blocks[i] = acre_malloc(arena, i * 17 % 300);
		must(stats_of(arena).search_steps - before <= 200, "%zu steps",
		     stats_of(arena).search_steps - before);
	}
	ck_assert_uint_gt(stats_of(arena).search_steps, 0);
	before = stats_of(arena).search_steps;
	for (size_t i = 0; i < COUNT_OF(blocks); i += 2)
		acre_free(arena, blocks[i]);
	acre_flush(arena);
	ck_assert_uint_eq(stats_of(arena).search_steps, before);
	acre_free(arena, acre_malloc(arena, 100));
	ck_assert_uint_gt(stats_of(arena).search_steps, before);
	before = stats_of(arena).search_steps;
	acre_free(arena, acre_aligned_alloc(arena, 256, 100));
	ck_assert_uint_gt(stats_of(arena).search_steps, before);
	end_arena(arena);
}
END_TEST

/* "flush: the calling thread's cache back into the heaps". */
START_TEST(flush_empties_the_cache)
{
	struct acre *arena = new_arena(16 * MIB, NULL);
	char *blocks[1000];
	size_t cached = 0;

	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			blocks[i] = acre_malloc(arena, 64 + i % 3 * 16);
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			acre_free(arena, blocks[i]);
		cached += stats_of(arena).cached_bytes;
		acre_flush(arena);
		ck_assert_uint_eq(stats_of(arena).cached_bytes, 0);
	}
	ck_assert_uint_gt(cached, 0);
	must_be_whole(arena);
	ck_assert_uint_eq(stats_of(arena).leases, 0);
	end_arena(arena);
}
END_TEST

/* "the cache as a whole is bounded (cache_bytes)"; "the default is at most 1 MiB". */
START_TEST(the_cache_is_bounded)
{
	static const size_t bounds[] = { 1, 100, 4096, 65536, MIB, 0 };
	struct acre_options options = { .cache_bytes = bounds[_i] };
	struct acre *arena = new_arena(256 * MIB, &options);
	/* A thread's cache, and its share in the depot, which holds nothing back from anyone. */
	size_t bound = bounds[_i] ? bounds[_i] : MIB + 3 * MIB / 8;
	struct dice dice = dice_from(13);
	char *blocks[1024] = { NULL };

	for (int i = 0; i < SCALE(200000, 20000); i++) {
		size_t slot = roll_between(&dice, 0, COUNT_OF(blocks) - 1);

		if (blocks[slot]) {
			acre_free(arena, blocks[slot]);
			blocks[slot] = NULL;
		} else {
			blocks[slot] = acre_malloc(arena, roll_log(&dice, 1, 32 * KIB));
			must(blocks[slot], "block %d", i);
		}
		if (i % 100 == 0)
			must(stats_of(arena).cached_bytes <= bound, "%zu bytes in a cache of %zu",
			     stats_of(arena).cached_bytes, bound);
	}
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		acre_free(arena, blocks[i]);
		must(stats_of(arena).cached_bytes <= bound, "%zu bytes in a cache of %zu",
		     stats_of(arena).cached_bytes, bound);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* "A call that returns NULL has first given back its own thread's cache", whatever it asked for. */
START_TEST(a_refusal_empties_the_own_cache)
{
	static const size_t sizes[] = { 9 * MIB, 2 * TIB, SIZE_MAX / 2, SIZE_MAX };
	struct acre *arena = new_arena(8 * MIB, NULL);
	char *kept = acre_malloc(arena, 100);
	char *blocks[2000];

	for (size_t k = 0; k < 4 * COUNT_OF(sizes); k++) {
		size_t size = sizes[k / 4];
		char *got;

		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			blocks[i] = acre_malloc(arena, 100);
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			acre_free(arena, blocks[i]);
		ck_assert_uint_gt(stats_of(arena).cached_bytes, 0);
		got = k % 4 == 0 ? acre_malloc(arena, size) :
		      k % 4 == 1 ? acre_calloc(arena, size / 2, 2) :
		      k % 4 == 2 ? acre_realloc(arena, kept, size) :
				   acre_aligned_alloc(arena, 4096, size);
		must(!got, "%zu bytes, way %zu", size, k % 4);
		must(stats_of(arena).cached_bytes == 0, "%zu bytes are cached after %zu, way %zu",
		     stats_of(arena).cached_bytes, size, k % 4);
	}
	acre_free(arena, kept);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* "whole free pages back to the OS; bytes given back" */
START_TEST(trim_gives_pages_back)
{
	struct acre_options options = { .flags = both[_i].flags | ACRE_NO_PURGE };
	struct acre *arena = new_arena(64 * MIB, &options);
	char *kept = acre_malloc(arena, 20000);
	char *block = acre_malloc(arena, 32 * MIB);
	char *last = acre_malloc(arena, 20000);
	size_t given;

	fill(kept, 20000, 1);
	fill(last, 20000, 2);
	memset(block, 1, 32 * MIB);
	ck_assert_uint_ge(stats_of(arena).resident_bytes, 32 * MIB);
	acre_free(arena, block);
	ck_assert_uint_ge(stats_of(arena).resident_bytes, 32 * MIB);
	given = acre_trim(arena);
	ck_assert_uint_ge(given, 32 * MIB - 2 * 4096);
	ck_assert_uint_lt(stats_of(arena).resident_bytes, 4 * MIB);
	ck_assert(holds(kept, 20000, 1) && holds(last, 20000, 2));
	ck_assert_uint_lt(acre_trim(arena), 64 * KIB);
	block = acre_malloc(arena, 32 * MIB);
	fill(block, 32 * MIB, 3);
	ck_assert(holds(block, 32 * MIB, 3) && holds(kept, 20000, 1) && holds(last, 20000, 2));
	acre_free(arena, block);
	acre_free(arena, kept);
	acre_free(arena, last);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/*
 * Free pages go back by themselves after a while, by whoever is in the allocator then; with
 * ACRE_NO_PURGE they stay as long as trim isn't called. What 'a while' is, the first arena shows.
 */
START_TEST(free_pages_go_back_in_time)
{
	struct acre_options stay = { .flags = both[_i].flags | ACRE_NO_PURGE };
	struct acre *arenas[] = { new_arena(64 * MIB, &both[_i]), new_arena(64 * MIB, &stay) };
	int tries = 0;

	for (size_t i = 0; i < COUNT_OF(arenas); i++) {
		char *block = acre_malloc(arenas[i], 48 * MIB);

		ck_assert_ptr_nonnull(block);
		memset(block, 1, 48 * MIB);
		acre_free(arenas[i], block);
	}
	while (stats_of(arenas[0]).resident_bytes > 16 * MIB && tries++ < 50000) {
		for (size_t i = 0; i < COUNT_OF(arenas); i++) {
			for (int n = 0; n < 40; n++)
				acre_free(arenas[i], acre_malloc(arenas[i], 100000));
			acre_free(arenas[i], acre_malloc(arenas[i], 2 * MIB));
		}
		usleep(1000);
	}
	ck_assert_uint_le(stats_of(arenas[0]).resident_bytes, 16 * MIB);
	ck_assert_uint_ge(stats_of(arenas[1]).resident_bytes, 48 * MIB);
	for (size_t i = 0; i < COUNT_OF(arenas); i++) {
		must_be_whole(arenas[i]);
		end_arena(arenas[i]);
	}
}
END_TEST

START_TEST(trim_leaves_the_callers_buffer)
{
	static char buffer[4 * MIB];
	struct acre *arena = acre_create_at(buffer, sizeof(buffer), &both[_i]);
	char *block = acre_malloc(arena, 2 * MIB);

	memset(block, 1, 2 * MIB);
	acre_free(arena, block);
	ck_assert_uint_eq(acre_trim(arena), 0);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

START_TEST(prefault_makes_all_resident)
{
	struct acre_options options = { .flags = ACRE_PREFAULT | both[_i].flags };
	struct acre *arena = new_arena(16 * MIB, &options);

	ck_assert_uint_eq(stats_of(arena).resident_bytes, stats_of(arena).size);
	end_arena(arena);
}
END_TEST

/* "A thread gets a plot at its first allocation": not by looking on, and not by tidying up. */
START_TEST(looking_takes_no_plot)
{
	struct acre *arena = new_arena(MIB, NULL);

	must_be_sound(arena);
	must_be_whole(arena);
	must_be_honest(arena);
	acre_trim(arena);
	acre_free(arena, NULL);
	ck_assert_uint_eq(acre_usable_size(arena, NULL), 0);
	ck_assert_uint_eq(stats_of(arena).plots, 0);
	acre_free(arena, acre_malloc(arena, 1));
	ck_assert_uint_eq(stats_of(arena).plots, 1);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("views");
	TCase *views = tcase_create("views");

	tcase_set_timeout(views, 60);
	tcase_add_loop_test(views, a_visitor_may_end_the_walk, 0, 2);
	tcase_add_test(views, no_cache_means_one_heap);
	tcase_add_loop_test(views, statistics_count, 0, 2);
	tcase_add_loop_test(views, searches_are_counted, ACRE_FIRST_FIT, ACRE_GOOD_FIT + 1);
	tcase_add_test(views, looking_takes_no_plot);
	tcase_add_test(views, flush_empties_the_cache);
	tcase_add_loop_test(views, the_cache_is_bounded, 0, 6);
	tcase_add_test(views, a_refusal_empties_the_own_cache);
	tcase_add_loop_test(views, trim_gives_pages_back, 0, 2);
	tcase_add_loop_test(views, free_pages_go_back_in_time, 0, 2);
	tcase_add_loop_test(views, trim_leaves_the_callers_buffer, 0, 2);
	tcase_add_loop_test(views, prefault_makes_all_resident, 0, 2);
	suite_add_tcase(suite, views);

	return run_suite(suite);
}
