/*
 * Caches, white box: what the cache does at moments that no other thread can be made to hit.
 *
 * bins.c and cache.c are compiled into this program once more, and calls that they make are watched.
 */
#include <string.h>

#define plot_give watched_give
#define memcpy watched_memcpy
static void *watched_memcpy(void *to, const void *from, size_t bytes);
#include "bins.c"
#include "cache.c"
#undef plot_give
#undef memcpy

#include <unistd.h>

#include "support.h"
#include "thread.h"

void plot_give(struct acre *arena, struct plot *plot, uint64_t *places, unsigned count);

static struct {
	struct plot *plot;	/* of which a block is posted once some have been given to it */
	void *posted;
	struct plot *moved;	/* whose rows may be copied under its lock alone */
	unsigned copies;
	unsigned unlocked;
} watch;

static void *watched_memcpy(void *to, const void *from, size_t bytes)
{
	if (watch.moved) {
		watch.copies++;
		if (pthread_mutex_trylock(&watch.moved->lock.mutex) == 0) {
			pthread_mutex_unlock(&watch.moved->lock.mutex);
			watch.unlocked++;
		}
	}
	return memcpy(to, from, bytes);
}

void watched_give(struct acre *arena, struct plot *plot, uint64_t *places, unsigned count)
{
	plot_give(arena, plot, places, count);
	if (plot == watch.plot && watch.posted) {
		char *base = arena_base(arena);
		uint64_t at = place_of(base, watch.posted);

		/* As a third thread does that finds the lock taken. */
		watch.posted = NULL;
		tag_set_state(tag_at(base, at), TAG_CACHED);
		plot_post(arena, plot, at, at, 1, payload_bytes(tag_size(tag_at(base, at))));
	}
}

static struct cache *own_cache(struct acre *arena)
{
	struct cache *cache = thread_held(arena);

	ck_assert_ptr_nonnull(cache->plot);
	return cache;
}

/* acre_stats() and fork's child count the blocks from a row that's being exchanged. */
START_TEST(rows_are_exchanged_under_the_lock)
{
	struct acre *arena = new_arena(64 * MIB, NULL);
	void *blocks[1000];

	acre_free(arena, acre_malloc(arena, 40));
	watch.moved = own_cache(arena)->plot;
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			blocks[i] = acre_malloc(arena, 40);
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			acre_free(arena, blocks[i]);
	}
	watch.moved = NULL;
	ck_assert_uint_ge(watch.copies, 3);
	ck_assert_uint_eq(watch.unlocked, 0);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

struct giver {
	struct acre *arena;
	void *blocks[6];
	sem_t done;
	sem_t wake;
};

static void *give_and_sleep(void *argument)
{
	struct giver *giver = argument;

	for (size_t i = 0; i < COUNT_OF(giver->blocks); i++)
		giver->blocks[i] = acre_malloc(giver->arena, 40);
	sem_post(&giver->done);
	await(&giver->wake);
	return NULL;
}

/* What came by post while blocks were given to a plot whose thread sleeps doesn't lie there. */
START_TEST(a_send_takes_the_post_in)
{
	struct giver giver = { .arena = new_arena(64 * MIB, NULL) };
	pthread_t thread;
	struct plot *plot;
	size_t count = COUNT_OF(giver.blocks);

	sem_init(&giver.done, 0, 0);
	sem_init(&giver.wake, 0, 0);
	thread = start(give_and_sleep, &giver);
	await(&giver.done);
	/* So that it has a cache. */
	thread_cache(giver.arena);
	for (size_t i = 0; i + 1 < count; i++)
		acre_free(giver.arena, giver.blocks[i]);
	plot = plot_at(giver.arena, tag_plot((struct tag *)giver.blocks[0] - 1));
	ck_assert_ptr_ne(plot, own_cache(giver.arena)->plot);
	watch.plot = plot;
	watch.posted = giver.blocks[count - 1];
	cache_flush(own_cache(giver.arena));
	ck_assert_ptr_null(watch.posted);
	ck_assert_uint_eq(plot->inbox, 0);
	ck_assert_uint_eq(plot->inbox_blocks, 0);
	ck_assert_uint_eq(plot->inbox_bytes, 0);
	watch.plot = NULL;
	sem_post(&giver.wake);
	finish(thread);
	must_be_whole(giver.arena);
	end_arena(giver.arena);
}
END_TEST

/* However a thread's need has changed before: a class that it uses now has a place in its cache. */
START_TEST(a_class_used_late_is_cached)
{
	struct acre *arena = new_arena(256 * MIB, NULL);
	static void *blocks[600];
	struct cache *cache;

	for (unsigned n = 1; n < CLASSES; n++) {
		unsigned class = _i ? CLASSES - n : n;
		size_t size = payload_bytes(class_granules(class));

		for (int round = 0; round < 50; round++) {
			for (size_t i = 0; i < COUNT_OF(blocks); i++)
				blocks[i] = acre_malloc(arena, size);
			for (size_t i = 0; i < COUNT_OF(blocks); i++)
				acre_free(arena, blocks[i]);
		}
		cache = own_cache(arena);
		must(bin_limit(cache, class) > 0, "class %u has no place", class);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/*
 * A block of the next class serves where a bin is empty, by an eighth larger at most, and it may be
 * given back by the size that was asked for. But the bin isn't left empty for good.
 */
START_TEST(an_empty_bin_borrows)
{
	struct acre *arena = new_arena(64 * MIB, NULL);
	void *blocks[8];

	for (unsigned class = SMALL_CLASSES; class + 1 < CLASSES; class++) {
		size_t size = payload_bytes(class_granules(class));
		size_t next = payload_bytes(class_granules(class + 1));
		unsigned borrowed = 0, own = 0;
		struct cache *cache;

		acre_free(arena, acre_malloc(arena, size));
		acre_flush(arena);
		cache_reset(own_cache(arena));
		/* Both classes have a bin; this one's is empty, the next one's isn't. */
		acre_free(arena, acre_malloc(arena, size));
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			blocks[i] = acre_malloc(arena, next);
		cache = own_cache(arena);
		keep_newest(cache, class, 0);
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			acre_free(arena, blocks[i]);
		for (size_t i = 0; i < COUNT_OF(blocks) && bin_count(cache, class + 1); i++) {
			size_t usable;

			keep_newest(cache, class, 0);
			blocks[0] = acre_malloc(arena, size);
			usable = acre_usable_size(arena, blocks[0]);
			must(usable == size || usable == next, "%zu for %zu", usable, size);
			must(usable == size || 8 * (usable + TAG_BYTES) <= 9 * (size + TAG_BYTES),
			     "%zu for %zu", usable, size);
			borrowed += usable == next;
			own += usable == size;
			acre_free_sized(arena, blocks[0], size);
		}
		must(own, "class %u is never filled", class);
		must(borrowed || 8 * (next + TAG_BYTES) > 9 * (size + TAG_BYTES),
		     "class %u never borrows", class);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* A bin that has room for one block alone parks it in the depot when another one comes. */
START_TEST(a_bin_of_one_parks_it)
{
	struct acre *arena = new_arena(64 * MIB, NULL);
	size_t size = payload_bytes(class_granules(CLASSES - 1));
	void *blocks[4];

	arena->plan.most[CLASSES - 1] = 1;
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, size);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		acre_free(arena, blocks[i]);
		ck_assert_uint_eq(bin_count(own_cache(arena), CLASSES - 1), 1);
		ck_assert_uint_eq(depot_count(arena), i);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* Blocks of other classes make way in the depot: a few, or a chunk where all chunks are in use. */
START_TEST(the_depot_gives_way)
{
	struct acre *arena = new_arena(256 * MIB, NULL);
	size_t size = payload_bytes(_i ? 2 : 60);
	static void *blocks[60000];
	struct cache *cache;
	size_t before;

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, size);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(arena, blocks[i]);
	ck_assert_int_eq(depot_crowded(arena), _i);
	acre_free(arena, acre_malloc(arena, payload_bytes(30)));
	cache = own_cache(arena);
	before = depot_count(arena);
	/* No room for a single block. */
	if (!_i)
		arena->depot.share = atomic_load(&arena->depot.bytes);
	arena->depot.denied = 0;
	for (unsigned n = 1; !park(cache, 30, 1); n++)
		must(n < PATIENCE_DEPOT, "nothing made way at refusal %u", n);
	ck_assert_uint_eq(arena->depot.denied, PATIENCE_DEPOT);
	ck_assert_uint_eq(depot_count(arena), before + 1 - (_i ? DEPOT_CHUNK : EVICTED));
	must_be_sound(arena);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cache");
	TCase *cases = tcase_create("cache");

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, rows_are_exchanged_under_the_lock);
	tcase_add_test(cases, a_send_takes_the_post_in);
	tcase_add_loop_test(cases, a_class_used_late_is_cached, 0, 2);
	tcase_add_test(cases, an_empty_bin_borrows);
	tcase_add_test(cases, a_bin_of_one_parks_it);
	tcase_add_loop_test(cases, the_depot_gives_way, 0, 2);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
