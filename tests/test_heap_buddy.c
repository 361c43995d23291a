/*
 * The buddy heap and its index, white box: splits, merges, the ends of the range, the bound (G3), and
 * what is found when something was overwritten.
 *
 * The fit is compiled into this program once more, with ACRE_COUNT_STEPS.
 */
#include <signal.h>

#include "fit_buddy.h"
#include "heap_buddy.h"
#include "support.h"

#define KEY 0x9e3779b1u
#define ORIGIN 5u

static char *base;
static struct heap heap;

/* A heap of [ORIGIN + from, ORIGIN + granules), whose places count from ORIGIN. */
static void make_heap(uint64_t from, uint64_t granules)
{
	uint64_t end = ORIGIN + granules;
	size_t bytes = (end + 2) * GRANULE + fit_bytes(FIT_BUDDY, granules);

	base = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
	ck_assert_ptr_nonnull(base);
	memset(base, 0, bytes);
	heap_init(base, &heap, FIT_BUDDY, (end + 2) * GRANULE, ORIGIN, ORIGIN + from, end, KEY, 9);
	must(heap_check(base, &heap) == 0, "at the start");
}

static uint64_t take(uint64_t size)
{
	uint64_t at = heap_find(base, &heap, size);

	if (at)
		heap_take(base, &heap, at, at, size, TAG_LIVE);
	must(heap_check(base, &heap) == 0, "after a take of %lu", (unsigned long)size);
	return at;
}

static void give(uint64_t at)
{
	heap_give(base, &heap, at, tag_size(tag_at(base, at)), 1);
	must(heap_check(base, &heap) == 0, "after a give");
}

static bool free_block_at(uint64_t at, uint64_t size)
{
	return tag_state(tag_at(base, at)) == TAG_FREE && tag_size(tag_at(base, at)) == size &&
	       fit_buddy_has(base, &heap.fit, at, size);
}

/* A range is cut into the largest that fit, or lie right behind the origin. */
START_TEST(any_range)
{
	for (uint64_t from = 0; from < 40; from += 3)
		for (uint64_t granules = from + 1; granules < 300; granules += 7) {
			uint64_t blocks[300];
			struct dice dice = dice_from(granules * 1000 + from);
			unsigned count = 0;

			make_heap(from, granules);
			while ((blocks[count] = take(1)))
				count++;
			ck_assert_uint_eq(count, granules - from);
			/* In any order. */
			for (unsigned left = count; left;) {
				unsigned i = (unsigned)(roll(&dice) % left);

				give(blocks[i]);
				blocks[i] = blocks[--left];
			}
			ck_assert(heap_empty(&heap));
			/* As at the start, block by block. */
			for (uint64_t at = ORIGIN + from, size; at < heap.end; at += size) {
				uint64_t offset = at - ORIGIN;

				size = tag_size(tag_at(base, at));
				ck_assert(free_block_at(at, size));
				ck_assert(offset % size == 0);
				must(offset % (2 * size) || offset + 2 * size > granules,
				     "a block of %lu at %lu could be larger", (unsigned long)size,
				     (unsigned long)offset);
			}
			free(base);
		}
}
END_TEST

START_TEST(halves)
{
	uint64_t a, b, c;

	make_heap(0, 64);
	a = take(4);
	ck_assert(a == ORIGIN);
	ck_assert(free_block_at(ORIGIN + 4, 4) && free_block_at(ORIGIN + 8, 8) &&
		  free_block_at(ORIGIN + 16, 16) && free_block_at(ORIGIN + 32, 32));
	b = take(8);
	ck_assert(b == ORIGIN + 8);
	c = take(8);
	ck_assert(c == ORIGIN + 16);
	give(a);
	/* Its buddy's buddy is in use. */
	ck_assert(free_block_at(ORIGIN, 8));
	give(b);
	ck_assert(free_block_at(ORIGIN, 16));
	give(c);
	ck_assert(free_block_at(ORIGIN, 64));
	/* Toward a place in the midst, as an alignment may ask for. */
	heap_take(base, &heap, ORIGIN, ORIGIN + 44, 4, TAG_LIVE);
	must(heap_check(base, &heap) == 0, "in the midst");
	ck_assert(free_block_at(ORIGIN, 32) && free_block_at(ORIGIN + 32, 8) &&
		  free_block_at(ORIGIN + 40, 4) && free_block_at(ORIGIN + 48, 16));
	give(ORIGIN + 44);
	ck_assert(free_block_at(ORIGIN, 64));
	free(base);
}
END_TEST

START_TEST(resize_in_place)
{
	uint64_t a, b;

	make_heap(0, 128);
	a = take(8);
	ck_assert(heap_resize(base, &heap, a, 64));	/* buddies of 8, 16 and 32 */
	must(heap_check(base, &heap) == 0, "grown");
	ck_assert(heap_resize(base, &heap, a, 1));
	must(heap_check(base, &heap) == 0, "shrunk");
	ck_assert(free_block_at(ORIGIN + 1, 1) && free_block_at(ORIGIN + 64, 64));
	b = take(1);
	ck_assert(!heap_resize(base, &heap, a, 2));	/* its buddy is in use */
	ck_assert(!heap_resize(base, &heap, b, 2));	/* its buddy lies below */
	ck_assert(heap_slide(base, &heap, b, 2) == 0);
	give(a);
	ck_assert(!heap_resize(base, &heap, b, 2));
	ck_assert(heap.used == 1 && heap.blocks == 1);
	free(base);
}
END_TEST

/* Neighbours given as one, as plots do, some of them buddies of each other. */
START_TEST(runs)
{
	uint64_t at;

	make_heap(3, 50);
	at = heap_find(base, &heap, 8);
	ck_assert_uint_eq(heap_take_run(base, &heap, at, 2, 3), 3);
	must(heap_check(base, &heap) == 0, "three of them");
	ck_assert(at == ORIGIN + 8 && free_block_at(at + 6, 2));
	for (unsigned i = 0; i < 3; i++)
		tag_set_state(tag_at(base, at + 2 * i), TAG_FREE);
	heap_give(base, &heap, at, 6, 3);
	must(heap_check(base, &heap) == 0, "given back");
	ck_assert(free_block_at(at, 8) && heap_empty(&heap));
	ck_assert_uint_eq(heap_take_run(base, &heap, ORIGIN + 16, 4, 9), 4);
	must(heap_check(base, &heap) == 0, "to the end of the block");
	free(base);
}
END_TEST

/* The end moves down by any number of granules, as long as what lies there is free. */
START_TEST(end_moves_down)
{
	for (uint64_t granules = 1; granules < 199; granules++) {
		uint64_t a;

		make_heap(0, 200);
		a = take(4);
		if (!heap_lower_end(base, &heap, granules)) {
			must(granules > 196 || a != ORIGIN, "%lu granules",
			     (unsigned long)granules);
		} else {
			ck_assert(heap.end == ORIGIN + 200 - granules);
			must(a + 4 <= heap.end, "%lu granules in use", (unsigned long)granules);
		}
		must(heap_check(base, &heap) == 0, "by %lu", (unsigned long)granules);
		/* From there, to the block in use. */
		while (heap.end > a + 4 && heap_lower_end(base, &heap, 1))
			must(heap_check(base, &heap) == 0, "by one more");
		must(heap.end <= a + 4 || a >= heap.end - 4, "stopped at %lu",
		     (unsigned long)heap.end);
		ck_assert(!heap_lower_end(base, &heap, 1));
		free(base);
	}
}
END_TEST

/*
 * G3: as many steps as there are doublings, times the words of a set at most, whatever the number of
 * blocks; the worst case: each set has one member.
 */
START_TEST(steps_do_not_grow_with_blocks)
{
	const uint64_t granules = UINT64_C(1) << 22;
	uint64_t most = 0, many = 0;
	uint64_t at;

	make_heap(0, granules);
	fit_steps = 0;
	at = heap_find(base, &heap, 1);
	heap_take(base, &heap, at, at, 1, TAG_LIVE);
	most = fit_steps;
	fit_steps = 0;
	heap_give(base, &heap, at, 1, 1);
	most = fit_steps > most ? fit_steps : most;
	must(most <= 23 * (4 + 4 + 1), "%lu steps for one", (unsigned long)most);
	must(most > 23, "%lu steps: they aren't counted", (unsigned long)most);

	/* Each second granule is free. */
	for (uint64_t i = 0; i < granules; i++) {
		at = heap_find(base, &heap, 1);
		heap_take(base, &heap, at, at, 1, TAG_LIVE);
	}
	for (uint64_t i = 0; i < granules; i += 2)
		heap_give(base, &heap, ORIGIN + i, 1, 1);
	for (uint64_t i = 0; i < 5000; i++) {
		fit_steps = 0;
		at = heap_find(base, &heap, 1);
		heap_take(base, &heap, at, at, 1, TAG_LIVE);
		ck_assert(!heap_find(base, &heap, 2));
		heap_give(base, &heap, at, 1, 1);
		many = fit_steps > many ? fit_steps : many;
	}
	must(many <= most, "%lu steps among millions", (unsigned long)many);
	free(base);
}
END_TEST

/* heap_check() sees each kind of damage. */
START_TEST(check_finds_plants)
{
	uint64_t a, b;

	make_heap(0, 128);
	a = take(8);
	b = take(8);
	give(a);
	switch (_i) {
	case 0:		/* a size that is none */
		tag_write(base, b, 7, TAG_LIVE, 9, KEY, false);
		break;
	case 1:		/* a place that is none of its size */
		tag_write(base, b, 16, TAG_LIVE, 9, KEY, false);
		break;
	case 2:
		tag_set_span(tag_at(base, b), 9 << 1);
		break;
	case 3:		/* free, and its buddy too, in the index and not */
		tag_write(base, b, 8, TAG_FREE, 9, KEY, false);
		break;
	case 4:
		tag_write(base, b, 8, TAG_FREE, 9, KEY, false);
		fit_insert(base, &heap.fit, b, 8);
		heap.used -= 8;
		heap.blocks--;
		break;
	case 5:
		fit_remove(base, &heap.fit, a, 8);
		break;
	case 6:
		heap.used++;
		break;
	case 7:
		tag_write(base, b, 8, TAG_LIVE, 8, KEY, false);
		break;
	case 8:
		heap.fit.buddy.some ^= 8;
		break;
	case 9:		/* a bit where no block is */
		fit_insert(base, &heap.fit, ORIGIN + 20, 4);
		break;
	case 10:
		tag_set_prev_free(tag_at(base, b), true);
		break;
	}
	must(heap_check(base, &heap) > 0, "plant %d isn't seen", _i);
	free(base);
}
END_TEST

/* The tag of a free block, and its stamp, are looked at before it's taken, or merged with. */
START_TEST(overwritten_tags_abort)
{
	uint64_t a, b;

	make_heap(0, 128);
	a = take(8);
	b = take(8);
	take(64);
	give(a);
	if (_i / 2 == 2) {
		*(uint64_t *)payload_at(base, a) ^= 1;
	} else {
		tag_set_face(tag_at(base, a), _i / 2 ? 0 : 0x41414141);
		tag_set_span(tag_at(base, a), _i / 2 ? 8 << 1 : 0x41414141);
	}
	if (_i % 2)
		heap_give(base, &heap, b, 8, 1);
	else
		heap_take(base, &heap, heap_find(base, &heap, 8), a, 8, TAG_LIVE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buddy heap");
	TCase *cases = tcase_create("buddy heap");

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, any_range);
	tcase_add_test(cases, halves);
	tcase_add_test(cases, resize_in_place);
	tcase_add_test(cases, runs);
	tcase_add_test(cases, end_moves_down);
	tcase_add_test(cases, steps_do_not_grow_with_blocks);
	tcase_add_loop_test(cases, check_finds_plants, 0, 11);
	tcase_add_loop_test_raise_signal(cases, overwritten_tags_abort, SIGABRT, 0, 6);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
