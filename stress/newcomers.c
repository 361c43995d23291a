/*
 * newcomers: all threads come to a new arena at once, while main looks at it.
 *
 * Each round has an arena of its own. The workers wait at the gate, then each makes its first
 * allocation there, for which the arena sets up what it keeps for a thread, and a few more; main
 * asks for statistics again and again meanwhile, and so meets plots that are just being set up. All
 * is freed, the arena must be one free block, and is destroyed; the workers live on with what they
 * remember of it.
 */
#include "stress.h"

#include <errno.h>
#include <string.h>

#define BLOCKS		8
#define MOST		2000

struct round {
	struct acre *arena;
	struct range range;
	_Atomic unsigned busy;	/* workers that haven't done their first allocations yet */
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct run *run = worker->run;
	struct round *round = run->main.extra;

	for (;;) {
		gate(run);
		if (run->over)
			return NULL;
		worker->arena = round->arena;
		worker->range = &round->range;
		for (unsigned i = 0; i < BLOCKS; i++) {
			struct slot *slot = slots_add(worker);

			if (!slot_fill(worker, slot, draw_size(&worker->random, MOST), ANY_MANNER))
				slots_remove(worker, slot);
		}
		/* Relaxed: main must see the plots by the arena's own order. */
		atomic_fetch_sub_explicit(&round->busy, 1, memory_order_relaxed);
		slots_empty(worker, worker);
		acre_flush(worker->arena);
		gate(run);
	}
}

static void one_round(struct run *run, struct round *round)
{
	const struct acre_options options = { .policy = run->options->policy };
	struct acre_stats stats;

	round->arena = acre_create(run->arena_size, &options);
	if (round->arena == NULL)
		fault("an arena of %zu bytes can't be had: %s", run->arena_size,
		      strerror(errno));
	atomic_fetch_add_explicit(&run->board->arenas, 1, memory_order_relaxed);
	round->range = range_of(round->arena);
	atomic_store_explicit(&round->busy, run->threads, memory_order_relaxed);
	gate(run);
	while (atomic_load_explicit(&round->busy, memory_order_relaxed) != 0) {
		acre_stats(round->arena, &stats);
		if (stats.plots > run->threads)
			fault("%u threads hold %zu plots", run->threads, stats.plots);
	}
	gate(run);
	audit_whole(round->arena, &round->range, run->most_alive);
	acre_stats(round->arena, &stats);
	if (stats.live_blocks != 0)
		fault("acre_stats counts %zu live blocks, the program 0", stats.live_blocks);
	if (acre_destroy(round->arena) != 0)
		fault("acre_destroy: %s", strerror(errno));
}

static void newcomers(struct run *run)
{
	struct round round;
	uint64_t refusals = 0;

	run_open(run, 0);
	run->main.extra = &round;
	run_start(run, work);
	while (!time_is_up(run))
		one_round(run, &round);
	run->over = true;
	gate(run);
	run_join(run);
	for (unsigned i = 0; i < run->threads; i++) {
		refusals += run->workers[i].refusals;
		run->workers[i].refusals = 0;
	}
	atomic_fetch_add_explicit(&run->board->refusals, refusals, memory_order_relaxed);
	run_close(run);
}

const struct scenario scenario_newcomers = {
	.name = "newcomers",
	.summary = "all threads come to a new arena at once, again and again",
	.arena = 2 * MIB,
	.work = newcomers,
};
