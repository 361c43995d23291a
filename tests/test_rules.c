/*
 * The rules of placement one by one, small enough to read: where first, next, best and worst fit put
 * a block in an ACRE_NO_CACHE arena. test_placement.c has them all at random.
 */
#include "slot.h"

START_TEST(the_lowest_that_fits)
{
	const struct acre_options options = { .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(MIB, &options);
	char *blocks[20];
	char *first;

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, 1000);
	for (size_t i = 1; i < COUNT_OF(blocks); i++)
		ck_assert_ptr_eq(blocks[i], blocks[i - 1] + 1008);

	/* Holes of 1000, 2008, 1000 and 3016 bytes, from low to high. */
	acre_free(arena, blocks[15]);
	acre_free(arena, blocks[2]);
	acre_free(arena, blocks[6]);
	acre_free(arena, blocks[5]);
	acre_free(arena, blocks[9]);
	acre_free(arena, blocks[14]);
	acre_free(arena, blocks[13]);
	ck_assert_ptr_eq(acre_malloc(arena, 3000), blocks[13]);
	ck_assert_ptr_eq(acre_malloc(arena, 1001), blocks[5]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[2]);
	first = acre_malloc(arena, 500);
	ck_assert_ptr_eq(first, blocks[5] + 1024);
	ck_assert_ptr_eq(acre_malloc(arena, 500), blocks[9]);
	ck_assert_ptr_eq(acre_malloc(arena, 8), first + 512);
	ck_assert_ptr_eq(acre_malloc(arena, 3017), blocks[19] + 1008);
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/*
 * The exercise of the operating systems courses (Silberschatz, Galvin and Gagne, Operating System
 * Concepts, on contiguous allocation): holes of 100, 500, 200, 300 and 600 KB, in this order, and
 * requests of 212, 417, 112 and 426 KB. Here a KB is 1,024 bytes with the tag: each request is for 8
 * bytes less than the exercise says. Blocks of the least size part the holes, and one takes all the
 * rest.
 */
#define HOLES 5
#define WAITS (-1) /* no hole has room */

static const struct {
	enum acre_policy policy;
	struct {
		int hole;
		size_t offset; /* in it, KB */
	} answers[4];
} exercise[] = {
	{ ACRE_FIRST_FIT, { { 1, 0 }, { 4, 0 }, { 1, 212 }, { WAITS, 0 } } },
	{ ACRE_BEST_FIT, { { 3, 0 }, { 1, 0 }, { 2, 0 }, { 4, 0 } } },
	{ ACRE_WORST_FIT, { { 4, 0 }, { 1, 0 }, { 4, 212 }, { WAITS, 0 } } },
	{ ACRE_NEXT_FIT, { { 1, 0 }, { 4, 0 }, { 4, 417 }, { WAITS, 0 } } },
};

START_TEST(the_exercise_of_the_courses)
{
	static const size_t sizes[HOLES] = { 100, 500, 200, 300, 600 };
	static const size_t requests[4] = { 212, 417, 112, 426 };
	const struct acre_options options = { .policy = exercise[_i].policy,
					      .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(4 * MIB, &options);
	char *holes[HOLES];

	for (int i = 0; i < HOLES; i++) {
		holes[i] = acre_malloc(arena, sizes[i] * KIB - TAG);
		ck_assert_ptr_nonnull(holes[i]);
		ck_assert_ptr_nonnull(acre_malloc(arena, 1));
	}
	ck_assert_ptr_nonnull(acre_malloc(arena, stats_of(arena).largest_free));
	for (int i = 0; i < HOLES; i++)
		acre_free(arena, holes[i]);
	for (int i = 0; i < 4; i++) {
		int hole = exercise[_i].answers[i].hole;
		char *block = acre_malloc(arena, requests[i] * KIB - TAG);

		if (hole == WAITS)
			ck_assert_ptr_null(block);
		else
			ck_assert_ptr_eq(block,
					 holes[hole] + exercise[_i].answers[i].offset * KIB);
	}
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/* Next fit's place, rule by rule: blocks of 1,000 bytes, side by side, and all the rest. */
START_TEST(where_next_fit_goes_on)
{
	const struct acre_options options = { .policy = ACRE_NEXT_FIT, .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(64 * KIB, &options);
	char *blocks[12];
	char *rest;

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, 1000);
	rest = acre_malloc(arena, stats_of(arena).largest_free);
	ck_assert_ptr_nonnull(rest);

	/* Behind the last block is nothing: from the start. */
	acre_free(arena, blocks[2]);
	acre_free(arena, blocks[8]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[2]);
	/* From there on, past a lower hole, and once around. */
	acre_free(arena, blocks[0]);
	acre_free(arena, blocks[4]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[4]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[8]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[0]);
	/* A refused call leaves the place, which is behind block 0. */
	acre_free(arena, blocks[6]);
	acre_free(arena, blocks[10]);
	ck_assert_ptr_null(acre_malloc(arena, 1009));
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[6]);
	/* So does a realloc in place: block 9 grows, block 10 follows what is left of it. */
	ck_assert_ptr_eq(acre_realloc(arena, blocks[9], 1100), blocks[9]);
	acre_free(arena, blocks[7]);
	ck_assert_ptr_eq(acre_malloc(arena, 800), blocks[7]);
	/* A free block that swallowed the place counts from its start; one that ends there doesn't. */
	acre_free(arena, blocks[3]);
	acre_free(arena, blocks[7]);
	ck_assert_ptr_eq(acre_malloc(arena, 500), blocks[7]);
	acre_free(arena, blocks[6]);
	acre_free(arena, blocks[7]);
	ck_assert_ptr_eq(acre_malloc(arena, 900), blocks[6]);
	acre_free(arena, blocks[5]);
	/* Behind the place: what is left of block 6 and 7. */
	ck_assert_ptr_eq(acre_malloc(arena, 900), blocks[6] + 912);
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/* Of equals, the lowest. */
START_TEST(ties_go_to_the_lowest)
{
	const enum acre_policy policy = _i ? ACRE_WORST_FIT : ACRE_BEST_FIT;
	const struct acre_options options = { .policy = policy, .flags = ACRE_NO_CACHE };

	for (size_t size = 8; size <= 3000; size += 16) {
		struct acre *arena = new_arena(512 * KIB, &options);
		char *blocks[40];

		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			blocks[i] = acre_malloc(arena, size);
		ck_assert_ptr_nonnull(acre_malloc(arena, stats_of(arena).largest_free));
		/* In an order that's neither up nor down. */
		for (size_t i = 0; i < 20; i++)
			acre_free(arena, blocks[i * 7 % 20 * 2]);
		for (size_t i = 0; i < 20; i++)
			must(acre_malloc(arena, size) == blocks[i * 2], "block %zu of %zu bytes",
			     i, size);
		end_arena(arena);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rules");
	TCase *cases = tcase_create("rules");

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, the_lowest_that_fits);
	tcase_add_test(cases, where_next_fit_goes_on);
	tcase_add_loop_test(cases, ties_go_to_the_lowest, 0, 2);
	tcase_add_loop_test(cases, the_exercise_of_the_courses, 0, COUNT_OF(exercise));
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
