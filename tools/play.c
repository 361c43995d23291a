/*
 * Play: see play.h.
 */
#include "play.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "complain.h"
#include "progress.h"

#define TAG_BYTES	8u	/* before each payload */
#define LOOK_UP		4096u	/* events between two looks at the clock */

double play_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int first_block(const struct acre_block *block, void *user)
{
	*(const char **)user = (const char *)block->address - TAG_BYTES;
	return 1;
}

const char *play_origin(struct acre *arena)
{
	const char *origin = NULL;

	acre_walk(arena, first_block, &origin);
	return origin;
}

bool play_event(struct acre *arena, void **block, const struct trace_event *event)
{
	void *fresh;

	switch (event->kind) {
	case TRACE_MALLOC:
		return (*block = acre_malloc(arena, event->size)) != NULL;
	case TRACE_CALLOC:
		return (*block = acre_calloc(arena, 1, event->size)) != NULL;
	case TRACE_ALIGNED:
		return (*block = acre_aligned_alloc(arena, event->alignment, event->size)) != NULL;
	case TRACE_REALLOC:
		fresh = acre_realloc(arena, *block, event->size);
		if (!fresh)
			return false;
		*block = fresh;
		return true;
	case TRACE_FREE:
		acre_free(arena, *block);
		*block = NULL;
		return true;
	case TRACE_REFUSED:
		return true;
	}
	return true;
}

void play_note_peak(struct acre *arena, struct play_result *result)
{
	struct acre_stats stats;

	acre_stats(arena, &stats);
	result->peak_free = stats.free_bytes;
	result->peak_largest = stats.largest_free;
}

void play_note_end(struct acre *arena, struct play_result *result)
{
	struct acre_stats stats;

	acre_stats(arena, &stats);
	result->live = stats.peak_live_bytes;
	result->steps = stats.search_steps;
}

/* What is looked at after each event. */
static void measure(struct play *play, const struct trace_event *event)
{
	const struct play_plan *plan = play->plan;
	struct play_result *result = play->result;
	bool peak = play->event == plan->trace->peak_event;
	const char *block = event->kind == TRACE_REFUSED ? NULL : play->blocks[event->block];

	if (block && event->kind != TRACE_FREE) {
		uint64_t end = (uint64_t)(block - play->origin) +
			       acre_usable_size(play->arena, block);

		if (end > result->extent)
			result->extent = end;
	}
	if (peak)
		play_note_peak(play->arena, result);
	if (plan->every && (play->event % plan->every == 0 || peak ||
			    play->event + 1 == plan->trace->events))
		plan->look(play, plan->user);
}

static void refused(struct play *play)
{
	if (!play->result->refusals++)
		play->result->first_refused = play->event;
}

/* The next event; false if that's enough. */
static bool play_next(struct play *play, struct trace_walk *walk)
{
	const struct play_plan *plan = play->plan;
	struct trace_event event;

	if (!trace_next(walk, &event)) {
		play->result->complete = true;
		return true;
	}
	play->event = walk->event - 1;
	if (play->event % LOOK_UP == 0 && !progress_at(play->event))
		return false;
	if (!play_event(play->arena, &play->blocks[event.block], &event)) {
		refused(play);
		if (plan->until_refused)
			return false;
	}
	play->result->events = walk->event;
	if (plan->measured)
		measure(play, &event);
	return true;
}

/* In one sequence. */
static void play_in_order(struct play *play)
{
	struct trace_walk walk;

	play->result->seconds = -play_clock(CLOCK_PROCESS_CPUTIME_ID);
	trace_begin(play->plan->trace, &walk);
	while (!play->result->complete && play_next(play, &walk))
		;
	play->result->seconds += play_clock(CLOCK_PROCESS_CPUTIME_ID);
}

bool play(const struct play_plan *plan, struct play_result *result)
{
	const struct acre_options options = {
		.policy = plan->policy,
		.flags = plan->threads ? 0 : ACRE_NO_CACHE | ACRE_NO_PURGE,
	};
	struct play play = { .plan = plan, .result = result };

	*result = (struct play_result){ 0 };
	play.arena = acre_create(plan->arena, &options);
	if (!play.arena)
		return false;
	play.blocks = calloc(plan->trace->blocks + 1, sizeof(*play.blocks));
	if (!play.blocks)
		complain(FAILED, "out of memory for the trace's blocks");
	play.origin = play_origin(play.arena);
	progress_pass(plan->trace->events);
	if (plan->threads)
		play_threads(&play);
	else
		play_in_order(&play);
	play_note_end(play.arena, result);
	acre_destroy(play.arena);
	free(play.blocks);
	return true;
}

double play_fragmentation(const struct play_result *result)
{
	if (!result->peak_free)
		return 0;
	return 1 - (double)result->peak_largest / (double)result->peak_free;
}
