/*
 * A block waits for its readers, and no longer: it's free after a grace period, whatever its size, the
 * arena, the flavour and the thread that handed it in, and nobody has to be awake for it.
 */
#include "rcu.h"

#include <stdatomic.h>
#include <time.h>

START_TEST(a_block_waits_for_its_readers)
{
	static const size_t sizes[] = { 1, 100, 1032, 5000, 100000, MIB };
	struct acre *arena = new_arena(16 * MIB, &both[_i % 2]);
	size_t size = sizes[_i / 2];
	char *block = acre_malloc(arena, size);
	struct timespec pause = { 0, 1000000 };
	struct reader reader;

	size = acre_usable_size(arena, block);
	fill(block, size, 5);
	begin_reading(&reader, block, size, 5);
	acre_free_rcu(arena, block);
	/* Long enough for a grace period that took no notice of the reader. */
	for (int i = 0; i < 15; i++) {
		acre_free_rcu(arena, acre_malloc(arena, 50));
		ck_assert_uint_eq(state_of(arena, block), ACRE_WAITING);
		nanosleep(&pause, NULL);
	}
	must_be_sound(arena);
	end_reading(&reader);
	barrier_of(arena);
	ck_assert_uint_ne(state_of(arena, block), ACRE_WAITING);
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

/* What waits is counted, and seen by a walk, wherever it is. */
START_TEST(what_waits_is_counted)
{
	struct acre *arena = new_arena(16 * MIB, &both[_i]);
	struct dice dice = dice_from(5);

	hold_worker(arena);
	for (size_t count = 1; count <= SCALE(3000, 1000); count++) {
		void *block = acre_malloc(arena, roll_log(&dice, 1, 3000));
		struct acre_stats before = stats_of(arena);
		size_t size = acre_usable_size(arena, block);
		struct acre_stats after;

		acre_free_rcu(arena, block);
		after = stats_of(arena);
		/* And a chunk now and then. */
		must(after.waiting_bytes >= before.waiting_bytes + size &&
		     after.waiting_bytes <= before.waiting_bytes + size + 4096,
		     "%zu, then %zu bytes more: %zu", before.waiting_bytes, size,
		     after.waiting_bytes);
		ck_assert_uint_eq(after.live_blocks, before.live_blocks - 1);
		ck_assert_uint_eq(after.live_bytes, before.live_bytes - size);
		if (count % 500 == 1)
			must_be_honest(arena);
		ck_assert_uint_ge(after.waiting_blocks, count);
		/* 4 bytes for each, in chunks of at most 4 KiB. */
		ck_assert_uint_le(after.waiting_blocks, count + count / 900 + 1);
	}
	must_be_sound(arena);
	let_worker_go(arena);
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

START_TEST(null_is_nothing_and_errno_is_kept)
{
	struct acre *arena = new_arena(MIB, &both[_i]);

	errno = 77;
	acre_free_rcu(arena, NULL);
	for (int i = 0; i < 1000; i++)
		acre_free_rcu(arena, acre_malloc(arena, 20));
	ck_assert_int_eq(errno, 77);
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

/* A block is free in the end without anybody's doing: no barrier, no further call. */
START_TEST(the_worker_frees)
{
	struct acre *arena = new_arena(4 * MIB, &both[_i]);
	struct timespec pause = { 0, 2000000 };

	for (int count = 1; count < 5000; count *= 7) {
		for (int i = 0; i < count; i++)
			acre_free_rcu(arena, acre_malloc(arena, 100));
		while (stats_of(arena).waiting_blocks)
			nanosleep(&pause, NULL);
	}
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

/*
 * Many threads: some sleep, some are gone, and what they handed in is free after a barrier.
 */
static struct {
	struct acre *arena;
	pthread_barrier_t gate;
} crowd;

static void *hand_in_some(void *argument)
{
	size_t self = (size_t)argument;
	struct dice dice = dice_from(self);

	for (size_t i = 0; i < 1 + self * 37; i++)
		acre_free_rcu(crowd.arena, acre_malloc(crowd.arena, roll_log(&dice, 1, 20000)));
	if (self % 2)
		return NULL;
	meet(&crowd.gate);
	meet(&crowd.gate);
	return NULL;
}

START_TEST(a_barrier_covers_all_threads)
{
	pthread_t threads[16];

	crowd.arena = new_arena(32 * MIB, &both[_i]);
	pthread_barrier_init(&crowd.gate, NULL, COUNT_OF(threads) / 2 + 1);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(hand_in_some, (void *)i);
	meet(&crowd.gate);
	for (size_t i = 1; i < COUNT_OF(threads); i += 2)
		finish(threads[i]);
	barrier_of(crowd.arena);
	ck_assert_uint_eq(stats_of(crowd.arena).waiting_blocks, 0);
	meet(&crowd.gate);
	for (size_t i = 0; i < COUNT_OF(threads); i += 2)
		finish(threads[i]);
	must_be_done(crowd.arena);
	end_arena(crowd.arena);
}
END_TEST

/*
 * Objects that are replaced all the time, and read all the time.
 */
struct object {
	uint64_t key;
	unsigned char content[];
};

#define OBJECTS 64u

struct table {
	struct acre *arena;
	int rounds;			/* of each writer */
	struct object *objects[OBJECTS];
	atomic_bool over;
	atomic_uint next;
};

static struct object *new_object(struct acre *arena, struct dice *dice)
{
	uint64_t key = roll(dice);
	struct object *object = acre_malloc(arena, sizeof(*object) + key % 200);

	if (object) {
		object->key = key;
		fill(object->content, key % 200, key);
	}
	return object;
}

static void *replace(void *argument)
{
	struct table *table = argument;
	struct dice dice = dice_from(atomic_fetch_add(&table->next, 1));

	rcu_register_thread();
	for (int i = 0; i < table->rounds; i++) {
		struct object *object = new_object(table->arena, &dice);
		struct object *old;

		/* The arena is large enough, but a grace period may take its time. */
		if (object) {
			old = rcu_xchg_pointer(&table->objects[roll(&dice) % OBJECTS], object);
			acre_free_rcu(table->arena, old);
		}
		if (IS_QSBR)
			rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void *read_all(void *argument)
{
	struct table *table = argument;

	rcu_register_thread();
	while (!atomic_load_explicit(&table->over, memory_order_relaxed)) {
		rcu_read_lock();
		for (unsigned i = 0; i < OBJECTS; i++) {
			const struct object *object = rcu_dereference(table->objects[i]);

			must(!object || holds(object->content, object->key % 200, object->key),
			     "object %u changed while it was read", i);
		}
		rcu_read_unlock();
		if (IS_QSBR)
			rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void read_and_write(struct acre *arena, int rounds)
{
	static struct table table;
	pthread_t readers[2];
	pthread_t writers[3];

	table.arena = arena;
	table.rounds = rounds;
	for (size_t i = 0; i < COUNT_OF(readers); i++)
		readers[i] = start(read_all, &table);
	for (size_t i = 0; i < COUNT_OF(writers); i++)
		writers[i] = start(replace, &table);
	for (size_t i = 0; i < COUNT_OF(writers); i++)
		finish(writers[i]);
	must_be_sound(table.arena);
	atomic_store(&table.over, true);
	for (size_t i = 0; i < COUNT_OF(readers); i++)
		finish(readers[i]);
	for (size_t i = 0; i < OBJECTS; i++)
		acre_free_rcu(table.arena, table.objects[i]);
	must_be_done(table.arena);
	end_arena(table.arena);
}

START_TEST(readers_and_writers)
{
	read_and_write(new_arena(64 * MIB, &both[_i]), SCALE(100000, 4000));
}
END_TEST

/*
 * Each policy and each guard. With ACRE_FILL a block that is freed too early is full of other bytes.
 */
#define ALL_GUARDS (ACRE_CANARIES | ACRE_FILL | ACRE_QUARANTINE | ACRE_RANDOM | ACRE_GUARD_PAGES)

static const struct acre_options kinds[] = {
	{ .policy = ACRE_NEXT_FIT },
	{ .policy = ACRE_BEST_FIT },
	{ .policy = ACRE_WORST_FIT },
	{ .policy = ACRE_BUDDY },
	{ .policy = ACRE_BUDDY, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_GOOD_FIT },
	{ .fail_at = SIZE_MAX },		/* plots, but empty caches */
	{ .guards = ACRE_CANARIES },
	{ .guards = ACRE_FILL },
	{ .guards = ACRE_QUARANTINE },
	{ .guards = ACRE_CANARIES, .policy = ACRE_BUDDY },
	{ .guards = ALL_GUARDS },
};

static void *hand_in_kinds(void *argument)
{
	struct acre *arena = argument;
	struct dice dice = dice_from(31);

	for (int i = 0; i < 500; i++) {
		char *block = acre_malloc(arena, roll_log(&dice, 1, 20000));

		must(block, "no room for block %d", i);
		memset(block, i, acre_usable_size(arena, block));
		acre_free_rcu(arena, block);
	}
	return NULL;
}

START_TEST(in_each_kind_of_arena)
{
	struct acre *arena = new_arena(64 * MIB, &kinds[_i]);

	/* Blocks of all sizes, by a thread that stays and one that goes. */
	hold_worker(arena);
	hand_in_kinds(arena);
	finish(start(hand_in_kinds, arena));
	ck_assert_uint_ge(stats_of(arena).waiting_blocks, 1000);
	must_be_sound(arena);
	must_be_honest(arena);
	let_worker_go(arena);
	must_be_done(arena);
	read_and_write(arena, SCALE(4000, 400));
}
END_TEST

/* An arena ends while blocks wait and the worker is at work; many times. */
START_TEST(destroyed_in_the_midst)
{
	struct dice dice = dice_from(17);

	for (int i = 0; i < SCALE(100, 24); i++) {
		struct acre *arena = new_arena(MIB, &kinds[i % COUNT_OF(kinds)]);
		size_t count = roll_log(&dice, 1, 1000);

		for (size_t k = 0; k < count; k++)
			acre_free_rcu(arena, acre_malloc(arena, 30 + k % 100));
		end_arena(arena);
	}
}
END_TEST

/* Two flavours in one arena, in turn and by the same thread. */
START_TEST(two_flavors)
{
	extern const struct rcu_flavor_struct urcu_mb_flavor, urcu_bp_flavor;
	const struct rcu_flavor_struct *other = IS_BP ? &urcu_mb_flavor : &urcu_bp_flavor;
	struct acre *arena = new_arena(4 * MIB, &both[_i]);
	char *block = acre_malloc(arena, 500);
	struct reader reader;

	fill(block, 500, 2);
	begin_reading(&reader, block, 500, 2);
	acre_free_rcu(arena, block);
	for (int i = 0; i < 3000; i++)
		acre_free_rcu_flavor(arena, acre_malloc(arena, 100), i % 5 ? other : &rcu_flavor);
	ck_assert_uint_eq(state_of(arena, block), ACRE_WAITING);
	end_reading(&reader);
	must_be_done(arena);
	end_arena(arena);
}
END_TEST

void add_waits(TCase *cases)
{
	tcase_add_loop_test(cases, a_block_waits_for_its_readers, 0, 12);
	tcase_add_loop_test(cases, what_waits_is_counted, 0, 2);
	tcase_add_loop_test(cases, null_is_nothing_and_errno_is_kept, 0, 2);
	tcase_add_loop_test(cases, the_worker_frees, 0, 2);
	tcase_add_loop_test(cases, a_barrier_covers_all_threads, 0, 2);
	tcase_add_loop_test(cases, readers_and_writers, 0, 2);
	tcase_add_loop_test(cases, in_each_kind_of_arena, 0, COUNT_OF(kinds));
	tcase_add_test(cases, destroyed_in_the_midst);
	tcase_add_loop_test(cases, two_flavors, 0, 2);
}
