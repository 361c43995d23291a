/*
 * Cache: refill, overflow, flush. See cache.h for the picture.
 *
 * Limits adapt. A bin that runs empty or over doubles its limit, from 8 blocks or 4 KiB up to what
 * the arena's plan has for its class; where that would exceed what the cache or all caches of the
 * arena may hold, it stays, and each 32nd time another bin's limit is halved, in turn, to make
 * room. Half a limit is fetched, 64 blocks at most; a quarter is given back, the oldest first, so
 * that a thread whose need swings by up to three quarters of a limit comes to rest.
 */
#include "cache.h"

#include <string.h>

#include "commons.h"
#include "plot.h"
#include "report.h"

#define START_BLOCKS	8u
#define START_BYTES	4096u
#define PATIENCE	32u

const uint64_t cache_no_block[2] = { 0, 0 };

static entry nothing[1] = { NO_BLOCK };

#define NO_BIN		{ nothing, nothing }
#define NO_BINS_2	NO_BIN, NO_BIN
#define NO_BINS_8	NO_BINS_2, NO_BINS_2, NO_BINS_2, NO_BINS_2
#define NO_BINS_32	NO_BINS_8, NO_BINS_8, NO_BINS_8, NO_BINS_8

/* All bins empty, and full. */
struct cache cache_none = {
	.bins = { NO_BINS_32, NO_BINS_32, NO_BINS_32, NO_BINS_32 }
};

_Static_assert(CACHE_BINS == 4 * 32 && CLASSES <= CACHE_BINS, "every bin of cache_none is empty");
_Static_assert((ROW_MOST + 3) / 4 <= BATCH_MOST, "a quarter of a row is no more than a batch");

static uint64_t class_bytes(unsigned class)
{
	return class_granules(class) * GRANULE;
}

void cache_plan_init(struct cache_plan *plan, size_t budget)
{
	uint32_t sum = 1;

	plan->most[0] = 0;
	for (unsigned c = 1; c < CLASSES; c++) {
		size_t most = (c < SMALL_CLASSES ? budget : 3 * budget) / class_bytes(c);

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

static char *base_of(const struct cache *cache)
{
	return arena_base(cache->arena);
}

static entry *bottom(const struct cache *cache, unsigned class)
{
	return (entry *)(uintptr_t)cache->entries + cache->row[class];
}

static void *load(const entry *at)
{
	return atomic_load_explicit(at, memory_order_relaxed);
}

/* Block number n of a bin, from 1 on: the oldest first. */
static void *entry_at(const struct cache *cache, unsigned class, unsigned n)
{
	return load(bottom(cache, class) + n);
}

static unsigned bin_count(const struct cache *cache, unsigned class)
{
	return (unsigned)(bin_top(&cache->bins[class]) - bottom(cache, class));
}

static unsigned bin_limit(const struct cache *cache, unsigned class)
{
	return (unsigned)(cache->bins[class].limit - bottom(cache, class));
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
	atomic_store_explicit(cache->entries, NO_BLOCK, memory_order_relaxed);
	for (unsigned c = 0; c < CACHE_BINS; c++) {
		atomic_store_explicit(&cache->bins[c].top, cache->entries, memory_order_relaxed);
		cache->bins[c].limit = cache->entries;
	}
}

static uint32_t owner_of(const struct cache *cache, uint64_t place)
{
	return tag_plot(tag_at(base_of(cache), place));
}

/* Cached blocks of another plot go home: under its lock if that's to be had, else by post. */
static void send(struct acre *arena, struct plot *plot, uint64_t *places, unsigned count)
{
	char *base = arena_base(arena);
	uint64_t bytes = 0;

	if (lock_try(&plot->lock)) {
		plot_drain(arena, plot);
		plot_give(arena, plot, places, count);
	} else {
		for (unsigned i = 0; i < count; i++) {
			bytes += payload_bytes(tag_size(tag_at(base, places[i])));
			if (i + 1 < count)
				link_write(base, places[i], places[i + 1]);
		}
		plot_post(plot, base, places[0], places[count - 1], count, bytes);
		/*
		 * Its holder may have dropped the lock before it could see the post, and may be
		 * asleep now.
		 */
		if (!lock_try(&plot->lock))
			return;
	}
	/* What others have posted while this went on. */
	plot_drain(arena, plot);
	lock_drop(&plot->lock);
}

/* The same for blocks of the commons. */
static void send_to_commons(struct acre *arena, const uint64_t *places, unsigned count)
{
	lock_take(&arena->lock);
	for (unsigned i = 0; i < count; i++) {
		heap_expect(arena_base(arena), places[i], 0, arena->key, TAG_CACHED);
		commons_give(arena, places[i]);
	}
	lock_drop(&arena->lock);
}

/* Cached blocks go back, owner by owner; under the lock of the cache's plot. */
static void give(struct cache *cache, uint64_t *places, unsigned count)
{
	struct acre *arena = cache->arena;

	while (count) {
		uint32_t owner = owner_of(cache, places[0]);
		unsigned same = 1;

		for (unsigned i = 1; i < count; i++)
			if (owner_of(cache, places[i]) == owner) {
				uint64_t place = places[i];

				places[i] = places[same];
				places[same++] = place;
			}
		if (owner == cache->plot->id)
			plot_give(arena, cache->plot, places, same);
		else if (owner)
			send(arena, plot_at(arena, owner), places, same);
		else
			send_to_commons(arena, places, same);
		places += same;
		count -= same;
	}
}

/*
 * The oldest count blocks of a bin go back. All of it under the lock of the cache's plot, so that
 * fork, which holds it, finds every block in the bin, in a heap or in an inbox.
 */
static void give_oldest(struct cache *cache, unsigned class, unsigned count)
{
	entry *oldest = bottom(cache, class) + 1;
	unsigned left = bin_count(cache, class) - count;
	uint64_t places[BATCH_MOST];

	for (unsigned i = 0; i < count; i++)
		places[i] = place_of(base_of(cache), load(oldest + i));
	/* Nobody else looks at entries, but for fork's child. */
	memmove((void *)oldest, (void *)(oldest + count), left * sizeof(*oldest));
	atomic_store_explicit(&cache->bins[class].top, oldest + left - 1, memory_order_relaxed);
	give(cache, places, count);
}

static void set_limit(struct cache *cache, unsigned class, unsigned limit)
{
	cache->bins[class].limit = bottom(cache, class) + limit;
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

/* All but the newest blocks of a bin go back; under the lock of the cache's plot. */
static void keep_newest(struct cache *cache, unsigned class, unsigned keep)
{
	unsigned count;

	while ((count = bin_count(cache, class)) > keep)
		give_oldest(cache, class, count - keep < BATCH_MOST ? count - keep : BATCH_MOST);
}

/* Halves the limit of another class, and gives back what that then holds too much. */
static void take_from_another(struct cache *cache, unsigned class)
{
	unsigned c = cache->victim;
	unsigned limit;

	/* The class itself may be the only one with a limit: once round is enough. */
	do
		c = c + 1 < CLASSES ? c + 1 : 1;
	while (c != cache->victim && (c == class || !bin_limit(cache, c)));
	cache->victim = c;
	limit = bin_limit(cache, c);
	if (c == class || !limit)
		return;
	lock_take(&cache->plot->lock);
	keep_newest(cache, c, limit / 2);
	lock_drop(&cache->plot->lock);
	set_limit(cache, c, limit / 2);
	ungrant(cache, (limit - limit / 2) * class_bytes(c));
}

/* A row of this size; 0 if all entries are in use. */
static uint16_t take_row(struct cache *cache, unsigned size)
{
	uint16_t row = cache->spare[size];
	unsigned end = cache->used + (ROW_LEAST << size) + 1;

	if (row) {
		cache->spare[size] = (uint16_t)(uintptr_t)load(&cache->entries[row]);
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
	memcpy((void *)(to + 1), (void *)(bottom(cache, class) + 1), count * sizeof(*to));
	cache->row[class] = row;
	cache->row_size[class] = (uint8_t)size;
	atomic_store_explicit(&bin->top, to + count, memory_order_relaxed);
	bin->limit = to + limit;
	lock_drop(&cache->plot->lock);
	if (had)
		give_row(cache, had_size, had);
	return true;
}

/* Doubles the limit of a class if it may. */
static void widen(struct cache *cache, unsigned class)
{
	unsigned limit = bin_limit(cache, class);
	unsigned most = cache->arena->plan.most[class];
	unsigned wider = 2 * limit;
	size_t bytes;

	if (limit == most)
		return;
	if (!limit) {
		wider = START_BYTES / (unsigned)class_bytes(class);
		wider = wider < 1 ? 1 : wider > START_BLOCKS ? START_BLOCKS : wider;
	}
	if (wider > most)
		wider = most;
	bytes = (wider - limit) * class_bytes(class);
	if (!grant(cache, bytes)) {
		/* Where all bins are in use, they would only take from each other in a circle. */
		if (++cache->denied % PATIENCE)
			return;
		take_from_another(cache, class);
		if (!grant(cache, bytes))
			return;
	}
	if (lengthen(cache, class, wider))
		set_limit(cache, class, wider);
	else
		ungrant(cache, bytes);
}

void *cache_refill(struct cache *cache, unsigned class)
{
	uint64_t places[BATCH_MOST];
	struct plot *plot = cache->plot;
	struct bin *bin = &cache->bins[class];
	unsigned want, had;

	if (bin_count(cache, class))
		report_misuse("malloc", entry_at(cache, class, bin_count(cache, class)),
			      "its tag was overwritten while it was free; look for a write after "
			      "free, or past the end of the block before");
	widen(cache, class);
	want = (bin_limit(cache, class) + 1) / 2;
	want = want < 1 ? 1 : want > BATCH_MOST ? BATCH_MOST : want;
	lock_take(&plot->lock);
	plot_drain(cache->arena, plot);
	had = plot_take_run(cache->arena, plot, class_granules(class), want, places);
	/*
	 * The highest goes in first, so that the lowest is used first. Under the lock still, for
	 * fork's sake: whoever holds it finds every block in a heap or in a cache.
	 */
	for (unsigned i = had; i > 1; i--)
		bin_push(bin, bin_top(bin), payload_at(base_of(cache), places[i - 1]));
	lock_drop(&plot->lock);
	if (!had)
		return NULL;
	tag_set_state(tag_at(base_of(cache), places[0]), TAG_LIVE);
	SHADOW_SHOW(payload_at(base_of(cache), places[0]), payload_bytes(class_granules(class)));
	return payload_at(base_of(cache), places[0]);
}

bool cache_keep(struct cache *cache, void *block, unsigned class)
{
	struct bin *bin = &cache->bins[class];
	struct tag *tag = tag_of(block);

	if (bin_top(bin) == bin->limit)
		widen(cache, class);
	if (bin_top(bin) == bin->limit && bin_limit(cache, class) > 1) {
		lock_take(&cache->plot->lock);
		give_oldest(cache, class, (bin_limit(cache, class) + 3) / 4);
		plot_drain(cache->arena, cache->plot);
		lock_drop(&cache->plot->lock);
	}
	if (bin_top(bin) == bin->limit)
		return false;
	tag_set_state(tag, TAG_CACHED);
	bin_push(bin, bin_top(bin), block);
	return true;
}

void cache_flush(struct cache *cache)
{
	lock_take(&cache->plot->lock);
	for (unsigned c = 1; c < CLASSES; c++)
		keep_newest(cache, c, 0);
	lock_drop(&cache->plot->lock);
}

/* A block that a cache held, if it's still whole and nobody's. */
static bool salvageable(struct acre *arena, void *block)
{
	char *base = arena_base(arena);
	uintptr_t offset = (uintptr_t)block - (uintptr_t)base;

	if (offset % GRANULE || offset >= arena->size || offset < GRANULE)
		return false;
	return tag_state(tag_of(block)) == TAG_CACHED &&
	       tag_sound(base, place_of(base, block), arena->key);
}

void cache_salvage(struct cache *cache)
{
	struct acre *arena = cache->arena;

	/*
	 * The thread may have been anywhere in a push or a pop: then a block is lost, or is both
	 * here and in use, which its tag tells.
	 */
	for (unsigned c = 1; c < CLASSES; c++)
		for (unsigned n = bin_count(cache, c); n; n--) {
			void *block = entry_at(cache, c, n);
			uint64_t at = place_of(base_of(cache), block);

			if (salvageable(arena, block))
				give(cache, &at, 1);
		}
	cache_reset(cache);
}

void cache_count(const struct cache *cache, size_t *blocks, size_t *bytes)
{
	for (unsigned c = 1; c < CLASSES; c++) {
		size_t count = bin_count(cache, c);

		*blocks += count;
		*bytes += count * payload_bytes(class_granules(c));
	}
}

static int check_entry(struct cache *cache, void *block, uint64_t granules)
{
	struct line line = { 0 };
	const struct tag *tag = tag_of(block);

	if (salvageable(cache->arena, block) && tag_size(tag) == granules)
		return 0;
	line_text(&line, "check: block ");
	line_address(&line, block);
	line_text(&line, ": its tag isn't that of a cached block, but a cache holds it");
	report(&line);
	return 1;
}

int cache_check(struct cache *cache)
{
	int faults = 0;

	for (unsigned c = 1; c < CLASSES; c++)
		for (unsigned n = bin_count(cache, c); n; n--)
			faults += check_entry(cache, entry_at(cache, c, n), class_granules(c));
	return faults;
}
