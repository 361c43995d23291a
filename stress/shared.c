/*
 * shared: blocks change hands through random mailboxes, so that most frees are remote and a thread
 * frees for all others.
 *
 * In rounds, with the books compared after each. Every fourth time all boxes are emptied, each by
 * one of the workers, and the arena must be one free block.
 */
#include "stress.h"

#include <stdlib.h>

#define BOXES			4096
#define ROUND_OPERATIONS	5000
#define WHOLE_EVERY		4
#define MOST			4096	/* bytes in a block */

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct run *run = worker->run;
	mailbox *boxes = run->main.extra;

	for (unsigned round = 1;; round++) {
		gate(run);
		if (run->over)
			return NULL;
		for (unsigned i = 0; i < ROUND_OPERATIONS; i++)
			mailbox_exchange(worker, &boxes[draw_below(&worker->random, BOXES)],
					 MOST);
		gate(run);
		if (round % WHOLE_EVERY == 0) {
			mailboxes_empty(worker, boxes, BOXES, worker->index, run->threads);
			acre_flush(run->arena);
		}
		gate(run);
	}
}

static void shared(struct run *run)
{
	struct ledger ledger = { .count = 0 };
	mailbox *boxes;

	run_open(run, 0);
	boxes = get_memory(BOXES, sizeof(*boxes));
	run->main.extra = boxes;
	run_start(run, work);
	for (unsigned round = 1;; round++) {
		run->over = time_is_up(run);
		gate(run);
		if (run->over)
			break;
		inspect(run->arena, &run->range);
		gate(run);
		gate(run);
		for (unsigned i = 0; i < BOXES; i++)
			ledger_add(&ledger, atomic_load_explicit(&boxes[i], memory_order_relaxed));
		audit(run, &ledger);
		if (ledger.count == 0) {
			/* What a worker sent after another's flush may lie in that one's inbox. */
			acre_flush(run->arena);
			audit_whole(run->arena, &run->range, run->most_alive);
		}
		ledger_clear(&ledger);
	}
	run_join(run);
	mailboxes_empty(&run->main, boxes, BOXES, 0, 1);
	free(boxes);
	run_close(run);
}

const struct scenario scenario_shared = {
	.name = "shared",
	.summary = "blocks change hands through random mailboxes; most frees are remote",
	.arena = 64 * MIB,
	.work = shared,
};
