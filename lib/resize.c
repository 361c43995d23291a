/*
 * Resize: in this order,
 *
 *	smaller     the tail is split off, where it's worth it
 *	larger      into the free block behind
 *	            into the one before, which moves a payload that isn't large
 *	            (but with a cache, neither where that has the block: up to 1,032 bytes)
 *	            to a new block, copied; or its pages moved, where the payload is large
 *	            into the one before after all, when there's no new block
 */
#include "resize.h"

#include <string.h>

#include "commons.h"
#include "dirt.h"
#include "pages.h"
#include "plot.h"
#include "release.h"
#include "supply.h"

#define SLIDE_MOST	((uint64_t)(16 << 10) / GRANULE)	/* a memmove under a lock */
#define REMAP_LEAST	((uint64_t)(1 << 20) / GRANULE)	/* where copying costs more */
#define MOVES_MOST	4096u	/* of an arena: a process has some 65,000 mappings in all */

/* What the owner does with the block at `at`, under its lock. Its place; 0 if that can't be. */
static uint64_t grow_here(struct acre *arena, uint64_t at, uint32_t owner, uint64_t size)
{
	struct lock *lock = owner_lock(arena, owner);
	bool done;

	lock_take(lock);
	done = owner ? plot_resize(arena, plot_at(arena, owner), at, size) :
		       commons_resize(arena, at, size);
	lock_drop(lock);
	return done ? at : 0;
}

static uint64_t slide(struct acre *arena, uint64_t at, uint32_t owner, uint64_t size)
{
	struct lock *lock = owner_lock(arena, owner);

	lock_take(lock);
	at = owner ? plot_slide(arena, plot_at(arena, owner), at, size) :
		     commons_slide(arena, at, size);
	lock_drop(lock);
	return at;
}

/* The granules that a block in a cached arena is given for a request: what a cache can keep. */
static uint64_t round_granules(const struct acre *arena, uint64_t granules)
{
	granules = arena_block(arena, granules, 0);
	if (!arena->plot_bytes)
		return granules;
	if (granules <= CLASSED_MOST)
		return arena->plan.granules[arena_class(arena, granules)];
	if (granules > arena->plot_most)
		return round_up(granules, arena->page);
	return granules;
}

/* Whether splitting off the tail is worth a lock; exact placement has no choice. */
static bool worth_splitting(const struct acre *arena, uint64_t had, uint64_t size)
{
	return size < had && (!arena->plot_bytes || resize_splits(had, size));
}

bool resize_serves(const struct acre *arena, uint64_t had, size_t size)
{
	uint64_t granules;

	if (size > payload_bytes(had))
		return false;
	/* A buddy may be as large as its alignment. */
	if (arena->policy == FIT_BUDDY)
		return true;
	granules = round_granules(arena, granules_for(size));
	/* The commons round up to whole pages what a full plot sends there. */
	return !worth_splitting(arena, had, granules) ||
	       (arena->plot_bytes && had == round_up(granules, arena->page));
}

/* The content of a large block goes over to another by moving its whole pages. */
static bool move_pages(struct acre *arena, uint64_t from, uint64_t to, uint64_t granules)
{
	char *base = arena_base(arena);
	size_t page = arena->page * GRANULE;
	size_t start = (from + 1) * GRANULE;
	size_t end = start + payload_bytes(granules);
	/* The page that holds the stamp or links when the old block is free stays. */
	size_t first = round_up(start + FREE_HEAD * GRANULE, page);
	size_t last = end / page * page;
	size_t shift = (to - from) * GRANULE;	/* modulo 2^64: down as well as up */

	if (!arena->mapped || shift % page || !dirt_one_mapping(arena, first, last - first) ||
	    atomic_fetch_add_explicit(&arena->moves, 1, memory_order_relaxed) >= MOVES_MOST ||
	    !pages_move(base + first, base + first + shift, last - first))
		return false;
	memcpy(base + start + shift, base + start, first - start);
	memcpy(base + last + shift, base + last, end - last);
	dirt_moved(arena, first, first + shift, last - first);
	return true;
}

/* A new block gets the content of a large one: its pages, or a copy of those that were touched. */
static void *move_large(struct acre *arena, struct cache *cache, uint64_t at, uint64_t had,
			size_t size)
{
	char *base = arena_base(arena);
	uint64_t to = supply_place(arena, cache, size, 0);

	if (!to)
		return NULL;
	SHADOW_SHOW(payload_at(base, to), payload_bytes(tag_size(tag_at(base, to))));
	if (!move_pages(arena, at, to, had))
		dirt_copy(arena, (to + 1) * GRANULE, (at + 1) * GRANULE, payload_bytes(had));
	dirt_mark(arena, to, tag_size(tag_at(base, to)));
	return payload_at(base, to);
}

/* A new block gets the content of one that isn't large. */
static void *move_small(struct acre *arena, struct cache *cache, uint64_t at, uint64_t had,
			size_t size)
{
	uint64_t granules = granules_for(size);
	uint64_t roomy = resize_roomy(had, granules);
	void *fresh = NULL;

	/*
	 * A buddy has room already, or would have as much again. And nothing is reclaimed for what
	 * wasn't asked for.
	 */
	if (roomy > granules && cache->plot && arena->policy != FIT_BUDDY)
		fresh = cache_obtain(cache, (unsigned)roomy);
	if (!fresh)
		fresh = supply(arena, cache, size, 0, false);
	if (fresh)
		memcpy(fresh, payload_at(arena_base(arena), at), payload_bytes(had));
	return fresh;
}

static void *move(struct acre *arena, struct cache *cache, uint64_t at, uint64_t had, size_t size)
{
	void *block = payload_at(arena_base(arena), at);
	void *fresh = had >= REMAP_LEAST ? move_large(arena, cache, at, had, size) :
					   move_small(arena, cache, at, had, size);

	if (fresh && !cache_put(cache, block))
		release(arena, cache, block);
	return fresh;
}

/*
 * Whether the block behind looks free: a glance that saves taking the lock in vain. A buddy may take
 * several.
 */
static bool may_grow(struct acre *arena, uint64_t at, uint64_t had, uint64_t size)
{
	const struct tag *next = tag_at(arena_base(arena), at + had);

	return tag_state(next) == TAG_FREE &&
	       (had + tag_size(next) >= size || arena->policy == FIT_BUDDY);
}

void *resize(struct acre *arena, struct cache *cache, void *block, size_t size)
{
	char *base = arena_base(arena);
	uint64_t at = release_expect(arena, block, "realloc");
	uint64_t had = tag_size(tag_at(base, at));
	uint32_t owner = tag_plot(tag_at(base, at));
	uint64_t granules, place;

	if ((uint64_t)size > REQUEST_MOST)
		return NULL;
	granules = round_granules(arena, granules_for(size));
	if (granules_for(size) <= had) {
		if (worth_splitting(arena, had, granules)) {
			SHADOW_HIDE((char *)block + payload_bytes(granules),
				    (had - granules) * GRANULE);
			grow_here(arena, at, owner, granules);
		}
		return block;
	}
	if (supply_fails(arena))
		return NULL;
	place = 0;
	/* A small block is copied sooner than a lock is taken. */
	if (granules >= SMALL_GRANULES || !cache->plot) {
		if (may_grow(arena, at, had, granules))
			place = grow_here(arena, at, owner, granules);
		if (!place && had <= SLIDE_MOST && tag_prev_free(tag_at(base, at)))
			place = slide(arena, at, owner, granules);
	}
	if (!place) {
		void *fresh = move(arena, cache, at, had, size);

		if (fresh)
			return fresh;
		/*
		 * What reclaim found may lie around the block itself; and no more than needed will
		 * do.
		 */
		granules = arena_block(arena, granules_for(size), 0);
		place = grow_here(arena, at, owner, granules);
		if (!place)
			place = slide(arena, at, owner, granules);
		if (!place)
			return NULL;
	}
	SHADOW_SHOW(payload_at(base, place), payload_bytes(tag_size(tag_at(base, place))));
	dirt_mark(arena, place, tag_size(tag_at(base, place)));
	return payload_at(base, place);
}
