/*
 * Stage: what the scenarios of test_interleavings.c share.
 *
 * A scenario is a function that sets up an arena, brings its actors (threads of the schedule) on
 * stage, runs them, and looks at what is left. Each seed has a process of its own, so all of it may
 * be static; and since one thread runs at a time and the tests' own code has no points, what the
 * actors share needs no lock.
 */
#ifndef ACRE_TESTS_STAGE_H
#define ACRE_TESTS_STAGE_H

#include "arena.h"
#include "plot.h"
#include "schedule.h"
#include "support.h"

struct scenario {
	const char *name;
	void (*play)(void);
};

extern const struct scenario tenancy_scenarios[6];
extern const struct scenario memory_scenarios[5];
extern const struct scenario view_scenarios[3];
#ifdef ACRE_RCU
extern const struct scenario grace_scenarios[1];
#define GRACE_SCENARIOS 1u
#else
#define GRACE_SCENARIOS 0u
#endif

struct actor {
	struct dice dice;
	unsigned number;	/* from 0 */
	void (*body)(struct actor *actor);
};

/* Blocks that anyone may take. */
struct bag {
	struct piece pieces[256];
	unsigned count;
};

struct stage {
	struct acre *arena;
	struct bag bag;
	struct dice dice;	/* of the main thread, before the run */
	struct actor actors[SCHEDULE_THREADS];
	unsigned count;
	unsigned working;	/* actors that may still put something into the bag */
	struct schedule_result result;
	uint64_t seen;		/* how often that happened for whose sake the scenario is there */
};

extern struct stage stage;

/* The scenario from the start, with this seed. */
void stage_play(const struct scenario *scenario, uint64_t seed, bool trace);

/* Another thread on stage; also while the others run. */
void enter(void (*body)(struct actor *actor));

/* The main thread: until all have left. */
void run_all(void);

/* Blocks with content; the first must be had. */
void make(struct acre *arena, struct piece *piece, size_t size, struct dice *dice);
bool try_to_make(struct acre *arena, struct piece *piece, size_t size, struct dice *dice);
void verify(const struct piece *piece);
void drop(struct acre *arena, struct piece *piece);

void put(const struct piece *piece);
/* Any one out of the bag; false if it's empty. */
bool draw(struct piece *piece, struct dice *dice);
/* Frees what comes into the bag, until nobody works any more. */
void empty_the_bag(struct actor *actor);

/* What holds once nobody is in the arena: idle plots are distinct, and have no thread. */
void must_have_sound_tenants(struct acre *arena);

/* G2: nothing anywhere has room for so many bytes, and no inbox has a block. */
void must_be_out_of(struct acre *arena, size_t size);

/* All was freed: G4, G8, and the arena's end. */
void must_end_whole(struct acre *arena);

#endif
