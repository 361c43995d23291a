/*
 * The public API, function by function: what include/acre/acre.h and the design's section 6
 * ('Exactly') promise to one thread about creation, destruction, allocation and freeing. The rest:
 * test_realloc.c; walk, statistics, flush and trim in test_views.c; limits of sizes in
 * test_limits.c, placement in test_placement.c, threads in test_threads.c, misuse in
 * test_guarantees.c.
 */
#include "support.h"

#define LEAST_USABLE_MOST 24 /* a least block has 32 bytes or fewer, 8 of them its tag */

/*
 * Creation and destruction.
 */
START_TEST(create_takes_defaults)
{
	struct acre_options zeroed = { 0 };
	struct acre *arenas[] = { acre_create(MIB, NULL), acre_create(MIB, &zeroed) };

	for (size_t i = 0; i < COUNT_OF(arenas); i++) {
		ck_assert_ptr_nonnull(arenas[i]);
		ck_assert_uint_eq(stats_of(arenas[i]).size, MIB);
		must_be_whole(arenas[i]);
		must_be_honest(arenas[i]);
	}
	ck_assert_ptr_ne(arenas[0], arenas[1]);
	for (size_t i = 0; i < COUNT_OF(arenas); i++)
		ck_assert_int_eq(acre_destroy(arenas[i]), 0);
}
END_TEST

static const struct {
	const char *name;
	struct acre_options options;
	bool good;
} option_cases[] = {
	{ "no cache", { .flags = ACRE_NO_CACHE }, true },
	{ "huge pages", { .flags = ACRE_HUGE_PAGES }, true },
	{ "prefault", { .flags = ACRE_PREFAULT }, true },
	{ "no purge", { .flags = ACRE_NO_PURGE }, true },
	{ "every flag",
	  { .flags = ACRE_NO_CACHE | ACRE_HUGE_PAGES | ACRE_PREFAULT | ACRE_NO_PURGE },
	  true },
	{ "a cache of 1 byte", { .cache_bytes = 1 }, true },
	{ "a cache beyond all memory", { .cache_bytes = SIZE_MAX }, true },
	{ "the flag behind the last", { .flags = ACRE_NO_PURGE << 1 }, false },
	{ "the highest flag", { .flags = 1u << 31 }, false },
	{ "a good flag and an unknown one", { .flags = ACRE_NO_CACHE | 0x100 }, false },
	{ "good fit", { .policy = ACRE_GOOD_FIT }, true },
	{ "next fit", { .policy = ACRE_NEXT_FIT }, true },
	{ "best fit", { .policy = ACRE_BEST_FIT }, true },
	{ "worst fit", { .policy = ACRE_WORST_FIT }, true },
	{ "buddy", { .policy = ACRE_BUDDY }, true },
	{ "a policy there never was", { .policy = (enum acre_policy)77 }, false },
	{ "a negative policy", { .policy = (enum acre_policy)-1 }, false },
};

START_TEST(create_looks_at_its_options)
{
	static char buffer[MIB];
	struct acre *arenas[2];

	for (int at = 0; at < 2; at++) {
		errno = 0;
		arenas[at] = at ? acre_create_at(buffer, MIB, &option_cases[_i].options) :
				  acre_create(MIB, &option_cases[_i].options);
		if (option_cases[_i].good) {
			char *block;

			ck_assert_msg(arenas[at], "%s", option_cases[_i].name);
			block = acre_malloc(arenas[at], 1000);
			ck_assert_ptr_nonnull(block);
			fill(block, 1000, 1);
			acre_free(arenas[at], block);
			must_be_whole(arenas[at]);
			ck_assert_int_eq(acre_destroy(arenas[at]), 0);
		} else {
			ck_assert_msg(!arenas[at], "%s", option_cases[_i].name);
			ck_assert_int_eq(errno, EINVAL);
		}
	}
}
END_TEST

/* "Returns 0, or -1 with errno EINVAL if arena is not a live arena." */
START_TEST(destroy_refuses_what_is_no_arena)
{
	static char zeros[MIB] __attribute__((aligned(4096)));
	static char copy[MIB] __attribute__((aligned(4096)));
	static char buffer[MIB] __attribute__((aligned(4096)));
	struct acre *arena = acre_create_at(buffer, MIB, NULL);
	struct acre *gone = new_arena(MIB, NULL);
	char *block = acre_malloc(arena, 100);
	const struct {
		const char *name;
		void *address;
	} cases[] = {
		{ "NULL", NULL },
		{ "zeros", zeros },
		{ "an unaligned address", zeros + 3 },
		{ "an address that isn't mapped", (void *)(uintptr_t)8192 },
		{ "a block", block },
		{ "the inside of an arena", (char *)arena + 64 },
		{ "a copy of an arena", copy },
		{ "a destroyed arena of the OS", gone },
	};

	ck_assert_ptr_nonnull(block);
	memcpy(copy, buffer, MIB);
	ck_assert_int_eq(acre_destroy(gone), 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		errno = 0;
		ck_assert_msg(acre_destroy(cases[i].address) == -1, "%s", cases[i].name);
		ck_assert_msg(errno == EINVAL, "%s: %s", cases[i].name, strerror(errno));
	}
	acre_free(arena, block);
	must_be_whole(arena);
	ck_assert_int_eq(acre_destroy(arena), 0);
	errno = 0;
	ck_assert_int_eq(acre_destroy(arena), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* A caller may leave an arena with everything in it, and use its buffer for the next one. */
START_TEST(destroy_takes_live_blocks_along)
{
	static char buffer[256 * KIB];

	for (int round = 0; round < SCALE(300, 30); round++) {
		struct acre *arenas[] = { new_arena(MIB, &both[round % 2]),
					  acre_create_at(buffer, sizeof(buffer),
							 &both[round % 2]) };

		for (size_t i = 0; i < COUNT_OF(arenas); i++) {
			ck_assert_ptr_nonnull(arenas[i]);
			for (int n = 0; n < 100; n++)
				ck_assert_ptr_nonnull(acre_malloc(arenas[i], 500));
		}
		for (size_t i = 0; i < COUNT_OF(arenas); i++)
			ck_assert_int_eq(acre_destroy(arenas[i]), 0);
	}
}
END_TEST

START_TEST(no_default_arena_without_the_drop_in)
{
	ck_assert_ptr_null(acre_default());
	end_arena(new_arena(MIB, NULL));
	ck_assert_ptr_null(acre_default());
}
END_TEST

/*
 * Allocation; both.
 */
static void *allocate(struct acre *arena, int how, size_t size)
{
	switch (how) {
	case 0:
		return acre_malloc(arena, size);
	case 1:
		return acre_calloc(arena, 1, size);
	case 2:
		return acre_calloc(arena, size, 1);
	case 3:
		return acre_realloc(arena, NULL, size);
	case 4:
		return acre_aligned_alloc(arena, 1, size);
	default:
		return acre_aligned_alloc(arena, 64, size);
	}
}
#define WAYS 6

/* 16-byte aligned, apart from each other, all of the usable size writable; a walk sees each. */
START_TEST(blocks_of_every_size)
{
	struct acre *arena = new_arena(64 * MIB, &both[_i]);
	struct image image = { 0 };
	char *blocks[COUNT_OF(edges) * WAYS];
	size_t live = 0;

	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		size_t size = edges[i / WAYS];
		size_t usable;

		blocks[i] = allocate(arena, (int)(i % WAYS), size);
		must(blocks[i], "%zu bytes, way %zu", size, i % WAYS);
		usable = acre_usable_size(arena, blocks[i]);
		must((uintptr_t)blocks[i] % (i % WAYS == 5 ? 64 : 16) == 0, "%zu bytes", size);
		must(usable >= size, "%zu bytes of %zu", usable, size);
		live += usable;
		fill(blocks[i], usable, i);
	}
	look(arena, &image);
	ck_assert_uint_eq(count_state(&image, ACRE_LIVE), COUNT_OF(blocks));
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		size_t usable = acre_usable_size(arena, blocks[i]);
		const struct acre_block *seen = find_block(&image, blocks[i]);

		must(seen && seen->state == ACRE_LIVE && seen->size == usable, "block %zu", i);
		must(holds(blocks[i], usable, i), "%zu bytes, way %zu", edges[i / WAYS], i % WAYS);
	}
	ck_assert_uint_eq(stats_of(arena).live_bytes, live);
	ck_assert_uint_eq(stats_of(arena).live_blocks, COUNT_OF(blocks));
	must_be_sound(arena);
	must_be_honest(arena);
	for (size_t i = 0; i < COUNT_OF(blocks); i += 2)
		acre_free(arena, blocks[i]);
	must_be_honest(arena);
	for (size_t i = 1; i < COUNT_OF(blocks); i += 2)
		acre_free_sized(arena, blocks[i], edges[i / WAYS]);
	must_be_honest(arena);
	must_be_whole(arena);
	forget(&image);
	end_arena(arena);
}
END_TEST

/* "Size 0 is a unique least block in every allocating call." */
START_TEST(size_zero_is_a_least_block)
{
	struct acre *arena = new_arena(MIB, &both[_i]);
	char *blocks[WAYS * 20];
	char *none = acre_calloc(arena, SIZE_MAX, 0);

	ck_assert_ptr_nonnull(none);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = allocate(arena, (int)(i % WAYS), 0);
		must(blocks[i], "way %zu", i % WAYS);
		must(acre_usable_size(arena, blocks[i]) <= LEAST_USABLE_MOST, "%zu bytes, way %zu",
		     acre_usable_size(arena, blocks[i]), i % WAYS);
		for (size_t k = 0; k < i; k++)
			must(blocks[i] != blocks[k], "way %zu", i % WAYS);
		fill(blocks[i], acre_usable_size(arena, blocks[i]), i);
	}
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		must(holds(blocks[i], acre_usable_size(arena, blocks[i]), i), "block %zu", i);
		acre_free(arena, blocks[i]);
	}
	acre_free_sized(arena, none, 0);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

START_TEST(null_is_nothing)
{
	struct acre *arena = new_arena(MIB, &both[_i]);

	acre_free(arena, NULL);
	acre_free_sized(arena, NULL, 100);
	ck_assert_uint_eq(acre_usable_size(arena, NULL), 0);
	must_be_whole(arena);
	ck_assert_uint_eq(stats_of(arena).live_blocks, 0);
	end_arena(arena);
}
END_TEST

START_TEST(calloc_is_zero_also_in_used_memory)
{
	struct acre *arena = new_arena(16 * MIB, &both[_i]);

	for (int round = 0; round < 3; round++) {
		char *dirty = acre_malloc(arena, stats_of(arena).largest_free);

		ck_assert_ptr_nonnull(dirty);
		memset(dirty, 0xff, acre_usable_size(arena, dirty));
		acre_free(arena, dirty);
		if (round == 1)
			acre_trim(arena);
		for (size_t i = 0; i < COUNT_OF(edges); i++) {
			char *block = acre_calloc(arena, 1, edges[i]);

			must(block, "%zu bytes", edges[i]);
			must(all_bytes(block, edges[i], 0), "%zu bytes, round %d", edges[i], round);
			memset(block, 0xff, acre_usable_size(arena, block));
			acre_free(arena, block);
			block = acre_calloc(arena, edges[i], 3);
			must(block, "%zu * 3 bytes", edges[i]);
			must(all_bytes(block, edges[i] * 3, 0), "%zu * 3 bytes", edges[i]);
			memset(block, 0xff, acre_usable_size(arena, block));
			acre_free(arena, block);
		}
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* Small blocks out of a dirty cache, where no large block is ever merged back. */
START_TEST(calloc_is_zero_out_of_a_dirty_cache)
{
	struct acre *arena = new_arena(MIB, &both[_i]);
	char *blocks[256];

	for (size_t size = 1; size <= 1024; size += 1 + size / 8) {
		for (size_t i = 0; i < COUNT_OF(blocks); i++) {
			blocks[i] = acre_malloc(arena, size);
			must(blocks[i], "%zu bytes", size);
			memset(blocks[i], 0xff, acre_usable_size(arena, blocks[i]));
		}
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			acre_free(arena, blocks[i]);
		for (size_t i = 0; i < COUNT_OF(blocks); i++) {
			blocks[i] = acre_calloc(arena, size, 1);
			must(all_bytes(blocks[i], size, 0), "%zu bytes", size);
		}
		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			acre_free(arena, blocks[i]);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* "calloc doesn't clear pages that were never touched": they'd be resident otherwise. */
START_TEST(calloc_leaves_untouched_pages_alone)
{
	struct acre *arena = new_arena(GIB, &both[_i]);
	size_t before = stats_of(arena).resident_bytes;
	char *block = acre_calloc(arena, 1, 512 * MIB);

	ck_assert_ptr_nonnull(block);
	ck_assert_uint_lt(stats_of(arena).resident_bytes - before, 4 * MIB);
	for (size_t i = 0; i < 512 * MIB; i += 64 * MIB + 4096)
		ck_assert_int_eq(block[i], 0);
	ck_assert_int_eq(block[512 * MIB - 1], 0);
	acre_free(arena, block);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

START_TEST(aligned_alloc_takes_any_power_of_two)
{
	/* A sanitizer's shadow of a gibibyte is several. */
	size_t most = SCALE(GIB, 4 * MIB);
	struct acre *arena = new_arena(4 * most, &both[_i]);
	size_t rounds = 0;

	for (size_t alignment = 1; alignment <= most; alignment *= 2, rounds++) {
		const size_t sizes[] = { 0, 1, alignment - 1, alignment, alignment + 1, 3000 };
		char *taken[COUNT_OF(sizes)];

		for (size_t i = 0; i < COUNT_OF(sizes); i++) {
			char *block = acre_aligned_alloc(arena, alignment, sizes[i]);
			size_t usable;

			/* Two of the largest can't always lie side by side. */
			if (!block && alignment >= most / 2) {
				for (size_t k = 0; k < i; k++) {
					acre_free(arena, taken[k]);
					taken[k] = NULL;
				}
				block = acre_aligned_alloc(arena, alignment, sizes[i]);
			}
			must(block, "%zu bytes at %zu", sizes[i], alignment);
			must((uintptr_t)block % alignment == 0, "%zu bytes at %zu", sizes[i],
			     alignment);
			usable = acre_usable_size(arena, block);
			must(usable >= sizes[i], "%zu of %zu at %zu", usable, sizes[i], alignment);
			block[0] = block[usable / 2] = block[usable - 1] = 'x';
			taken[i] = block;
		}
		for (size_t i = 0; i < COUNT_OF(sizes); i++)
			acre_free(arena, taken[i]);
		must_be_sound(arena);
	}
	ck_assert_uint_eq(rounds, SCALE(31, 23));
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

START_TEST(aligned_alloc_refuses_other_alignments)
{
	static const size_t wrong[] = { 0,   3,	   5,	 6,	  24,	    48,
					100, 4095, 4097, MIB + 1, SIZE_MAX, SIZE_MAX / 2 };
	static const size_t too_far[] = { 2 * MIB, GIB, (size_t)1 << 40, (size_t)1 << 62,
					  (size_t)1 << 63 };
	struct acre *arena = new_arena(MIB, &both[_i]);

	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		errno = 0;
		must(!acre_aligned_alloc(arena, wrong[i], 100), "alignment %zu", wrong[i]);
		must(errno == EINVAL, "alignment %zu: %s", wrong[i], strerror(errno));
	}
	for (size_t i = 0; i < COUNT_OF(too_far); i++) {
		char *block;

		errno = 0;
		block = acre_aligned_alloc(arena, too_far[i], 100);
		must(block ? (uintptr_t)block % too_far[i] == 0 : errno == ENOMEM,
		     "alignment %zu: %s", too_far[i], strerror(errno));
		acre_free(arena, block);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* errno: free keeps it, whatever the free sets off. */
START_TEST(free_keeps_errno)
{
	struct acre *arena = new_arena(64 * MIB, &both[_i]);
	char *blocks[4000];

	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < COUNT_OF(blocks); i++) {
			blocks[i] = acre_malloc(arena, i % 400 ? i % 1000 : 600 * KIB);
			must(blocks[i], "block %zu", i);
			if (i % 400 == 0)
				memset(blocks[i], 1, 600 * KIB);
		}
		for (size_t i = 0; i < COUNT_OF(blocks); i++) {
			errno = 4711;
			if (round % 2)
				acre_free(arena, blocks[i]);
			else
				acre_free_sized(arena, blocks[i], i % 400 ? i % 1000 : 600 * KIB);
			must(errno == 4711, "block %zu: errno %d", i, errno);
		}
		errno = 4711;
		acre_free(arena, NULL);
		ck_assert_int_eq(errno, 4711);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* "Several arenas live side by side." */
START_TEST(arenas_side_by_side)
{
	struct acre *arenas[40];
	struct dice dice = dice_from(14);
	struct {
		char *block;
		size_t size;
		size_t arena;
	} slots[500] = { { 0 } };

	for (size_t i = 0; i < COUNT_OF(arenas); i++)
		arenas[i] = new_arena(MIB, &both[i % 2]);
	for (int step = 0; step < SCALE(100000, 10000); step++) {
		size_t i = roll_between(&dice, 0, COUNT_OF(slots) - 1);

		if (slots[i].block) {
			must(holds(slots[i].block, slots[i].size, i), "slot %zu", i);
			acre_free(arenas[slots[i].arena], slots[i].block);
			slots[i].block = NULL;
		} else {
			slots[i].arena = roll_between(&dice, 0, COUNT_OF(arenas) - 1);
			slots[i].size = roll_log(&dice, 1, 2000);
			slots[i].block = acre_malloc(arenas[slots[i].arena], slots[i].size);
			must(slots[i].block, "step %d", step);
			fill(slots[i].block, slots[i].size, i);
		}
	}
	for (size_t i = 0; i < COUNT_OF(slots); i++)
		if (slots[i].block)
			acre_free(arenas[slots[i].arena], slots[i].block);
	for (size_t i = 0; i < COUNT_OF(arenas); i++) {
		must_be_whole(arenas[i]);
		end_arena(arenas[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api");
	TCase *arenas = tcase_create("arenas");
	TCase *blocks = tcase_create("blocks");

	tcase_set_timeout(arenas, 60);
	tcase_add_test(arenas, create_takes_defaults);
	tcase_add_loop_test(arenas, create_looks_at_its_options, 0, COUNT_OF(option_cases));
	tcase_add_test(arenas, destroy_refuses_what_is_no_arena);
	tcase_add_test(arenas, destroy_takes_live_blocks_along);
	tcase_add_test(arenas, no_default_arena_without_the_drop_in);
	tcase_add_test(arenas, arenas_side_by_side);
	suite_add_tcase(suite, arenas);

	tcase_set_timeout(blocks, 60);
	tcase_add_loop_test(blocks, blocks_of_every_size, 0, 2);
	tcase_add_loop_test(blocks, size_zero_is_a_least_block, 0, 2);
	tcase_add_loop_test(blocks, null_is_nothing, 0, 2);
	tcase_add_loop_test(blocks, calloc_is_zero_also_in_used_memory, 0, 2);
	tcase_add_loop_test(blocks, calloc_is_zero_out_of_a_dirty_cache, 0, 2);
	tcase_add_loop_test(blocks, calloc_leaves_untouched_pages_alone, 0, 2);
	tcase_add_loop_test(blocks, aligned_alloc_takes_any_power_of_two, 0, 2);
	tcase_add_loop_test(blocks, aligned_alloc_refuses_other_alignments, 0, 2);
	tcase_add_loop_test(blocks, free_keeps_errno, 0, 2);
	suite_add_tcase(suite, blocks);

	return run_suite(suite);
}
