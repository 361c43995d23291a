/*
 * Schedule: lets one thread of a test run at a time, and a seed say which, so that an interleaving
 * that breaks something can be had again.
 *
 *	thread 1   ----point--point                    point----lock ...
 *	                           \                  /             \
 *	thread 2                    point--point--lock               (waits) ...
 *
 * The library is compiled once more for this, with the compiler's instrumentation for
 * ThreadSanitizer but without its run-time: hooks.c has functions of those names. So each atomic
 * operation and each access to memory calls here first, and lib/ needs nothing for it; its locks
 * come here by way of macros (Makefile.am). Each such call is a point where another thread may go
 * on.
 *
 * The seed settles how fine the points are (locks and read-modify-writes; atomic loads and stores
 * as well; any access), how many of them lie between two changes, and who comes next: any other
 * thread, or that of the highest priority, where each change makes the running thread's the lowest
 * (after PCT: Burckhardt et al., ASPLOS 2010). A weak compare-exchange fails for no reason now and
 * then. A thread that finds a lock taken isn't asked again until it's dropped; where all wait,
 * that's a deadlock, and a run without an end is a livelock: a line, and the process exits with 1.
 *
 * A thread ends for real within the schedule: all rounds of destructors of thread-specific data are
 * part of it, and once they are through, the next one goes on when the kernel knows the thread no
 * more. So is the clock.
 *
 * What this can't show is weak memory order: a thread sees here at once what another has written,
 * whatever order the operations ask for. That's ThreadSanitizer's part.
 *
 * The main thread isn't part of the schedule: it sets up, calls schedule_run(), and looks at what
 * came out. Calls are for threads of the schedule, unless it's said otherwise.
 */
#ifndef ACRE_TESTS_SCHEDULE_H
#define ACRE_TESTS_SCHEDULE_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define SCHEDULE_THREADS 32u	/* in the course of a run */

enum schedule_kind {
	POINT_UPDATE,		/* a lock, or an atomic read-modify-write */
	POINT_ATOMIC,		/* an atomic load or store */
	POINT_ACCESS		/* any other access to memory */
};

struct schedule_result {
	uint64_t trace;		/* a hash of who passed which point when */
	uint64_t points;	/* passed, also those too fine for this seed */
	uint64_t switches;
	uint64_t waits;		/* for a lock that another thread held */
	uint64_t busy;		/* locks that were tried and not had */
	uint64_t lost;		/* compare-exchanges that found another value */
};

/* The main thread, before it starts the first one. With trace, stderr tells each switch. */
void schedule_begin(uint64_t seed, bool trace);

/* A thread more; also from the main thread, before schedule_run(). */
void schedule_start(void (*body)(void *), void *argument);

/* The main thread: until all have ended. */
struct schedule_result schedule_run(void);

/* Lets others go on: for who waits until another has done something. */
void schedule_pause(void);

/* No changes of threads meanwhile: for a look at the library's structures by its own functions. */
void schedule_hold(bool hold);

/* What the instrumented code comes by; any thread may. */
void schedule_point(enum schedule_kind kind, const void *where);
bool schedule_lets_weak_fail(void);
void schedule_lost(void);
int schedule_lock(pthread_mutex_t *mutex);
int schedule_trylock(pthread_mutex_t *mutex);
int schedule_unlock(pthread_mutex_t *mutex);
int schedule_clock(clockid_t clock, struct timespec *now);

#endif
