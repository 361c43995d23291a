/*
 * larson, churn and crowd: threads that begin and end, and whose blocks outlive them.
 *
 * larson: a chain of threads per --threads. Each gets the blocks of the one before it, replaces
 * random ones by new ones, starts its successor and ends; the successor waits for that end before
 * it starts the next, so at most two of a chain are alive.
 *
 * churn: groups of short threads. Each allocates, frees a part, and leaves the rest to main, which
 * frees it. Half of them go on in the destructor of a thread-specific value, in as many rounds of
 * destructors as the system grants (ThreadSanitizer ends a thread in the last of them, so there two
 * less); some allocate for the first time there. Plots must not become more with the number of
 * threads, and none may stay with a thread that has ended.
 *
 * crowd: 2,000 threads at once; each frees what its neighbour allocated.
 */
#include <time.h>
#include "stress.h"

#include <limits.h>
#include <stdlib.h>

/* ---- larson ---- */

#define LARSON_BLOCKS	1000
#define LARSON_LEAST	10
#define LARSON_MOST	1000
#define LARSON_STEPS	5000	/* replacements in a life */

struct chain {
	struct worker *worker;	/* whoever lives now uses the chain's one worker */
	pthread_t before;
	bool has_before;
	pthread_t last;		/* who ended the chain */
	bool ended;
	pthread_mutex_t lock;
	pthread_cond_t end;
};

static void *larson_life(void *argument)
{
	struct chain *chain = argument;
	struct worker *worker = chain->worker;

	for (unsigned i = 0; i < LARSON_STEPS && !asked_to_stop(worker->run); i++) {
		struct slot *slot = &worker->slots[draw_below(&worker->random, LARSON_BLOCKS)];

		if (slot->block != NULL)
			slot_empty(worker, slot);
		slot_fill(worker, slot, draw_from(&worker->random, LARSON_LEAST, LARSON_MOST),
			  PLAIN_MALLOC);
	}
	if (chain->has_before)
		join_thread(chain->before);
	chain->before = pthread_self();
	chain->has_before = true;
	if (!asked_to_stop(worker->run)) {
		start_thread(larson_life, chain, 0);
		return NULL;
	}
	pthread_mutex_lock(&chain->lock);
	chain->last = pthread_self();
	chain->ended = true;
	pthread_cond_signal(&chain->end);
	pthread_mutex_unlock(&chain->lock);
	return NULL;
}

static void larson(struct run *run)
{
	struct chain *chains = get_memory(run->threads, sizeof(*chains));

	run_open(run, 0);
	run->most_alive = 2 * run->threads + 1;
	run->workers = get_memory(run->threads, sizeof(*run->workers));
	for (unsigned i = 0; i < run->threads; i++) {
		worker_init(&run->workers[i], run, i);
		for (unsigned j = 0; j < LARSON_BLOCKS; j++)
			slots_add(&run->workers[i]);
		chains[i].worker = &run->workers[i];
		pthread_mutex_init(&chains[i].lock, NULL);
		pthread_cond_init(&chains[i].end, NULL);
		start_thread(larson_life, &chains[i], 0);
	}
	run_out_the_clock(run);
	for (unsigned i = 0; i < run->threads; i++) {
		pthread_mutex_lock(&chains[i].lock);
		while (!chains[i].ended)
			pthread_cond_wait(&chains[i].end, &chains[i].lock);
		pthread_mutex_unlock(&chains[i].lock);
		join_thread(chains[i].last);
		pthread_cond_destroy(&chains[i].end);
		pthread_mutex_destroy(&chains[i].lock);
		slots_empty(&run->main, &run->workers[i]);
		publish(&run->workers[i]);
	}
	free(chains);
	run_close(run);
}

/* ---- churn ---- */

#define CHURN_MOST_BLOCKS	200
#define CHURN_MOST		8192
#define CHURN_PAUSE		64	/* groups between two looks at the whole */

#define LATE_ROUNDS		(PTHREAD_DESTRUCTOR_ITERATIONS - (UNDER_TSAN ? 2 : 0))

/* A short life. */
struct mayfly {
	struct worker *worker;
	unsigned late;	/* rounds of destructors so far */
	unsigned first;	/* the one in which it begins to allocate; 0 = before all */
};

static pthread_key_t late_key;

static void work_a_little(struct worker *worker)
{
	size_t count = draw_from(&worker->random, 1, CHURN_MOST_BLOCKS);

	for (size_t i = 0; i < count; i++) {
		struct slot *slot = slots_add(worker);

		if (!slot_fill(worker, slot, draw_size(&worker->random, CHURN_MOST), ANY_MANNER))
			slots_remove(worker, slot);
	}
	for (size_t i = 0; i < count / 2 && worker->slot_count != 0; i++) {
		struct slot *slot = &worker->slots[draw_below(&worker->random, worker->slot_count)];

		slot_empty(worker, slot);
		slots_remove(worker, slot);
	}
}

static void work_late(void *argument)
{
	struct mayfly *fly = argument;

	if (++fly->late >= fly->first)
		work_a_little(fly->worker);
	if (fly->late < LATE_ROUNDS)
		pthread_setspecific(late_key, fly);
}

static void *churn_work(void *argument)
{
	struct mayfly *fly = argument;

	fly->late = 0;
	fly->first = 0;
	if (draw_below(&fly->worker->random, 2) == 0) {
		fly->first = (unsigned)draw_below(&fly->worker->random, LATE_ROUNDS + 1);
		pthread_setspecific(late_key, fly);
	}
	if (fly->first == 0)
		work_a_little(fly->worker);
	return NULL;
}

static void churn(struct run *run)
{
	struct mayfly *flies = get_memory(run->threads, sizeof(*flies));
	struct acre_stats stats;

	run_open(run, 0);
	if (pthread_key_create(&late_key, work_late) != 0)
		fault("pthread_key_create failed");
	run->workers = get_memory(run->threads, sizeof(*run->workers));
	for (unsigned i = 0; i < run->threads; i++) {
		worker_init(&run->workers[i], run, i);
		flies[i].worker = &run->workers[i];
	}
	for (unsigned group = 1; !time_is_up(run); group++) {
		for (unsigned i = 0; i < run->threads; i++)
			run->workers[i].thread = start_thread(churn_work, &flies[i], 0);
		run_join(run);
		acre_stats(run->arena, &stats);
		/* A joined thread may still be on its way out of the kernel. */
		for (int tries = 0; stats.plots > 1 && tries < 2000; tries++) {
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
			acre_stats(run->arena, &stats);
		}
		if (stats.plots > 1)
			fault("%zu plots are held after all threads but one have ended",
			      stats.plots);
		for (unsigned i = 0; i < run->threads; i++)
			slots_empty(&run->main, &run->workers[i]);
		if (group % CHURN_PAUSE == 0) {
			acre_flush(run->arena);
			audit_whole(run->arena, &run->range, run->most_alive);
		}
	}
	pthread_key_delete(late_key);
	free(flies);
	run_close(run);
}

/* ---- crowd ---- */

#define CROWD_BLOCKS	16
#define CROWD_MOST	2000
#define CROWD_STACK	(256 * KIB)
#define CROWD_SHARE	(128 * KIB)	/* with so much for each thread, none may be refused */

static void *crowd_work(void *argument)
{
	struct worker *worker = argument, *neighbour;
	struct run *run = worker->run;

	for (unsigned i = 0; i < CROWD_BLOCKS; i++) {
		struct slot *slot = slots_add(worker);

		if (slot_fill(worker, slot, draw_size(&worker->random, CROWD_MOST), PLAIN_MALLOC))
			continue;
		slots_remove(worker, slot);
		if (run->arena_size / run->threads >= CROWD_SHARE)
			fault("a request was refused, with %zu bytes for each of %u threads",
			      run->arena_size / run->threads, run->threads);
	}
	gate(run);
	gate(run);
	neighbour = &run->workers[(worker->index + 1) % run->threads];
	slots_empty(worker, neighbour);
	return NULL;
}

static void crowd(struct run *run)
{
	struct ledger ledger = { .count = 0 };

	run_open(run, 0);
	run->workers = get_memory(run->threads, sizeof(*run->workers));
	for (unsigned i = 0; i < run->threads; i++)
		worker_init(&run->workers[i], run, i);
	for (unsigned i = 0; i < run->threads; i++)
		run->workers[i].thread = start_thread(crowd_work, &run->workers[i], CROWD_STACK);
	gate(run);
	for (unsigned i = 0; i < run->threads; i++)
		ledger_add_slots(&ledger, &run->workers[i]);
	audit(run, &ledger);
	ledger_clear(&ledger);
	gate(run);
	run_join(run);
	run_close(run);
}

const struct scenario scenario_larson = {
	.name = "larson",
	.summary = "generations of threads hand their blocks on",
	.arena = 64 * MIB,
	.work = larson,
};

const struct scenario scenario_churn = {
	.name = "churn",
	.summary = "short threads leak to main, and work in their last destructors",
	.arena = 64 * MIB,
	.work = churn,
};

const struct scenario scenario_crowd = {
	.name = "crowd",
	.summary = "2000 threads at once (fixed length)",
	.arena = 512 * MIB,
	.threads = 2000,
	.work = crowd,
};
