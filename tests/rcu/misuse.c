/*
 * Misuse of acre_free_rcu() ends the process with a line; and acre_check() finds what isn't right in
 * the queues of what waits.
 */
#include "rcu.h"

#include <signal.h>
#include <sys/wait.h>

#include "plot.h"

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

void add_misuse(TCase *cases)
{
	tcase_add_loop_test(cases, misuse_aborts, 0, 2);
	tcase_add_loop_test(cases, check_looks_at_queues, 0, 2);
	tcase_add_test(cases, guards_see_what_waits);
}
