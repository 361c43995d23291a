/*
 * Waiting: blocks that were handed in to be freed after a grace period, until it has passed.
 *
 * This layer knows queues and numbers of grace periods; what a grace period is, and who waits for
 * one, is rcu.c's affair, in a library of its own. A block that waits says TAG_WAITING, so that a
 * second free or hand-in is recognised.
 *
 *	thread --> ring of its plot --(full)--> queue of the plot --> the thread's cache, or the
 *	          a push, without a lock        and of the flavour    blocks' owners
 *
 * A ring is written by its plot's thread alone. Everything behind it is done under the plot's lock,
 * by the thread each 64 pushes, or by who runs a grace period: no thread has to be awake for its
 * blocks to be freed.
 *
 * A grace period first gives itself a number. Then, plot by plot under its lock, it takes over what
 * is in the ring, and marks the queue's end. Who handed in before that is ordered before the grace
 * period by the lock, and stands in front of the mark; whoever comes later stands behind it. A plot
 * that's new by then was made under the lock of the commons, which the grace period has held before
 * it looks for plots. When the period has ended, what its number marks is due.
 *
 * What's due goes to the cache of the thread that hands in more, 63 blocks for each 64; if a thread
 * doesn't fetch what is due, as when it sleeps, a later grace period's beginning gives that back to
 * its owners. A thread without a plot, as in an arena without caches or with guards, uses a queue of
 * the arena, under a lock of its own, which precedes those of the plots. With guards, such a block
 * keeps its record and canary, goes into the quarantine when it's due, and a chunk of the queue has
 * them too.
 *
 * A full arena has no room for a chunk of a queue. Then blocks become strays: TAG_STRAY, in no list,
 * but counted. When a grace period has passed since the last of them, a sweep through all heaps
 * frees them. So a hand-in never fails, nor asks for memory that isn't there.
 *
 * A thread may be in the midst of a push when another one forks: as with a cache, that one block is
 * lost to the child.
 */
#ifndef ACRE_WAITING_H
#define ACRE_WAITING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue.h"
#include "sizes.h"

#define FLAVORS		5u	/* as many as liburcu has; each has a number in a process */
#define RING_ENTRIES	BATCH_MOST

struct cache;

struct ring {
	/* Set by the plot's thread, under the lock. */
	const void *flavor;		/* of the blocks in it; NULL before the first */
	uint32_t number;		/* the flavour's */
	uint32_t high;			/* half of the places */
	/* Anyone's, under the lock. */
	uint32_t taken;			/* entries that the queue has already */
	/* Anyone's. */
	_Atomic uint32_t limit;		/* at this count the thread takes the slow way */
	/* The thread's alone. */
	_Atomic uint32_t count;
	uint32_t twice;			/* the granules of the entries, twice */
	uint32_t places[RING_ENTRIES];
};

/* An arena's grace periods of one flavour. */
struct grace {
	_Atomic uint64_t begun, ended;	/* numbers, written under `turn` */
	_Atomic uint64_t fresh_bytes;	/* handed in since the last one began */

	/* Under waiting_lock. */
	uint64_t strays, stray_bytes;
	uint64_t stray_number;		/* of a grace period that began after the last of them; */
	bool stray_fresh;		/* none has */

	/* For rcu.c. */
	pthread_mutex_t turn;		/* one grace period at a time */
	pthread_t worker;
	_Atomic uint32_t state;		/* of the worker; 0 = there's none */
	_Atomic uint32_t wanted;	/* futex: what it's to do */
	_Atomic uint32_t passed;	/* futex: the last that ended, */
	_Atomic uint32_t freed;		/* futex: and the last whose blocks were freed at once */
	_Atomic uint32_t given_up;	/* the one that somebody waited for in vain */
	_Atomic bool idle;		/* it sleeps until it's called */
	_Atomic bool used;		/* a block was handed in */
};

/* What libacre calls of rcu.c, once a block of the arena was handed in. */
struct waiting_hooks {
	/* Waits for blocks to become free, as far as that may be; true if some may have. */
	bool (*expedite)(struct acre *arena);
	/* The workers end; false if they can't, since the caller is a reader. */
	bool (*end)(struct acre *arena);
};

/* What waiting_add() asks for. */
#define WAITING_CALL	1u	/* that the worker be called */
#define WAITING_FULL	2u	/* that the caller wait, if it may: more waits than rcu_bytes */

/*
 * Hands in block, if it isn't NULL, takes over what is in the ring of the cache's plot, and frees
 * some of what is due, or with `all`, all of it in this plot. Returns bits as above.
 */
unsigned acre_private_waiting_add(struct acre *arena, struct cache *cache, void *block,
				  const void *flavor, uint32_t number, bool all);

/* Whether anything waits for grace periods of this flavour. */
bool acre_private_waiting_any(struct acre *arena, uint32_t number);

/*
 * Makes the next push of each thread take the slow way, where it's seen that the worker is idle.
 * False if something waits.
 */
bool acre_private_waiting_settle(struct acre *arena, uint32_t number);

/*
 * A grace period begins: frees what has been due since before, marks what this one will make due,
 * and returns its number. It ends. And all that is due is freed, with the strays. Under `turn`.
 */
uint64_t acre_private_grace_begin(struct acre *arena, uint32_t number);
void acre_private_grace_end(struct acre *arena, uint32_t number, uint64_t grace);
void acre_private_grace_free(struct acre *arena, uint32_t number);

/* Whether there are strays left, whose grace period hasn't passed. */
bool acre_private_grace_strays(struct acre *arena);

/*
 * The rest is for libacre alone.
 */

/*
 * What is in the ring comes into the plot's queues, or among the strays; under waiting_lock and the
 * plot's lock.
 */
void waiting_collect(struct acre *arena, struct plot *plot);

/* A block that was taken from a queue is to go back to its heap. */
uint64_t waiting_retire(struct acre *arena, uint64_t at);

/* So many bytes less wait. */
void waiting_left(struct acre *arena, uint64_t bytes);

/*
 * At the arena's creation, and at its end: first the workers, which may not be possible now; then the
 * locks, when no fork finds the arena any more.
 */
void waiting_init(struct acre *arena, size_t rcu_bytes);
bool waiting_end_workers(struct acre *arena);
void waiting_end(struct acre *arena);

/* In the child of a fork, under all locks: there are no workers. */
void waiting_forked(struct acre *arena);

/* For an allocation of size bytes that found nothing: true if it's worth another try. */
bool waiting_expedite(struct acre *arena, size_t size);

/* Adds what waits in a plot, under its lock; and what waits in none, under waiting_lock. */
void waiting_count(struct acre *arena, const struct plot *plot, size_t *blocks, size_t *bytes);
void waiting_count_rest(const struct acre *arena, size_t *blocks, size_t *bytes);

/* The number of faults in the queues of a plot, under its lock; or NULL: of the arena. */
int waiting_check(struct acre *arena, const struct plot *plot);

#endif
