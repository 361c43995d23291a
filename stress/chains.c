/*
 * realloc: chains of reallocations. Each worker holds a few blocks that grow in small steps,
 * double, and shrink, as buffers of programs do, each up to a cap of its own. The first is seldom
 * worked on, but may reach an eighth of the worker's share, where blocks move by their pages. The
 * content must survive each step, whether the block moved or not, and a refused step must leave all
 * as it was.
 */
#include "stress.h"

#define CHAINS		8
#define MOST		(64 * KIB)	/* in all chains but the first */
#define LARGE_SELDOM	64

/* The next size of a chain, at most most. */
static size_t next_size(struct worker *worker, const struct slot *slot, size_t most)
{
	size_t size = slot->asked, next;

	switch (draw_below(&worker->random, 16)) {
	case 0:
		next = 2 * size + 1;
		break;
	case 1:
		next = size / 2 + 1;
		break;
	case 2:
		next = draw_from(&worker->random, 1, most);
		break;
	case 3:
	case 4:
		next = size + size / 8 + 1;
		break;
	case 5:
		/* All that the block has already: nothing may change. */
		next = acre_usable_size(worker->arena, slot->block);
		break;
	default:
		next = size + draw_from(&worker->random, 1, 96);
	}
	return next <= most ? next : most / 4 + 1;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	size_t large = worker->run->arena_size / worker->run->threads / CHAINS;
	size_t most = large < MOST ? large : MOST;
	size_t caps[CHAINS];
	struct slot other;

	for (unsigned i = 0; i < CHAINS; i++)
		slots_add(worker);
	while (!asked_to_stop(worker->run)) {
		size_t chain = draw_below(&worker->random, LARGE_SELDOM) == 0 ?
				       0 : draw_from(&worker->random, 1, CHAINS - 1);
		struct slot *slot = &worker->slots[chain];

		if (slot->block == NULL) {
			caps[chain] = chain == 0 ? large : draw_size(&worker->random, most) + 64;
			slot_fill(worker, slot, draw_size(&worker->random, caps[chain]),
				  ANY_MANNER);
		} else if (draw_below(&worker->random, 128) == 0) {
			slot_empty(worker, slot);
		} else {
			slot_resize(worker, slot, next_size(worker, slot, caps[chain]));
		}
		/* Something else now and then, so that chains don't always find room behind. */
		if (draw_below(&worker->random, 4) == 0 &&
		    slot_fill(worker, &other, draw_size(&worker->random, 512), ANY_MANNER))
			slot_empty(worker, &other);
	}
	slots_empty(worker, worker);
	return NULL;
}

static void chains(struct run *run)
{
	run_open(run, 0);
	run_start(run, work);
	run_out_the_clock(run);
	run_join(run);
	run_close(run);
}

const struct scenario scenario_realloc = {
	.name = "realloc",
	.summary = "chains of growing and shrinking blocks, content kept at each step",
	.arena = 128 * MIB,
	.work = chains,
};
