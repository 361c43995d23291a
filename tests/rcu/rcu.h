/*
 * What the files of tests/test_rcu.c share: readers, the worker held still, and looks at what waits.
 *
 * It's a program for each flavour (flavor.h). Each file has an idea, and adds its tests to the case.
 */
#ifndef ACRE_TESTS_RCU_H
#define ACRE_TESTS_RCU_H

#include "support.h"

#include "arena.h"
#include "flavor.h"

#define CHILD_SECONDS 60u

void add_waits(TCase *cases);
void add_bounds(TCase *cases);
void add_process(TCase *cases);
void add_misuse(TCase *cases);

/* Blocks that wait and are in no queue. */
size_t strays_of(const struct acre *arena);
unsigned state_of(struct acre *arena, const void *block);
void barrier_of(struct acre *arena);
/* Nothing waits any more, and all is one free block again. */
void must_be_done(struct acre *arena);

/* A reader that is in its read-side section between two meetings. */
struct reader {
	pthread_t thread;
	pthread_barrier_t gate;
	const void *block;
	size_t size;
	uint64_t key;
};

void begin_reading(struct reader *reader, const void *block, size_t size, uint64_t key);
void end_reading(struct reader *reader);

/* No grace period begins meanwhile: the worker touches nothing. */
void hold_worker(struct acre *arena);
void let_worker_go(struct acre *arena);

#endif
