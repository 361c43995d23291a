/*
 * acre_realloc(): content kept, in place where it can, refusals that leave the block untouched, and
 * shrinks that are never refused (the design's section 6, 'Exactly: Sizes').
 */
#include "support.h"

START_TEST(realloc_keeps_content_from_every_size_to_every_size)
{
	struct acre *arena = new_arena(64 * MIB, &both[_i]);

	for (size_t from = 0; from < COUNT_OF(edges); from++) {
		for (size_t to = 0; to < COUNT_OF(edges); to++) {
			char *block = acre_malloc(arena, edges[from]);
			char *guard = acre_malloc(arena, from % 2 ? 100 : 0);
			size_t kept = acre_usable_size(arena, block);
			size_t usable;

			must(block && guard, "%zu bytes", edges[from]);
			fill(block, kept, from);
			fill(guard, acre_usable_size(arena, guard), to);
			block = acre_realloc(arena, block, edges[to]);
			if (edges[to] == 0) {
				must(!block, "realloc to 0 frees and returns NULL");
			} else {
				must(block, "%zu to %zu", edges[from], edges[to]);
				usable = acre_usable_size(arena, block);
				must(usable >= edges[to], "%zu to %zu", edges[from], edges[to]);
				must(holds(block, kept < edges[to] ? kept : edges[to], from),
				     "%zu to %zu", edges[from], edges[to]);
				fill(block, usable, from);
			}
			must(holds(guard, acre_usable_size(arena, guard), to), "%zu to %zu",
			     edges[from], edges[to]);
			acre_free(arena, guard);
			acre_free(arena, block);
			must(stats_of(arena).live_blocks == 0, "%zu to %zu", edges[from],
			     edges[to]);
		}
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* A block that grows and shrinks in steps among others that do too. */
START_TEST(realloc_chains)
{
	struct acre *arena = new_arena(32 * MIB, &both[_i]);
	struct dice dice = dice_from(11);
	struct {
		char *block;
		size_t size;
	} chains[32] = { { 0 } };

	for (int step = 0; step < SCALE(20000, 2000); step++) {
		size_t i = roll_between(&dice, 0, COUNT_OF(chains) - 1);
		size_t size = roll_log(&dice, 1, 400000);
		size_t kept = size < chains[i].size ? size : chains[i].size;

		chains[i].block = acre_realloc(arena, chains[i].block, size);
		must(chains[i].block, "%zu to %zu bytes", chains[i].size, size);
		must(holds(chains[i].block, kept, i), "%zu to %zu bytes", chains[i].size, size);
		chains[i].size = acre_usable_size(arena, chains[i].block);
		fill(chains[i].block, chains[i].size, i);
	}
	must_be_sound(arena);
	for (size_t i = 0; i < COUNT_OF(chains); i++)
		ck_assert_ptr_null(acre_realloc(arena, chains[i].block, 0));
	ck_assert_uint_eq(stats_of(arena).live_blocks, 0);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* "On NULL the old block is untouched." */
START_TEST(realloc_refused_leaves_the_block)
{
	static const size_t beyond[] = { 2 * MIB, GIB, TIB, SIZE_MAX / 2, SIZE_MAX - 15, SIZE_MAX };
	struct acre *arena = new_arena(MIB, &both[_i]);

	for (size_t size = 1; size < 300000; size *= 3) {
		char *block = acre_malloc(arena, size);
		size_t usable = acre_usable_size(arena, block);

		ck_assert_ptr_nonnull(block);
		fill(block, usable, size);
		for (size_t i = 0; i < COUNT_OF(beyond); i++) {
			size_t refusals = stats_of(arena).refusals;

			errno = 0;
			must(!acre_realloc(arena, block, beyond[i]), "%zu to %zu", size, beyond[i]);
			must(errno == ENOMEM, "%zu to %zu: %s", size, beyond[i], strerror(errno));
			must(stats_of(arena).refusals == refusals + 1, "%zu to %zu", size,
			     beyond[i]);
			must(acre_usable_size(arena, block) == usable, "%zu to %zu", size,
			     beyond[i]);
			must(holds(block, usable, size), "%zu to %zu", size, beyond[i]);
		}
		must(stats_of(arena).live_blocks == 1, "%zu bytes", size);
		acre_free(arena, block);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* "A shrink is never refused": in an arena that is full to the last block. */
START_TEST(a_shrink_is_never_refused)
{
	struct acre *arena = new_arena(MIB, &both[_i]);
	struct dice dice = dice_from(12);
	char *blocks[4000];
	size_t sizes[4000];
	size_t count = 0;

	for (size_t most = 20000; most >= 8; most /= 2) {
		while (count < COUNT_OF(blocks)) {
			size_t size = roll_between(&dice, most / 2, most);

			blocks[count] = acre_malloc(arena, size);
			if (!blocks[count])
				break;
			sizes[count] = acre_usable_size(arena, blocks[count]);
			fill(blocks[count], sizes[count], count);
			count++;
		}
	}
	ck_assert_ptr_null(acre_malloc(arena, 4096));
	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; i < count; i++) {
			size_t to = roll_between(&dice, 1, sizes[i]);
			char *block = acre_realloc(arena, blocks[i], to);

			must(block, "%zu to %zu bytes", sizes[i], to);
			must(holds(block, to, i), "%zu to %zu bytes", sizes[i], to);
			blocks[i] = block;
			sizes[i] = to;
		}
		must_be_sound(arena);
	}
	for (size_t i = 0; i < count; i++) {
		must(holds(blocks[i], sizes[i], i), "block %zu", i);
		acre_free(arena, blocks[i]);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/*
 * A string that grows by a byte at a time moves seldom, keeps its content, may be given back by its
 * size, and has not more than an eighth to spare; one that's doubled has just what was asked for.
 */
START_TEST(growth_leaves_some_room)
{
	struct acre *arena = new_arena(64 * MIB, NULL);
	char *string = acre_malloc(arena, 1);
	unsigned moves = 0;

	string[0] = 'a';
	for (size_t size = 2; size <= 1000; size++) {
		char *grown = acre_realloc(arena, string, size);
		size_t usable = acre_usable_size(arena, grown);

		moves += grown != string;
		string = grown;
		string[size - 1] = (char)('a' + (size - 1) % 26);
		must(usable <= size + size / 8 + 32, "%zu for %zu", usable, size);
	}
	for (size_t i = 0; i < 1000; i++)
		must(string[i] == (char)('a' + i % 26), "byte %zu", i);
	ck_assert_uint_le(moves, 40);
	acre_free_sized(arena, string, 1000);
	string = acre_malloc(arena, 200);
	string = acre_realloc(arena, string, 408);
	ck_assert_uint_eq(acre_usable_size(arena, string), 408);
	acre_free_sized(arena, string, 408);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* In a full arena, the cache serves a block that grows, and stays as it is but for that one. */
START_TEST(nothing_is_reclaimed_for_room)
{
	struct acre *arena = new_arena(8 * MIB, NULL);
	const size_t from = 24 * 16 - 8, to = 26 * 16 - 8;
	char *block = acre_malloc(arena, from);
	void *cached[20];
	size_t before;

	for (size_t i = 0; i < COUNT_OF(cached); i++)
		cached[i] = acre_malloc(arena, to);
	while (acre_malloc(arena, to))
		;
	while (acre_malloc(arena, 8))
		;
	for (size_t i = 0; i < COUNT_OF(cached); i++)
		acre_free(arena, cached[i]);
	before = stats_of(arena).cached_bytes;
	block = acre_realloc(arena, block, to);
	ck_assert_ptr_nonnull(block);
	ck_assert_uint_ge(stats_of(arena).cached_bytes + to, before);
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/* "In place where it can": shrinking, and growing into the free block behind. */
START_TEST(realloc_stays_in_place)
{
	struct acre *arena = new_arena(MIB, &(struct acre_options){ .flags = ACRE_NO_CACHE });
	char *block = acre_malloc(arena, 50000);
	char *fence;

	ck_assert_ptr_eq(acre_realloc(arena, block, 100), block);
	ck_assert_ptr_eq(acre_realloc(arena, block, 60000), block);
	ck_assert_ptr_eq(acre_realloc(arena, block, 59999), block);
	fence = acre_malloc(arena, 8);
	ck_assert_ptr_eq(acre_realloc(arena, block, 30000), block);
	ck_assert_ptr_eq(acre_realloc(arena, block, 60000), block);
	ck_assert_ptr_ne(acre_realloc(arena, block, 100000), block);
	acre_free(arena, fence);
	end_arena(arena);
}
END_TEST

/* Into the free block before, where nothing else in the arena could hold it. */
START_TEST(realloc_grows_forwards_when_nothing_else_fits)
{
	struct acre *arena = new_arena(MIB, &(struct acre_options){ .flags = ACRE_NO_CACHE });
	size_t most = stats_of(arena).largest_free;
	char *first = acre_malloc(arena, most / 2 & ~(size_t)15);
	char *second = acre_malloc(arena, stats_of(arena).largest_free);
	size_t usable = acre_usable_size(arena, second);
	char *grown;

	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(second);
	ck_assert_uint_eq(stats_of(arena).free_bytes, 0);
	fill(second, usable, 5);
	acre_free(arena, first);
	grown = acre_realloc(arena, second, most);
	ck_assert_ptr_eq(grown, first);
	ck_assert(holds(grown, usable, 5));
	ck_assert_uint_eq(acre_usable_size(arena, grown), most);
	acre_free(arena, grown);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* Large blocks, which may move by their pages. */
START_TEST(realloc_moves_large_blocks)
{
	struct acre *arena = new_arena(512 * MIB, &both[_i]);
	char *block = acre_malloc(arena, 3 * MIB + 123);
	size_t size = acre_usable_size(arena, block);
	char *fences[8];

	fill(block, size, 9);
	for (size_t i = 0; i < COUNT_OF(fences); i++) {
		size_t to = size + size / 2 + 4001;

		fences[i] = acre_malloc(arena, 1000 + i);
		memset(fences[i], (int)i, 1000 + i);
		block = acre_realloc(arena, block, to);
		must(block, "to %zu bytes", to);
		must(holds(block, size, 9), "to %zu bytes", to);
		size = acre_usable_size(arena, block);
		fill(block, size, 9);
		must_be_sound(arena);
	}
	for (size_t i = 0; i < COUNT_OF(fences); i++) {
		must(all_bytes(fences[i], 1000 + i, (unsigned char)i), "fence %zu", i);
		acre_free(arena, fences[i]);
	}
	block = acre_realloc(arena, block, 5);
	ck_assert(holds(block, 5, 9));
	acre_free(arena, block);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("realloc");
	TCase *blocks = tcase_create("blocks");

	tcase_set_timeout(blocks, 60);
	tcase_add_loop_test(blocks, realloc_keeps_content_from_every_size_to_every_size, 0, 2);
	tcase_add_loop_test(blocks, realloc_chains, 0, 2);
	tcase_add_loop_test(blocks, realloc_refused_leaves_the_block, 0, 2);
	tcase_add_loop_test(blocks, a_shrink_is_never_refused, 0, 2);
	tcase_add_test(blocks, growth_leaves_some_room);
	tcase_add_test(blocks, nothing_is_reclaimed_for_room);
	tcase_add_test(blocks, realloc_stays_in_place);
	tcase_add_test(blocks, realloc_grows_forwards_when_nothing_else_fits);
	tcase_add_loop_test(blocks, realloc_moves_large_blocks, 0, 2);
	suite_add_tcase(suite, blocks);

	return run_suite(suite);
}
