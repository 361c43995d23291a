/*
 * Locks, and the order in which they are taken.
 *
 * A thread takes locks in rising rank, and so never waits in a circle:
 *
 *	rank 0		the registry of arenas
 *	rank 1		the depot of an arena
 *	rank 2		its blocks that wait for a grace period, beside those of plots
 *	rank 3..2049	the plots of an arena, by id; more than one only around fork, or where
 *			the second isn't waited for: in acre_walk(), and in a cache that gives
 *			blocks back to their plots
 *	rank 2050	the commons of an arena
 *
 * Only fork holds locks of two arenas at once, in the registry's order, while it holds the
 * registry. Other fork handlers of the program may allocate meanwhile, in the same thread: for a
 * thread that holds all locks, taking and dropping one does nothing.
 *
 * With --enable-checks every lock_take() asserts the order.
 */
#ifndef ACRE_LOCK_H
#define ACRE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define RANK_REGISTRY	0u
#define RANK_DEPOT	1u
#define RANK_WAITING	2u
#define RANK_PLOT(id)	((id) + 2u)
#define RANK_COMMONS	2050u

struct lock {
	pthread_mutex_t mutex;
	uint32_t rank;
};

/* This thread holds every lock there is. */
extern _Thread_local bool lock_holds_all;

#ifdef ACRE_CHECKS
/* The ranks that this thread holds. Who only tries doesn't wait, and may do so in any order. */
void lock_note_take(uint32_t rank, bool waits);
void lock_note_drop(uint32_t rank);
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
#endif

void lock_init(struct lock *lock, uint32_t rank);
void lock_end(struct lock *lock);

/* For fork, which takes them all: without the notes. */
static inline void lock_seize(struct lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
}

static inline void lock_yield(struct lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
}

static inline void lock_take(struct lock *lock)
{
	if (lock_holds_all)
		return;
	lock_note_take(lock->rank, true);
	lock_seize(lock);
}

static inline void lock_drop(struct lock *lock)
{
	if (lock_holds_all)
		return;
	lock_note_drop(lock->rank);
	lock_yield(lock);
}

/* Takes the lock if nobody holds it. */
static inline bool lock_try(struct lock *lock)
{
	if (lock_holds_all)
		return true;
	if (pthread_mutex_trylock(&lock->mutex) != 0)
		return false;
	lock_note_take(lock->rank, false);
	return true;
}

/* Tries again some times, with pauses that get longer: some dozen instructions each, 63 in all. */
bool lock_retry(struct lock *lock);

/* For who can do without, at a price of as much time: a microsecond or more. */
static inline bool lock_try_long(struct lock *lock)
{
	return lock_try(lock) || lock_retry(lock);
}

#endif
