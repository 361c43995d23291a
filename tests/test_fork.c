/*
 * G6, Survives: fork in the midst of threads. The child may allocate, free, check, walk, start
 * threads and fork at once, whatever the other threads of its parent were doing; what they held is
 * not lost to it.
 */
#include "support.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

/* For what takes a second: only a hang is meant to end by it. */
#define CHILD_SECONDS 30u

static struct {
	struct acre *arenas[3];
	atomic_bool over;
} world;

static void new_world(void)
{
	static char buffer[8 * MIB];

	world.arenas[0] = new_arena(32 * MIB, NULL);
	world.arenas[1] = acre_create_at(buffer, sizeof(buffer), NULL);
	world.arenas[2] = new_arena(8 * MIB, &both[1]);
	must(world.arenas[1], "%s", strerror(errno));
}

static void end_world(void)
{
	for (size_t i = 0; i < COUNT_OF(world.arenas); i++) {
		must_be_whole(world.arenas[i]);
		end_arena(world.arenas[i]);
	}
}

/* Allocates and frees in all arenas, and never ends before the world is over. */
static void *churn(void *unused)
{
	struct dice dice = dice_from(next_seed());
	struct {
		struct piece piece;
		struct acre *arena;
	} slots[100] = { { { 0 }, NULL } };

	(void)unused;
	while (!atomic_load_explicit(&world.over, memory_order_relaxed)) {
		size_t i = roll_between(&dice, 0, COUNT_OF(slots) - 1);

		if (slots[i].arena) {
			drop_piece(slots[i].arena, &slots[i].piece, &dice);
			slots[i].arena = NULL;
		} else {
			slots[i].arena = world.arenas[roll_between(&dice, 0, 2)];
			take_piece(slots[i].arena, &slots[i].piece, &dice);
		}
		if (roll_between(&dice, 0, 9999) == 0)
			acre_trim(world.arenas[roll_between(&dice, 0, 2)]);
	}
	for (size_t i = 0; i < COUNT_OF(slots); i++)
		if (slots[i].arena)
			drop_piece(slots[i].arena, &slots[i].piece, &dice);
	return NULL;
}

static void *work_in_one(void *arena)
{
	work_in(arena, 5000, 300, next_seed());
	return NULL;
}

/* What a child does with what it was born into. */
static void live_on(int depth)
{
	/*
	 * In the child of a threaded process TSan takes new threads for the parent's; and gcc 12's
	 * ASan, which doesn't take its own allocator's locks around fork, may wait in them forever.
	 */
	pthread_t threads[2];
	size_t count = UNDER_TSAN || UNDER_ASAN ? 0 : 2;

	for (size_t i = 0; i < COUNT_OF(world.arenas); i++) {
		work_in(world.arenas[i], 5000, 300, next_seed());
		must_be_sound(world.arenas[i]);
	}
	for (size_t i = 0; i < count; i++)
		threads[i] = start(work_in_one, world.arenas[i]);
	for (size_t i = 0; i < count; i++)
		finish(threads[i]);
	if (depth > 0) {
		pid_t child = fork();
		int status;

		must(child >= 0, "fork: %s", strerror(errno));
		if (child == 0) {
			live_on(depth - 1);
			_exit(0);
		}
		must(waitpid(child, &status, 0) == child && status == 0, "status %d", status);
	}
	for (size_t i = 0; i < COUNT_OF(world.arenas); i++) {
		must_be_sound(world.arenas[i]);
		acre_trim(world.arenas[i]);
		end_arena(world.arenas[i]);
	}
	end_arena(new_arena(MIB, NULL));
}

static void fork_and_see(int times)
{
	for (int i = 0; i < times; i++) {
		int status;
		pid_t child = fork();

		must(child >= 0, "fork: %s", strerror(errno));
		if (child == 0) {
			alarm(SCALE(CHILD_SECONDS, CHILD_SECONDS * 3));
			live_on(i % 4 == 0 ? 2 : 0);
			_exit(0);
		}
		must(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
		must(!WIFSIGNALED(status), "child %d: signal %d (14: it hung)", i,
		     WTERMSIG(status));
		must(WEXITSTATUS(status) == 0, "child %d: exit status %d", i, WEXITSTATUS(status));
	}
}

START_TEST(fork_while_threads_allocate)
{
	pthread_t threads[4];

	new_world();
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(churn, NULL);
	fork_and_see(SCALE(150, 10));
	atomic_store(&world.over, true);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	end_world();
}
END_TEST

static void *fork_from_here(void *unused)
{
	(void)unused;
	fork_and_see(SCALE(40, 4));
	return NULL;
}

/* Several threads fork at once, besides those that allocate. */
START_TEST(threads_that_fork)
{
	pthread_t threads[5];

	new_world();
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(i < 3 ? fork_from_here : churn, NULL);
	for (size_t i = 0; i < 3; i++)
		finish(threads[i]);
	atomic_store(&world.over, true);
	for (size_t i = 3; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	end_world();
}
END_TEST

/*
 * A thousand forks, each amid eight threads that allocate. They rest while the child lives.
 */
static struct {
	pthread_barrier_t gate;
	atomic_bool rest;
	bool over;
} storm;

static void *churn_at_times(void *arena)
{
	struct dice dice = dice_from(next_seed());
	struct piece slots[100] = { { 0 } };

	for (;;) {
		meet(&storm.gate);
		if (storm.over)
			break;
		for (int i = 0; i < 400 && !atomic_load_explicit(&storm.rest, memory_order_relaxed);
		     i++) {
			struct piece *piece = &slots[roll_between(&dice, 0, COUNT_OF(slots) - 1)];

			if (piece->block)
				drop_piece(arena, piece, &dice);
			else
				take_piece(arena, piece, &dice);
		}
		meet(&storm.gate);
	}
	for (size_t i = 0; i < COUNT_OF(slots); i++)
		if (slots[i].block)
			drop_piece(arena, &slots[i], &dice);
	return NULL;
}

static void *work_a_little(void *arena)
{
	work_in(arena, 3000, 100, next_seed());
	return NULL;
}

static void live_shortly(struct acre *arena)
{
	pthread_t threads[3];
	size_t count = UNDER_TSAN || UNDER_ASAN ? 0 : COUNT_OF(threads);

	for (size_t i = 0; i < count; i++)
		threads[i] = start_small(work_a_little, arena);
	work_a_little(arena);
	for (size_t i = 0; i < count; i++)
		finish(threads[i]);
	must_be_sound(arena);
}

START_TEST(a_thousand_forks)
{
	struct acre *arena = new_arena(32 * MIB, &both[_i]);
	struct dice dice = dice_from(63);
	pthread_t threads[8];

	pthread_barrier_init(&storm.gate, NULL, COUNT_OF(threads) + 1);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(churn_at_times, arena);
	/* With one heap there's one lock alone to be held at the wrong moment. */
	for (int i = 0; i < SCALE(_i ? 100 : 1000, 10); i++) {
		int status;
		pid_t child;

		atomic_store(&storm.rest, false);
		meet(&storm.gate);
		work_in(arena, 3000, 2 + (int)roll_between(&dice, 0, 40), next_seed());
		child = fork();
		must(child >= 0, "fork: %s", strerror(errno));
		if (child == 0) {
			alarm(SCALE(CHILD_SECONDS, CHILD_SECONDS * 3));
			live_shortly(arena);
			_exit(0);
		}
		atomic_store(&storm.rest, true);
		meet(&storm.gate);
		must(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
		must(status == 0, "child %d: status %#x (14: it hung)", i, (unsigned)status);
	}
	storm.over = true;
	meet(&storm.gate);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/*
 * A child whose parent's threads were quiet, so that it can know all there is.
 */
struct quiet {
	struct acre *arena;
	struct piece pieces[4][500];
	pthread_barrier_t gate;
	atomic_size_t next;
};

/* Leaves live blocks, a cache that isn't empty, and frees of another thread's blocks. */
static void *hold_still(void *argument)
{
	struct quiet *quiet = argument;
	size_t self = atomic_fetch_add(&quiet->next, 1);
	struct dice dice = dice_from(self);

	for (size_t i = 0; i < COUNT_OF(quiet->pieces[self]); i++)
		take_piece(quiet->arena, &quiet->pieces[self][i], &dice);
	meet(&quiet->gate);
	for (size_t i = 0; i < COUNT_OF(quiet->pieces[self]); i += 3) {
		drop_piece(quiet->arena, &quiet->pieces[self][i], &dice);
		if (i > 0)
			drop_piece(quiet->arena, &quiet->pieces[(self + 1) % 4][i - 1], &dice);
	}
	meet(&quiet->gate);
	meet(&quiet->gate);
	return NULL;
}

/* All that lives can be freed; then nothing is held by the threads that aren't here: G2, G4. */
static void inherit(void *argument)
{
	struct quiet *quiet = argument;
	struct image image = { 0 };
	size_t live = 0;
	size_t whole;
	char *block;

	look(quiet->arena, &image);
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < COUNT_OF(quiet->pieces[i]); k++) {
			struct piece *piece = &quiet->pieces[i][k];

			if (!piece->block)
				continue;
			must(find_block(&image, piece->block), "%p", (void *)piece->block);
			must(holds(piece->block, piece->size, piece->key), "%zu bytes",
			     piece->size);
			acre_free(quiet->arena, piece->block);
			live++;
		}
	must(live == count_state(&image, ACRE_LIVE), "%zu live blocks, %zu known",
	     count_state(&image, ACRE_LIVE), live);
	must_be_honest(quiet->arena);
	block = acre_malloc(quiet->arena, most_of(stats_of(quiet->arena).size));
	must(block, "most in one block: largest free %zu", stats_of(quiet->arena).largest_free);
	acre_free(quiet->arena, block);
	whole = must_be_whole(quiet->arena);
	must(stats_of(quiet->arena).plots <= 1, "%zu plots", stats_of(quiet->arena).plots);
	if (!UNDER_TSAN)
		finish(start(work_in_one, quiet->arena));
	must(must_be_whole(quiet->arena) == whole, "not %zu", whole);
	forget(&image);
}

START_TEST(a_child_inherits_everything)
{
	static struct quiet quiet;
	pthread_t threads[4];
	struct dice dice = dice_from(61);
	struct outcome outcome;

	quiet.arena = new_arena(16 * MIB, NULL);
	pthread_barrier_init(&quiet.gate, NULL, COUNT_OF(threads) + 1);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(hold_still, &quiet);
	meet(&quiet.gate);
	meet(&quiet.gate);
	for (int i = 0; i < SCALE(30, 3); i++) {
		in_child(&outcome, inherit, &quiet, CHILD_SECONDS);
		must_succeed(&outcome, "the child");
	}
	/* The parent knows nothing of it. */
	must_be_sound(quiet.arena);
	must_be_honest(quiet.arena);
	meet(&quiet.gate);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < COUNT_OF(quiet.pieces[i]); k++)
			if (quiet.pieces[i][k].block)
				drop_piece(quiet.arena, &quiet.pieces[i][k], &dice);
	must_be_whole(quiet.arena);
	end_arena(quiet.arena);
}
END_TEST

/* A ring of threads, each of whose caches holds what the next one allocated. */
#define RING 24u

struct ring {
	struct acre *arena;
	void *blocks[RING][4];
	pthread_barrier_t gate;
	atomic_size_t next;
};

static void *free_the_next_ones(void *argument)
{
	struct ring *ring = argument;
	size_t self = atomic_fetch_add(&ring->next, 1);

	for (size_t i = 0; i < COUNT_OF(*ring->blocks); i++)
		ring->blocks[self][i] = acre_malloc(ring->arena, 64);
	meet(&ring->gate);
	for (size_t i = 0; i < COUNT_OF(*ring->blocks); i++)
		acre_free(ring->arena, ring->blocks[(self + 1) % RING][i]);
	meet(&ring->gate);
	meet(&ring->gate);
	return NULL;
}

static void inherit_the_ring(void *arena)
{
	must_be_whole(arena);
}

/* What one cache of a thread that's gone held may lie in the plot of another such thread. */
START_TEST(a_ring_of_orphans)
{
	static struct ring ring;
	pthread_t threads[RING];
	struct outcome outcome;

	ring.arena = new_arena(16 * MIB, NULL);
	pthread_barrier_init(&ring.gate, NULL, RING + 1);
	for (size_t i = 0; i < RING; i++)
		threads[i] = start(free_the_next_ones, &ring);
	meet(&ring.gate);
	meet(&ring.gate);
	in_child(&outcome, inherit_the_ring, ring.arena, CHILD_SECONDS);
	must_succeed(&outcome, "the child");
	meet(&ring.gate);
	for (size_t i = 0; i < RING; i++)
		finish(threads[i]);
	must_be_whole(ring.arena);
	end_arena(ring.arena);
}
END_TEST

/*
 * The program's own fork handlers may allocate, also between the library's and the fork itself:
 * glibc calls what was registered first nearest to it.
 */
static int handled;

static void use_an_arena(void)
{
	struct dice dice = dice_from(62);
	struct piece pieces[30];
	struct acre *arena = world.arenas[0];

	if (!arena)
		return;
	for (size_t i = 0; i < COUNT_OF(pieces); i++)
		take_piece(arena, &pieces[i], &dice);
	for (size_t i = 0; i < COUNT_OF(pieces); i++)
		drop_piece(arena, &pieces[i], &dice);
	handled++;
}

static void fork_with_handlers(void *before)
{
	pthread_t thread;
	pid_t child;
	int status;

	if (before)
		pthread_atfork(use_an_arena, use_an_arena, use_an_arena);
	new_world();
	if (!before)
		pthread_atfork(use_an_arena, use_an_arena, use_an_arena);
	thread = start(churn, NULL);
	for (int i = 0; i < SCALE(30, 4); i++) {
		handled = 0;
		child = fork();
		must(child >= 0, "fork: %s", strerror(errno));
		if (child == 0) {
			alarm(SCALE(CHILD_SECONDS, CHILD_SECONDS * 3));
			must(handled == 2, "%d handlers in the child", handled);
			live_on(0);
			_exit(0);
		}
		must(handled == 2, "%d handlers in the parent", handled);
		must(waitpid(child, &status, 0) == child && status == 0, "status %d", status);
	}
	atomic_store(&world.over, true);
	finish(thread);
	end_world();
}

START_TEST(handlers_that_allocate)
{
	struct outcome outcome;

	in_child(&outcome, fork_with_handlers, _i ? &outcome : NULL, CHILD_SECONDS);
	must_succeed(&outcome, "fork handlers that allocate");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fork");
	TCase *cases = tcase_create("fork");

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, fork_while_threads_allocate);
	tcase_add_test(cases, threads_that_fork);
	tcase_add_loop_test(cases, a_thousand_forks, 0, 2);
	tcase_add_test(cases, a_child_inherits_everything);
	tcase_add_test(cases, a_ring_of_orphans);
	tcase_add_loop_test(cases, handlers_that_allocate, 0, 2);
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
