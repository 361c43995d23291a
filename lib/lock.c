/*
 * Locks: the set-up of a mutex, and the assertion of the order (--enable-checks).
 */
#include "lock.h"

#include <stdlib.h>

#include "report.h"

_Thread_local bool lock_holds_all;

void lock_init(struct lock *lock, uint32_t rank)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
#ifdef PTHREAD_MUTEX_ADAPTIVE_NP
	/* Sections are short: a waiter does better to look again than to sleep at once. */
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
	pthread_mutex_init(&lock->mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
	lock->rank = rank;
}

void lock_end(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

#ifdef ACRE_CHECKS
#define HELD_MOST 8	/* nobody holds more than two or three */

static _Thread_local struct {
	unsigned count;
	uint32_t rank[HELD_MOST];
} held;

void lock_note_take(uint32_t rank, bool waits)
{
	struct line line = { 0 };

	if (!waits || !held.count || held.rank[held.count - 1] < rank) {
		if (held.count < HELD_MOST)
			held.rank[held.count] = rank;
		held.count++;
		return;
	}
	line_text(&line, "lock order: rank ");
	line_number(&line, rank);
	line_text(&line, " wanted while rank ");
	line_number(&line, held.rank[held.count - 1]);
	line_text(&line, " is held");
	report(&line);
	abort();
}

void lock_note_drop(uint32_t rank)
{
	/* Locks may be dropped in any order: the rank leaves the stack wherever it lies. */
	unsigned i = held.count < HELD_MOST ? held.count : HELD_MOST;

	while (i && held.rank[i - 1] != rank)
		i--;
	for (; i && i < held.count && i < HELD_MOST; i++)
		held.rank[i - 1] = held.rank[i];
	held.count--;
}
#endif
