/*
 * Bins: the plan for them, how a cache begins, and what bins.h says.
 */
#include "bins.h"

#include <string.h>

#include "plot.h"

#define START_BLOCKS	8u
#define START_BYTES	4096u

const uint64_t cache_no_block[2] = { 0, 1 };

static entry nothing[1] = { NO_BLOCK };

#define NO_BIN		{ nothing, nothing }
#define NO_BINS_2	NO_BIN, NO_BIN
#define NO_BINS_8	NO_BINS_2, NO_BINS_2, NO_BINS_2, NO_BINS_2
#define NO_BINS_32	NO_BINS_8, NO_BINS_8, NO_BINS_8, NO_BINS_8

/* All bins empty, and full. */
struct cache cache_none = {
	.bins = { NO_BINS_32, NO_BINS_32, NO_BINS_32, NO_BINS_32 }
};

_Static_assert(CACHE_BINS == 4 * 32 && CLASSES < CACHE_BINS, "every bin of cache_none is empty");

static uint64_t class_bytes(const struct cache_plan *plan, unsigned class)
{
	return plan->granules[class] * (uint64_t)GRANULE;
}

/* Granules of the blocks in a class's bin; 0 if it stays empty. */
static uint64_t binned_granules(unsigned class, bool buddies)
{
	uint64_t granules = class_granules(class);
	uint64_t power = class < SMALL_CLASSES ? granules : power_above(granules);

	if (!buddies)
		return granules;
	return power & (power - 1) || class + 1 == CLASSES || class_granules(class + 1) <= power ?
		       0 : power;
}

void cache_plan_init(struct cache_plan *plan, size_t budget, bool buddies)
{
	uint32_t sum = 1;

	plan->most[0] = 0;
	plan->granules[0] = 0;
	for (unsigned c = 1; c < CLASSES; c++) {
		size_t most;

		plan->granules[c] = (uint16_t)binned_granules(c, buddies);
		if (!budget || !plan->granules[c]) {
			plan->most[c] = 0;
			continue;
		}
		most = (c < SMALL_CLASSES ? budget : 3 * budget) / class_bytes(plan, c);
		most = most < 4 ? 4 : most > ROW_MOST ? ROW_MOST : most;
		plan->most[c] = (uint16_t)most;
		sum += (uint32_t)most + 1;
	}
	plan->entries = sum;
}

size_t cache_size(const struct cache_plan *plan)
{
	return sizeof(struct cache) + plan->entries * sizeof(entry);
}

void cache_reach(struct cache *cache, const struct acre *arena)
{
	size_t committed = atomic_load_explicit(&arena->committed, memory_order_relaxed);

	cache->size = (committed < arena->size ? committed : arena->size) - GRANULE;
}

void cache_init(struct cache *cache, struct acre *arena, struct plot *plot)
{
	cache->first = arena_base(arena) + GRANULE;
	cache_reach(cache, arena);
	cache->key = arena->key;
	cache->arena = arena;
	cache->plot = plot;
	cache->granted = 0;
	cache->victim = 1;
	cache->denied = 0;
	cache->used = 1;
	memset(cache->spare, 0, sizeof(cache->spare));
	memset(cache->row, 0, sizeof(cache->row));
	memset(cache->row_size, 0, sizeof(cache->row_size));
	memset(cache->lacking, 0, sizeof(cache->lacking));
	atomic_store_explicit(cache->entries, NO_BLOCK, memory_order_relaxed);
	for (unsigned c = 0; c < CACHE_BINS; c++) {
		atomic_store_explicit(&cache->bins[c].top, cache->entries, memory_order_relaxed);
		cache->bins[c].limit = cache->entries;
	}
}

static void set_limit(struct cache *cache, unsigned class, unsigned limit)
{
	cache->bins[class].limit = bin_bottom(cache, class) + limit;
}

/* Takes this many bytes of what all caches together may hold. */
static bool grant(struct cache *cache, size_t bytes)
{
	struct acre *arena = cache->arena;

	if (cache->granted + bytes > arena->cache_bytes ||
	    atomic_load_explicit(&arena->caches_granted, memory_order_relaxed) + bytes >
		    arena->caches_bytes)
		return false;
	if (atomic_fetch_add_explicit(&arena->caches_granted, bytes, memory_order_relaxed) + bytes >
	    arena->caches_bytes) {
		atomic_fetch_sub_explicit(&arena->caches_granted, bytes, memory_order_relaxed);
		return false;
	}
	cache->granted += bytes;
	return true;
}

static void ungrant(struct cache *cache, size_t bytes)
{
	cache->granted -= bytes;
	atomic_fetch_sub_explicit(&cache->arena->caches_granted, bytes, memory_order_relaxed);
}

void cache_reset(struct cache *cache)
{
	ungrant(cache, cache->granted);
	cache_init(cache, cache->arena, cache->plot);
}

/* A row of this size; 0 if all entries are in use. */
static uint16_t take_row(struct cache *cache, unsigned size)
{
	uint16_t row = cache->spare[size];
	unsigned end = cache->used + (ROW_LEAST << size) + 1;

	if (row) {
		cache->spare[size] = (uint16_t)(uintptr_t)bin_load(&cache->entries[row]);
		return row;
	}
	if (end > cache->arena->plan.entries)
		return 0;
	row = cache->used;
	cache->used = (uint16_t)end;
	return row;
}

static void give_row(struct cache *cache, unsigned size, uint16_t row)
{
	atomic_store_explicit(&cache->entries[row], (void *)(uintptr_t)cache->spare[size],
			      memory_order_relaxed);
	cache->spare[size] = row;
}

/* Gives a class a row for so many blocks; false if there's none. */
static bool lengthen(struct cache *cache, unsigned class, unsigned blocks)
{
	struct bin *bin = &cache->bins[class];
	unsigned count = bin_count(cache, class);
	unsigned limit = bin_limit(cache, class);
	uint16_t had = cache->row[class];
	unsigned had_size = cache->row_size[class];
	unsigned size = had_size;
	entry *to;
	uint16_t row;

	if (had && ROW_LEAST << had_size >= blocks)
		return true;
	while (ROW_LEAST << size < blocks)
		size++;
	row = take_row(cache, size);
	if (!row)
		return false;
	to = cache->entries + row;
	/* Under the lock, for acre_stats() and a fork's child, who both count the blocks. */
	lock_take(&cache->plot->lock);
	atomic_store_explicit(to, NO_BLOCK, memory_order_relaxed);
	memcpy((void *)(to + 1), (void *)(bin_bottom(cache, class) + 1), count * sizeof(*to));
	cache->row[class] = row;
	cache->row_size[class] = (uint8_t)size;
	atomic_store_explicit(&bin->top, to + count, memory_order_relaxed);
	bin->limit = to + limit;
	lock_drop(&cache->plot->lock);
	if (had)
		give_row(cache, had_size, had);
	return true;
}

bool bins_widen(struct cache *cache, unsigned class)
{
	unsigned limit = bin_limit(cache, class);
	unsigned most = cache->arena->plan.most[class];
	unsigned wider = 2 * limit;
	size_t bytes;

	if (limit == most)
		return true;
	if (!limit) {
		wider = START_BYTES / (unsigned)class_bytes(&cache->arena->plan, class);
		wider = wider < 1 ? 1 : wider > START_BLOCKS ? START_BLOCKS : wider;
	}
	if (wider > most)
		wider = most;
	bytes = (wider - limit) * class_bytes(&cache->arena->plan, class);
	if (!grant(cache, bytes))
		return false;
	if (lengthen(cache, class, wider)) {
		set_limit(cache, class, wider);
		return true;
	}
	ungrant(cache, bytes);
	/* A class that has no row at all would stay without. */
	return limit != 0;
}

bool bins_spent(const struct cache *cache)
{
	return cache->used + ROW_LEAST + 1 > cache->arena->plan.entries && !cache->spare[0];
}

void bins_narrow(struct cache *cache, unsigned class, unsigned limit)
{
	ungrant(cache, (bin_limit(cache, class) - limit) *
			       class_bytes(&cache->arena->plan, class));
	set_limit(cache, class, limit);
}
