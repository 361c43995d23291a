/*
 * exhaustion: all threads at the limit all the time.
 *
 * Each round has three parts, with the gate between them. First each worker allocates small blocks
 * until it is refused: by then FILLED percent of the arena must have reached the program. Then all
 * go on at the limit, with every call there is: free a few, ask for more, until refused again. At
 * last they fill the arena once more and are parked; main frees everything, and must get GATHERED
 * percent of it in one block, though its blocks belong to threads that sleep: no memory is held
 * hostage. The workers' caches were given back by the refusal that was their last call, so nobody
 * but main need flush for the arena to be whole again.
 */
#include "stress.h"

#define ROUND_OPERATIONS	5000
#define LEAST			24
#define MOST			700
#define MIDDLE			4096
#define LARGE			(64 * KIB)
#define FILLED			80
#define GATHERED		90

static void fill(struct worker *worker)
{
	for (;;) {
		struct slot *slot = slots_add(worker);

		if (!slot_fill(worker, slot, draw_from(&worker->random, LEAST, MOST),
			       PLAIN_MALLOC)) {
			slots_remove(worker, slot);
			return;
		}
	}
}

static void free_some(struct worker *worker)
{
	size_t count = draw_from(&worker->random, 1, 16);

	while (count-- != 0 && worker->slot_count != 0) {
		struct slot *slot = &worker->slots[draw_below(&worker->random, worker->slot_count)];

		slot_empty(worker, slot);
		slots_remove(worker, slot);
	}
}

/* Mostly as in filling; and of all kinds, so that requests and holes seldom match. */
static size_t some_size(struct worker *worker)
{
	size_t kind = draw_below(&worker->random, 64);

	if (kind == 0)
		return draw_size(&worker->random, LARGE);
	if (kind < 16)
		return draw_from(&worker->random, 0, MIDDLE);
	return draw_from(&worker->random, LEAST, MOST);
}

static void step(struct worker *worker)
{
	struct slot *slot;

	if (worker->slot_count != 0 && draw_below(&worker->random, 2) == 0) {
		slot = &worker->slots[draw_below(&worker->random, worker->slot_count)];
		if (!slot_resize(worker, slot, some_size(worker) + 1))
			free_some(worker);
		return;
	}
	slot = slots_add(worker);
	if (!slot_fill(worker, slot, some_size(worker), ANY_MANNER)) {
		slots_remove(worker, slot);
		free_some(worker);
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct run *run = worker->run;

	for (;;) {
		gate(run);
		if (run->over)
			return NULL;
		fill(worker);
		gate(run);
		gate(run);
		for (unsigned i = 0; i < ROUND_OPERATIONS; i++)
			step(worker);
		fill(worker);
		gate(run);
	}
}

static void audit_full(struct run *run)
{
	struct ledger ledger = { .count = 0 };

	for (unsigned i = 0; i < run->threads; i++)
		ledger_add_slots(&ledger, &run->workers[i]);
	audit(run, &ledger);
	ledger_clear(&ledger);
}

/* The bytes that the range can give when each thread has a plot. */
static size_t bytes_to_give(const struct run *run)
{
	size_t plots = run->most_alive * PLOT_BYTES;

	return run->range.size > plots ? run->range.size - plots : 0;
}

static void check_filled(struct run *run)
{
	struct acre_stats stats;

	acre_stats(run->arena, &stats);
	if (stats.live_bytes < bytes_to_give(run) / 100 * FILLED)
		fault("all threads were refused with %zu bytes live, %zu cached and %zu free of "
		      "%zu: less than %d %% reached the program", stats.live_bytes,
		      stats.cached_bytes, stats.free_bytes, run->range.size, FILLED);
}

/* What one block must have room for: of buddies, the largest. */
static size_t bytes_to_gather(const struct run *run)
{
	size_t size = bytes_to_give(run) / 100 * GATHERED;
	size_t power = 16;

	if (!run->range.buddies)
		return size;
	while (power <= size / 2)
		power *= 2;
	return power - 8;
}

static void gather(struct run *run)
{
	size_t size = bytes_to_gather(run);
	struct acre_stats stats;
	struct slot slot;

	for (unsigned i = 0; i < run->threads; i++)
		slots_empty(&run->main, &run->workers[i]);
	if (!slot_fill(&run->main, &slot, size, PLAIN_MALLOC)) {
		acre_stats(run->arena, &stats);
		fault("all was freed by main, but %zu bytes of %zu can't be had in one block: the "
		      "largest free block has %zu, %zu are cached, %zu plots hold %zu leases",
		      size, run->range.size, stats.largest_free, stats.cached_bytes, stats.plots,
		      stats.leases);
	}
	slot_empty(&run->main, &slot);
	acre_flush(run->arena);
	audit_whole(run->arena, &run->range, run->most_alive);
}

static void exhaustion(struct run *run)
{
	run_open(run, 0);
	run_start(run, work);
	for (;;) {
		run->over = time_is_up(run);
		gate(run);
		if (run->over)
			break;
		gate(run);
		audit_full(run);
		check_filled(run);
		gate(run);
		gate(run);
		audit_full(run);
		gather(run);
	}
	run_join(run);
	run_close(run);
}

const struct scenario scenario_exhaustion = {
	.name = "exhaustion",
	.summary = "all threads at the limit; what they held must come back in one block",
	.arena = 16 * MIB,
	.work = exhaustion,
};
