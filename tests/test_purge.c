/*
 * Purges, white box, under each policy: a sweep of the index meets every block that stays, one pass
 * does a bounded amount of work (G3), and the passes of a round together leave no dirty page.
 */
#include "arena.h"
#include "plot.h"
#include "purge.h"
#include "support.h"

static const struct acre_options kinds[] = {
	{ .policy = ACRE_FIRST_FIT },
	{ .policy = ACRE_FIRST_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_BEST_FIT },
	{ .policy = ACRE_WORST_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_BUDDY },
	{ .policy = ACRE_BUDDY, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_GOOD_FIT },
	{ .policy = ACRE_GOOD_FIT, .flags = ACRE_NO_CACHE },
};

#define KEY	0x9e3779b1u
#define PLACES	512u
#define ROOM	64u	/* granules for each */

static char *base;
static struct fit fit;

static void put(unsigned i, uint64_t size)
{
	tag_write(base, 1 + i * ROOM, size, TAG_FREE, 0, KEY, false);
	fit_insert(base, &fit, 1 + i * ROOM, size);
}

/*
 * Between the calls of a sweep blocks come and go, the one that it has just met among them: all
 * that stay from the beginning of a round to its end, and are large enough, are met once.
 */
START_TEST(a_sweep_meets_what_stays)
{
	static const enum fit_policy policies[] = { FIT_FIRST, FIT_GOOD, FIT_BEST, FIT_WORST };
	enum fit_policy policy = policies[_i];
	uint64_t granules = (uint64_t)PLACES * ROOM;
	struct dice dice = dice_from(next_seed());
	uint64_t size[PLACES] = { 0 };

	base = calloc(1, (granules + 2) * GRANULE + fit_bytes(policy, granules));
	ck_assert_ptr_nonnull(base);
	fit_init(&fit, policy, (granules + 2) * GRANULE, 1, granules);
	for (int round = 0; round < SCALE(300, 30); round++) {
		uint64_t least = 2 + roll(&dice) % 40;
		bool stays[PLACES];
		unsigned met[PLACES] = { 0 };
		uint64_t at;

		for (unsigned i = 0; i < PLACES; i++)
			stays[i] = size[i] != 0;
		while ((at = fit_sweep(base, &fit, least))) {
			unsigned i = (unsigned)((at - 1) / ROOM);

			must(size[i] >= least, "a block that is too small");
			must(fit_sweep(base, &fit, least) == at, "it moves on by itself");
			met[i]++;
			if (roll(&dice) % 4)
				fit_swept(base, &fit, at);
			else
				met[i]--;
			for (unsigned changes = roll(&dice) % 3; changes; changes--) {
				unsigned k = roll(&dice) % 4 ? roll(&dice) % PLACES : i;

				stays[k] = false;
				if (size[k]) {
					fit_remove(base, &fit, 1 + k * ROOM, size[k]);
					size[k] = 0;
				} else {
					size[k] = 1 + roll(&dice) % (ROOM - 2);
					put(k, size[k]);
				}
			}
		}
		for (unsigned i = 0; i < PLACES; i++)
			if (stays[i] && size[i] >= least)
				must(met[i] == 1, "round %d: block %u of %lu granules: %u times",
				     round, i, (unsigned long)size[i], met[i]);
		for (unsigned i = 0; i < PLACES; i++)
			if (!size[i] && roll(&dice) % 2) {
				size[i] = 1 + roll(&dice) % (ROOM - 2);
				put(i, size[i]);
			}
	}
	free(base);
}
END_TEST

static size_t dirty_pages(struct acre *arena, const struct heap *heap)
{
	_Atomic uint64_t *words = (_Atomic uint64_t *)(arena_base(arena) + arena->dirt);
	size_t sum = 0;

	for (uint64_t at = heap->start; at < heap->end; at += tag_size(tag_at(base, at))) {
		uint64_t end = (at + tag_size(tag_at(base, at))) / arena->page;

		if (tag_state(tag_at(base, at)) != TAG_FREE)
			continue;
		for (uint64_t page = (at + FREE_HEAD) / arena->page + 1;
		     page < end && page <= (arena->reached + FREE_HEAD) / arena->page; page++)
			sum += words[page / 64] >> page % 64 & 1;
	}
	return sum;
}

static size_t all_dirty_pages(struct acre *arena)
{
	size_t sum = dirty_pages(arena, &arena->commons);

	for (uint32_t id = 1; id <= plots_made(arena); id++)
		for (unsigned i = 0; i < plot_at(arena, id)->leases; i++)
			sum += dirty_pages(arena, &plot_lease(arena, plot_at(arena, id), i)->heap);
	return sum;
}

/* Passes until a round has ended, none of them long, and nothing is left; how many. */
static unsigned go_round(struct acre *arena)
{
	const uint64_t steps_most = UINT64_C(2048) * 64;
	size_t left = all_dirty_pages(arena);
	unsigned passes = 0;

	do {
		size_t was = left;

		/* Due now, not late: one portion. */
		arena->purge_at = 1;
		fit_steps = 0;
		purge_at_ms(arena, 1);
		left = all_dirty_pages(arena);
		must(fit_steps < steps_most, "%lu steps in a pass", (unsigned long)fit_steps);
		must(was - left <= 17 * MIB / 4096, "%lu pages in a pass",
		     (unsigned long)(was - left));
		passes++;
	} while (arena->purge_at);
	ck_assert_uint_eq(left, 0);
	ck_assert_uint_eq(arena->freed_bytes, 0);
	return passes;
}

/*
 * Tens of thousands of free blocks, and large ones: no pass looks at them all, and the round ends
 * with every whole page given back. That a purge is due is said here, not waited for.
 */
START_TEST(a_pass_is_bounded)
{
	static char *blocks[20000];
	struct acre *arena = new_arena(2048 * MIB, &kinds[_i]);
	char *large = acre_malloc(arena, 100 * MIB);
	unsigned passes;

	base = arena_base(arena);
	ck_assert_ptr_nonnull(large);
	memset(large, 1, 100 * MIB);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = acre_malloc(arena, 12000);
		ck_assert_ptr_nonnull(blocks[i]);
		ck_assert_ptr_nonnull(acre_malloc(arena, 24));
		/* One in ten is dirty: there's more to look at than to give. */
		if (i % 10 == 0)
			memset(blocks[i], 1, 12000);
	}
	arena->purge_at = PURGE_BUSY;
	acre_free(arena, large);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(arena, blocks[i]);
	acre_flush(arena);
	ck_assert_uint_ge(all_dirty_pages(arena), 100 * MIB / 4096);
	ck_assert_uint_ge(arena->freed_bytes, PURGE_STEP);
	passes = go_round(arena);
	ck_assert_uint_ge(passes, 10);

	/* The next round looks at all of the large block again. */
	large = acre_malloc(arena, 100 * MIB);
	ck_assert_ptr_nonnull(large);
	memset(large, 1, 100 * MIB);
	acre_free(arena, large);
	go_round(arena);
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/*
 * What another thread's purge leaves behind when a third one forks: here, in the child, it goes on.
 */
static void purge_in_the_child(void *argument)
{
	struct acre *arena = argument;

	must(arena->purge_at != PURGE_BUSY, "the child waits for a thread that isn't here");
	/* Due now, once and for all that was freed. */
	do {
		arena->purge_at = 1;
		purge_now(arena);
	} while (arena->purge_at);
	must(arena->freed_bytes < PURGE_STEP, "%lu bytes still to be looked at",
	     (unsigned long)arena->freed_bytes);
	base = arena_base(arena);
	must(all_dirty_pages(arena) == 0, "%zu pages are left", all_dirty_pages(arena));
}

/* The other thread is anywhere between its begin() and its end(). */
START_TEST(a_child_purges)
{
	struct acre *arena = new_arena(256 * MIB, &kinds[0]);
	struct outcome outcome;
	char *block = acre_malloc(arena, 8 * MIB);

	ck_assert_ptr_nonnull(block);
	memset(block, 1, 8 * MIB);
	arena->purge_at = PURGE_BUSY;
	acre_free(arena, block);
	/* In the second case it has just settled what was freed, and not yet said that it did. */
	arena->purge_freed = arena->freed_bytes;
	if (_i)
		arena->freed_bytes -= arena->purge_freed;
	in_child(&outcome, purge_in_the_child, arena, 30);
	must_succeed(&outcome, "a purge in the child");
	arena->purge_at = 0;
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("purge");
	TCase *cases = tcase_create("purge");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, a_sweep_meets_what_stays, 0, 4);
	tcase_add_loop_test(cases, a_pass_is_bounded, 0, COUNT_OF(kinds));
	tcase_add_loop_test(cases, a_child_purges, 0, 2);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
