/*
 * fork-storm: forks in the midst of allocating threads.
 *
 * The workers exchange parcels through boxes, as in shared; the first FORKERS of them fork again
 * and again meanwhile. In the child only the forking thread lives on: it frees and replaces its own
 * blocks, forks a child of its own now and then, verifies and frees what lies in the boxes, whoever
 * allocated it, and has the arena checked. Its own blocks and the boxes are whole at every moment,
 * which can't be said of other threads' slots.
 *
 * What threads that are no more held in their caches must be free again in the child. A thread may
 * have been moving blocks at the moment of the fork, between its cache and elsewhere, and these may
 * stay lost there; but that's rare.
 *
 * A child that hangs (a lock that was held by a thread that no longer is) is killed by its parent.
 */
#include "stress.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BOXES		2048
#define FORKERS		2
#define FORKER_BLOCKS	64
#define MOST		4096
#define BETWEEN		500	/* operations of a forker between two forks */
#define CHILD_BLOCKS	300
#define DEEPEST		2	/* generations of children */

/* Fork holds the lock of each thread's plot; ThreadSanitizer bears 63 locks held at once. */
#define TSAN_THREADS	48

#define FEW		8	/* children; from so many on, the rare can be told */
#define PATIENCE	60	/* seconds for a child */
#define UNSWEPT		3	/* exit status: sound, but some blocks stay cached */
#define NAP		1000000	/* nanoseconds between two looks at it */

static void exchange(struct worker *worker, mailbox *boxes)
{
	mailbox_exchange(worker, &boxes[draw_below(&worker->random, BOXES)], MOST);
}

static void replace_own(struct worker *worker)
{
	struct slot *slot = &worker->slots[draw_below(&worker->random, FORKER_BLOCKS)];

	if (slot->block != NULL)
		slot_empty(worker, slot);
	slot_fill(worker, slot, draw_size(&worker->random, MOST), ANY_MANNER);
}

static void fork_once(struct worker *worker, unsigned depth);

static _Noreturn void live_as_child(struct worker *worker, unsigned depth)
{
	struct run *run = worker->run;
	mailbox *boxes = run->main.extra;
	struct board elsewhere;
	struct acre_stats stats;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The board counts the parent's work alone. */
	memset(&elsewhere, 0, sizeof(elsewhere));
	run->board = &elsewhere;
	worker->random.state ^= (uint64_t)getpid();
	for (unsigned i = 0; i < CHILD_BLOCKS; i++) {
		replace_own(worker);
		exchange(worker, boxes);
	}
	if (depth < DEEPEST && draw_below(&worker->random, 4) == 0)
		fork_once(worker, depth + 1);
	mailboxes_empty(worker, boxes, BOXES, 0, 1);
	slots_empty(worker, worker);
	acre_flush(run->arena);
	inspect(run->arena, &run->range);
	acre_stats(run->arena, &stats);
	_exit(stats.cached_bytes != 0 ? UNSWEPT : 0);
}

static void reap(struct run *run, pid_t child)
{
	const struct timespec nap = { .tv_nsec = NAP };
	struct timespec start, now;
	int status;
	pid_t ended;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec > PATIENCE) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			fault("a child hung for %d seconds and was killed", PATIENCE);
		}
		nanosleep(&nap, NULL);
	}
	if (ended != child)
		fault("waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		fault("a child died of signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == UNSWEPT)
		atomic_fetch_add_explicit(&run->board->unswept, 1, memory_order_relaxed);
	else if (WEXITSTATUS(status) != 0)
		fault("a child found a fault: it ended with status %d", WEXITSTATUS(status));
}

static void fork_once(struct worker *worker, unsigned depth)
{
	pid_t child = fork();

	if (child < 0)
		fault("fork: %s", strerror(errno));
	if (child == 0)
		live_as_child(worker, depth);
	atomic_fetch_add_explicit(&worker->run->board->processes, 1, memory_order_relaxed);
	reap(worker->run, child);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct run *run = worker->run;
	mailbox *boxes = run->main.extra;

	if (worker->index >= FORKERS) {
		while (!asked_to_stop(run))
			exchange(worker, boxes);
		return NULL;
	}
	for (unsigned i = 0; i < FORKER_BLOCKS; i++)
		slots_add(worker);
	while (!asked_to_stop(run)) {
		for (unsigned i = 0; i < BETWEEN; i++) {
			replace_own(worker);
			exchange(worker, boxes);
		}
		fork_once(worker, 1);
	}
	slots_empty(worker, worker);
	return NULL;
}

static void fork_storm(struct run *run)
{
	unsigned processes, unswept;
	mailbox *boxes;

	run_open(run, 0);
	boxes = get_memory(BOXES, sizeof(*boxes));
	run->main.extra = boxes;
	run_start(run, work);
	run_out_the_clock(run);
	run_join(run);
	mailboxes_empty(&run->main, boxes, BOXES, 0, 1);
	free(boxes);
	processes = atomic_load_explicit(&run->board->processes, memory_order_relaxed);
	unswept = atomic_load_explicit(&run->board->unswept, memory_order_relaxed);
	if (processes >= FEW && unswept > processes / 4)
		fault("in %u of %u children, blocks stay cached after a flush, though no other "
		      "thread is there", unswept, processes);
	run_close(run);
}

const struct scenario scenario_fork_storm = {
	.name = "fork-storm",
	.summary = "forks in the midst of allocating threads; the children work on",
	.arena = 32 * MIB,
	.least_threads = FORKERS + 1,
	.most_threads = UNDER_TSAN ? TSAN_THREADS : 0,
	.work = fork_storm,
};
