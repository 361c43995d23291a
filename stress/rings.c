/*
 * producer-consumer and ring: blocks travel through rings, one thread allocates, another frees.
 *
 * A cell of a ring is a pointer: NULL means empty. The producer publishes a block with a release
 * store, the consumer takes it with an acquire load. The way back, emptying a cell, is relaxed: the
 * consumer's reads of a block are ordered before the producer's next use of that memory by nothing
 * but the allocator.
 *
 * In producer-consumer the threads stand in a circle, each filling the ring behind it and emptying
 * the one before it. ring is the fixed case: two threads, 4 million blocks of 32 to 511 bytes, a
 * ring of 16,384 in an arena of 12 MiB; no request may be refused. Under ThreadSanitizer, which
 * makes it some 20 times slower, half a million blocks.
 */
#include "stress.h"

#include <sched.h>
#include <stdlib.h>

#define CIRCLE_CELLS		1024
#define CIRCLE_BURST		64
#define CIRCLE_MOST		2048	/* bytes in a block */

#define RING_CELLS		16384
#define RING_BLOCKS		(UNDER_TSAN ? 500000u : 4000000u)
#define RING_ARENA		(12 * MIB)

typedef void *_Atomic cell;

struct ring {
	cell *cells;
	size_t count;
	size_t head;	/* the producer's own: the next cell to fill */
	char between[64];
	size_t tail;	/* the consumer's own: the next to empty */
};

static void ring_init(struct ring *ring, size_t count)
{
	ring->cells = get_memory(count, sizeof(*ring->cells));
	ring->count = count;
	ring->head = ring->tail = 0;
}

static bool ring_has_room(struct ring *ring)
{
	return atomic_load_explicit(&ring->cells[ring->head], memory_order_relaxed) == NULL;
}

static void ring_put(struct ring *ring, void *parcel)
{
	atomic_store_explicit(&ring->cells[ring->head], parcel, memory_order_release);
	ring->head = ring->head + 1 == ring->count ? 0 : ring->head + 1;
}

static void *ring_get(struct ring *ring)
{
	cell *place = &ring->cells[ring->tail];
	void *parcel = atomic_load_explicit(place, memory_order_acquire);

	if (parcel == NULL)
		return NULL;
	atomic_store_explicit(place, NULL, memory_order_relaxed);
	ring->tail = ring->tail + 1 == ring->count ? 0 : ring->tail + 1;
	return parcel;
}

/* ---- the circle ---- */

static void *circle_work(void *argument)
{
	struct worker *worker = argument;
	struct run *run = worker->run;
	struct ring *rings = run->main.extra;
	struct ring *mine = &rings[worker->index];
	struct ring *before = &rings[(worker->index + run->threads - 1) % run->threads];
	void *parcel;

	while (!asked_to_stop(run)) {
		size_t burst = draw_from(&worker->random, 1, CIRCLE_BURST);
		bool idle = true;

		for (size_t i = 0; i < burst && ring_has_room(mine); i++) {
			parcel = parcel_pack(worker, draw_size(&worker->random, CIRCLE_MOST));
			if (parcel == NULL)
				break;
			ring_put(mine, parcel);
			idle = false;
		}
		burst = draw_from(&worker->random, 1, CIRCLE_BURST);
		for (size_t i = 0; i < burst && (parcel = ring_get(before)) != NULL; i++) {
			parcel_open(worker, parcel);
			idle = false;
		}
		if (idle)
			sched_yield();
	}
	return NULL;
}

static void circle(struct run *run)
{
	struct ring *rings;
	void *parcel;

	run_open(run, 0);
	rings = get_memory(run->threads, sizeof(*rings));
	for (unsigned i = 0; i < run->threads; i++)
		ring_init(&rings[i], CIRCLE_CELLS);
	run->main.extra = rings;
	run_start(run, circle_work);
	run_out_the_clock(run);
	run_join(run);
	for (unsigned i = 0; i < run->threads; i++) {
		while ((parcel = ring_get(&rings[i])) != NULL)
			parcel_open(&run->main, parcel);
		free(rings[i].cells);
	}
	free(rings);
	run_close(run);
}

/* ---- the fixed case ---- */

static void *produce(struct worker *worker, struct ring *ring)
{
	for (unsigned i = 0; i < RING_BLOCKS; i++) {
		size_t size = draw_from(&worker->random, 32, 511);
		void *parcel;

		while (!ring_has_room(ring))
			sched_yield();
		parcel = parcel_pack(worker, size);
		if (parcel == NULL)
			fault("block %u, of %zu bytes, was refused", i + 1, size);
		ring_put(ring, parcel);
	}
	return NULL;
}

static void *consume(struct worker *worker, struct ring *ring)
{
	void *parcel;

	/* Not before the ring has been full: with the most blocks under way it begins. */
	while (atomic_load_explicit(&ring->cells[ring->count - 1], memory_order_relaxed) == NULL)
		sched_yield();
	for (unsigned i = 0; i < RING_BLOCKS; i++) {
		while ((parcel = ring_get(ring)) == NULL)
			sched_yield();
		parcel_open(worker, parcel);
	}
	return NULL;
}

static void *ring_work(void *argument)
{
	struct worker *worker = argument;
	struct ring *ring = worker->run->main.extra;

	return worker->index == 0 ? produce(worker, ring) : consume(worker, ring);
}

static void ring(struct run *run)
{
	struct ring shared;

	run->threads = 2;
	run->arena_size = RING_ARENA;
	atomic_store_explicit(&run->board->threads, run->threads, memory_order_relaxed);
	run_open(run, 0);
	ring_init(&shared, RING_CELLS);
	run->main.extra = &shared;
	run_start(run, ring_work);
	run_join(run);
	free(shared.cells);
	run_close(run);
}

const struct scenario scenario_producer_consumer = {
	.name = "producer-consumer",
	.summary = "threads in a circle, each frees what the one before it allocated",
	.arena = 32 * MIB,
	.least_threads = 2,
	.work = circle,
};

const struct scenario scenario_ring = {
	.name = "ring",
	.summary = "4 million blocks through a ring of 16384 in 12 MiB, no refusal (fixed length)",
	.arena = RING_ARENA,
	.threads = 2,
	.work = ring,
};
