/*
 * Heaps, white box, under each policy: each way to split and merge, with heap_check() before and
 * after every operation, and random operations against a map of granules.
 */
#include <signal.h>

#include "heap.h"
#include "support.h"

#define KEY 0x9e3779b1u
#define START 4u

static const enum fit_policy policies[] = { FIT_FIRST, FIT_NEXT, FIT_BEST, FIT_WORST, FIT_GOOD };

#define POLICIES 5

static char *base;
static struct heap heap;
static enum fit_policy policy;
static uint64_t place;		/* next fit's: the end of the block taken last */

/* A looped test takes each of its cases under each policy: the number of the case. */
static int case_of(int i)
{
	policy = policies[i % POLICIES];
	return i / POLICIES;
}

/* A heap of so many granules; at a page's start, so that always the same is aligned there. */
static void make_heap(uint64_t granules)
{
	uint64_t end = START + granules;
	size_t bytes = (end + 1) * GRANULE + fit_bytes(policy, granules);

	base = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
	ck_assert_ptr_nonnull(base);
	memset(base, 0, bytes);
	heap_init(base, &heap, policy, (end + 1) * GRANULE, START, START, end, KEY, 9);
	place = START;
	must(heap_check(base, &heap) == 0, "at the start");
}

static void sound(void)
{
	must(heap_check(base, &heap) == 0, "heap_check");
}

static uint64_t take(uint64_t size)
{
	uint64_t at = heap_find(base, &heap, size);

	sound();
	if (at)
		heap_take(base, &heap, at, at, size, TAG_LIVE);
	sound();
	return at;
}

static void give(uint64_t at)
{
	sound();
	heap_give(base, &heap, at, tag_size(tag_at(base, at)), 1);
	sound();
}

static bool free_block_at(uint64_t at, uint64_t size)
{
	return tag_state(tag_at(base, at)) == TAG_FREE && tag_size(tag_at(base, at)) == size;
}

/* The four cases of a merge: used or free on either side. */
START_TEST(merges)
{
	static const struct {
		bool before, behind;
		uint64_t at, size;
	} cases[] = {
		{ false, false, START + 10, 5 },
		{ true, false, START, 15 },
		{ false, true, START + 10, 12 },
		{ true, true, START, 22 },
	};
	uint64_t a, b, c;
	int i = case_of(_i);

	make_heap(100);
	a = take(10);
	b = take(5);
	c = take(7);
	ck_assert(take(3) == START + 22);
	if (cases[i].before)
		give(a);
	if (cases[i].behind)
		give(c);
	give(b);
	ck_assert(free_block_at(cases[i].at, cases[i].size));
	free(base);
}
END_TEST

/* A block is cut from the low end, the middle, the high end, or taken whole. */
START_TEST(splits)
{
	static const struct { uint64_t offset, size; } cases[] = {
		{ 0, 4 }, { 3, 4 }, { 16, 4 }, { 0, 20 }, { 0, 1 }, { 19, 1 }
	};
	int i = case_of(_i);

	make_heap(20);
	heap_take(base, &heap, START, START + cases[i].offset, cases[i].size, TAG_LIVE);
	sound();
	ck_assert(heap.used == cases[i].size && heap.blocks == 1);
	give(START + cases[i].offset);
	ck_assert(free_block_at(START, 20) && heap_empty(&heap));
	free(base);
}
END_TEST

START_TEST(resize_in_place)
{
	uint64_t a, b;

	case_of(_i);
	make_heap(100);
	a = take(10);
	b = take(10);
	ck_assert(!heap_resize(base, &heap, a, 11));
	ck_assert(heap_resize(base, &heap, a, 4));		/* leaves 6 between */
	sound();
	ck_assert(heap_resize(base, &heap, a, 10));		/* takes them all */
	sound();
	give(b);
	ck_assert(heap_resize(base, &heap, a, 100));		/* the whole heap */
	sound();
	ck_assert(!heap_resize(base, &heap, a, 101));
	ck_assert(heap_resize(base, &heap, a, 1));
	sound();
	ck_assert(heap.used == 1 && heap.blocks == 1);
	free(base);
}
END_TEST

/* The payload moves down whole, also where the remainder's tag will lie in it. */
START_TEST(slide_keeps_the_payload)
{
	uint64_t a, b, moved;
	unsigned char *payload;

	case_of(_i);
	make_heap(100);
	a = take(3);
	b = take(20);
	take(2);
	payload = payload_at(base, b);
	for (size_t i = 0; i < payload_bytes(20); i++)
		payload[i] = (unsigned char)i;
	ck_assert(heap_slide(base, &heap, b, 22) == 0);		/* nothing free before it */
	give(a);
	ck_assert(heap_slide(base, &heap, b, 24) == 0);		/* 23 is all there is */
	moved = heap_slide(base, &heap, b, 21);
	sound();
	ck_assert(moved == START);
	payload = payload_at(base, moved);
	for (size_t i = 0; i < payload_bytes(20); i++)
		must(payload[i] == (unsigned char)i, "byte %zu", i);
	free(base);
}
END_TEST

START_TEST(runs_follow_each_other)
{
	uint64_t at;

	case_of(_i);
	make_heap(50);
	at = heap_find(base, &heap, 4);
	ck_assert_uint_eq(heap_take_run(base, &heap, at, 4, 5), 5);
	sound();
	for (unsigned i = 0; i < 5; i++)
		ck_assert(tag_state(tag_at(base, at + i * 4)) == TAG_CACHED);
	/* As many as there's room for, the last one to the very end. */
	ck_assert_uint_eq(heap_take_run(base, &heap, at + 20, 6, 9), 5);
	sound();
	ck_assert(heap.used == 50 && heap.blocks == 10);
	for (unsigned i = 1; i < 5; i++)
		tag_set_state(tag_at(base, at + i * 4), TAG_FREE);
	heap_give(base, &heap, at, 20, 5);
	ck_assert(free_block_at(at, 20));
	sound();
	free(base);
}
END_TEST

START_TEST(aligned_places)
{
	uint64_t at, to;

	case_of(_i);
	make_heap(1000);
	for (uint64_t alignment = 32; alignment <= 4096; alignment *= 2) {
		ck_assert(heap_find_aligned(base, &heap, 3, alignment, &at, &to));
		ck_assert((uintptr_t)payload_at(base, to) % alignment == 0);
		ck_assert(to >= at && to + 3 <= at + tag_size(tag_at(base, at)));
		heap_take(base, &heap, at, to, 3, TAG_LIVE);
		sound();
	}
	free(base);
}
END_TEST

/* A block that happens to lie well serves, where none has room to spare. */
START_TEST(aligned_as_a_last_resort)
{
	uint64_t at, to;
	uint64_t fits = START;

	case_of(_i);
	make_heap(64);
	while ((uintptr_t)payload_at(base, fits) % 256)
		fits++;
	/* All is used but two granules that don't lie well, and two that do. */
	heap_take(base, &heap, START, START, 64, TAG_LIVE);
	ck_assert(!heap_find_aligned(base, &heap, 2, 256, &at, &to));
	give(START);
	heap_take(base, &heap, START, fits, 2, TAG_CACHED);
	if (fits > START)
		heap_take(base, &heap, START, START, fits - START, TAG_LIVE);
	heap_take(base, &heap, fits + 2, fits + 2, START + 64 - fits - 2, TAG_LIVE);
	give(fits);
	ck_assert(heap_find_aligned(base, &heap, 2, 256, &at, &to));
	ck_assert(at == fits && to == fits);
	ck_assert(!heap_find_aligned(base, &heap, 3, 256, &at, &to));
	free(base);
}
END_TEST

START_TEST(end_moves_down)
{
	uint64_t a;

	case_of(_i);
	make_heap(100);
	a = take(10);
	ck_assert(!heap_lower_end(base, &heap, 90));		/* a free block must remain */
	ck_assert(heap_lower_end(base, &heap, 89));
	sound();
	ck_assert(heap.end == START + 11);
	take(1);
	ck_assert(!heap_lower_end(base, &heap, 1));
	ck_assert(a == START);
	free(base);
}
END_TEST

/* Whether the policy rather takes the first of two runs of granules; the second lies higher. */
static bool takes_lower(uint64_t low, uint64_t low_run, uint64_t high, uint64_t high_run)
{
	switch (policy) {
	case FIT_BEST:
		return low_run <= high_run;
	case FIT_WORST:
		return low_run >= high_run;
	case FIT_NEXT:
		return low + low_run > place || high + high_run <= place;
	default:
		return true;
	}
}

/* Takes a block; whether it's the right one is told by the map of owners. */
static uint64_t chosen(const unsigned char *owner, uint64_t end, uint64_t size, int step)
{
	uint64_t best = 0, best_run = 0, largest = 0;
	uint64_t at;

	for (uint64_t i = START, run; i < end; i += run + 1) {
		for (run = 0; i + run < end && !owner[i + run]; run++)
			;
		largest = run > largest ? run : largest;
		if (run >= size && (!best || !takes_lower(best, best_run, i, run))) {
			best = i;
			best_run = run;
		}
	}
	at = take(size);
	if (policy != FIT_GOOD)
		must(at == best, "step %d: not the one to choose", step);
	else if (at)
		must(at == START || owner[at - 1], "step %d: not the low end of a block", step);
	else
		must(largest < size + size / 32 + 1 || largest == 1, "step %d: refused", step);
	if (at)
		place = at + size;
	return at;
}

/*
 * Random operations of every kind. The model: which block each granule belongs to; so an overlap, a
 * lost granule, and a block that isn't the one to choose, all show.
 */
START_TEST(random_operations_against_a_map)
{
	enum { GRANULES = 600, BLOCKS = 64 };
	static uint64_t places[BLOCKS], sizes[BLOCKS];
	static unsigned char owner[START + GRANULES];
	struct dice dice = dice_from(next_seed());

	memset(places, 0, sizeof(places));
	memset(owner, 0, sizeof(owner));
	case_of(_i);
	make_heap(GRANULES);
	for (int step = 0; step < SCALE(100000, 20000); step++) {
		unsigned k = (unsigned)(roll(&dice) % BLOCKS);
		uint64_t size = 1 + roll(&dice) % (roll(&dice) % 4 ? 12 : 60);

		if (!places[k]) {
			places[k] = chosen(owner, START + GRANULES, size, step);
			sizes[k] = size;
		} else if (roll(&dice) % 2) {
			give(places[k]);
			memset(owner + places[k], 0, sizes[k]);
			places[k] = 0;
			continue;
		} else {
			uint64_t moved = places[k];

			memset(owner + places[k], 0, sizes[k]);
			if (heap_resize(base, &heap, places[k], size) ||
			    (moved = heap_slide(base, &heap, places[k], size))) {
				/* One that moved was taken there; one that stayed wasn't. */
				if (moved != places[k])
					place = moved + size;
				places[k] = moved;
				sizes[k] = size;
			}
			sound();
		}
		for (uint64_t i = 0; places[k] && i < sizes[k]; i++) {
			must(!owner[places[k] + i], "step %d: overlap", step);
			owner[places[k] + i] = 1;
		}
	}
	for (unsigned k = 0; k < BLOCKS; k++)
		if (places[k])
			give(places[k]);
	ck_assert(heap_empty(&heap) && fit_largest(base, &heap.fit) == GRANULES);
	free(base);
}
END_TEST

/* heap_check() sees each of the invariants broken. */
START_TEST(check_finds_plants)
{
	uint64_t a, b;
	int i = case_of(_i);

	make_heap(100);
	a = take(10);
	b = take(10);
	take(5);
	give(b);
	switch (i) {
	case 0:		/* H1 */
		tag_write(base, a, 200, TAG_LIVE, 9, KEY, false);
		break;
	case 1:		/* H2 */
		tag_set_span(tag_at(base, a), 9 << 1);
		break;
	case 2:		/* H3, H5 */
		tag_write(base, a, 10, TAG_FREE, 9, KEY, false);
		break;
	case 3:		/* H4 */
		tag_set_prev_free(tag_at(base, b), true);
		break;
	case 4:		/* H4 */
		footer_write(base, b, 10);
		*(uint64_t *)place_address(base, b + 10) = 3;
		break;
	case 5:		/* H5 */
		fit_remove(base, &heap.fit, b, 10);
		break;
	case 6:		/* H6 */
		heap.used++;
		break;
	case 7:		/* the owner */
		tag_write(base, a, 10, TAG_LIVE, 8, KEY, false);
		break;
	case 8:		/* the state */
		tag_set_state(tag_at(base, a), (enum tag_state)0xff);
		break;
	case 9:		/* the links; a policy that keeps none has nothing to lose */
		back_write(base, b, a);
		if (!heap.fit.links)
			return;
		break;
	}
	must(heap_check(base, &heap) > 0, "plant %d isn't seen", i);
	free(base);
}
END_TEST

/* A footer that was overwritten is noticed by the free beside it, before anything is merged. */
START_TEST(overwritten_footer_aborts)
{
	uint64_t a, b;
	int i = case_of(_i);

	make_heap(100);
	a = take(10);
	b = take(10);
	take(1);
	give(a);
	*(uint64_t *)place_address(base, b) = i ? 7 : 1000;
	heap_give(base, &heap, b, 10, 1);
}
END_TEST

/* So are overwritten links, by whatever takes the block or merges with it. */
START_TEST(overwritten_links_abort)
{
	static const enum fit_policy linked[] = { FIT_GOOD, FIT_BEST, FIT_WORST };
	uint64_t a, b;

	policy = linked[_i / 2];
	make_heap(100);
	a = take(10);
	b = take(10);
	take(1);
	give(a);
	memset(payload_at(base, a), 'A', 16);
	if (_i % 2)
		heap_give(base, &heap, b, 10, 1);
	else
		heap_take(base, &heap, heap_find(base, &heap, 10), a, 10, TAG_LIVE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("heap");
	TCase *cases = tcase_create("heap");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, merges, 0, 4 * POLICIES);
	tcase_add_loop_test(cases, splits, 0, 6 * POLICIES);
	tcase_add_loop_test(cases, resize_in_place, 0, POLICIES);
	tcase_add_loop_test(cases, slide_keeps_the_payload, 0, POLICIES);
	tcase_add_loop_test(cases, runs_follow_each_other, 0, POLICIES);
	tcase_add_loop_test(cases, aligned_places, 0, POLICIES);
	tcase_add_loop_test(cases, aligned_as_a_last_resort, 0, POLICIES);
	tcase_add_loop_test(cases, end_moves_down, 0, POLICIES);
	tcase_add_loop_test(cases, random_operations_against_a_map, 0, POLICIES);
	tcase_add_loop_test(cases, check_finds_plants, 0, 10 * POLICIES);
	tcase_add_loop_test_raise_signal(cases, overwritten_footer_aborts, SIGABRT, 0,
					 2 * POLICIES);
	tcase_add_loop_test_raise_signal(cases, overwritten_links_abort, SIGABRT, 0, 6);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
