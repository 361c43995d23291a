/*
 * Locks: the set-up of a mutex, and the assertion of the order (--enable-checks).
 */
#include "lock.h"

#include <stdlib.h>

#include "report.h"

#define PAUSES_MOST	32u	/* at a time */

_Thread_local bool lock_holds_all;

void lock_init(struct lock *lock, uint32_t rank)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
#ifdef __GLIBC__
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

/* Leaves the processor's other thread, and the memory, to others for some cycles. */
static void pause_briefly(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

bool lock_retry(struct lock *lock)
{
	for (unsigned pauses = 1; pauses <= PAUSES_MOST; pauses *= 2) {
		for (unsigned n = pauses; n; n--)
			pause_briefly();
		if (lock_try(lock))
			return true;
	}
	return false;
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

	uint32_t highest = 0;

	for (unsigned i = 0; i < held.count; i++)
		highest = held.rank[i] > highest ? held.rank[i] : highest;
	if (held.count < HELD_MOST && (!waits || !held.count || highest < rank)) {
		held.rank[held.count++] = rank;
		return;
	}
	line_text(&line, "lock order: rank ");
	line_number(&line, rank);
	line_text(&line, " wanted while rank ");
	line_number(&line, highest);
	line_text(&line, " is held");
	report(&line);
	abort();
}

void lock_note_drop(uint32_t rank)
{
	unsigned i = held.count;

	/* Locks may be dropped in any order: the rank leaves the list wherever it stands. */
	while (i && held.rank[i - 1] != rank)
		i--;
	if (!i)
		return;
	for (; i < held.count; i++)
		held.rank[i - 1] = held.rank[i];
	held.count--;
}
#endif
