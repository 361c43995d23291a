/*
 * The second level of what's caught: acre_options.guards. That each kind catches what it's for, to
 * the byte, and that the arena is as good as any other otherwise.
 */
#include "support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct acre_options kinds[] = {
	{ .guards = ACRE_CANARIES },
	{ .guards = ACRE_FILL },
	{ .guards = ACRE_QUARANTINE },
	{ .guards = ACRE_RANDOM },
	{ .guards = ACRE_GUARD_PAGES },
	{ .guards = ACRE_FILL | ACRE_QUARANTINE, .quarantine_bytes = 100 * KIB },
	{ .guards = ACRE_CANARIES | ACRE_FILL | ACRE_QUARANTINE | ACRE_RANDOM | ACRE_GUARD_PAGES },
	{ .guards = ACRE_CANARIES, .policy = ACRE_GOOD_FIT },
	{ .guards = ACRE_FILL | ACRE_QUARANTINE | ACRE_GUARD_PAGES, .policy = ACRE_GOOD_FIT },
};

static const size_t requests[] = { 0,	1,    7,    8,	  9,	15,   16,    17,
				   24,	100,  1000, 4095, 4096, 4097, 10000, 100000 };

/*
 * As any other arena.
 */
START_TEST(it_works)
{
	struct acre *arena = new_arena(64 * MIB, &kinds[_i]);

	work_in(arena, 20000, SCALE(20000, 4000), 11 + (uint64_t)_i);
	acre_flush(arena);
	must_be_honest(arena);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

static void *work_there(void *arena)
{
	work_in(arena, 9000, SCALE(8000, 1500), (uint64_t)(uintptr_t)&arena);
	return NULL;
}

START_TEST(threads_work)
{
	struct acre *arena = new_arena(64 * MIB, &kinds[_i]);
	pthread_t threads[4];

	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(work_there, arena);
	for (int i = 0; i < 20; i++)
		must_be_sound(arena);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

START_TEST(sizes_are_exact)
{
	struct acre *arena = new_arena(16 * MIB, &kinds[_i]);

	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		char *block = acre_malloc(arena, requests[i]);
		char *zeros = acre_calloc(arena, 1, requests[i]);
		char *aligned = acre_aligned_alloc(arena, 256, requests[i]);

		ck_assert_uint_eq(acre_usable_size(arena, block), requests[i]);
		ck_assert_uint_eq(acre_usable_size(arena, zeros), requests[i]);
		ck_assert_uint_eq(acre_usable_size(arena, aligned), requests[i]);
		ck_assert_uint_eq((uintptr_t)block % 16, 0);
		ck_assert_uint_eq((uintptr_t)aligned % 256, 0);
		must(all_bytes(zeros, requests[i], 0), "%zu bytes aren't zero", requests[i]);
		memset(block, 1, requests[i]);
		memset(zeros, 2, requests[i]);
		memset(aligned, 3, requests[i]);
		zeros = acre_realloc(arena, zeros, requests[i] + 1);
		ck_assert_uint_eq(acre_usable_size(arena, zeros), requests[i] + 1);
		must(all_bytes(zeros, requests[i], 2), "realloc of %zu", requests[i]);
		must_be_sound(arena);
		acre_free_sized(arena, block, requests[i]);
		acre_free_sized(arena, zeros, requests[i] + 1);
		acre_free_sized(arena, aligned, requests[i]);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

START_TEST(options_that_cant_be_are_refused)
{
	static char buffer[MIB];
	struct acre_options unknown = { .guards = 0x20 };
	struct acre_options random = { .guards = ACRE_RANDOM, .policy = ACRE_GOOD_FIT };
	struct acre_options pages = { .guards = ACRE_GUARD_PAGES };
	struct acre_options rest = { .guards = ACRE_CANARIES | ACRE_FILL | ACRE_QUARANTINE |
					       ACRE_RANDOM };
	struct acre *arena;

	ck_assert_ptr_null(acre_create(MIB, &unknown));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(acre_create(MIB, &random));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(acre_create_at(buffer, sizeof(buffer), &pages));
	ck_assert_int_eq(errno, EINVAL);
	arena = acre_create_at(buffer, sizeof(buffer), &rest);
	ck_assert_ptr_nonnull(arena);
	work_in(arena, 3000, 1000, 5);
	end_arena(arena);
}
END_TEST

/*
 * Canaries.
 */
struct hit {
	struct acre *arena;
	char *block;
	size_t size;
	size_t offset;
	void (*find)(struct hit *hit);
};

static void by_free(struct hit *hit)
{
	acre_free(hit->arena, hit->block);
}

static void by_realloc(struct hit *hit)
{
	if (acre_realloc(hit->arena, hit->block, hit->size + 1))
		_exit(3);
}

static void by_usable_size(struct hit *hit)
{
	_exit(acre_usable_size(hit->arena, hit->block) ? 3 : 4);
}

static void (*const finds[])(struct hit *) = { by_free, by_realloc, by_usable_size };

static void hit_and_find(void *argument)
{
	struct hit *hit = argument;

	hit->block[hit->offset] = 0;
	hit->find(hit);
}

/* Not with all of it on guard: where a page ends just there, the write itself is what's caught. */
START_TEST(an_overflow_by_one_is_found)
{
	struct hit hit = { .find = finds[_i % COUNT_OF(finds)] };
	struct acre *arena = new_arena(16 * MIB, &kinds[(size_t)_i / COUNT_OF(finds)]);

	hit.arena = arena;
	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		struct outcome outcome;

		if (kinds[(size_t)_i / COUNT_OF(finds)].guards & ACRE_GUARD_PAGES &&
		    requests[i] >= 4096 && requests[i] % 16 == 0)
			continue;
		hit.size = requests[i];
		hit.offset = requests[i];
		hit.block = acre_malloc(arena, requests[i]);
		memset(hit.block, 0, requests[i]);
		in_child(&outcome, hit_and_find, &hit, 20);
		must_abort(&outcome, hit.block, "an overflow by one");
	}
	end_arena(arena);
}
END_TEST

/* acre_check() tells, and doesn't abort. */
static void check(void *argument)
{
	struct hit *hit = argument;

	hit->block[hit->offset] ^= 1;
	_exit(acre_check(hit->arena) == 1 ? 0 : 3);
}

START_TEST(a_check_tells_of_an_overflow)
{
	struct outcome outcome;
	struct hit hit = { .arena = new_arena(MIB, &kinds[_i]), .size = 100, .offset = 100 };

	hit.block = acre_malloc(hit.arena, hit.size);
	in_child(&outcome, check, &hit, 20);
	must_succeed(&outcome, "a check");
	ck_assert_uint_eq(outcome.lines, 1);
	end_arena(hit.arena);
}
END_TEST

static void free_with_another_size(void *argument)
{
	struct hit *hit = argument;

	acre_free_sized(hit->arena, hit->block, hit->size);
}

START_TEST(another_size_is_found)
{
	struct acre *arena = new_arena(MIB, &kinds[_i]);

	for (size_t size = 99; size <= 101; size += 2) {
		struct hit hit = { .arena = arena, .block = acre_malloc(arena, 100), .size = size };
		struct outcome outcome;

		in_child(&outcome, free_with_another_size, &hit, 20);
		must_abort(&outcome, hit.block, "another size");
	}
	end_arena(arena);
}
END_TEST

/*
 * Fill and quarantine.
 */
static const struct acre_options waiting = { .guards = ACRE_FILL | ACRE_QUARANTINE,
					     .quarantine_bytes = 64 * KIB };

static void write_late_and_flush(void *argument)
{
	struct hit *hit = argument;

	acre_free(hit->arena, hit->block);
	hit->block[hit->offset]++;
	acre_flush(hit->arena);
}

static void write_late_and_press_on(void *argument)
{
	struct hit *hit = argument;

	acre_free(hit->arena, hit->block);
	hit->block[hit->offset]++;
	for (int i = 0; i < 1000; i++)
		acre_free(hit->arena, acre_malloc(hit->arena, 1000));
}

/* Wherever in the block; and when it leaves by itself, as when it's made to. */
START_TEST(a_write_after_free_is_found)
{
	static const size_t sizes[] = { 8, 24, 100, 5000 };
	static void (*const bodies[])(void *) = { write_late_and_flush, write_late_and_press_on };

	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (size_t step = 0; step < 4; step++) {
			struct hit hit = { .arena = new_arena(MIB, &waiting), .size = sizes[i] };
			struct outcome outcome;

			hit.block = acre_malloc(hit.arena, sizes[i]);
			hit.offset = step * (sizes[i] - 1) / 3;
			in_child(&outcome, bodies[_i], &hit, 20);
			must_abort(&outcome, hit.block, "a write after free");
			end_arena(hit.arena);
		}
}
END_TEST

/* A block isn't handed out again before as much as the quarantine holds was freed after it. */
START_TEST(freed_blocks_wait)
{
	struct acre *arena = new_arena(16 * MIB, &waiting);
	char *first = acre_malloc(arena, 1000);
	size_t freed = 0;
	char *block;

	acre_free(arena, first);
	for (;;) {
		block = acre_malloc(arena, 1000);
		if (block == first)
			break;
		acre_free(arena, block);
		freed += 1000;
		ck_assert_uint_le(stats_of(arena).cached_bytes, waiting.quarantine_bytes);
		ck_assert_uint_le(freed, 2 * waiting.quarantine_bytes);
	}
	ck_assert_uint_ge(freed, waiting.quarantine_bytes - 2000);
	ck_assert_uint_gt(stats_of(arena).cached_bytes, waiting.quarantine_bytes - 2000);
	end_arena(arena);
}
END_TEST

/* G2: what waits serves before a request is refused. */
START_TEST(the_quarantine_is_no_hostage)
{
	struct acre_options options = { .guards = ACRE_QUARANTINE, .quarantine_bytes = GIB };
	struct acre *arena = new_arena(4 * MIB, &options);

	for (int i = 0; i < 100; i++) {
		char *block = acre_malloc(arena, 3 * MIB);

		ck_assert_ptr_nonnull(block);
		acre_free(arena, block);
	}
	ck_assert_uint_eq(stats_of(arena).refusals, 0);
	end_arena(arena);
}
END_TEST

/* G2 again: an arena without room for a copy takes a shrink. */
START_TEST(a_shrink_is_never_refused)
{
	struct acre *arena = new_arena(4 * MIB, &kinds[_i]);
	char *block = acre_malloc(arena, 3 * MIB);

	ck_assert_ptr_nonnull(block);
	memset(block, 5, 3 * MIB);
	while (acre_malloc(arena, 100))
		;
	for (size_t size = 3 * MIB; size; size = size * 2 / 5) {
		block = acre_realloc(arena, block, size);
		ck_assert_ptr_nonnull(block);
		ck_assert_uint_eq(acre_usable_size(arena, block), size);
		must(all_bytes(block, size, 5), "%zu bytes", size);
	}
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

START_TEST(old_data_is_gone)
{
	struct acre_options options = { .guards = ACRE_FILL };
	struct acre *arena = new_arena(MIB, &options);
	char *block = acre_malloc(arena, 5000);

	must(all_bytes(block, 5000, 0xa9), "a fresh block");
	memset(block, 7, 5000);
	acre_free(arena, block);
	block = acre_malloc(arena, 5000);
	must(all_bytes(block, 5000, 0xa9), "a block used before");
	acre_free(arena, block);
	block = acre_calloc(arena, 1, 5000);
	must(all_bytes(block, 5000, 0), "zeros");
	end_arena(arena);
}
END_TEST

/*
 * Random placement.
 */
static void note_places(struct acre *arena, size_t *places, size_t count)
{
	char *blocks[200];

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, 100);
	for (size_t i = 0; i < COUNT_OF(blocks); i += 2)
		acre_free(arena, blocks[i]);
	for (size_t i = 0; i < count; i++)
		places[i] = (size_t)((char *)acre_malloc(arena, 100) - (char *)arena);
}

START_TEST(places_differ)
{
	struct acre_options options = { .guards = ACRE_RANDOM };
	struct acre *one = new_arena(4 * MIB, &options);
	struct acre *other = new_arena(4 * MIB, &options);
	size_t places[2][50];
	size_t same = 0;
	size_t even = 0;

	note_places(one, places[0], 50);
	note_places(other, places[1], 50);
	for (size_t i = 0; i < 50; i++)
		same += places[0][i] == places[1][i];
	/* They may well ascend, behind all others; but not in even steps, as first fit's would here. */
	for (size_t i = 2; i < 50; i++)
		even += places[0][i] - places[0][i - 1] == places[0][i - 1] - places[0][i - 2];
	ck_assert_uint_lt(same, 25);
	ck_assert_uint_lt(even, 25);
	end_arena(one);
	end_arena(other);
}
END_TEST

/*
 * Guard pages.
 */
static void touch(void *argument)
{
	struct hit *hit = argument;

	hit->block[hit->offset] = 1;
}

static void peek(void *argument)
{
	const volatile struct hit *hit = argument;

	_exit(hit->block[hit->offset] == 77 ? 3 : 4);
}

START_TEST(a_guard_page_stops_an_overflow)
{
	static void (*const bodies[])(void *) = { touch, peek };
	struct acre_options options = { .guards = ACRE_GUARD_PAGES };
	struct acre *arena = new_arena(16 * MIB, &options);

	for (size_t size = 4096; size < 300000; size = size * 3 / 2 + 1) {
		struct hit hit = { .arena = arena, .block = acre_malloc(arena, size) };
		struct outcome outcome;

		hit.offset = (size + 15) / 16 * 16;
		in_child(&outcome, bodies[_i], &hit, 20);
		/* A sanitizer makes a report of it, and an exit status. */
		must(WIFSIGNALED(outcome.status) ? WTERMSIG(outcome.status) == SIGSEGV :
						   strstr(outcome.text, "SEGV") != NULL,
		     "%zu bytes: status %x: %s", size, (unsigned)outcome.status, outcome.text);
		/* What was a guard page is land again. */
		acre_free(arena, hit.block);
		hit.block = acre_malloc(arena, 2000);
		memset(hit.block, 1, 2000);
	}
	end_arena(arena);
}
END_TEST

START_TEST(all_land_can_be_written_again)
{
	struct acre_options options = { .guards = ACRE_GUARD_PAGES };
	struct acre *arena = new_arena(16 * MIB, &options);
	char *blocks[100];
	size_t size;

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, 4096 + 777 * i);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(arena, blocks[i]);
	size = must_be_whole(arena) - 2 * 4096 - 64;
	blocks[0] = acre_malloc(arena, size);
	ck_assert_ptr_nonnull(blocks[0]);
	memset(blocks[0], 1, size);
	acre_free(arena, blocks[0]);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* There are only so many mappings: the next requests are served without. */
START_TEST(guard_pages_may_run_out)
{
	static char *blocks[17000];
	struct acre_options options = { .guards = ACRE_GUARD_PAGES };
	struct acre *arena = new_arena(512 * MIB, &options);

	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = acre_malloc(arena, 4096);
		ck_assert_ptr_nonnull(blocks[i]);
	}
	must_be_sound(arena);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(arena, blocks[i]);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guard");
	TCase *cases = tcase_create("guard");

	tcase_set_timeout(cases, 300);
	tcase_add_loop_test(cases, it_works, 0, COUNT_OF(kinds));
	tcase_add_loop_test(cases, threads_work, 0, COUNT_OF(kinds));
	tcase_add_loop_test(cases, sizes_are_exact, 0, COUNT_OF(kinds));
	tcase_add_test(cases, options_that_cant_be_are_refused);
	tcase_add_loop_test(cases, an_overflow_by_one_is_found, 0,
			    COUNT_OF(kinds) * COUNT_OF(finds));
	tcase_add_loop_test(cases, a_check_tells_of_an_overflow, 0, COUNT_OF(kinds));
	tcase_add_loop_test(cases, another_size_is_found, 0, COUNT_OF(kinds));
	/* AddressSanitizer is first to tell of these writes. */
	if (!UNDER_ASAN)
		tcase_add_loop_test(cases, a_write_after_free_is_found, 0, 2);
	tcase_add_test(cases, freed_blocks_wait);
	tcase_add_test(cases, the_quarantine_is_no_hostage);
	tcase_add_loop_test(cases, a_shrink_is_never_refused, 0, COUNT_OF(kinds));
	tcase_add_test(cases, old_data_is_gone);
	tcase_add_test(cases, places_differ);
	tcase_add_loop_test(cases, a_guard_page_stops_an_overflow, 0, 2);
	tcase_add_test(cases, all_land_can_be_written_again);
	tcase_add_test(cases, guard_pages_may_run_out);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
