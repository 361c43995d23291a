/*
 * Bins: how many blocks each bin of a cache may hold, and the row of entries that it holds them in.
 *
 * Limits adapt. A bin that runs empty or over has its limit doubled, from 8 blocks or 4 KiB up to
 * what the arena's plan has for its class. It stays where that would exceed what the cache or all
 * caches of the arena may hold; then it's for the cache to take from other bins (cache.c).
 */
#ifndef ACRE_BINS_H
#define ACRE_BINS_H

#include "cache.h"

/* The entry below the first block of a class. */
static inline entry *bin_bottom(const struct cache *cache, unsigned class)
{
	return (entry *)(uintptr_t)cache->entries + cache->row[class];
}

static inline void *bin_load(const entry *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

/* Block number n of a bin, from 1 on: the oldest first. */
static inline void *bin_block(const struct cache *cache, unsigned class, unsigned n)
{
	return bin_load(bin_bottom(cache, class) + n);
}

static inline unsigned bin_count(const struct cache *cache, unsigned class)
{
	return (unsigned)(bin_top(&cache->bins[class]) - bin_bottom(cache, class));
}

static inline unsigned bin_limit(const struct cache *cache, unsigned class)
{
	return (unsigned)(cache->bins[class].limit - bin_bottom(cache, class));
}

/*
 * Doubles the limit of a class, as far as the plan and the rows allow. False: what the cache or all
 * of them may hold is spent.
 */
bool bins_widen(struct cache *cache, unsigned class);

/* Whether there's no row left, not even of the shortest. */
bool bins_spent(const struct cache *cache);

/* Lowers a limit to this; the class has no more blocks than that. */
void bins_narrow(struct cache *cache, unsigned class, unsigned limit);

#endif
