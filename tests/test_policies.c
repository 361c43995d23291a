/*
 * Each policy but first fit through the public API: content, zeros, wholeness, refusals, threads,
 * and a write after free that is caught. Where blocks are placed is test_placement.c; what the
 * indexes do test_fit*.c; the heaps over them test_heap.c.
 */
#include "support.h"

/* With caches and plots, and with one heap. */
static const struct acre_options kinds[] = {
	{ .policy = ACRE_GOOD_FIT },
	{ .policy = ACRE_GOOD_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_NEXT_FIT },
	{ .policy = ACRE_NEXT_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_BEST_FIT },
	{ .policy = ACRE_BEST_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_WORST_FIT },
	{ .policy = ACRE_WORST_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_BUDDY },
	{ .policy = ACRE_BUDDY, .flags = ACRE_NO_CACHE },
};

#define KINDS ((int)COUNT_OF(kinds))

static const struct acre_options good = { .policy = ACRE_GOOD_FIT, .flags = ACRE_NO_CACHE };

/* The class that a block of so many granules is in has blocks of at most this size. */
static size_t class_top(size_t granules)
{
	size_t low = 65, step = 2;

	if (granules <= 64)
		return granules;
	while (granules >= low + 32 * step) {
		low += 32 * step;
		step *= 2;
	}
	return low + (granules - low) / step * step + step - 1;
}

static size_t granules_of(size_t usable)
{
	return (usable + 8) / 16;
}

/* One block of a random walk through all calls. */
struct slot {
	unsigned char *block;
	size_t size;
	uint64_t key;
};

static void change(struct acre *arena, struct slot *slot, struct dice *dice)
{
	size_t size = roll(dice) % 16 ? roll_log(dice, 1, 8000) : roll_log(dice, 8000, 400000);
	size_t alignment = (size_t)32 << roll(dice) % 9;

	if (slot->block)
		must(holds(slot->block, slot->size, slot->key), "%zu bytes", slot->size);
	switch (roll(dice) % 5) {
	case 0:
		acre_free(arena, slot->block);
		slot->block = NULL;
		return;
	case 1:
		slot->block = acre_realloc(arena, slot->block, size);
		break;
	case 2:
		acre_free(arena, slot->block);
		slot->block = acre_calloc(arena, 1, size);
		must(!slot->block || all_bytes(slot->block, size, 0), "%zu bytes aren't zero",
		     size);
		break;
	case 3:
		acre_free(arena, slot->block);
		slot->block = acre_aligned_alloc(arena, alignment, size);
		must((uintptr_t)slot->block % alignment == 0, "%p, not at a multiple of %zu",
		     (void *)slot->block, alignment);
		break;
	default:
		acre_free(arena, slot->block);
		slot->block = acre_malloc(arena, size);
	}
	must(slot->block, "%zu bytes: %s", size, strerror(errno));
	slot->size = size;
	slot->key = roll(dice);
	fill(slot->block, size, slot->key);
}

static void drop_all(struct acre *arena, struct slot *slots, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (slots[i].block)
			must(holds(slots[i].block, slots[i].size, slots[i].key), "block %zu", i);
		acre_free(arena, slots[i].block);
	}
}

START_TEST(content_survives)
{
	static struct slot slots[300];
	struct acre *arena = new_arena(256 * MIB, &kinds[_i]);
	struct dice dice = dice_from(next_seed());

	for (int step = 0; step < SCALE(20000, 2000); step++) {
		change(arena, &slots[roll(&dice) % COUNT_OF(slots)], &dice);
		if (step % 500 == 0) {
			must_be_sound(arena);
			must_be_honest(arena);
		}
		if (step % 2000 == 0)
			acre_trim(arena);
	}
	drop_all(arena, slots, COUNT_OF(slots));
	take_the_largest(arena);
	end_arena(arena);
}
END_TEST

/*
 * The links of the block behind lie where calloc's next block will be, on a page that was never
 * touched: for each distance of that block from a page's start.
 */
START_TEST(calloc_sees_no_links)
{
	for (size_t size = 8; size < 2 * 4096; size += 16) {
		struct acre *arena = new_arena(4 * MIB, &kinds[_i]);
		char *first = acre_malloc(arena, size);
		char *zeros = acre_calloc(arena, 1, 300 * KIB);

		must(first && zeros, "%zu bytes", size);
		must(all_bytes(zeros, 300 * KIB, 0), "behind %zu bytes", size);
		memset(zeros, 0x5a, 300 * KIB);
		acre_free(arena, zeros);
		acre_trim(arena);
		must_be_sound(arena);
		zeros = acre_calloc(arena, 1, 299 * KIB);
		must(all_bytes(zeros, 299 * KIB, 0), "again, behind %zu bytes", size);
		end_arena(arena);
	}
}
END_TEST

/* Whatever is free, in whatever pieces: trimmed pages take no links along. */
START_TEST(trim_keeps_the_index)
{
	static char *blocks[400];
	struct acre *arena = new_arena(64 * MIB, &kinds[_i]);
	struct dice dice = dice_from(next_seed());

	for (int round = 0; round < SCALE(20, 4); round++) {
		for (size_t i = 0; i < COUNT_OF(blocks); i++) {
			size_t size = roll_log(&dice, 100, 150000);

			blocks[i] = acre_malloc(arena, size);
			must(blocks[i], "%zu bytes", size);
			memset(blocks[i], 0x5a, size);
		}
		for (size_t i = 0; i < COUNT_OF(blocks); i += 2)
			acre_free(arena, blocks[i]);
		acre_trim(arena);
		must_be_sound(arena);
		for (size_t i = 0; i < COUNT_OF(blocks); i += 2) {
			size_t size = roll_log(&dice, 100, 150000);

			blocks[i] = acre_calloc(arena, 1, size);
			must(blocks[i] && all_bytes(blocks[i], size, 0), "%zu bytes", size);
		}
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			acre_free(arena, blocks[i]);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* In any buffer, at any alignment, down to the least arena. */
START_TEST(in_a_buffer)
{
	static unsigned char space[2 * MIB];

	for (size_t offset = 0; offset < 80; offset += 7) {
		struct acre *arena = acre_create_at(space + offset, _i % 2 ? MIB : 64 * KIB,
						    &kinds[_i / 2]);

		ck_assert_ptr_nonnull(arena);
		work_in(arena, 3000, SCALE(6000, 1000), offset);
		take_the_largest(arena);
		end_arena(arena);
	}
}
END_TEST

/*
 * A request is refused only where the header says so: what is free then is a class at most above
 * it, or of the least size. One heap, so that no cache holds anything.
 */
START_TEST(refuses_as_it_says)
{
	enum { BLOCKS = 3000 };
	static char *blocks[BLOCKS];
	struct acre *arena = new_arena(MIB, &good);
	struct dice dice = dice_from(next_seed());
	size_t refusals = 0;

	for (int step = 0; step < SCALE(200000, 20000); step++) {
		size_t i = roll(&dice) % BLOCKS;
		size_t size = roll_log(&dice, 1, 20000);

		if (blocks[i]) {
			acre_free(arena, blocks[i]);
			blocks[i] = NULL;
			continue;
		}
		blocks[i] = acre_malloc(arena, size);
		if (!blocks[i] && refusals++ % 50 == 0) {
			size_t most = granules_of(stats_of(arena).largest_free);
			size_t wanted = (size + 8 + 15) / 16;

			must(most <= class_top(wanted) || most == 1,
			     "%zu granules refused, %zu are free", wanted, most);
		}
	}
	ck_assert_uint_gt(refusals, 0);
	for (size_t i = 0; i < BLOCKS; i++)
		acre_free(arena, blocks[i]);
	take_the_largest(arena);
	end_arena(arena);
}
END_TEST

/* A single granule is in no list, and is counted, merged, and had again with its neighbour. */
START_TEST(least_blocks)
{
	struct acre *arena = new_arena(MIB, &good);
	static char *blocks[70000];
	size_t count = 0;

	while ((blocks[count] = acre_malloc(arena, 8)))
		must(acre_usable_size(arena, blocks[count++]) == 8, "block %zu", count);
	ck_assert_uint_gt(count, 50000);
	/* But for the last block of all, which is found when nothing else is. */
	for (size_t i = 0; i < count - 1; i += 2)
		acre_free(arena, blocks[i]);
	must_be_honest(arena);
	must_be_sound(arena);
	ck_assert_ptr_null(acre_malloc(arena, 8));
	acre_free(arena, blocks[1001]);
	ck_assert_ptr_eq(acre_malloc(arena, 40), blocks[1000]);
	acre_free(arena, blocks[1000]);
	for (size_t i = 1; i < count; i += 2)
		if (i != 1001)
			acre_free(arena, blocks[i]);
	if (count % 2)
		acre_free(arena, blocks[count - 1]);
	take_the_largest(arena);
	end_arena(arena);
}
END_TEST

/*
 * Threads that hand blocks on; zeros are zeros whoever had the page before.
 */
#define THREADS 4
#define HANDED 200

static struct {
	struct acre *arena;
	pthread_barrier_t gate;
	struct slot slots[THREADS][HANDED];
} ring;

static void *in_the_ring(void *argument)
{
	size_t self = (size_t)(uintptr_t)argument;
	struct dice dice = dice_from(self + 1);

	for (size_t round = 0; round < SCALE(40, 6); round++) {
		struct slot *slots = ring.slots[(self + round) % THREADS];

		for (size_t i = 0; i < HANDED * 4; i++)
			change(ring.arena, &slots[roll(&dice) % HANDED], &dice);
		if (self == 0)
			must_be_sound(ring.arena);
		if (self == 1)
			acre_trim(ring.arena);
		meet(&ring.gate);
	}
	return NULL;
}

START_TEST(threads_hand_blocks_on)
{
	pthread_t threads[THREADS];

	ring.arena = new_arena(GIB, &kinds[_i]);
	pthread_barrier_init(&ring.gate, NULL, THREADS);
	for (size_t i = 0; i < THREADS; i++)
		threads[i] = start(in_the_ring, (void *)(uintptr_t)i);
	for (size_t i = 0; i < THREADS; i++)
		finish(threads[i]);
	for (size_t i = 0; i < THREADS; i++)
		drop_all(ring.arena, ring.slots[i], HANDED);
	must_be_honest(ring.arena);
	must_be_whole(ring.arena);
	end_arena(ring.arena);
}
END_TEST

/* A write after free hits the links: the next call that needs them says so. */
static char *victim;
static int overwrites_with;

__attribute__((no_sanitize("address"))) static void write_after_free(void *argument)
{
	struct acre *arena = argument;
	volatile char *freed = victim;

	acre_free(arena, victim);
	for (size_t i = 0; i < 16; i++)
		freed[i] = 'A';
	acre_malloc(arena, 500);
}

/* Zeros, or letters, over the tag as well: who goes through the free blocks, or takes one, comes upon them. */
__attribute__((no_sanitize("address"))) static void overwrite_after_free(void *argument)
{
	struct acre_stats stats;

	acre_free(argument, victim);
	memset(victim - 8, overwrites_with, 8 + 500);
	acre_stats(argument, &stats);
	while (acre_malloc(argument, 500))
		;
}

START_TEST(overwritten_blocks_end_no_walk)
{
	static const enum acre_policy policies[] = { ACRE_FIRST_FIT, ACRE_NEXT_FIT, ACRE_BEST_FIT,
						     ACRE_WORST_FIT, ACRE_BUDDY, ACRE_GOOD_FIT };
	const struct acre_options options = { .policy = policies[_i / 2], .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(MIB, &options);
	struct outcome outcome;

	overwrites_with = _i % 2 ? 'A' : 0;
	victim = acre_malloc(arena, 500);
	ck_assert_ptr_nonnull(acre_malloc(arena, 500));
	in_child(&outcome, overwrite_after_free, arena, 20);
	must_abort(&outcome, NULL, "a free block's tag overwritten");
	end_arena(arena);
}
END_TEST

START_TEST(a_write_after_free_aborts)
{
	static const enum acre_policy linked[] = { ACRE_GOOD_FIT, ACRE_BEST_FIT, ACRE_WORST_FIT };
	const struct acre_options options = { .policy = linked[_i], .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(MIB, &options);
	struct outcome outcome;

	victim = acre_malloc(arena, 500);
	ck_assert_ptr_nonnull(acre_malloc(arena, 100));
	in_child(&outcome, write_after_free, arena, 20);
	must_abort(&outcome, victim, "a write after free");
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policies");
	TCase *cases = tcase_create("policies");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, content_survives, 0, KINDS);
	tcase_add_loop_test(cases, calloc_sees_no_links, 0, KINDS);
	tcase_add_loop_test(cases, trim_keeps_the_index, 0, KINDS);
	tcase_add_loop_test(cases, in_a_buffer, 0, 2 * KINDS);
	tcase_add_test(cases, refuses_as_it_says);
	tcase_add_test(cases, least_blocks);
	tcase_add_loop_test(cases, threads_hand_blocks_on, 0, KINDS);
	tcase_add_loop_test(cases, a_write_after_free_aborts, 0, 3);
	tcase_add_loop_test(cases, overwritten_blocks_end_no_walk, 0, 12);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
