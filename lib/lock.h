/*
 * Locks, and the order in which they are taken.
 *
 * A thread takes locks in rising rank, and so never waits in a circle:
 *
 *	rank 0		the registry of arenas
 *	rank 1..2047	the plots of an arena, by id; more than one only around fork
 *	rank 2048	the commons of an arena
 *
 * Only fork holds locks of two arenas at once, in the registry's order, while it holds the registry.
 * With --enable-checks every lock_take() asserts the order.
 */
#ifndef ACRE_LOCK_H
#define ACRE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define RANK_REGISTRY	0u
#define RANK_COMMONS	2048u

struct lock {
	pthread_mutex_t mutex;
	uint32_t rank;
};

#ifdef ACRE_CHECKS
/*
 * The ranks that this thread holds, and whether it is in fork, where arenas follow each other. Who
 * only tries doesn't wait, and may do so in any order.
 */
void lock_note_take(uint32_t rank, bool waits);
void lock_note_drop(uint32_t rank);
void lock_note_fork(bool forking);
#else
static inline void lock_note_take(uint32_t rank, bool waits)
{
	(void)rank;
	(void)waits;
}

static inline void lock_note_drop(uint32_t rank)
{
	(void)rank;
}

static inline void lock_note_fork(bool forking)
{
	(void)forking;
}
#endif

void lock_init(struct lock *lock, uint32_t rank);
void lock_end(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
	lock_note_take(lock->rank, true);
	pthread_mutex_lock(&lock->mutex);
}

static inline void lock_drop(struct lock *lock)
{
	lock_note_drop(lock->rank);
	pthread_mutex_unlock(&lock->mutex);
}

/* Takes the lock if nobody holds it. */
static inline bool lock_try(struct lock *lock)
{
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		return false;
	lock_note_take(lock->rank, false);
	return true;
}

#endif
