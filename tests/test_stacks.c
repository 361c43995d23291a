/*
 * Threads under hard conditions (G6): with the least stack that there is, and cancelled at any of
 * their cancellation points, of which no call of the library is one.
 */
#include "support.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The least stack.
 */
#define PAINT 0xa5
#define MUCH (6 * KIB)	/* for the deepest call, and for the linker's lazy binding of it */

/* What one thread of least stack finds, and another after it. */
struct cramped {
	struct acre *arena;
	void *foreign[300];	/* of another thread's plot */
	char *top;		/* the stack as the thread began, below its own data */
	void *misused;		/* freed twice at last; NULL = nothing is */
};

static int pass(const struct acre_block *block, void *user)
{
	(void)block;
	(void)user;
	return 0;
}

/* Every call there is, by each of its ways: caches filled and emptied, leases, refusals, purges. */
static void *be_cramped(void *argument)
{
	static void *blocks[2000];
	struct cramped *cramped = argument;
	struct acre *arena = cramped->arena;
	struct acre_stats stats;

	cramped->top = __builtin_frame_address(0);
	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = i % 3 == 0 ? acre_calloc(arena, 1, i) :
			    i % 3 == 1 ? acre_aligned_alloc(arena, (size_t)16 << i % 9, i) :
					 acre_malloc(arena, i % 500 == 2 ? 3 * MIB : i);
		must(blocks[i], "block %zu", i);
	}
	for (size_t i = 0; i < COUNT_OF(cramped->foreign); i++)
		acre_free(arena, cramped->foreign[i]);
	for (size_t i = 0; i < COUNT_OF(blocks); i += 2) {
		void *grown = acre_realloc(arena, blocks[i], i % 100 ? 3 * i + 1 : MIB + i);

		must(grown, "block %zu", i);
		blocks[i] = grown;
	}
	must(!acre_malloc(arena, stats_of(arena).size) && errno == ENOMEM, "it's larger than all");
	must(!acre_realloc(arena, blocks[0], GIB) && errno == ENOMEM, "it's larger than all");
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(arena, blocks[i]);
	acre_trim(arena);
	acre_stats(arena, &stats);
	must(acre_check(arena) == 0, "faults");
	acre_walk(arena, pass, NULL);
	acre_destroy(acre_create(MIB, NULL));
	if (cramped->misused) {
		acre_free(arena, cramped->misused);
		acre_free(arena, cramped->misused);
	}
	return NULL;
}

/* Runs a thread on a painted stack of the least size; how deep it went below its first frame. */
static size_t depth_of(struct cramped *cramped)
{
	size_t size = (size_t)PTHREAD_STACK_MIN;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;
	size_t untouched = 0;
	size_t depth;

	must(stack != MAP_FAILED, "mmap: %s", strerror(errno));
	memset(stack, PAINT, size);
	pthread_attr_init(&attributes);
	must(pthread_attr_setstack(&attributes, stack, size) == 0, "%zu bytes of stack", size);
	must(pthread_create(&thread, &attributes, be_cramped, cramped) == 0, "pthread_create");
	finish(thread);
	while (untouched < size && (unsigned char)stack[untouched] == PAINT)
		untouched++;
	must(untouched, "all of the stack was used");
	depth = (size_t)(cramped->top - stack) - untouched;
	munmap(stack, size);
	return depth;
}

static void new_cramped(struct cramped *cramped)
{
	*cramped = (struct cramped){ .arena = new_arena(64 * MIB, NULL) };
	for (size_t i = 0; i < COUNT_OF(cramped->foreign); i++)
		cramped->foreign[i] = acre_malloc(cramped->arena, i * 10);
}

static void misuse_in_a_thread(void *argument)
{
	struct cramped *cramped = argument;

	cramped->misused = acre_malloc(cramped->arena, 100);
	depth_of(cramped);
}

START_TEST(the_least_stack_will_do)
{
	struct outcome outcome;
	struct cramped cramped;
	size_t depth;

	if (UNDER_TSAN || UNDER_ASAN) {
		skip("a sanitizer needs more stack than that");
		return;
	}
	new_cramped(&cramped);
	depth = depth_of(&cramped);
	must_be_whole(cramped.arena);
	printf("# %zu bytes of stack, of %zu\n", depth, (size_t)PTHREAD_STACK_MIN);
	fflush(stdout);
	ck_assert_uint_le(depth, MUCH);
	end_arena(cramped.arena);

	/* The line, and the abort. */
	new_cramped(&cramped);
	in_child(&outcome, misuse_in_a_thread, &cramped, 30);
	must(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT,
	     "status %#x: %s", (unsigned)outcome.status, outcome.text);
	must(outcome.lines == 1 && strstr(outcome.text, "double free"), "it said: %s",
	     outcome.text);
}
END_TEST

/*
 * Cancellation.
 */
struct condemned {
	struct acre *arena;
	struct piece held[40];
	size_t index;
	sem_t at_work;
	bool reached;
};

static void tidy_up(void *argument)
{
	struct condemned *condemned = argument;
	struct dice dice = dice_from(1);

	for (size_t i = 0; i < COUNT_OF(condemned->held); i++)
		if (condemned->held[i].block)
			drop_piece(condemned->arena, &condemned->held[i], &dice);
}

/* Works until it's cancelled, which it can be between any two calls, and only there. */
static void *work_until_cancelled(void *argument)
{
	struct condemned *condemned = argument;
	struct dice dice = dice_from(condemned->index);

	pthread_cleanup_push(tidy_up, condemned);
	for (size_t steps = 0;; steps++) {
		struct piece *piece = &condemned->held[roll_between(&dice, 0, 39)];

		if (piece->block)
			drop_piece(condemned->arena, piece, &dice);
		else
			take_piece(condemned->arena, piece, &dice);
		if (steps == condemned->index % 50)
			sem_post(&condemned->at_work);
		pthread_testcancel();
	}
	pthread_cleanup_pop(1);
	return NULL;
}

/* Nothing but its own call of pthread_testcancel() ends a thread that's cancelled already. */
static void *work_though_cancelled(void *argument)
{
	struct condemned *condemned = argument;
	struct dice dice = dice_from(condemned->index);
	struct acre_stats stats;

	pthread_cancel(pthread_self());
	for (size_t i = 0; i < COUNT_OF(condemned->held); i++)
		take_piece(condemned->arena, &condemned->held[i], &dice);
	must(!acre_malloc(condemned->arena, GIB), "1 GiB of 64 MiB");
	acre_free(condemned->arena, acre_aligned_alloc(condemned->arena, 4096, 10000));
	tidy_up(condemned);
	acre_stats(condemned->arena, &stats);
	acre_check(condemned->arena);
	acre_walk(condemned->arena, pass, NULL);
	acre_trim(condemned->arena);
	acre_destroy(acre_create(MIB, NULL));
	condemned->reached = true;
	pthread_testcancel();
	must(false, "it wasn't cancelled");
	return NULL;
}

START_TEST(cancelled_threads_leave_nothing)
{
	struct acre_options options = { .flags = ACRE_NO_PURGE };
	struct acre *arena = new_arena(64 * MIB, &options);
	size_t times = SCALE(1000, 60);

	acre_free(arena, acre_malloc(arena, 1));
	for (size_t i = 0; i < times; i++) {
		struct condemned condemned = { .arena = arena, .index = i };
		pthread_t thread;

		sem_init(&condemned.at_work, 0, 0);
		thread = start(i % 4 ? work_until_cancelled : work_though_cancelled, &condemned);
		if (i % 4) {
			await(&condemned.at_work);
			pthread_cancel(thread);
		}
		must(finish(thread) == PTHREAD_CANCELED, "thread %zu ended by itself", i);
		must(i % 4 || condemned.reached, "a call of the library ended thread %zu", i);
		must(stats_of(arena).live_blocks == 0, "%zu blocks", stats_of(arena).live_blocks);
		must(stats_of(arena).plots <= 1, "%zu plots", stats_of(arena).plots);
	}
	/* With no purge to hide it, all of them together touched no more than one or two might. */
	must(stats_of(arena).resident_bytes <= 2 * MIB, "%zu bytes were touched",
	     stats_of(arena).resident_bytes);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stacks");
	TCase *cases = tcase_create("stacks");

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, the_least_stack_will_do);
	tcase_add_test(cases, cancelled_threads_leave_nothing);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
