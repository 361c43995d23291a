/*
 * acre_free_rcu(), for one flavour of liburcu: a block is free after a grace period, and not before;
 * nobody has to be awake for it; the backlog, a full arena, fork, threads that end, and the arena's
 * end. White box only where it looks whether blocks have become strays.
 */
#include "support.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "flavor.h"
#include "plot.h"

#define CHILD_SECONDS 60u

static size_t strays_of(const struct acre *arena)
{
	size_t strays = 0;

	for (unsigned f = 0; f < FLAVORS; f++)
		strays += arena->graces[f].strays;
	return strays;
}

static unsigned state_of(struct acre *arena, const void *block)
{
	struct image image = { 0 };
	const struct acre_block *found;
	unsigned state;

	look(arena, &image);
	found = find_block(&image, block);
	state = found ? found->state : ACRE_FREE;
	forget(&image);
	return state;
}

static void barrier_of(struct acre *arena)
{
	must(acre_rcu_barrier(arena) == 0, "acre_rcu_barrier: %s", strerror(errno));
}

/* Nothing waits any more, and all is one free block again. */
static void must_be_done(struct acre *arena)
{
	barrier_of(arena);
	must(stats_of(arena).waiting_blocks == 0, "%zu wait", stats_of(arena).waiting_blocks);
	must_be_whole(arena);
}

/*
 * A reader that is in its read-side section between two meetings.
 */
struct reader {
	pthread_t thread;
	pthread_barrier_t gate;
	const void *block;
	size_t size;
	uint64_t key;
};

static void *read_one(void *argument)
{
	struct reader *reader = argument;

	rcu_register_thread();
	rcu_read_lock();
	meet(&reader->gate);
	meet(&reader->gate);
	must(holds(reader->block, reader->size, reader->key), "changed while it was read");
	rcu_read_unlock();
	rcu_unregister_thread();
	return NULL;
}

static void begin_reading(struct reader *reader, const void *block, size_t size, uint64_t key)
{
	*reader = (struct reader){ .block = block, .size = size, .key = key };
	pthread_barrier_init(&reader->gate, NULL, 2);
	reader->thread = start(read_one, reader);
	meet(&reader->gate);
}

static void end_reading(struct reader *reader)
{
	meet(&reader->gate);
	finish(reader->thread);
}

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

/* No grace period begins meanwhile: the worker touches nothing. */
static void hold_worker(struct acre *arena)
{
	pthread_mutex_lock(&arena->graces[0].turn);
}

static void let_worker_go(struct acre *arena)
{
	pthread_mutex_unlock(&arena->graces[0].turn);
}

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

/* A signal for the process isn't taken by the worker. */
static void on_signal(int number)
{
	(void)number;
	fail_at(__FILE__, __LINE__, "the signal is blocked", "it was delivered");
}

START_TEST(the_worker_takes_no_signals)
{
	struct acre *arena = new_arena(MIB, NULL);
	sigset_t set, pending;

	for (int i = 0; i < 200; i++)
		acre_free_rcu(arena, acre_malloc(arena, 100));
	signal(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 200; i++)
		acre_free_rcu(arena, acre_malloc(arena, 100));
	must_be_done(arena);
	sigpending(&pending);
	ck_assert_int_eq(sigismember(&pending, SIGUSR1), 1);
	end_arena(arena);
}
END_TEST

/*
 * Fork.
 */
static void live_on(void *argument)
{
	struct acre *arena = argument;

	must_be_sound(arena);
	/* TSan doesn't bear the threads of a child, nor gcc 12's ASan. */
	if (!UNDER_TSAN && !UNDER_ASAN) {
		struct timespec pause = { 0, 1000000 };

		for (int i = 0; i < 500; i++)
			acre_free_rcu(arena, acre_malloc(arena, 100));
		must_be_done(arena);
		for (int i = 0; i < 100; i++)
			acre_free_rcu(arena, acre_malloc(arena, 100));
		while (stats_of(arena).waiting_blocks)
			nanosleep(&pause, NULL);
	}
	must_be_done(arena);
	end_arena(arena);
}

#ifdef FLAVOR_BP
static void watch_bp(void)
{
	pthread_atfork(urcu_bp_before_fork, urcu_bp_after_fork_parent, urcu_bp_after_fork_child);
}
#else
static void watch_bp(void)
{
}
#endif

/*
 * With bp: without its handlers, with them registered before the first use of acre_free_rcu(), and
 * after; so that they are called behind and in front of the library's.
 */
static void fork_while_grace_periods_pass(void *argument)
{
	int kind = *(const int *)argument;
	struct acre *arena = new_arena(4 * MIB, &both[kind % 2]);
	struct outcome outcome;

	if (kind / 2 == 1)
		watch_bp();
	acre_free_rcu(arena, acre_malloc(arena, 100));
	if (kind / 2 == 2)
		watch_bp();
	for (int i = 0; i < SCALE(20, 4); i++) {
		for (int k = 0; k < 100 * (i % 7); k++)
			acre_free_rcu(arena, acre_malloc(arena, 100 + 200 * (k % 9)));
		in_child(&outcome, live_on, arena, CHILD_SECONDS);
		must_succeed(&outcome, "the child");
	}
	must_be_done(arena);
	end_arena(arena);
}

START_TEST(fork_in_the_midst)
{
	struct outcome outcome;

	in_child(&outcome, fork_while_grace_periods_pass, &_i, 2 * CHILD_SECONDS);
	must_succeed(&outcome, "forks");
}
END_TEST

/*
 * Misuse.
 */
struct misuse {
	struct acre *arena;
	char *block;
};

static void hand_in(struct misuse *misuse)
{
	acre_free_rcu(misuse->arena, misuse->block);
}

static void twice(void *misuse)
{
	hand_in(misuse);
	hand_in(misuse);
}

static void and_free(void *argument)
{
	struct misuse *misuse = argument;

	hand_in(misuse);
	acre_free(misuse->arena, misuse->block);
}

static void and_resize(void *argument)
{
	struct misuse *misuse = argument;

	hand_in(misuse);
	acre_realloc(misuse->arena, misuse->block, 3000);
}

static void after_free(void *argument)
{
	struct misuse *misuse = argument;

	acre_free(misuse->arena, misuse->block);
	hand_in(misuse);
}

static void *hand_in_there(void *misuse)
{
	hand_in(misuse);
	return NULL;
}

static void in_two_threads(void *misuse)
{
	finish(start(hand_in_there, misuse));
	hand_in(misuse);
}

static void inside(void *argument)
{
	struct misuse *misuse = argument;

	misuse->block += 16;
	hand_in(misuse);
}

static void foreign(void *argument)
{
	struct misuse *misuse = argument;

	misuse->arena = new_arena(MIB, NULL);
	hand_in(misuse);
}

/* Two threads that hand it in at the same moment: neither sees the other's tag. */
static void at_once(void *argument)
{
	struct misuse *misuse = argument;

	hold_worker(misuse->arena);
	hand_in(misuse);
	misuse->block[-8] = (char)TAG_LIVE;
	hand_in(misuse);
	let_worker_go(misuse->arena);
	acre_rcu_barrier(misuse->arena);
}

static void overwritten(void *argument)
{
	struct misuse *misuse = argument;

	hold_worker(misuse->arena);
	hand_in(misuse);
	misuse->block[-8] = 0;
	let_worker_go(misuse->arena);
	acre_rcu_barrier(misuse->arena);
}

/* Once the grace period is over, a write to it is one after free. */
static void written_too_late(void *argument)
{
	struct misuse *misuse = argument;
	size_t size = acre_usable_size(misuse->arena, misuse->block);
	/* Neighbours that stay: no other block becomes one with it. */
	char *block = acre_malloc(misuse->arena, size);
	char *behind = acre_malloc(misuse->arena, size);

	acre_free_rcu(misuse->arena, block);
	acre_rcu_barrier(misuse->arena);
	block[0] ^= 1;
	for (int i = 0; i < 10000 && behind; i++)
		behind = acre_malloc(misuse->arena, size);
}

/* The table of a flavour is told by its address: copies of it are other flavours. */
static void six_flavors(void *argument)
{
	static struct rcu_flavor_struct copies[FLAVORS + 1];
	struct misuse *misuse = argument;

	for (size_t i = 0; i < COUNT_OF(copies); i++) {
		copies[i] = rcu_flavor;
		acre_free_rcu_flavor(misuse->arena, acre_malloc(misuse->arena, 100), &copies[i]);
	}
}

static const struct {
	const char *name;
	void (*act)(void *misuse);
	int offset;			/* from misuse.block; -1 = another block */
} acts[] = {
	{ "handed in twice", twice, 0 },
	{ "handed in and freed", and_free, 0 },
	{ "handed in and resized", and_resize, 0 },
	{ "freed and handed in", after_free, 0 },
	{ "handed in by two threads", in_two_threads, 0 },
	{ "into a block", inside, 16 },
	{ "another arena's", foreign, 0 },
	{ "handed in by two threads at once", at_once, 0 },
	{ "overwritten while it waits", overwritten, 0 },
	{ "written to when it was free", written_too_late, -1 },
	{ "six flavours", six_flavors, -1 },
};

START_TEST(misuse_aborts)
{
	static const size_t sizes[] = { 100, 5000 };

	for (size_t i = 0; i < COUNT_OF(acts); i++)
		for (size_t k = 0; k < COUNT_OF(sizes); k++) {
			struct misuse misuse = { 0 };
			struct outcome outcome;

			/* ASan would be the first to tell; TSan's child can't start workers. */
			if ((UNDER_ASAN && acts[i].act == written_too_late) ||
			    (UNDER_TSAN && acts[i].act == six_flavors))
				continue;
			misuse.arena = new_arena(4 * MIB, &both[_i]);
			acre_free_rcu(misuse.arena, acre_malloc(misuse.arena, 1));
			misuse.block = acre_malloc(misuse.arena, sizes[k]);
			memset(misuse.block, 0x11, sizes[k]);
			barrier_of(misuse.arena);
			in_child(&outcome, acts[i].act, &misuse, CHILD_SECONDS);
			must_abort(&outcome, acts[i].offset < 0 ? NULL :
				   misuse.block + acts[i].offset, acts[i].name);
			end_arena(misuse.arena);
		}
}
END_TEST

/* A block in a queue that doesn't say that it waits, and a count that's wrong. */
static void look_at_faults(void *argument)
{
	struct acre *arena = new_arena(4 * MIB, argument);
	char *blocks[200];
	struct queue *queue;

	hold_worker(arena);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, 100);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free_rcu(arena, blocks[i]);
	must_be_sound(arena);
	blocks[0][-8] = (char)TAG_LIVE;
	must(acre_check(arena) == 1, "a block that doesn't wait isn't found");
	blocks[0][-8] = (char)TAG_WAITING;
	queue = arena->plot_bytes ? &plot_at(arena, 1)->queues[0] : &arena->queues[0];
	queue->added++;
	must(acre_check(arena) == 1, "a wrong count isn't found");
	queue->added--;
	must_be_sound(arena);
	let_worker_go(arena);
}

START_TEST(check_looks_at_queues)
{
	struct outcome outcome;

	in_child(&outcome, look_at_faults, &both[_i], CHILD_SECONDS);
	must_succeed(&outcome, "faults in queues");
	must(outcome.lines == 2, "%zu lines: %s", outcome.lines, outcome.text);
}
END_TEST

/* With guards, also what is behind the request: at the hand-in, and when it's free. */
static void overflow(void *argument)
{
	struct misuse *misuse = argument;

	misuse->block[100] ^= 1;
	hand_in(misuse);
}

static void overflow_while_it_waits(void *argument)
{
	struct misuse *misuse = argument;

	hold_worker(misuse->arena);
	hand_in(misuse);
	misuse->block[100] ^= 1;
	must(acre_check(misuse->arena) == 1, "acre_check finds nothing");
	let_worker_go(misuse->arena);
	acre_rcu_barrier(misuse->arena);
}

START_TEST(guards_see_what_waits)
{
	static void (*const ways[])(void *) = { overflow, overflow_while_it_waits };
	struct acre_options options = { .guards = ACRE_CANARIES };

	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		struct misuse misuse = { .arena = new_arena(MIB, &options) };
		struct outcome outcome;

		acre_free_rcu(misuse.arena, acre_malloc(misuse.arena, 1));
		barrier_of(misuse.arena);
		misuse.block = acre_malloc(misuse.arena, 100);
		in_child(&outcome, ways[i], &misuse, CHILD_SECONDS);
		must(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT,
		     "way %zu isn't caught: %s", i, outcome.text);
		must(strstr(outcome.text, "past its end"), "way %zu: %s", i, outcome.text);
		end_arena(misuse.arena);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rcu-" FLAVOR_NAME);
	TCase *cases = tcase_create("rcu-" FLAVOR_NAME);

	tcase_set_timeout(cases, 300);
	tcase_add_loop_test(cases, a_block_waits_for_its_readers, 0, 12);
	tcase_add_loop_test(cases, what_waits_is_counted, 0, 2);
	tcase_add_loop_test(cases, null_is_nothing_and_errno_is_kept, 0, 2);
	tcase_add_loop_test(cases, the_worker_frees, 0, 2);
	tcase_add_loop_test(cases, a_barrier_covers_all_threads, 0, 2);
	tcase_add_loop_test(cases, readers_and_writers, 0, 2);
	tcase_add_loop_test(cases, in_each_kind_of_arena, 0, COUNT_OF(kinds));
	tcase_add_loop_test(cases, only_requests_are_refused, 0, 4);
	if (!IS_QSBR)
		tcase_add_loop_test(cases, the_backlog_is_bounded, 0, 2);
	tcase_add_loop_test(cases, a_reader_never_waits, 0, 2);
	tcase_add_test(cases, a_reader_that_stays);
	tcase_add_loop_test(cases, a_full_arena_expedites, 0, 5);
	tcase_add_loop_test(cases, a_reader_in_a_full_arena, 0, 4);
	tcase_add_test(cases, not_in_a_read_side_section);
	tcase_add_test(cases, destroyed_in_the_midst);
	tcase_add_loop_test(cases, two_flavors, 0, 2);
	tcase_add_test(cases, the_worker_takes_no_signals);
	tcase_add_loop_test(cases, fork_in_the_midst, 0, IS_BP ? 6 : 2);
	tcase_add_loop_test(cases, misuse_aborts, 0, 2);
	tcase_add_loop_test(cases, check_looks_at_queues, 0, 2);
	tcase_add_test(cases, guards_see_what_waits);
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
