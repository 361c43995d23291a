/*
 * Limits: the sizes of arenas and of requests at every edge, and limits that the system sets (the
 * design's section 6: "The least arena is 64 KiB"; NULL with ENOMEM, never a wrapped size).
 */
#include "support.h"

#include <sys/resource.h>

static const struct {
	size_t size;
	bool good;
} arena_sizes[] = {
	{ 0, false },
	{ 1, false },
	{ 4096, false },
	{ 64 * KIB - 1, false },
	{ 64 * KIB, true },
	{ 64 * KIB + 1, true },
	{ 64 * KIB + 4095, true },
	{ 100003, true },
	{ 128 * KIB - 16, true },
	{ MIB - 1, true },
	{ MIB + 7, true },
	{ 64 * MIB + 12345, true },
	{ GIB, true },
	{ 4 * GIB + 1, true },
	{ 64 * GIB - 1, true },
	{ 64 * GIB, true },
	{ TIB / 2, true },
	{ TIB - 1, true },
	{ TIB, true },
	{ TIB + 1, false },
	{ TIB + 4096, false },
	{ 2 * TIB, false },
	{ SIZE_MAX / 2, false },
	{ SIZE_MAX - 4095, false },
	{ SIZE_MAX, false },
};

/* "Arena sizes from 64 KiB to 1 TiB, reserved, not committed"; anything else is EINVAL. */
START_TEST(arenas_of_every_size)
{
	size_t size = arena_sizes[_i].size;

	for (size_t kind = 0; kind < 2; kind++) {
		struct acre_stats stats;
		struct acre *arena;

		if (arena_sizes[_i].good && size > SCALE(SIZE_MAX, 64 * MIB + 12345)) {
			skip("a sanitizer's shadow of it is larger than memory");
			break;
		}
		errno = 0;
		arena = acre_create(size, &both[kind]);
		if (!arena_sizes[_i].good) {
			ck_assert_ptr_null(arena);
			ck_assert_int_eq(errno, EINVAL);
			continue;
		}
		ck_assert_msg(arena, "%zu bytes: %s", size, strerror(errno));
		stats = stats_of(arena);
		ck_assert_uint_le(stats.size, size + 4095);
		ck_assert_uint_ge(stats.size + 4095, size);
		ck_assert_uint_ge(stats.largest_free, size / 2);
		ck_assert_uint_lt(stats.resident_bytes, size < MIB ? size + 4096 : MIB);
		ck_assert_uint_eq(stats.largest_free, must_be_whole(arena));
		work_in(arena, size / 16 < MIB ? size / 16 : MIB, SCALE(2000, 200), size);
		take_the_largest(arena);
		end_arena(arena);
	}
}
END_TEST

/* Blocks whose size in granules needs more than 32 bits, and their neighbours. */
START_TEST(blocks_beyond_64_gibibytes)
{
	static const size_t sizes[] = { 64 * GIB - 25, 64 * GIB - 24, 64 * GIB - 23, 64 * GIB - 8,
					64 * GIB - 7,  64 * GIB,      64 * GIB + 1,  32 * GIB,
					128 * GIB,     TIB / 2 - 8,   TIB / 2 };
	struct acre *arena;

	if (UNDER_TSAN || UNDER_ASAN) {
		skip("a sanitizer's shadow of them is larger than memory");
		return;
	}
	arena = new_arena(TIB, &both[_i]);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		char *before = acre_malloc(arena, 24);
		char *block = acre_malloc(arena, sizes[i]);
		char *after = acre_malloc(arena, 24);
		struct image image = { 0 };
		size_t usable;

		must(before && block && after, "%zu bytes", sizes[i]);
		usable = acre_usable_size(arena, block);
		must(usable >= sizes[i] && usable < sizes[i] + 4096, "%zu for %zu", usable,
		     sizes[i]);
		fill(before, 24, 1);
		fill(after, 24, 2);
		block[0] = block[usable - 1] = 'x';
		must(holds(before, 24, 1) && holds(after, 24, 2), "%zu bytes", sizes[i]);
		look(arena, &image);
		must(find_block(&image, block) && find_block(&image, block)->size == usable,
		     "%zu bytes", sizes[i]);
		forget(&image);
		must(acre_realloc(arena, block, 100) == block, "%zu bytes", sizes[i]);
		must(block[0] == 'x', "%zu bytes", sizes[i]);
		acre_free(arena, block);
		acre_free(arena, after);
		acre_free(arena, before);
		must_be_whole(arena);
	}
	must_be_honest(arena);
	end_arena(arena);
}
END_TEST

/*
 * Requests that can't be met: NULL and ENOMEM from every entry point.
 */
#define ENTRIES 8
static void *request(struct acre *arena, size_t entry, void *old, size_t size)
{
	switch (entry) {
	case 0:
		return acre_malloc(arena, size);
	case 1:
		return acre_calloc(arena, 1, size);
	case 2:
		return acre_calloc(arena, size, 1);
	case 3:
		return acre_realloc(arena, NULL, size);
	case 4:
		return acre_realloc(arena, old, size);
	case 5:
		return acre_aligned_alloc(arena, 1, size);
	case 6:
		return acre_aligned_alloc(arena, 64, size);
	default:
		return acre_aligned_alloc(arena, 4096, size);
	}
}

static size_t refused;

static void must_refuse(struct acre *arena, size_t size)
{
	char *old = acre_malloc(arena, 100);

	fill(old, 100, 1);
	for (size_t entry = 0; entry < ENTRIES; entry++) {
		errno = 0;
		must(!request(arena, entry, old, size), "%zu bytes, entry %zu", size, entry);
		must(errno == ENOMEM, "%zu bytes, entry %zu: %s", size, entry, strerror(errno));
		refused++;
	}
	must(holds(old, 100, 1), "%zu bytes", size);
	acre_free(arena, old);
}

START_TEST(requests_beyond_the_arena)
{
	static const size_t sizes[] = { 64 * KIB, 100003, MIB, 64 * MIB + 1, GIB, 64 * GIB };

	for (size_t i = 0; i < COUNT_OF(sizes) && sizes[i] <= SCALE(TIB, 65 * MIB); i++) {
		struct acre *arena = new_arena(sizes[i], &both[_i]);
		size_t most = must_be_whole(arena);

		refused = 0;
		for (size_t size = SIZE_MAX; size > SIZE_MAX - 40; size--)
			must_refuse(arena, size);
		for (size_t size = SIZE_MAX - 4120; size < SIZE_MAX - 4080; size++)
			must_refuse(arena, size);
		for (int bit = 63; bit > 40; bit--) {
			must_refuse(arena, ((size_t)1 << bit) - 1);
			must_refuse(arena, (size_t)1 << bit);
			must_refuse(arena, ((size_t)1 << bit) + 1);
		}
		/* Sizes that are small again when their granules are counted in 32 bits. */
		for (size_t high = 1; sizes[i] < 64 * GIB && high < 40; high++)
			for (size_t low = 0; low < 40; low += 8)
				must_refuse(arena, high * 64 * GIB + low - 16);
		must_refuse(arena, sizes[i] - 1);
		must_refuse(arena, sizes[i]);
		must_refuse(arena, sizes[i] + 1);
		must_refuse(arena, most + 1);
		ck_assert_uint_eq(must_be_whole(arena), most);
		ck_assert_uint_eq(stats_of(arena).refusals, refused);
		end_arena(arena);
	}
}
END_TEST

START_TEST(products_that_overflow)
{
	static const size_t pairs[][2] = {
		{ SIZE_MAX, 2 },
		{ 2, SIZE_MAX },
		{ SIZE_MAX / 2 + 1, 2 },
		{ SIZE_MAX, SIZE_MAX },
		{ (size_t)1 << 32, (size_t)1 << 32 },
		{ (size_t)1 << 62, 4 },
		{ ((size_t)1 << 62) + 1, 4 },
		{ SIZE_MAX / 3 + 1, 3 },
		{ SIZE_MAX / 16 + 1, 16 },
		{ SIZE_MAX / 16 + 2, 16 },
		{ SIZE_MAX / 2, 3 },
	};
	struct acre *arena = new_arena(MIB, &both[_i]);

	for (size_t i = 0; i < COUNT_OF(pairs); i++) {
		errno = 0;
		must(!acre_calloc(arena, pairs[i][0], pairs[i][1]), "pair %zu", i);
		must(errno == ENOMEM, "pair %zu: %s", i, strerror(errno));
	}
	ck_assert_uint_eq(stats_of(arena).refusals, COUNT_OF(pairs));
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/*
 * Every alignment with every size: what is no power of two is EINVAL whatever the size, and no
 * refusal; what can't be had is ENOMEM. All else stays as it was.
 */
static const struct acre_options policies[] = {
	{ .policy = ACRE_FIRST_FIT },
	{ .policy = ACRE_FIRST_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_GOOD_FIT },
	{ .policy = ACRE_GOOD_FIT, .flags = ACRE_NO_CACHE },
};

#define TOP(bit) ((size_t)1 << (bit))
#define LAST(n) (SIZE_MAX - (n))

START_TEST(every_alignment_with_every_size)
{
	static const size_t alignments[] = {
		0,	 1,	  2,	   3,	    8,	     12,      16,      24,
		32,	 48,	  64,	   4095,    4096,    65536,   MIB,     TOP(31),
		TOP(32), TOP(36), TOP(40), TOP(61), TOP(62), TOP(63), LAST(0), LAST(15)
	};
	static const size_t sizes[] = { 0,	  1,	    100,	4096,	  4 * MIB,
					TOP(62),  TOP(63),  LAST(64),	LAST(32), LAST(31),
					LAST(24), LAST(23), LAST(16),	LAST(15), LAST(8),
					LAST(7),  LAST(0),  PTRDIFF_MAX };
	struct acre *arena = new_arena(4 * MIB, &policies[_i]);
	char *live[] = { acre_malloc(arena, 24), acre_malloc(arena, 1000),
			 acre_malloc(arena, 100000) };
	static const size_t live_sizes[] = { 24, 1000, 100000 };
	size_t had = 0;

	refused = 0;
	for (size_t i = 0; i < COUNT_OF(live); i++)
		fill(live[i], live_sizes[i], i);
	for (size_t i = 0; i < COUNT_OF(alignments); i++)
		for (size_t k = 0; k < COUNT_OF(sizes); k++) {
			size_t alignment = alignments[i];
			bool power = alignment && !(alignment & (alignment - 1));
			char *block;

			errno = 4711;
			block = acre_aligned_alloc(arena, alignment, sizes[k]);
			if (!power)
				must(!block && errno == EINVAL, "%zu at %zu: %s", sizes[k],
				     alignment, strerror(errno));
			else if (alignment > 4 * MIB || sizes[k] >= 4 * MIB)
				must(!block && errno == ENOMEM, "%zu at %zu: %s", sizes[k],
				     alignment, strerror(errno));
			else
				must(block && (uintptr_t)block % alignment == 0, "%zu at %zu: %p",
				     sizes[k], alignment, block);
			refused += power && !block;
			had += block != NULL;
			acre_free(arena, block);
			must_be_sound(arena);
		}
	ck_assert_uint_eq(stats_of(arena).refusals, refused);
	ck_assert_uint_eq(had, 36);
	ck_assert_uint_eq(refused, 252);
	for (size_t i = 0; i < COUNT_OF(live); i++) {
		must(holds(live[i], live_sizes[i], i), "%zu bytes", live_sizes[i]);
		acre_free(arena, live[i]);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* A block of any kind outlives a resize that can't be; size 0 is none of these, and keeps errno. */
START_TEST(resizes_that_cannot_be)
{
	static const size_t alignments[] = { 16, 64, 4096 };
	static const size_t sizes[] = { 0, 1, 24, 1032, 5000, 40000, 300000 };
	struct acre *arena = new_arena(4 * MIB, &policies[_i]);

	for (size_t i = 0; i < COUNT_OF(alignments); i++)
		for (size_t k = 0; k < COUNT_OF(sizes); k++) {
			char *block = acre_aligned_alloc(arena, alignments[i], sizes[k]);
			size_t usable = acre_usable_size(arena, block);

			must(block, "%zu at %zu", sizes[k], alignments[i]);
			fill(block, usable, k);
			for (size_t less = 0; less < 70; less++) {
				errno = 0;
				must(!acre_realloc(arena, block, SIZE_MAX - less) &&
					     errno == ENOMEM,
				     "%zu at %zu to -%zu: %s", sizes[k], alignments[i], less + 1,
				     strerror(errno));
			}
			must_be_sound(arena);
			must(acre_usable_size(arena, block) == usable && holds(block, usable, k),
			     "%zu at %zu", sizes[k], alignments[i]);
			errno = 4711;
			must(!acre_realloc(arena, block, 0) && errno == 4711, "%zu at %zu: %s",
			     sizes[k], alignments[i], strerror(errno));
		}
	ck_assert_uint_eq(stats_of(arena).refusals, COUNT_OF(alignments) * COUNT_OF(sizes) * 70);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* An arena without caches holds as many least blocks as its free range has granules for. */
START_TEST(a_full_arena_has_no_byte_left)
{
	struct acre *arena = new_arena(MIB, &both[1]);
	size_t range = must_be_whole(arena) + 8;
	char *first = acre_malloc(arena, 1);
	size_t each = acre_usable_size(arena, first) + 8;
	size_t count = 1;
	struct image image = { 0 };

	while (acre_malloc(arena, 1))
		count++;
	ck_assert_uint_eq(count, range / each);
	ck_assert_uint_lt(stats_of(arena).free_bytes, each);
	look(arena, &image);
	for (size_t i = 0; i < image.count; i++)
		if (image.blocks[i].state == ACRE_LIVE)
			acre_free(arena, (void *)(uintptr_t)image.blocks[i].address);
	ck_assert_uint_eq(must_be_whole(arena) + 8, range);
	forget(&image);
	end_arena(arena);
}
END_TEST

/*
 * Limits of the system.
 */
/* Buddies like their range well aligned, and go without if there's none. */
static void ask_for_buddies(void *unused)
{
	const struct acre_options buddies = { .policy = ACRE_BUDDY };
	struct rlimit limit = { mapped_bytes() + 40 * MIB, RLIM_INFINITY };
	struct acre *arena;

	(void)unused;
	must(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
	errno = 0;
	must(!acre_create(64 * MIB, &buddies) && errno == ENOMEM, "%s", strerror(errno));
	arena = new_arena(32 * MIB, &buddies);
	work_in(arena, MIB, 500, 5);
	must_be_whole(arena);
	end_arena(arena);
}

static void live_under_a_limit(void *argument)
{
	struct rlimit limit = { mapped_bytes() + 600 * MIB, RLIM_INFINITY };
	struct acre *arena;
	char *block;

	must(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit: %s", strerror(errno));
	errno = 0;
	must(!acre_create(GIB, argument), "1 GiB where 600 MiB may be mapped");
	must(errno == ENOMEM, "%s", strerror(errno));
	must(!acre_create(TIB, argument) && errno == ENOMEM, "%s", strerror(errno));
	for (int round = 0; round < 20; round++) {
		arena = new_arena(400 * MIB, argument);
		must(!acre_create(400 * MIB, argument) && errno == ENOMEM, "%s", strerror(errno));
		block = acre_malloc(arena, 300 * MIB);
		must(block, "300 MiB of 400");
		memset(block, 1, SCALE(30, 3) * MIB);
		must(!acre_malloc(arena, 300 * MIB) && errno == ENOMEM, "%s", strerror(errno));
		work_in(arena, MIB, 500, 5);
		acre_free(arena, block);
		take_the_largest(arena);
		end_arena(arena);
	}
}

/* Also under `ulimit -v`. */
START_TEST(an_address_space_limit)
{
	struct outcome outcome;

	if (UNDER_TSAN || UNDER_ASAN) {
		skip("a sanitizer needs terabytes of address space");
		return;
	}
	in_child(&outcome, ask_for_buddies, NULL, 60);
	must_succeed(&outcome, "buddies under a limit of the address space");
	in_child(&outcome, live_under_a_limit, (void *)(uintptr_t)&both[_i], 60);
	must_succeed(&outcome, "under a limit of the address space");
}
END_TEST

/* Where the system promises no more than it has, an arena of any size is still only reserved. */
START_TEST(strict_overcommit)
{
	FILE *file = fopen("/proc/sys/vm/overcommit_memory", "r");
	int mode = -1;
	struct acre *arena;

	if (!file || fscanf(file, "%d", &mode) != 1 || mode != 2) {
		skip("/proc/sys/vm/overcommit_memory isn't 2");
		if (file)
			fclose(file);
		return;
	}
	fclose(file);
	arena = new_arena(TIB / 2, &both[_i]);
	work_in(arena, 8 * MIB, 2000, 6);
	errno = 0;
	ck_assert_ptr_null(acre_malloc(arena, TIB / 4));
	ck_assert_int_eq(errno, ENOMEM);
	work_in(arena, 8 * MIB, 2000, 7);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("limits");
	TCase *sizes = tcase_create("sizes");
	TCase *systems = tcase_create("system");

	tcase_set_timeout(sizes, 60);
	tcase_add_loop_test(sizes, arenas_of_every_size, 0, COUNT_OF(arena_sizes));
	tcase_add_loop_test(sizes, blocks_beyond_64_gibibytes, 0, 2);
	tcase_add_loop_test(sizes, requests_beyond_the_arena, 0, 2);
	tcase_add_loop_test(sizes, products_that_overflow, 0, 2);
	tcase_add_loop_test(sizes, every_alignment_with_every_size, 0, COUNT_OF(policies));
	tcase_add_loop_test(sizes, resizes_that_cannot_be, 0, COUNT_OF(policies));
	tcase_add_test(sizes, a_full_arena_has_no_byte_left);
	suite_add_tcase(suite, sizes);

	tcase_set_timeout(systems, 60);
	tcase_add_loop_test(systems, an_address_space_limit, 0, 2);
	tcase_add_loop_test(systems, strict_overcommit, 0, 2);
	suite_add_tcase(suite, systems);

	return run_suite(suite);
}
