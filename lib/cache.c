/*
 * Cache: refill, overflow, flush. See cache.h for the picture.
 *
 * Half a bin's limit is fetched when it runs empty, 64 blocks at most. A quarter is given back when
 * it runs over, the oldest first, so that a thread whose need swings by up to three quarters of a
 * limit comes to rest. Each time the limit is doubled if that may be (bins.h); each 32nd time that
 * it may not, another bin's limit is halved, in turn, to make room.
 */
#include "cache.h"

#include <string.h>

#include "bins.h"
#include "commons.h"
#include "plot.h"
#include "report.h"

#define PATIENCE	32u

static char *base_of(const struct cache *cache)
{
	return arena_base(cache->arena);
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
				post_write(base, places[i], places[i + 1], arena->key);
		}
		plot_post(arena, plot, places[0], places[count - 1], count, bytes);
		/*
		 * Its holder may have dropped the lock before it could see the post, and may be
		 * asleep now.
		 */
		if (!lock_try(&plot->lock))
			return;
	}
	/* What others have posted while this went on; what slips through waits for the next drain. */
	do {
		plot_drain(arena, plot);
		lock_drop(&plot->lock);
	} while (atomic_load_explicit(&plot->inbox, memory_order_relaxed) && lock_try(&plot->lock));
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

void cache_give(struct cache *cache, uint64_t *places, unsigned count)
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
		else if (owner > plots_made(arena))
			heap_unexpected(arena_base(arena), places[0], arena->key);
		else if (owner)
			send(arena, plot_at(arena, owner), places, same);
		else
			send_to_commons(arena, places, same);
		places += same;
		count -= same;
	}
}

/* Aborts with a line: a cached block isn't as it was when it was freed. */
static _Noreturn void written_to(const struct cache *cache, const void *block)
{
	const struct tag *tag = tag_of(block);

	if (!tag_sound(base_of(cache), place_of(base_of(cache), block), cache->arena->key))
		report_misuse("malloc", block,
			      "its tag was overwritten while it was free; look for a write past "
			      "the end of the block before");
	report_misuse_of("malloc", block, tag_size(tag), tag_plot(tag),
			 tag_state(tag) == TAG_CACHED ?
				 "it was written to after it was freed; look for a write after free" :
				 "it was freed twice, by two threads");
}

/*
 * The oldest count blocks of a bin go back. All of it under the lock of the cache's plot, so that
 * fork, which holds it, finds every block in the bin, in a heap or in an inbox.
 */
static void give_oldest(struct cache *cache, unsigned class, unsigned count)
{
	entry *oldest = bin_bottom(cache, class) + 1;
	unsigned left = bin_count(cache, class) - count;
	uint64_t places[BATCH_MOST];

	for (unsigned i = 0; i < count; i++) {
		void *block = bin_load(oldest + i);

		if (!stamped(block, tag_face(tag_of(block))))
			written_to(cache, block);
		places[i] = place_of(base_of(cache), block);
	}
	/* Nobody else looks at entries, but for who salvages them, under the lock. */
	memmove((void *)oldest, (void *)(oldest + count), left * sizeof(*oldest));
	atomic_store_explicit(&cache->bins[class].top, oldest + left - 1, memory_order_relaxed);
	cache_give(cache, places, count);
}

/* All but the newest blocks of a bin go back; under the lock of the cache's plot. */
static void keep_newest(struct cache *cache, unsigned class, unsigned keep)
{
	unsigned count;

	while ((count = bin_count(cache, class)) > keep)
		give_oldest(cache, class, count - keep < BATCH_MOST ? count - keep : BATCH_MOST);
}

static void empty(struct cache *cache)
{
	for (unsigned c = 1; c < CLASSES; c++)
		keep_newest(cache, c, 0);
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
	bins_narrow(cache, c, limit / 2);
}

/* Doubles the limit of a class if it may; now and then at the cost of others. */
static void widen(struct cache *cache, unsigned class)
{
	if (bins_widen(cache, class))
		return;
	/* Where all bins are in use, they would only take from each other in a circle. */
	if (++cache->denied % PATIENCE)
		return;
	if (!bin_limit(cache, class) && bins_spent(cache)) {
		/* All rows are of classes that were in use once: who's in use now gets new ones. */
		lock_take(&cache->plot->lock);
		empty(cache);
		cache_reset(cache);
		lock_drop(&cache->plot->lock);
	} else {
		take_from_another(cache, class);
	}
	bins_widen(cache, class);
}

void *cache_refill(struct cache *cache, unsigned class)
{
	uint64_t places[BATCH_MOST];
	struct plot *plot = cache->plot;
	struct bin *bin = &cache->bins[class];
	uint64_t size = cache->arena->plan.granules[class];
	unsigned want, had;

	if (bin_count(cache, class))
		written_to(cache, bin_block(cache, class, bin_count(cache, class)));
	widen(cache, class);
	want = (bin_limit(cache, class) + 1) / 2;
	want = want < 1 ? 1 : want > BATCH_MOST ? BATCH_MOST : want;
	lock_take(&plot->lock);
	plot_drain(cache->arena, plot);
	had = plot_take_run(cache->arena, plot, size, want, places);
	/*
	 * The highest goes in first, so that the lowest is used first. Under the lock still, for
	 * fork's sake: whoever holds it finds every block in a heap or in a cache.
	 */
	for (unsigned i = had; i > 1; i--) {
		void *block = payload_at(base_of(cache), places[i - 1]);

		stamp(block, tag_face(tag_of(block)));
		bin_push(bin, bin_top(bin), block);
	}
	lock_drop(&plot->lock);
	if (!had)
		return NULL;
	tag_set_state(tag_at(base_of(cache), places[0]), TAG_LIVE);
	SHADOW_SHOW(payload_at(base_of(cache), places[0]), payload_bytes(size));
	return payload_at(base_of(cache), places[0]);
}

bool cache_keep(struct cache *cache, void *block, unsigned class)
{
	struct bin *bin = &cache->bins[class];

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
	bin_mark(block, tag_face(tag_of(block)));
	bin_push(bin, bin_top(bin), block);
	return true;
}

void cache_flush(struct cache *cache)
{
	lock_take(&cache->plot->lock);
	empty(cache);
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
			void *block = bin_block(cache, c, n);
			uint64_t at = place_of(base_of(cache), block);

			if (salvageable(arena, block))
				cache_give(cache, &at, 1);
		}
	cache_reset(cache);
}

void cache_count(const struct cache *cache, size_t *blocks, size_t *bytes)
{
	for (unsigned c = 1; c < CLASSES; c++) {
		size_t count = bin_count(cache, c);

		*blocks += count;
		if (count)
			*bytes += count * payload_bytes(cache->arena->plan.granules[c]);
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
			faults += check_entry(cache, bin_block(cache, c, n),
					      cache->arena->plan.granules[c]);
	return faults;
}
