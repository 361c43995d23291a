/*
 * A run of a scenario: its arena, its threads and the gate between them, its time, its end; and how
 * a fault ends it. All of it in the scenario's own process.
 */
#include "stress.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The current run, for the text of a fault alone. */
static const struct run *current;

static void tell(const char *format, va_list arguments)
{
	char line[512];
	size_t length = 0;
	ssize_t written;

	/* One write, without stdio: it may be the child of a threaded process that complains. */
	if (current != NULL)
		length = (size_t)snprintf(line, sizeof(line), "acre-stress: %s (seed %llu): ",
					  current->scenario->name,
					  (unsigned long long)current->options->seed);
	vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
	length = strlen(line);
	line[length++] = '\n';
	written = write(STDERR_FILENO, line, length);
	(void)written;
}

void complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tell(format, arguments);
	va_end(arguments);
}

void fault(const char *format, ...)
{
	static atomic_flag faulted = ATOMIC_FLAG_INIT;
	va_list arguments;

	/* One fault makes many: the thread that found the first one tells. */
	while (atomic_flag_test_and_set_explicit(&faulted, memory_order_relaxed))
		pause();
	va_start(arguments, format);
	tell(format, arguments);
	va_end(arguments);
	_exit(1);
}

void *get_memory(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL && count != 0)
		fault("the system gave no %zu * %zu bytes for the program itself", count, size);
	return memory;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

bool time_is_up(const struct run *run)
{
	return now() >= run->deadline;
}

void run_out_the_clock(struct run *run)
{
	const struct timespec nap = { .tv_nsec = 10000000 };

	while (!time_is_up(run))
		nanosleep(&nap, NULL);
	atomic_store_explicit(&run->stop, true, memory_order_relaxed);
}

void run_open(struct run *run, unsigned flags)
{
	const struct acre_options options = { .policy = run->options->policy, .flags = flags };

	current = run;
	run->flags = flags;
	run->deadline = now() + (uint64_t)run->options->seconds * 1000000000;
	run->arena = acre_create(run->arena_size, &options);
	if (run->arena == NULL)
		fault("an arena of %zu bytes can't be had: %s", run->arena_size, strerror(errno));
	atomic_fetch_add_explicit(&run->board->arenas, 1, memory_order_relaxed);
	run->range = range_of(run->arena);
	run->most_alive = run->threads + 1;
	worker_init(&run->main, run, run->threads);
	if (pthread_barrier_init(&run->gate, NULL, run->threads + 1) != 0)
		fault("pthread_barrier_init failed");
}

void worker_init(struct worker *worker, struct run *run, unsigned index)
{
	memset(worker, 0, sizeof(*worker));
	worker->run = run;
	worker->arena = run->arena;
	worker->range = &run->range;
	worker->index = index;
	worker->random.state = scramble(run->options->seed ^ scramble(index + 1));
}

void worker_clear(struct worker *worker)
{
	free(worker->slots);
	worker->slots = NULL;
	worker->slot_count = worker->slot_room = 0;
}

void publish(struct worker *worker)
{
	struct board *board = worker->run->board;

	atomic_fetch_add_explicit(&board->operations, worker->operations - worker->published,
				  memory_order_relaxed);
	worker->published = worker->operations;
}

pthread_t start_thread(void *(*work)(void *), void *argument, size_t stack)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	if (stack != 0)
		pthread_attr_setstacksize(&attributes, stack);
	error = pthread_create(&thread, &attributes, work, argument);
	pthread_attr_destroy(&attributes);
	if (error != 0)
		fault("a thread can't be had: %s; try fewer --threads", strerror(error));
	return thread;
}

void join_thread(pthread_t thread)
{
	int error = pthread_join(thread, NULL);

	if (error != 0)
		fault("pthread_join: %s", strerror(error));
}

void run_start(struct run *run, void *(*work)(void *worker))
{
	run->workers = get_memory(run->threads, sizeof(*run->workers));
	for (unsigned i = 0; i < run->threads; i++)
		worker_init(&run->workers[i], run, i);
	for (unsigned i = 0; i < run->threads; i++)
		run->workers[i].thread = start_thread(work, &run->workers[i], 0);
}

void run_join(struct run *run)
{
	for (unsigned i = 0; i < run->threads; i++) {
		join_thread(run->workers[i].thread);
		publish(&run->workers[i]);
	}
}

void gate(struct run *run)
{
	pthread_barrier_wait(&run->gate);
}

static void note_peak(struct board *board, uint64_t peak)
{
	if (atomic_load_explicit(&board->peak, memory_order_relaxed) < peak)
		atomic_store_explicit(&board->peak, peak, memory_order_relaxed);
}

void run_close(struct run *run)
{
	const struct ledger none = { .count = 0 };
	struct acre_stats stats;
	uint64_t refusals = run->main.refusals;

	acre_flush(run->arena);
	audit(run, &none);
	audit_whole(run->arena, &run->range, run->most_alive);
	acre_stats(run->arena, &stats);
	if (stats.plots > 1)
		fault("%zu plots are held after all threads but one have ended", stats.plots);
	for (unsigned i = 0; run->workers != NULL && i < run->threads; i++)
		refusals += run->workers[i].refusals;
	if (stats.refusals != refusals)
		fault("acre_stats counts %zu refusals, the program %llu", stats.refusals,
		      (unsigned long long)refusals);
	audit_taken_whole(run->arena);
	publish(&run->main);
	atomic_fetch_add_explicit(&run->board->refusals, refusals, memory_order_relaxed);
	note_peak(run->board, stats.peak_live_bytes);
	if (acre_destroy(run->arena) != 0)
		fault("acre_destroy failed: %s", strerror(errno));
	for (unsigned i = 0; run->workers != NULL && i < run->threads; i++)
		worker_clear(&run->workers[i]);
	worker_clear(&run->main);
	free(run->workers);
	run->workers = NULL;
	pthread_barrier_destroy(&run->gate);
}
