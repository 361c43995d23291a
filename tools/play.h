/*
 * Play: a trace once more, on an arena of one's own.
 *
 * In one sequence it is played with ACRE_NO_CACHE, so that placement is exactly the policy's, and the
 * same at each run. By threads it's played with caches and plots, as the program would have it: each
 * thread of the trace does its calls in their order, and waits where it needs a block that another
 * has still to allocate or to resize; all else goes as it comes.
 *
 * What the arena refuses, the program does without: the block's free is then nothing, and a realloc of
 * it an allocation. A call that was refused when it was recorded isn't made. Nothing is written into
 * blocks, but that calloc makes them zero.
 */
#ifndef ACRE_PLAY_H
#define ACRE_PLAY_H

#include <acre/acre.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "trace.h"

struct play;

/* How a trace is to be played. */
struct play_plan {
	const struct trace *trace;
	enum acre_policy policy;
	size_t arena;			/* bytes */
	bool threads;
	bool until_refused;		/* the first refusal ends it */
	bool measured;			/* else just time, events and refusals are found out */
	/* In one sequence: called after each event whose number is a multiple of this, and when the
	   program holds most, and at the end; 0 = never. */
	uint64_t every;
	void (*look)(const struct play *play, void *user);
	void *user;
};

struct play_result {
	bool complete;			/* to the last event */
	uint64_t events;		/* played */
	double seconds;			/* of the processor; by threads, of the clock */
	uint64_t refusals;
	uint64_t first_refused;		/* the number of that event */
	uint64_t extent;		/* the highest end of a block, from where the first can lie */
	uint64_t live;			/* the most usable bytes that were live at once */
	uint64_t peak_free;		/* usable bytes that were free then, when the program held most, */
	uint64_t peak_largest;		/* and of the largest free block */
	uint64_t steps;			/* of all searches */
};

/* What look() sees. */
struct play {
	const struct play_plan *plan;
	struct acre *arena;
	const char *origin;		/* where blocks begin */
	void **blocks;			/* where each is; NULL = it isn't */
	uint64_t event;			/* the number of the one just played */
	struct play_result *result;
};

/*
 * Plays. False if there can be no such arena, with errno: EINVAL or ENOMEM. What is found out when it
 * isn't complete, holds up to there.
 */
bool play(const struct play_plan *plan, struct play_result *result);

/* Plays an event on the arena; false if it was refused. */
bool play_event(struct acre *arena, void **block, const struct trace_event *event);

/* Fills in what the arena itself knows; when the program holds most, and at the end. */
void play_note_peak(struct acre *arena, struct play_result *result);
void play_note_end(struct acre *arena, struct play_result *result);

/* Seconds of a clock. */
double play_clock(clockid_t clock);

/* Where the first block of an arena can begin. */
const char *play_origin(struct acre *arena);

/* play() by threads, on the arena given. */
void play_threads(struct play *play);

/* 1 - largest / all of what was free when the program held most; 0 if nothing was. */
double play_fragmentation(const struct play_result *result);

/* Arenas that were tried, bytes. */
struct play_bounds {
	size_t refuses;		/* the largest that refused something */
	size_t serves;		/* the smallest that didn't; 0 = none was found, up to 1 TiB */
};

/*
 * Finds the smallest arena in which the trace is played without a refusal: the two sizes are a page
 * apart then (by threads, whose runs differ, a 32nd). False if it was interrupted before.
 */
bool play_smallest(const struct trace *trace, enum acre_policy policy, bool threads,
		   struct play_bounds *bounds);

#endif
