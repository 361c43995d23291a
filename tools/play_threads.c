/*
 * A trace played by threads: see play.h.
 *
 * Each call on a block has a turn, counted from its allocation on; a thread waits until the block's
 * turn is its own. The trace's order is one in which every turn comes, so some thread can always go on.
 * Programs of thousands of short threads are played by THREADS_MOST: threads of the trace whose
 * numbers differ by a multiple of it are one.
 *
 *	thread's list:	call | call | call ...		block:	where it is, turn
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "complain.h"
#include "play.h"
#include "progress.h"

#define THREADS_MOST	64u
#define LOOK_UP		1024u		/* calls between two looks at the clock */
#define PATIENT		1000u		/* looks at a turn before the thread sleeps between them */

struct call {
	struct trace_event event;
	uint64_t number;	/* of the event */
	uint32_t turn;
};

struct stage;

struct actor {
	struct stage *stage;
	struct call *calls;
	uint64_t count;
	uint64_t done;
	uint64_t refusals;
	uint64_t first_refused;
	uint64_t extent;
	pthread_t thread;
};

struct stage {
	struct play *play;
	_Atomic uint32_t *turns;	/* of each block */
	_Atomic bool over;		/* a refusal ended it, or the user */
	_Atomic uint64_t played;	/* for the progress bar */
	pthread_barrier_t start;
	unsigned count;
	struct actor actors[THREADS_MOST];
};

static void *memory(uint64_t count, size_t size)
{
	void *block = calloc(count + 1, size);

	if (!block)
		complain(FAILED, "out of memory for the trace's threads");
	return block;
}

/* Each actor's calls, with their turns. */
static void hand_out(struct stage *stage, const struct trace *trace)
{
	uint32_t *turns = memory(trace->blocks, sizeof(*turns));
	struct trace_event event;
	struct trace_walk walk;

	trace_begin(trace, &walk);
	while (trace_next(&walk, &event))
		stage->actors[event.thread % THREADS_MOST].count++;
	for (unsigned i = 0; i < THREADS_MOST; i++) {
		struct actor *actor = &stage->actors[i];

		actor->stage = stage;
		actor->calls = memory(actor->count, sizeof(*actor->calls));
		stage->count += actor->count != 0;
		actor->count = 0;
	}
	trace_begin(trace, &walk);
	while (trace_next(&walk, &event)) {
		struct actor *actor = &stage->actors[event.thread % THREADS_MOST];

		actor->calls[actor->count++] = (struct call){
			.event = event,
			.number = walk.event - 1,
			.turn = event.kind == TRACE_REFUSED ? 0 : turns[event.block]++,
		};
	}
	free(turns);
}

static bool over(struct stage *stage)
{
	/* Relaxed: what the threads have done is read after they are joined. */
	return atomic_load_explicit(&stage->over, memory_order_relaxed) || progress_interrupted();
}

/* Waits for the block's turn; false if that won't come, since the play is over. */
static bool await_turn(struct stage *stage, const struct call *call)
{
	const struct timespec moment = { .tv_nsec = 20000 };
	_Atomic uint32_t *turn = &stage->turns[call->event.block];

	/* Acquire, to the release of who had the turn before: the block is where it says. */
	for (unsigned n = 0;
	     atomic_load_explicit(turn, memory_order_acquire) != call->turn; n++) {
		if (over(stage))
			return false;
		if (n < PATIENT)
			sched_yield();
		else
			nanosleep(&moment, NULL);
	}
	return true;
}

static void measure_call(struct actor *actor, const struct call *call)
{
	struct play *play = actor->stage->play;
	const char *block = play->blocks[call->event.block];
	uint64_t end;

	if (call->number == play->plan->trace->peak_event)
		play_note_peak(play->arena, play->result);
	if (!block || call->event.kind == TRACE_FREE)
		return;
	end = (uint64_t)(block - play->origin) + acre_usable_size(play->arena, block);
	if (end > actor->extent)
		actor->extent = end;
}

static bool act_call(struct actor *actor, const struct call *call)
{
	struct play *play = actor->stage->play;

	if (call->event.kind == TRACE_REFUSED)
		return true;
	if (!await_turn(actor->stage, call))
		return false;
	if (!play_event(play->arena, &play->blocks[call->event.block], &call->event)) {
		if (!actor->refusals++)
			actor->first_refused = call->number;
		if (play->plan->until_refused) {
			atomic_store_explicit(&actor->stage->over, true, memory_order_relaxed);
			return false;
		}
	}
	if (play->plan->measured)
		measure_call(actor, call);
	/* Release, to the acquire in await_turn(). */
	atomic_store_explicit(&actor->stage->turns[call->event.block], call->turn + 1,
			      memory_order_release);
	return true;
}

static void *act(void *argument)
{
	struct actor *actor = argument;
	struct stage *stage = actor->stage;

	pthread_barrier_wait(&stage->start);
	while (actor->done < actor->count && act_call(actor, &actor->calls[actor->done])) {
		if (++actor->done % LOOK_UP)
			continue;
		atomic_fetch_add_explicit(&stage->played, LOOK_UP, memory_order_relaxed);
		if (over(stage))
			break;
	}
	return NULL;
}

/* Waits for an actor's end, and draws the bar meanwhile. */
static void join(struct stage *stage, struct actor *actor)
{
	struct timespec until;

	do {
		progress_at(atomic_load_explicit(&stage->played, memory_order_relaxed));
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 100000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
	} while (pthread_timedjoin_np(actor->thread, NULL, &until) != 0);
}

static void add_up(struct actor *actor, struct play_result *result)
{
	result->events += actor->done;
	if (actor->refusals && (!result->refusals || actor->first_refused < result->first_refused))
		result->first_refused = actor->first_refused;
	result->refusals += actor->refusals;
	if (actor->extent > result->extent)
		result->extent = actor->extent;
}

void play_threads(struct play *play)
{
	struct stage *stage = memory(1, sizeof(*stage));
	const struct trace *trace = play->plan->trace;

	stage->play = play;
	stage->turns = memory(trace->blocks, sizeof(*stage->turns));
	hand_out(stage, trace);
	pthread_barrier_init(&stage->start, NULL, stage->count + 1);
	for (unsigned i = 0; i < THREADS_MOST; i++)
		if (stage->actors[i].count &&
		    pthread_create(&stage->actors[i].thread, NULL, act, &stage->actors[i]) != 0)
			complain(FAILED, "no thread can be started: see ulimit -u");
	pthread_barrier_wait(&stage->start);
	play->result->seconds = -play_clock(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < THREADS_MOST; i++) {
		struct actor *actor = &stage->actors[i];

		if (actor->count)
			join(stage, actor);
		add_up(actor, play->result);
		free(actor->calls);
	}
	play->result->seconds += play_clock(CLOCK_MONOTONIC);
	play->result->complete = play->result->events == trace->events;
	pthread_barrier_destroy(&stage->start);
	free(stage->turns);
	free(stage);
}
