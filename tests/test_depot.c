/*
 * The depot, white box: what it may hold, whose it is, and that what lies in it is looked at.
 */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "cache.h"
#include "thread.h"

#define SIZE	24u	/* of class 2 */
#define CLASS	2u

static size_t depot_blocks(const struct acre *arena)
{
	return atomic_load(&arena->depot.blocks);
}

/* As many blocks as no cache holds, allocated and freed. */
static void swing(struct acre *arena)
{
	static _Thread_local void *blocks[4000];

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, SIZE);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(arena, blocks[i]);
}

/* Blocks go in chunk by chunk, come out again, and none is lost or had twice. */
START_TEST(what_goes_in_comes_out)
{
	struct acre *arena = new_arena(64 * MIB, &both[0]);
	static char bytes[600];
	static void *in[600], *out[600];
	bool seen[600] = { false };
	struct dice dice = dice_from(1);
	size_t inside = 0, had = 0;

	depot_threads(arena, 1);
	for (size_t i = 0; i < COUNT_OF(in); i++)
		in[i] = &bytes[i];
	for (int step = 0; step < 10000; step++) {
		unsigned n = (unsigned)roll_between(&dice, 0, 64);

		if (step % 2) {
			had = depot_get(arena, CLASS, out, n);
			ck_assert_uint_eq(had, n < inside ? n : inside);
			inside -= had;
			for (size_t i = 0; i < had; i++) {
				char *block = out[i];

				ck_assert(seen[block - bytes]);
				seen[block - bytes] = false;
			}
		} else {
			void *some[64];
			unsigned count = 0;

			for (size_t i = 0; i < COUNT_OF(in) && count < n; i++)
				if (!seen[i])
					some[count++] = in[i];
			ck_assert_uint_eq(depot_put(arena, CLASS, some, count), count);
			inside += count;
			for (unsigned i = 0; i < count; i++)
				seen[(char *)some[i] - bytes] = true;
		}
		ck_assert_uint_eq(depot_blocks(arena), inside);
		ck_assert_uint_eq(depot_has(arena, CLASS), inside > 0);
	}
	while ((had = depot_evict(arena, 0, out, DEPOT_CHUNK)))
		inside -= had;
	ck_assert_uint_eq(inside, 0);
	ck_assert_uint_eq(atomic_load(&arena->depot.bytes), 0);
	depot_threads(arena, -1);
	end_arena(arena);
}
END_TEST

/* Each class but the one that asks gives way in its turn, the last one too. */
START_TEST(classes_give_way_in_turn)
{
	struct acre *arena = new_arena(64 * MIB, &both[0]);
	static char bytes[200];
	void *out[DEPOT_CHUNK];

	depot_threads(arena, 1);
	for (unsigned class = 1; class <= 4; class++)
		for (unsigned i = 0; i < 3 * DEPOT_CHUNK; i++) {
			void *block = &bytes[class * 50 + i - 50];

			ck_assert_uint_eq(depot_put(arena, class, &block, 1), 1);
		}
	for (unsigned n = 0; n < 9; n++) {
		ck_assert_uint_eq(depot_evict(arena, 4, out, DEPOT_CHUNK), DEPOT_CHUNK);
		ck_assert_uint_eq(((char *)out[0] - bytes) / 50 + 1, n % 3 + 1);
	}
	ck_assert_uint_eq(depot_evict(arena, 4, out, DEPOT_CHUNK), 0);
	ck_assert_uint_eq(depot_blocks(arena), 3 * DEPOT_CHUNK);
	for (unsigned n = 0; n < 3; n++)
		ck_assert_uint_eq(depot_evict(arena, 0, out, DEPOT_CHUNK), DEPOT_CHUNK);
	ck_assert_uint_eq(depot_evict(arena, 0, out, DEPOT_CHUNK), 0);
	depot_threads(arena, -1);
	end_arena(arena);
}
END_TEST

/* Bytes by the threads there are, and chunks: nothing goes in beyond. */
START_TEST(it_is_bounded)
{
	struct acre_options options = { .cache_bytes = 8000 };
	struct acre *arena = new_arena(4 * MIB, &options);
	size_t each = payload_bytes(CLASS);
	static void *blocks[64];
	size_t put = 0;
	unsigned n;

	ck_assert_uint_eq(depot_put(arena, CLASS, blocks, 1), 0);
	depot_threads(arena, 2);
	while ((n = depot_put(arena, CLASS, blocks, COUNT_OF(blocks))))
		put += n;
	ck_assert_uint_le(put * each, 2 * 3000);
	ck_assert_uint_gt((put + COUNT_OF(blocks)) * each, 2 * 3000);
	ck_assert(!depot_over(arena));
	depot_threads(arena, -1);
	ck_assert(depot_over(arena));
	while (depot_over(arena))
		ck_assert_uint_gt(depot_evict(arena, 0, blocks, DEPOT_CHUNK), 0);
	ck_assert_uint_gt(depot_blocks(arena), 0);
	while (depot_evict(arena, 0, blocks, DEPOT_CHUNK))
		;
	depot_threads(arena, -1);
	end_arena(arena);
	/* An arena of 1 MiB has 16 chunks. */
	arena = new_arena(MIB, &both[0]);
	depot_threads(arena, 1);
	for (put = 0; (n = depot_put(arena, 1, blocks, COUNT_OF(blocks))); put += n)
		;
	ck_assert_uint_eq(put, 16 * DEPOT_CHUNK);
	while (depot_evict(arena, 0, blocks, DEPOT_CHUNK))
		;
	depot_threads(arena, -1);
	end_arena(arena);
}
END_TEST

/* What swings by more than a cache holds comes from here, and the next refill finds it. */
START_TEST(a_swing_is_served)
{
	struct acre *arena = new_arena(64 * MIB, &both[0]);
	void *blocks[2000];
	size_t before;

	swing(arena);
	before = depot_blocks(arena);
	ck_assert_uint_gt(before, 1000);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, SIZE);
	ck_assert_uint_lt(depot_blocks(arena) + 1000, before);
	must_be_sound(arena);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(arena, blocks[i]);
	must_be_honest(arena);
	must_be_whole(arena);
	ck_assert_uint_eq(depot_blocks(arena), 0);
	end_arena(arena);
}
END_TEST

static void *swing_there(void *arena)
{
	swing(arena);
	return NULL;
}

/* Who leaves takes its share along; who is last, all of it. */
START_TEST(leaving_takes_the_share_along)
{
	struct acre *arena = new_arena(64 * MIB, &both[0]);

	finish(start(swing_there, arena));
	ck_assert_uint_eq(depot_blocks(arena), 0);
	ck_assert_uint_eq(stats_of(arena).cached_bytes, 0);
	acre_free(arena, acre_malloc(arena, SIZE));
	finish(start(swing_there, arena));
	ck_assert_uint_gt(depot_blocks(arena), 0);
	ck_assert(!depot_over(arena));
	must_be_sound(arena);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* Another thread gets what this one has freed. */
START_TEST(threads_share_it)
{
	struct acre *arena = new_arena(64 * MIB, &both[0]);
	size_t before;

	swing(arena);
	before = stats_of(arena).leases;
	finish(start(swing_there, arena));
	/* It needed land for the rest alone. */
	ck_assert_uint_le(stats_of(arena).leases, before + 2);
	must_be_sound(arena);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* G2: a request that needs the room of all of it gets it. */
START_TEST(it_holds_nothing_back)
{
	struct acre *arena = new_arena(4 * MIB, &both[0]);

	swing(arena);
	ck_assert_uint_gt(depot_blocks(arena), 0);
	take_the_largest(arena);
	ck_assert_uint_eq(depot_blocks(arena), 0);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

struct forker {
	struct acre *arena;
	_Atomic bool over;
};

static void *swing_on(void *argument)
{
	struct forker *forker = argument;

	while (!forker->over)
		swing(forker->arena);
	return NULL;
}

/* A child finds the depot whole, whatever threads did there as it was made. */
START_TEST(a_child_finds_it_whole)
{
	struct forker forker = { .arena = new_arena(64 * MIB, &both[0]) };
	pthread_t threads[2];

	acre_free(forker.arena, acre_malloc(forker.arena, SIZE));
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(swing_on, &forker);
	for (int i = 0; i < SCALE(100, 10); i++) {
		pid_t child = fork();
		int status;

		ck_assert_int_ge(child, 0);
		if (child == 0) {
			swing(forker.arena);
			must_be_sound(forker.arena);
			acre_flush(forker.arena);
			must(depot_blocks(forker.arena) == 0, "%zu", depot_blocks(forker.arena));
			_exit(0);
		}
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
	}
	forker.over = true;
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	must_be_whole(forker.arena);
	end_arena(forker.arena);
}
END_TEST

/* The oldest block that lies in the depot. */
static char *buried(struct acre *arena)
{
	char *first = acre_malloc(arena, SIZE);

	acre_free(arena, first);
	swing(arena);
	must(depot_blocks(arena) > 0, "none");
	return first;
}

/* As by a caller, but AddressSanitizer, which would see it first, doesn't look at this function. */
UNSHADOWED static void write_to(char *byte)
{
	*byte ^= 1;
}

static void write_and_take(void *argument)
{
	struct acre *arena = argument;

	write_to(buried(arena));
	for (int i = 0; i < 5000; i++)
		acre_malloc(arena, SIZE);
}

/* Whichever leaves it first. */
static void write_to_all(void *argument)
{
	static void *blocks[4000];
	struct acre *arena = argument;
	unsigned count;

	swing(arena);
	count = depot_get(arena, CLASS, blocks, COUNT_OF(blocks));
	must(count > 0, "none");
	for (unsigned i = 0; i < count; i++)
		write_to(blocks[i]);
	must(depot_put(arena, CLASS, blocks, count) == count, "no room for %u", count);
	for (int i = 0; i < 5000; i++)
		must(acre_malloc(arena, SIZE), "block %d is refused", i);
}

static void write_and_flush(void *argument)
{
	write_to(buried(argument));
	acre_flush(argument);
}

static void free_again(void *argument)
{
	acre_free(argument, buried(argument));
}

/* G7: a block is looked at when it leaves, whichever way; and isn't taken for a live one. */
START_TEST(misuse_is_seen)
{
	static void (*const misuses[])(void *) = { write_and_take, write_to_all,
						  write_and_flush, free_again };
	struct acre *arena = new_arena(64 * MIB, &both[0]);
	struct outcome outcome;

	in_child(&outcome, misuses[_i], arena, 60);
	must_abort(&outcome, NULL, "a block in the depot");
	end_arena(arena);
}
END_TEST

static void count_wrongly(struct acre *arena)
{
	atomic_fetch_add(&arena->depot.blocks, 1);
}

static void make_one_live(struct acre *arena)
{
	void *block;

	must(depot_get(arena, CLASS, &block, 1) == 1, "none");
	tag_set_state(tag_of(block), TAG_LIVE);
	depot_put(arena, CLASS, &block, 1);
}

static void mistake_the_class(struct acre *arena)
{
	void *block;

	must(depot_get(arena, CLASS, &block, 1) == 1, "none");
	depot_put(arena, CLASS + 1, &block, 1);
}

static void lead_nowhere(struct acre *arena)
{
	atomic_store(&arena->depot.top[CLASS], UINT16_MAX);
}

/* A chunk begins with the number of the next, and that of its blocks (depot.c). */
static void hold_too_many(struct acre *arena)
{
	static void *blocks[2 * DEPOT_CHUNK];
	const size_t chunk = 2 * sizeof(uint32_t) + sizeof(blocks) / 2;
	uint16_t *first = (uint16_t *)(arena_base(arena) + arena->depot.chunks);

	while (depot_get(arena, CLASS, blocks, DEPOT_CHUNK))
		;
	must(depot_put(arena, CLASS, blocks, 1) == 1, "no room");
	first += (atomic_load(&arena->depot.top[CLASS]) - 1) * chunk / sizeof(*first);
	must(first[1] == 1, "a chunk of one block says %u", first[1]);
	first[1] = DEPOT_CHUNK + 1;
}

/* acre_check() walks the depot too. */
START_TEST(faults_are_found)
{
	static void (*const faults[])(struct acre *) = { count_wrongly, make_one_live,
							 mistake_the_class, lead_nowhere,
							 hold_too_many };
	struct acre *arena = new_arena(64 * MIB, &both[0]);

	swing(arena);
	ck_assert_int_eq(acre_check(arena), 0);
	faults[_i](arena);
	ck_assert_int_ne(acre_check(arena), 0);
	end_arena(arena);
}
END_TEST

static struct {
	struct acre *arena;
	sem_t done;
} outside;

static void *swing_outside(void *unused)
{
	(void)unused;
	swing(outside.arena);
	sem_post(&outside.done);
	return NULL;
}

/* While somebody holds the depot, allocations and frees do without. */
START_TEST(a_depot_that_is_taken_is_not_waited_for)
{
	struct acre *arena = outside.arena = new_arena(64 * MIB, &both[0]);
	pthread_t thread;

	sem_init(&outside.done, 0, 0);
	swing(arena);
	lock_take(&arena->depot.lock);
	thread = start(swing_outside, NULL);
	await(&outside.done);
	lock_drop(&arena->depot.lock);
	finish(thread);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

static void *try_for_it(void *lock)
{
	must(!lock_retry(lock), "a lock that another thread holds");
	return NULL;
}

/* Who tries long gets a lock that is free by then, and no other. */
START_TEST(a_lock_is_tried_for_again)
{
	struct lock lock;

	lock_init(&lock, RANK_DEPOT);
	lock_take(&lock);
	finish(start(try_for_it, &lock));
	lock_drop(&lock);
	must(lock_retry(&lock), "a lock that nobody holds");
	finish(start(try_for_it, &lock));
	lock_drop(&lock);
	lock_end(&lock);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("depot");
	TCase *cases = tcase_create("depot");

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, what_goes_in_comes_out);
	tcase_add_test(cases, a_depot_that_is_taken_is_not_waited_for);
	tcase_add_test(cases, a_lock_is_tried_for_again);
	tcase_add_test(cases, classes_give_way_in_turn);
	tcase_add_test(cases, it_is_bounded);
	tcase_add_test(cases, a_swing_is_served);
	tcase_add_test(cases, leaving_takes_the_share_along);
	tcase_add_test(cases, threads_share_it);
	tcase_add_test(cases, it_holds_nothing_back);
	tcase_add_test(cases, a_child_finds_it_whole);
	tcase_add_loop_test(cases, misuse_is_seen, 0, 4);
	tcase_add_loop_test(cases, faults_are_found, 0, 5);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
