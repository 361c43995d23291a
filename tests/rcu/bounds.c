/*
 * What waits is bounded: who hands in too much waits itself, an arena that is full hurries the grace
 * period up, and neither ever does so in a read-side section, which would be for ever.
 */
#include "rcu.h"

#include <time.h>

/* A chunk for the list of those that wait is no request: the one that's to fail is the caller's. */
START_TEST(only_requests_are_refused)
{
	struct acre_options options = { .fail_at = 2001, .fail_count = 3,
					.guards = _i / 2 ? ACRE_CANARIES : 0,
					.flags = both[_i % 2].flags };
	struct acre *arena = new_arena(16 * MIB, &options);

	hold_worker(arena);
	for (int i = 1; i <= 4000; i++) {
		void *block = acre_malloc(arena, 100);

		must(!block == (i >= 2001 && i <= 2003), "request %d", i);
		acre_free_rcu(arena, block);
	}
	let_worker_go(arena);
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

/*
 * The backlog.
 */
static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Beyond rcu_bytes a call waits: what it leaves is less, unless it has waited for a second. */
START_TEST(the_backlog_is_bounded)
{
	struct acre_options options = { .flags = both[_i].flags, .rcu_bytes = 200 * KIB };
	struct acre *arena = new_arena(64 * MIB, &options);
	struct dice dice = dice_from(3);

	for (int i = 0; i < SCALE(5000, 1000); i++) {
		char *block = acre_malloc(arena, roll_log(&dice, 1, 30000));
		uint64_t before = now_ms();
		size_t waiting;

		acre_free_rcu(arena, block);
		if (now_ms() - before >= 900)
			continue;
		/* What is in this thread's ring isn't seen by the bound: 64 small blocks. */
		waiting = stats_of(arena).waiting_bytes;
		must(waiting <= 200 * KIB + 64 * 1032 + 16 * KIB, "%zu bytes wait", waiting);
	}
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

/* In a read-side section it doesn't: that would be for ever. */
static void hand_in_as_reader(void *argument)
{
	struct acre_options options = { .flags = *(const unsigned *)argument, .rcu_bytes = 100 };
	struct acre *arena = new_arena(16 * MIB, &options);
	size_t waiting;

	rcu_register_thread();
	rcu_read_lock();
	for (int i = 0; i < 3000; i++)
		acre_free_rcu(arena, acre_malloc(arena, 2000));
	waiting = stats_of(arena).waiting_bytes;
	must(waiting >= 3000 * 2000, "%zu bytes wait, though a reader is there", waiting);
	rcu_read_unlock();
	rcu_unregister_thread();
	must_be_done(arena);
	end_arena(arena);
}

START_TEST(a_reader_never_waits)
{
	struct outcome outcome;

	in_child(&outcome, hand_in_as_reader, (void *)(uintptr_t)&both[_i].flags, CHILD_SECONDS);
	must_succeed(&outcome, "a reader beyond the bound");
}
END_TEST

/* A reader that stays makes a thread wait once, for a second, and not at each call. */
START_TEST(a_reader_that_stays)
{
	struct acre_options options = { .rcu_bytes = 100 };
	struct acre *arena = new_arena(16 * MIB, &options);
	struct reader reader;
	void *block = acre_calloc(arena, 1, 100);

	fill(block, 100, 3);
	begin_reading(&reader, block, 100, 3);
	acre_free_rcu(arena, block);
	for (int i = 0; i < 2000; i++)
		acre_free_rcu(arena, acre_malloc(arena, 2000));
	ck_assert_uint_eq(state_of(arena, block), ACRE_WAITING);
	end_reading(&reader);
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

/*
 * A full arena.
 */
static size_t fill_up(struct acre *arena, void **blocks, size_t room, size_t size)
{
	size_t count = 0;

	while (count < room && (blocks[count] = acre_malloc(arena, size)))
		count++;
	return count;
}

/* What waits is hurried up for an allocation that finds nothing. */
START_TEST(a_full_arena_expedites)
{
	static void *blocks[100000];
	struct acre_options options = { .flags = both[_i % 2].flags, .rcu_bytes = GIB,
					.guards = _i / 4 ? ACRE_CANARIES : 0 };
	struct acre *arena = new_arena(SCALE(2 * MIB, MIB), &options);
	size_t size = _i / 2 % 2 ? 40 : 3000;
	struct reader reader;
	void *block = NULL;
	size_t count;

	for (int round = 0; round < SCALE(3, 2); round++) {
		count = fill_up(arena, blocks, COUNT_OF(blocks), size);
		ck_assert_uint_ge(count, 100);
		fill(blocks[0], size, 9);
		begin_reading(&reader, blocks[0], size, 9);
		for (size_t i = 0; i < count; i++)
			acre_free_rcu(arena, blocks[i]);
		end_reading(&reader);
		/* Each waits for up to a second; without that, all would be over at once. */
		for (int i = 0; i < 60 && !block; i++)
			block = acre_malloc(arena, size);
		must(block, "still full: %zu bytes wait", stats_of(arena).waiting_bytes);
		acre_free(arena, block);
		block = NULL;
	}
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

/* But not in a read-side section: NULL comes back. And with no room for a list, nothing is lost. */
static void exhaust_as_reader(void *argument)
{
	static void *blocks[100000];
	const int *kind = argument;
	struct acre *arena = new_arena(SCALE(2 * MIB, MIB), &both[*kind % 2]);
	size_t size = *kind / 2 ? 24 : 1000;
	size_t count;

	for (int round = 0; round < SCALE(3, 1); round++) {
		rcu_register_thread();
		rcu_read_lock();
		count = fill_up(arena, blocks, COUNT_OF(blocks), size);
		while (acre_malloc(arena, 1))
			;
		hold_worker(arena);
		for (size_t i = 0; i < count; i++) {
			fill(blocks[i], size, i);
			acre_free_rcu(arena, blocks[i]);
		}
		must(!acre_malloc(arena, size), "memory in a read-side section");
		for (size_t i = 0; i < count; i++)
			must(holds(blocks[i], size, i), "block %zu", i);
		must(strays_of(arena) > 0, "no strays");
		must_be_sound(arena);
		must_be_honest(arena);
		let_worker_go(arena);
		rcu_read_unlock();
		rcu_unregister_thread();
		barrier_of(arena);
		must(stats_of(arena).waiting_blocks == 0, "%zu wait",
		     stats_of(arena).waiting_blocks);
		must_be_sound(arena);
		acre_flush(arena);
		/* The least blocks are still there. */
		must(stats_of(arena).free_bytes + stats_of(arena).cached_bytes >= count * size,
		     "%zu bytes are free", stats_of(arena).free_bytes);
		end_arena(arena);
		arena = new_arena(SCALE(2 * MIB, MIB), &both[*kind % 2]);
	}
	end_arena(arena);
}

START_TEST(a_reader_in_a_full_arena)
{
	struct outcome outcome;

	in_child(&outcome, exhaust_as_reader, &_i, CHILD_SECONDS);
	must_succeed(&outcome, "a reader in a full arena");
}
END_TEST

/*
 * What can't be waited for.
 */
START_TEST(not_in_a_read_side_section)
{
	struct acre *arena = new_arena(MIB, NULL);

	rcu_register_thread();
	acre_free_rcu(arena, acre_malloc(arena, 100));
	rcu_read_lock();
	if (IS_QSBR) {
		/* A thread that is online only goes offline, and is online again. */
		ck_assert_int_eq(acre_rcu_barrier(arena), 0);
		ck_assert_int_ne(rcu_read_ongoing(), 0);
		rcu_read_unlock();
	} else {
		errno = 0;
		ck_assert_int_eq(acre_rcu_barrier(arena), -1);
		ck_assert_int_eq(errno, EDEADLK);
		errno = 0;
		ck_assert_int_eq(acre_destroy(arena), -1);
		ck_assert_int_eq(errno, EDEADLK);
		rcu_read_unlock();
		ck_assert_int_eq(acre_rcu_barrier(arena), 0);
	}
	ck_assert_uint_eq(stats_of(arena).waiting_blocks, 0);
	end_arena(arena);
	rcu_unregister_thread();
}
END_TEST

void add_bounds(TCase *cases)
{
	tcase_add_loop_test(cases, only_requests_are_refused, 0, 4);
	if (!IS_QSBR)
		tcase_add_loop_test(cases, the_backlog_is_bounded, 0, 2);
	tcase_add_loop_test(cases, a_reader_never_waits, 0, 2);
	tcase_add_test(cases, a_reader_that_stays);
	tcase_add_loop_test(cases, a_full_arena_expedites, 0, 5);
	tcase_add_loop_test(cases, a_reader_in_a_full_arena, 0, 4);
	tcase_add_test(cases, not_in_a_read_side_section);
}
