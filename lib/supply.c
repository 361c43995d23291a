/*
 * Supply: see supply.h.
 */
#include "supply.h"

#include <errno.h>
#include <string.h>

#include "commons.h"
#include "dirt.h"
#include "plot.h"
#include "purge.h"

/* Steps 2 and 3. */
static uint64_t from_own(struct acre *arena, struct plot *plot, uint64_t size, uint64_t alignment)
{
	uint64_t at = 0;

	if (plot && size <= arena->plot_most && alignment <= arena->plot_most * GRANULE) {
		lock_take(&plot->lock);
		plot_drain(arena, plot);
		at = plot_take_more(arena, plot, size, alignment);
		lock_drop(&plot->lock);
	}
	if (!at) {
		lock_take(&arena->lock);
		at = commons_take(arena, size, alignment);
		lock_drop(&arena->lock);
	}
	return at;
}

/* Step 5. */
static uint64_t from_others(struct acre *arena, uint64_t size, uint64_t alignment)
{
	uint64_t at = 0;

	for (uint32_t id = 1; id <= plots_made(arena) && !at; id++) {
		struct plot *plot = plot_at(arena, id);

		lock_take(&plot->lock);
		plot_drain(arena, plot);
		at = plot_take(arena, plot, size, alignment);
		plot_let_go(arena, plot);
	}
	return at;
}

void supply_reclaim(struct acre *arena, struct cache *cache)
{
	if (cache->plot)
		cache_flush(cache);
	cache_flush_depot(arena);
	plot_reap(arena);
	/* All of this first, since a cache may hold blocks of any plot. */
	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		struct plot *plot = plot_at(arena, id);

		lock_take(&plot->lock);
		plot_salvage(plot);
		lock_drop(&plot->lock);
	}
	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		struct plot *plot = plot_at(arena, id);

		lock_take(&plot->lock);
		plot_drain(arena, plot);
		plot_release(arena, plot);
		plot_let_go(arena, plot);
	}
}

/* The least block that can serve, or the size that a cache can keep when it's freed. */
static uint64_t wanted_granules(const struct acre *arena, const struct cache *cache, size_t size,
				size_t alignment)
{
	uint64_t granules = arena_block(arena, granules_for(size), alignment);

	return cache->plot && granules <= CLASSED_MOST ?
		       arena->plan.granules[arena_class(arena, granules)] : granules;
}

static void *finish(struct acre *arena, uint64_t at, bool zero)
{
	char *base = arena_base(arena);
	uint64_t size = tag_size(tag_at(base, at));

	SHADOW_SHOW(payload_at(base, at), payload_bytes(size));
	if (zero)
		dirt_zero(arena, (at + 1) * GRANULE, payload_bytes(size));
	dirt_mark(arena, at, size);
	return payload_at(base, at);
}

static void *from_bin(struct cache *cache, unsigned class, size_t size, bool zero)
{
	void *block = cache_obtain(cache, class);

	if (block && zero)
		memset(block, 0, size);
	return block;
}

bool supply_fails(struct acre *arena)
{
	uint64_t number;

	if (!arena->fail_at)
		return false;
	number = atomic_fetch_add_explicit(&arena->requests, 1, memory_order_relaxed) + 1;
	return number >= arena->fail_at && number - arena->fail_at < arena->fail_count;
}

void *supply_refuse(struct acre *arena, struct cache *cache)
{
	if (cache->plot)
		cache_flush(cache);
	cache_flush_depot(arena);
	atomic_fetch_add_explicit(&arena->refusals, 1, memory_order_relaxed);
	errno = ENOMEM;
	return NULL;
}

/* Steps 4 and 5, for no more than is needed. */
static uint64_t from_reclaimed(struct acre *arena, struct cache *cache, size_t size,
			       size_t alignment)
{
	uint64_t granules = arena_block(arena, granules_for(size), alignment);
	uint64_t at;

	supply_reclaim(arena, cache);
	at = from_own(arena, cache->plot, granules, alignment);
	return at ? at : from_others(arena, granules, alignment);
}

/* Steps 2 to 5. */
static uint64_t from_anywhere(struct acre *arena, struct cache *cache, size_t size,
			      size_t alignment)
{
	uint64_t at;

	at = from_own(arena, cache->plot, wanted_granules(arena, cache, size, alignment), alignment);
	if (!at && arena->plot_bytes)
		at = from_reclaimed(arena, cache, size, alignment);
	/* Others may have put blocks into the depot since it was emptied. */
	if (!at && depot_stirs(arena))
		at = from_reclaimed(arena, cache, size, alignment);
	return at;
}

uint64_t supply_place(struct acre *arena, struct cache *cache, size_t size, size_t alignment)
{
	uint64_t at;

	if ((uint64_t)size > REQUEST_MOST || (uint64_t)alignment > REQUEST_MOST)
		return 0;
	at = from_anywhere(arena, cache, size, alignment);
	if (!at && waiting_expedite(arena, size))
		at = from_anywhere(arena, cache, size, alignment);
	purge_maybe(arena, 0);
	return at;
}

void *supply(struct acre *arena, struct cache *cache, size_t size, size_t alignment, bool zero)
{
	uint64_t at;

	if (cache->plot && alignment <= GRANULE && (uint64_t)size <= MEDIUM_BYTES) {
		uint64_t granules = arena_block(arena, granules_for(size), 0);
		void *block = NULL;

		/* A buddy may be twice as large as what's asked for. */
		if (granules <= CLASSED_MOST)
			block = from_bin(cache, arena_class(arena, granules), size, zero);
		if (block) {
			purge_maybe(arena, 0);
			return block;
		}
	}
	at = supply_place(arena, cache, size, alignment);
	return at ? finish(arena, at, zero) : NULL;
}
