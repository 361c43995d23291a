/*
 * Supply: the slow way of an allocation, when the cache has no block for it.
 *
 *	1  the class's bin is refilled from the plot             (small and middle sizes)
 *	2  the plot: its inbox, its leases, another lease        (up to a plot's largest block)
 *	3  the commons
 *	4  reclaim: the thread's own cache, the depot, those of threads that are gone, the inboxes of all
 *	   plots, wholly free leases; then 2 and 3 again
 *	5  free blocks in the leases of other plots
 *	6  what waits for a grace period is hurried up (waiting.h), if there is any; then 2 to 5 again
 *	7  NULL
 *
 * So no free block is held hostage by a thread that sleeps or is gone; only what other threads'
 * caches hold stays out of reach.
 */
#ifndef ACRE_SUPPLY_H
#define ACRE_SUPPLY_H

#include "arena.h"
#include "cache.h"

/*
 * A block of size bytes at a multiple of alignment (a power of two, or less than 16), all zero if
 * that's asked for. NULL if there's none; then it's for the caller to call supply_refuse().
 */
void *supply(struct acre *arena, struct cache *cache, size_t size, size_t alignment, bool zero);

/* The same from step 2 on: a place, whose block isn't marked as touched yet (dirt.h). 0 if none. */
uint64_t supply_place(struct acre *arena, struct cache *cache, size_t size, size_t alignment);

/* Whether this request is one that acre_options.fail_at says to refuse. */
bool supply_fails(struct acre *arena);

/* Step 7: empties the cache and the depot, counts a refusal, sets errno to ENOMEM, and returns NULL. */
void *supply_refuse(struct acre *arena, struct cache *cache);

/* Step 4. cache may be cache_none. */
void supply_reclaim(struct acre *arena, struct cache *cache);

#endif
