/*
 * Arena: the fixed range and what lies where in it.
 *
 *	base                                                             base + size
 *	+-------------+------+-----------+- - - - - - - - - - - - - -+--------+--------+
 *	| struct acre | maps | index     | the commons               | plot 2 | plot 1 |
 *	+-------------+------+-----------+- - - - - - - - - - - - - -+--------+--------+
 *	  depot.h's     dirt.h  fit.h     both committed as the commons grow
 *	  array behind it
 *
 * Everything refers to everything else by offsets from base, but for the caches, each of which
 * belongs to one thread of one process, the depot between them, what waits for a grace period
 * (waiting.h), and the list of the process's arenas.
 *
 * Plots are slabs of equal size at the high end. Some are set aside from the start; further ones
 * take the end of the commons while it's free, so they never cut the free range.
 */
#ifndef ACRE_ARENA_H
#define ACRE_ARENA_H

#include <acre/acre.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "depot.h"
#include "heap.h"
#include "lock.h"
#include "sizes.h"
#include "waiting.h"

#define ARENA_FLAGS	(ACRE_NO_CACHE | ACRE_HUGE_PAGES | ACRE_PREFAULT | ACRE_NO_PURGE)

/* Asked for in one request, this can't be had from any arena. */
#define REQUEST_MOST	ARENA_MOST

/* The blocks that a cache keeps of each class, how many at most, and its entries for them. */
struct cache_plan {
	uint16_t most[CLASSES];
	uint16_t granules[CLASSES];	/* of a class's blocks; 0 = the class isn't in use */
	uint32_t entries;
};

#define PURGE_BUSY	UINT64_MAX

/* What guard.h needs to know; all of it zero in an arena without guards. */
struct guard {
	/* Settled at creation. */
	unsigned kinds;			/* acre_options.guards */
	uint64_t secret;
	size_t quarantine_bytes;

	/* Under the lock of the commons. */
	uint64_t dice;
	uint64_t oldest;		/* places in the quarantine: the next to leave, */
	uint64_t newest;		/* and the last that came */
	uint64_t blocks;		/* so many wait there, */
	uint64_t bytes;			/* with so much payload; */
	uint64_t passing;		/* and so many are just being freed */
	uint64_t pages;			/* guard pages in use */
};

struct acre {
	/* Settled at creation. */
	uint64_t serial;		/* never used twice by a process */
	uint64_t seal;			/* arena_seal(), until it's destroyed */
	size_t size;
	size_t mapped;			/* bytes from the OS; 0 = the caller's buffer */
	unsigned flags;
	uint32_t key;
	enum fit_policy policy;
	size_t page;			/* granules in a page: */
	unsigned page_log;		/* 2 to the power of this */
	size_t aligned;			/* bytes: buddies' first payload is a multiple of this */
	size_t dirt;			/* byte offset of the map of touched pages; 0 = none */
	size_t seams;			/* and of where moved pages begin and end */
	size_t plot_bytes;		/* of a plot's slab; 0 = no plots */
	size_t cache_bytes;		/* most bytes in one cache; its share in the depot is apart */
	size_t caches_bytes;		/* and in all together */
	uint64_t plot_most;		/* granules: a plot's largest block */
	uint64_t lease_least;		/* granules */
	struct cache_plan plan;
	struct guard guard;
	size_t fail_at;			/* the first request to refuse for a test's sake; 0 = none */
	size_t fail_count;
	size_t rcu_bytes;		/* most bytes that are to wait for grace periods */
	size_t rcu_batch;		/* and those that make one begin early */

	/* Under the registry's lock. */
	struct acre *next;

	/* Under the lock of the commons. */
	struct lock lock;
	struct heap commons;
	_Atomic size_t committed;	/* bytes from base; read by others too */
	_Atomic uint64_t reached;	/* the place up to which blocks were handed out; the same */
	uint32_t plot_reserved;		/* slabs set aside, for the plots there are and the next */
	uint32_t plots_seized;		/* by a thread that forks, */
	bool seized;			/* with all other locks of the arena */
	uint32_t idle_plot;		/* the first without a thread, 0 = none */
	uint32_t reap_at;		/* plots at which to look for deserted ones */
	uint64_t leases;
	uint64_t lease_granules;
	uint64_t search_steps;		/* of the searches for a place, so far */

	struct depot depot;
	/* Under waiting_lock. */
	struct lock waiting_lock;
	struct queue queues[FLAVORS];	/* what threads without a plot handed in */

	struct grace graces[FLAVORS];
	const struct waiting_hooks *_Atomic waiting_hooks;

	/* Anyone's. */
	_Atomic uint64_t waiting_bytes;	/* in queues, and of strays */
	_Atomic uint32_t plots;		/* made so far, in use or idle; see plots_made() */
	_Atomic uint64_t caches_granted;
	_Atomic uint64_t used_bytes;	/* of callers and caches, as reported so far */
	_Atomic uint64_t peak_bytes;
	_Atomic uint64_t refusals;
	_Atomic uint64_t requests;	/* counted only where some are to be refused */
	_Atomic uint64_t moves;		/* of large blocks, by their pages */
	_Atomic uint64_t freed_bytes;	/* since the last purge */
	_Atomic uint64_t purge_at;	/* when the next is due, ms; 0 = not yet settled */

	/* Of the thread that purges now: purge_at is PURGE_BUSY. */
	uint32_t purge_plot;		/* plots that the round has been through */
	uint64_t purge_freed;		/* freed_bytes as the round began; 0 = it hasn't */
	uint64_t purge_block;		/* the free block that the last pass left unfinished, */
	uint64_t purge_from;		/* and the place in it to go on from */
};

/* Where plots begin, downward: the last page's end, in bytes from base. */
static inline size_t arena_ceiling(const struct acre *arena)
{
	return arena->size & -(arena->page * GRANULE);
}

uint64_t arena_buddy(const struct acre *arena, uint64_t granules, uint64_t alignment);

/*
 * Granules of the block that serves a request for so many, at a multiple of alignment. A buddy has
 * the alignment of its own size, as far as the first has it.
 */
static inline uint64_t arena_block(const struct acre *arena, uint64_t granules, uint64_t alignment)
{
	return arena->policy == FIT_BUDDY ? arena_buddy(arena, granules, alignment) : granules;
}

/* The class of a block of so many granules, at most CLASSED_MOST; see cache_plan_init(). */
static inline unsigned arena_class(const struct acre *arena, uint64_t granules)
{
	return class_of(granules) -
	       (arena->policy == FIT_BUDDY && granules >= SMALL_CLASSES);
}

/* Whether a block is one that a cache or the depot can hold: whole, and nobody's. */
bool arena_cached(const struct acre *arena, const void *block);

/* 1, and a line, if it isn't, or not of this class; else 0. */
int arena_cached_fault(const struct acre *arena, unsigned class, const void *block);

/* What tells an arena from other memory. */
static inline uint64_t arena_seal(const struct acre *arena)
{
	return (arena->serial ^ (uintptr_t)arena) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static inline char *arena_base(const struct acre *arena)
{
	return (char *)(uintptr_t)arena;
}

/* Calls visit for each live arena, in one order always; the caller holds the registry's lock. */
void arena_each(void (*visit)(struct acre *arena));

extern struct lock arena_registry;

/* Use of the arena changed by so many bytes: keeps the peak. */
void arena_used(struct acre *arena, int64_t bytes);

/* So many bytes are in use: raises the peak to that if it's lower, and returns the peak. */
uint64_t arena_peak(struct acre *arena, uint64_t used);

#endif
