/*
 * Plot: a thread's heap, made of leases.
 *
 *	plot                                        leases, by address
 *	+-------------------------------------+    +-----+------+-------+--------- ... -+-----+
 *	| lock  inbox  holder                 |    | tag | heap | index | blocks        | END |
 *	| lease[0..]  places, ascending ------+--> +-----+------+-------+--------- ... -+-----+
 *	| room[0..]   largest free block each |    +-----+------+-------+-- ... -+-----+
 *	| crest[0..]  largest of each 16      |    | tag | heap | index | blocks | END |
 *	| cache       (its thread's alone)    |    +-----+------+-------+-- ... -+-----+
 *	+-------------------------------------+
 *
 * Its lock guards the leases and what's in them, though not the cache, nor the faces of live and
 * cached blocks. Any thread may take it: to free a batch of the plot's blocks, to drain the inbox
 * of a thread that sleeps, to use its free land when there's no other.
 *
 * The inbox is a stack of cached blocks, threaded through their payloads. A push releases, a drain
 * acquires, and takes all.
 *
 * A lease that becomes free goes back to the commons, but one may stay as a spare with a plot that
 * has a thread. The plot outlives its thread: with its land it goes to the next one. A thread that
 * ended without leaving (it joined in its last destructor) is found out by the kernel's not knowing
 * it.
 */
#ifndef ACRE_PLOT_H
#define ACRE_PLOT_H

#include "arena.h"
#include "cache.h"

#define PLOT_LEASES	223u
#define CREST		16u	/* leases whose largest room is noted apart */

/* A lease's own record, at the start of its payload; the index of its heap follows. */
struct lease {
	_Alignas(GRANULE) struct heap heap;
};

struct plot {
	struct lock lock;
	uint32_t id;
	uint32_t next_idle;		/* under the lock of the commons */
	_Atomic uintptr_t holder;	/* its thread, 0 = none */
	_Atomic int tid;		/* the same as the kernel knows it */
	_Atomic uint64_t inbox;		/* place of the block pushed last, 0 = none */
	_Atomic uint64_t inbox_blocks;
	_Atomic uint64_t inbox_bytes;

	/* Under the plot's lock. */
	bool orphan;			/* its thread is gone, its cache not yet salvaged */
	uint32_t leases;
	uint64_t land;			/* granules leased */
	uint64_t used;			/* granules in blocks that aren't free */
	uint64_t blocks;		/* number of these */
	int64_t unreported;		/* bytes of use, see arena_used() */
	uint64_t purged;		/* place of the lease where purge.c goes on */
	struct queue queues[FLAVORS];	/* blocks that wait: see waiting.h */
	struct ring ring;		/* its thread's, mostly */
	uint32_t crest[(PLOT_LEASES + CREST - 1) / CREST];
	uint32_t room[PLOT_LEASES];
	uint64_t lease[PLOT_LEASES];	/* places of the leases' blocks in the commons */

	_Alignas(64) struct cache cache;
};

/* How many plots there are: their ids are 1 to this. */
static inline uint32_t plots_made(const struct acre *arena)
{
	/* Acquire, to the release in new_plot(): these plots are set up. */
	return atomic_load_explicit(&arena->plots, memory_order_acquire);
}

/* The plot with this id. */
static inline struct plot *plot_at(const struct acre *arena, uint32_t id)
{
	uint64_t from_end = (uint64_t)id * arena->plot_bytes;

	return (struct plot *)(arena_base(arena) + arena_ceiling(arena) - from_end);
}

/* The lock of the heap that a block's tag names as its owner: a plot, or 0 for the commons. */
static inline struct lock *owner_lock(struct acre *arena, uint32_t owner)
{
	return owner ? &plot_at(arena, owner)->lock : &arena->lock;
}

/* The record of a plot's lease number i. */
static inline struct lease *plot_lease(struct acre *arena, const struct plot *plot, unsigned i)
{
	return payload_at(arena_base(arena), plot->lease[i]);
}

/* The number of the first lease that doesn't lie below this place; plot->leases if none. */
unsigned plot_lease_from(const struct plot *plot, uint64_t at);

/* The bytes of a slab for a plot with caches of this plan; whole pages. */
size_t plot_size(const struct cache_plan *plan);

/* At the start of a process: threads are looked for in this one from now on. */
void plot_process_begin(void);

/* False in the child of a vfork, which borrows its parent's memory, and holds no plot. */
bool plot_process_is_this(void);

/* A plot for the thread `holder`: an idle one, or a new one; NULL if there's no room for any. */
struct plot *plot_join(struct acre *arena, uintptr_t holder);

/* The plot that a thread `holder` has already, though it may not know; NULL if none. */
struct plot *plot_held(struct acre *arena, uintptr_t holder);

/* Whether the plot's thread ended without leaving it. */
bool plot_deserted(const struct plot *plot);

/* Deserted plots become idle. */
void plot_reap(struct acre *arena);

/* The thread leaves: the cache is flushed, free leases go back, and the plot is idle. */
void plot_leave(struct plot *plot);

/*
 * Under the plot's lock, all of these:
 */

/* An orphan's cache is salvaged: its blocks go to their owners, here or by their inboxes. */
void plot_salvage(struct plot *plot);

/*
 * A block of size granules at a multiple of alignment, from what the plot has; 0 if nothing fits.
 */
uint64_t plot_take(struct acre *arena, struct plot *plot, uint64_t size, uint64_t alignment);

/* As plot_take(), with another lease where that's needed. */
uint64_t plot_take_more(struct acre *arena, struct plot *plot, uint64_t size, uint64_t alignment);

/*
 * Up to count blocks for the cache, side by side from *first on, out of one free block: where these
 * are small, more calls cost no more in all, and none takes long. The number had.
 */
unsigned plot_take_run(struct acre *arena, struct plot *plot, uint64_t size, unsigned count,
		       uint64_t *first);

/* Cached blocks of this plot are free again: count places, at most BATCH_MOST, sorted here. */
void plot_give(struct acre *arena, struct plot *plot, uint64_t *places, unsigned count);

/* As heap_resize() and heap_slide(), for a block of this plot. */
bool plot_resize(struct acre *arena, struct plot *plot, uint64_t at, uint64_t size);
uint64_t plot_slide(struct acre *arena, struct plot *plot, uint64_t at, uint64_t size);

/* Frees what is in the inbox. */
void plot_drain(struct acre *arena, struct plot *plot);

/*
 * Drains the inbox and drops the lock; and once more where something was posted meanwhile by someone
 * who found the lock taken. For who holds the lock of a plot whose thread may sleep.
 */
void plot_let_go(struct acre *arena, struct plot *plot);

/* Wholly free leases go back to the commons. */
void plot_release(struct acre *arena, struct plot *plot);

/* The number of faults; a line for each. */
int plot_check(struct acre *arena, struct plot *plot);

/*
 * Without the lock: a chain of cached blocks of this plot, from first to last by their posts, comes
 * into the inbox.
 */
void plot_post(struct acre *arena, struct plot *plot, uint64_t first, uint64_t last,
	       uint64_t blocks, uint64_t bytes);

#endif
