/*
 * mixed and no-cache: all calls in random order, sizes from 0 to 2 KiB, now and then to a 64th of a
 * thread's share of the arena.
 *
 * Workers run in rounds. During a round main looks on with acre_check, acre_walk and acre_stats,
 * and gives free pages back with acre_trim, so that calloc meets pages of every kind. Between two
 * rounds all are parked and the books are compared; before every fourth comparison the workers free
 * all they hold and flush, and the arena must be one free block.
 *
 * A worker holds at most a quarter of its share of the arena, so in an arena of fair size a refusal
 * is a fault: memory is held hostage somewhere.
 */
#include "stress.h"

#define ROUND_OPERATIONS	5000
#define LOOKS			3	/* by main in a round */
#define WHOLE_EVERY		4
#define SMALL			2048
#define FAIR_SHARE		MIB

static size_t share_of(const struct run *run)
{
	return run->arena_size / run->threads;
}

static size_t some_size(struct worker *worker, size_t share)
{
	size_t most = draw_below(&worker->random, 32) == 0 ? share / 64 : SMALL;

	return draw_size(&worker->random, most);
}

/* held: bytes asked for by the worker, and not freed. */
static void step(struct worker *worker, size_t *held)
{
	struct run *run = worker->run;
	size_t share = share_of(run), size = some_size(worker, share);
	struct slot *slot;

	if (worker->slot_count == 0 || draw_below(&worker->random, 9) < 5) {
		if (*held + size > share / 4)
			return;
		slot = slots_add(worker);
		if (slot_fill(worker, slot, size, ANY_MANNER)) {
			*held += size;
			return;
		}
		slots_remove(worker, slot);
		if (share >= FAIR_SHARE)
			fault("%zu bytes were refused, though at most a quarter of the arena is "
			      "live", size);
		return;
	}
	slot = &worker->slots[draw_below(&worker->random, worker->slot_count)];
	if (draw_below(&worker->random, 4) == 0 && size != 0 &&
	    *held - slot->asked + size <= share / 4) {
		size_t before = slot->asked;

		if (slot_resize(worker, slot, size))
			*held += size - before;
		else if (share >= FAIR_SHARE)
			fault("a realloc to %zu bytes was refused, though at most a quarter of the "
			      "arena is live", size);
		return;
	}
	*held -= slot->asked;
	slot_empty(worker, slot);
	slots_remove(worker, slot);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct run *run = worker->run;
	size_t held = 0;

	for (unsigned round = 1;; round++) {
		gate(run);
		if (run->over)
			break;
		for (unsigned i = 0; i < ROUND_OPERATIONS; i++)
			step(worker, &held);
		if (round % WHOLE_EVERY == 0) {
			slots_empty(worker, worker);
			acre_flush(run->arena);
			held = 0;
		}
		gate(run);
	}
	slots_empty(worker, worker);
	return NULL;
}

static void supervise(struct run *run, unsigned flags)
{
	struct ledger ledger = { .count = 0 };

	run_open(run, flags);
	run_start(run, work);
	for (unsigned round = 1;; round++) {
		run->over = time_is_up(run);
		gate(run);
		if (run->over)
			break;
		for (unsigned i = 0; i < LOOKS; i++) {
			inspect(run->arena, &run->range);
			if (round % 2 == 0)
				acre_trim(run->arena);
		}
		gate(run);
		for (unsigned i = 0; i < run->threads; i++)
			ledger_add_slots(&ledger, &run->workers[i]);
		audit(run, &ledger);
		if (ledger.count == 0)
			audit_whole(run->arena, &run->range, run->most_alive);
		ledger_clear(&ledger);
	}
	run_join(run);
	run_close(run);
}

static void mixed(struct run *run)
{
	supervise(run, 0);
}

static void no_cache(struct run *run)
{
	supervise(run, ACRE_NO_CACHE);
}

const struct scenario scenario_mixed = {
	.name = "mixed",
	.summary = "all calls, random sizes, in rounds; the books compared after each",
	.arena = 64 * MIB,
	.work = mixed,
};

const struct scenario scenario_no_cache = {
	.name = "no-cache",
	.summary = "as mixed, in an arena without caches and plots",
	.arena = 64 * MIB,
	.work = no_cache,
};
