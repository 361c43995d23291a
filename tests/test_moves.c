/*
 * Blocks that move: a realloc that slides, that has its pages moved, or that must make do with a
 * block of just its size. Each of these tests stands for a fault that was there.
 */
#include <signal.h>

#include "arena.h"
#include "dirt.h"
#include "support.h"

/* A shrink whose rounded size is above the block's stays in place, however full the arena is. */
START_TEST(a_shrink_in_a_full_arena_stays)
{
	struct acre *arena = new_arena(8 * MIB, NULL);
	char *block = acre_aligned_alloc(arena, 64, 300000);
	char *wall = acre_aligned_alloc(arena, 64, 200000);
	char *hole = acre_aligned_alloc(arena, 64, 299700);
	char *behind = acre_aligned_alloc(arena, 64, 200000);
	char *same;

	ck_assert(block && wall && hole && behind);
	memset(block, 'b', acre_usable_size(arena, block));
	memset(behind, 'w', 200000);
	for (size_t size = MIB; size; size /= 2)
		while (acre_malloc(arena, size))
			;
	acre_free(arena, hole);
	same = acre_realloc(arena, block, 299700);
	ck_assert_ptr_nonnull(same);
	for (size_t i = 0; i < 299700; i++)
		must(same[i] == 'b', "byte %zu", i);
	for (size_t i = 0; i < 200000; i++)
		must(behind[i] == 'w', "byte %zu of the block behind", i);
	acre_free(arena, behind);
	must_be_sound(arena);
	ck_assert_int_eq(acre_destroy(arena), 0);
}
END_TEST

/* After a block has slid down, its old address is no block any more. */
START_TEST(the_old_address_of_a_slide_aborts)
{
	struct acre_options options = { .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(MIB, &options);
	char *before = acre_malloc(arena, 1000);
	char *block = acre_malloc(arena, 100);
	char *wall = acre_malloc(arena, 100);
	char *moved;

	ck_assert(before && block && wall);
	acre_free(arena, before);
	moved = acre_realloc(arena, block, 150);
	must(moved == before, "it didn't slide: %p, %p", (void *)moved, (void *)before);
	must(tag_state(tag_at((char *)arena, place_of((char *)arena, block))) == TAG_FREE,
	     "the old tag says live");
	acre_free(arena, block);
}
END_TEST

/* Pages that were moved are a mapping of their own, and its ends are known. */
START_TEST(moved_pages_leave_seams)
{
	struct acre *arena = new_arena(64 * MIB, NULL);
	size_t page = arena->page * GRANULE;
	char *block = acre_malloc(arena, 4 * MIB);
	char *wall = acre_malloc(arena, 4 * MIB);
	char *moved, *over;
	size_t start;

	ck_assert(block && wall);
	memset(block, 'm', 4 * MIB);
	start = (size_t)(wall - (char *)arena) / page * page;
	ck_assert(dirt_one_mapping(arena, start, 32 * MIB));
	moved = acre_realloc(arena, block, 8 * MIB);
	ck_assert(moved && moved != block);
	for (size_t i = 0; i < 4 * MIB; i++)
		must(moved[i] == 'm', "byte %zu", i);
	if (atomic_load(&arena->moves) != 1) {
		skip("this system doesn't move pages");
		return;
	}
	ck_assert(!dirt_one_mapping(arena, start, 32 * MIB));
	/* A block that spans both mappings is copied. */
	acre_free(arena, moved);
	acre_free(arena, wall);
	over = acre_malloc(arena, 12 * MIB);
	wall = acre_malloc(arena, MIB);
	ck_assert(over && wall);
	memset(over, 'o', 12 * MIB);
	over = acre_realloc(arena, over, 30 * MIB);
	ck_assert_ptr_nonnull(over);
	for (size_t i = 0; i < 12 * MIB; i++)
		must(over[i] == 'o', "byte %zu", i);
	acre_free(arena, over);
	acre_free(arena, wall);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("moves");
	TCase *cases = tcase_create("realloc");

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, a_shrink_in_a_full_arena_stays);
	tcase_add_test_raise_signal(cases, the_old_address_of_a_slide_aborts, SIGABRT);
	tcase_add_test(cases, moved_pages_leave_seams);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
