/*
 * Cache: refill, overflow, flush. See cache.h for the picture.
 *
 * Where a bin runs empty, a block of the next class may serve; else half the bin's limit is fetched,
 * 64 blocks at most. When it runs over, a quarter goes to the depot, so that a thread whose need
 * swings by up to three quarters of a limit comes to rest; or half goes home. The oldest go first.
 * Each time the limit is doubled if that may be (bins.h); each 32nd time that it may not, another
 * bin's limit is halved, in turn, to make room.
 */
#include "cache.h"

#include <string.h>

#include "bins.h"
#include "commons.h"
#include "plot.h"
#include "report.h"

#define PATIENCE	32u
#define PATIENCE_DEPOT	8u
#define EVICTED		3u
#define BORROWS_BELOW	16u	/* blocks of limit */
#define BORROWS_BUT	4u	/* each 4th time, a bin is filled all the same */

static char *base_of(const struct cache *cache)
{
	return arena_base(cache->arena);
}

static uint32_t owner_of(const struct acre *arena, uint64_t place)
{
	return tag_plot(tag_at(arena_base(arena), place));
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
	plot_let_go(arena, plot);
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

/* Cached blocks of one owner go back; under the lock of `own`, if that isn't NULL. */
static void give_to_owner(struct acre *arena, struct plot *own, uint64_t *places, unsigned count)
{
	uint32_t owner = owner_of(arena, places[0]);

	if (own && owner == own->id)
		plot_give(arena, own, places, count);
	else if (owner > plots_made(arena))
		heap_unexpected(arena_base(arena), places[0], arena->key);
	else if (owner)
		send(arena, plot_at(arena, owner), places, count);
	else
		send_to_commons(arena, places, count);
}

void cache_give(struct acre *arena, struct plot *own, uint64_t *places, unsigned count)
{
	while (count) {
		uint32_t owner = owner_of(arena, places[0]);
		unsigned same = 1;

		for (unsigned i = 1; i < count; i++)
			if (owner_of(arena, places[i]) == owner) {
				uint64_t place = places[i];

				places[i] = places[same];
				places[same++] = place;
			}
		give_to_owner(arena, own, places, same);
		places += same;
		count -= same;
	}
}

/* Aborts with a line: a cached block isn't as it was when it was freed. */
static _Noreturn void written_to(const struct acre *arena, const void *block)
{
	char *base = arena_base(arena);
	const struct tag *tag = tag_of(block);

	if (!tag_sound(base, place_of(base, block), arena->key))
		report_misuse("malloc", block,
			      "its tag was overwritten while it was free; look for a write past "
			      "the end of the block before");
	report_misuse_of("malloc", block, tag_size(tag), tag_plot(tag),
			 tag_state(tag) == TAG_CACHED ?
				 "it was written to after it was freed; look for a write after free" :
				 "it was freed twice, by two threads");
}

/* What bin_pop() refuses though it's there isn't as it was freed. */
static void expect_empty(struct cache *cache, unsigned class)
{
	unsigned count = bin_count(cache, class);

	if (count)
		written_to(cache->arena, bin_block(cache, class, count));
}

/*
 * Cached blocks, at most BATCH_MOST, become places to give back: if they're as they were freed.
 * Whether one owner has them all.
 */
static bool verify(const struct acre *arena, void *const *blocks, unsigned count, uint64_t *places)
{
	uint32_t first = tag_face(tag_of(blocks[0]));
	uint32_t differs = 0;

	for (unsigned i = 0; i < count; i++) {
		uint32_t face = tag_face(tag_of(blocks[i]));

		if (!stamped(blocks[i], stamp_of(face, TAG_CACHED)))
			written_to(arena, blocks[i]);
		differs |= face ^ first;
		places[i] = place_of(arena_base(arena), blocks[i]);
	}
	return !face_plot(differs);
}

/* The oldest blocks of a bin: its thread alone looks at entries, but for who salvages them. */
static void **oldest_of(struct cache *cache, unsigned class)
{
	return (void **)(bin_bottom(cache, class) + 1);
}

/* The oldest count blocks of a bin have gone elsewhere. */
static void drop_oldest(struct cache *cache, unsigned class, unsigned count)
{
	entry *oldest = bin_bottom(cache, class) + 1;
	unsigned left = bin_count(cache, class) - count;

	memmove((void *)oldest, (void *)(oldest + count), left * sizeof(*oldest));
	atomic_store_explicit(&cache->bins[class].top, oldest + left - 1, memory_order_relaxed);
}

/*
 * The oldest count blocks of a bin go back. All of it under the lock of the cache's plot, so that
 * fork, which holds it, finds every block in the bin, in a heap or in an inbox.
 */
static void give_oldest(struct cache *cache, unsigned class, unsigned count)
{
	uint64_t places[BATCH_MOST];
	bool same = verify(cache->arena, oldest_of(cache, class), count, places);

	drop_oldest(cache, class, count);
	(same ? give_to_owner : cache_give)(cache->arena, cache->plot, places, count);
}

/*
 * Takes up to `most` blocks of another class than this (0 = of any) home, a chunk of them at most;
 * under the depot's lock.
 */
static bool evict(struct acre *arena, struct plot *own, unsigned but, unsigned most)
{
	void *blocks[DEPOT_CHUNK];
	uint64_t places[DEPOT_CHUNK];
	unsigned count = depot_evict(arena, but, blocks, most);

	if (!count)
		return false;
	verify(arena, blocks, count, places);
	if (own)
		lock_take(&own->lock);
	cache_give(arena, own, places, count);
	if (own)
		lock_drop(&own->lock);
	return true;
}

/*
 * Puts up to count of the oldest blocks of a bin into the depot; the number put. All of it under the
 * depot's lock, for fork's sake again.
 */
static unsigned park(struct cache *cache, unsigned class, unsigned count)
{
	struct acre *arena = cache->arena;
	unsigned parked;

	if (!count || !arena->depot.chunks || !lock_try_long(&arena->depot.lock))
		return 0;
	parked = depot_put(arena, class, oldest_of(cache, class), count);
	/*
	 * What fills the depot may be nobody's need any more. A few, since none of them has its
	 * neighbours with it, in exchange for as many; a chunk, where it's those that are short.
	 */
	if (!parked && ++arena->depot.denied % PATIENCE_DEPOT == 0 &&
	    evict(arena, cache->plot, class, depot_crowded(arena) ? DEPOT_CHUNK : EVICTED))
		parked = depot_put(arena, class, oldest_of(cache, class),
				   count < EVICTED ? count : EVICTED);
	drop_oldest(cache, class, parked);
	lock_drop(&arena->depot.lock);
	return parked;
}

/* Fills an empty bin from the depot, with `want` blocks at most; the number had. */
static unsigned fetch(struct cache *cache, unsigned class, unsigned want)
{
	struct acre *arena = cache->arena;
	entry *bottom = bin_bottom(cache, class);
	unsigned had;

	/* A look without the lock, which may err either way. */
	if (!want || !depot_has(arena, class) || !lock_try_long(&arena->depot.lock))
		return 0;
	had = depot_get(arena, class, oldest_of(cache, class), want);
	/* Release: as in bin_push(). */
	atomic_store_explicit(&cache->bins[class].top, bottom + had, memory_order_release);
	lock_drop(&arena->depot.lock);
	return had;
}

void cache_flush_depot(struct acre *arena)
{
	if (!arena->depot.chunks)
		return;
	/* Even if it's empty: somebody may be taking home what was in it. */
	lock_take(&arena->depot.lock);
	while (evict(arena, NULL, 0, DEPOT_CHUNK))
		;
	lock_drop(&arena->depot.lock);
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

/*
 * A block of the next class, which is larger by an eighth at most; NULL if the cache has none. Where
 * few are fetched at a time, that's cheaper than to fetch them. Not each time, since a borrowed
 * block doesn't come back to this class: a bin in steady use would stay empty. And not for small
 * ones, which realloc() may have made larger than needed already.
 */
static void *borrow(struct cache *cache, unsigned class)
{
	unsigned limit = bin_limit(cache, class);
	void *block;

	if (class < SMALL_CLASSES || !limit || limit >= BORROWS_BELOW ||
	    ++cache->lacking[class - SMALL_CLASSES] % BORROWS_BUT == 0)
		return NULL;
	/* Behind the last class is an empty bin; buddies' classes have empty ones in between. */
	block = bin_pop(&cache->bins[class + 1]);
	if (!block && class + 1 < CLASSES)
		expect_empty(cache, class + 1);
	return block;
}

/* A block from the cache's plot, and up to `want` - 1 for the bin, which is empty. */
static void *carve(struct cache *cache, unsigned class, unsigned want)
{
	struct plot *plot = cache->plot;
	struct bin *bin = &cache->bins[class];
	uint64_t size = cache->arena->plan.granules[class];
	entry *top = bin_top(bin);
	uint64_t at = 0;
	unsigned had;
	void *block;

	lock_take(&plot->lock);
	plot_drain(cache->arena, plot);
	had = plot_take_run(cache->arena, plot, size, want, &at);
	/*
	 * The highest goes in first, so that the lowest is used first. Under the lock still, for
	 * fork's sake: whoever holds it finds every block in a heap or in a cache.
	 */
	for (unsigned i = had; i > 1; i--) {
		block = payload_at(base_of(cache), at + (i - 1) * size);
		atomic_store_explicit(++top, block, memory_order_relaxed);
	}
	/* Release: as in bin_push(). */
	atomic_store_explicit(&bin->top, top, memory_order_release);
	lock_drop(&plot->lock);
	if (!had)
		return NULL;
	block = payload_at(base_of(cache), at);
	tag_set_state(tag_of(block), TAG_LIVE);
	SHADOW_SHOW(block, payload_bytes(size));
	return block;
}

void *cache_refill(struct cache *cache, unsigned class)
{
	unsigned want;
	void *block;

	expect_empty(cache, class);
	block = borrow(cache, class);
	if (block)
		return block;
	widen(cache, class);
	want = (bin_limit(cache, class) + 1) / 2;
	want = want < 1 ? 1 : want > BATCH_MOST ? BATCH_MOST : want;
	if (!fetch(cache, class, bin_limit(cache, class) ? want : 0))
		return carve(cache, class, want);
	block = bin_pop(&cache->bins[class]);
	if (!block)
		expect_empty(cache, class);
	return block;
}

/*
 * Of a bin that's full, a quarter goes to the depot; where that is full too, half goes home, which
 * costs less for each the more there are.
 */
static void make_room(struct cache *cache, unsigned class)
{
	unsigned limit = bin_limit(cache, class);
	unsigned half = (limit + 1) / 2;

	/* Where a bin has room for one alone, the block that comes may as well go home itself. */
	if (park(cache, class, (limit + 3) / 4) || limit < 2)
		return;
	lock_take(&cache->plot->lock);
	give_oldest(cache, class, half < BATCH_MOST ? half : BATCH_MOST);
	plot_drain(cache->arena, cache->plot);
	lock_drop(&cache->plot->lock);
}

bool cache_keep(struct cache *cache, void *block, unsigned class)
{
	struct bin *bin = &cache->bins[class];

	if (bin_top(bin) == bin->limit)
		widen(cache, class);
	if (bin_top(bin) == bin->limit)
		make_room(cache, class);
	if (bin_top(bin) == bin->limit)
		return false;
	bin_mark(block, tag_face(tag_of(block)));
	bin_push(bin, bin_top(bin), block);
	return true;
}

void cache_leave(struct cache *cache)
{
	struct acre *arena = cache->arena;

	depot_threads(arena, -1);
	for (unsigned c = 1; c < CLASSES; c++)
		park(cache, c, bin_count(cache, c));
	cache_flush(cache);
	lock_take(&arena->depot.lock);
	while (depot_over(arena) && evict(arena, NULL, 0, DEPOT_CHUNK))
		;
	lock_drop(&arena->depot.lock);
}

void cache_flush(struct cache *cache)
{
	lock_take(&cache->plot->lock);
	empty(cache);
	lock_drop(&cache->plot->lock);
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
			uint64_t at;

			if (!arena_cached(arena, block))
				continue;
			verify(arena, &block, 1, &at);
			cache_give(arena, cache->plot, &at, 1);
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

int cache_check(struct cache *cache)
{
	int faults = 0;

	for (unsigned c = 1; c < CLASSES; c++)
		for (unsigned n = bin_count(cache, c); n; n--)
			faults += arena_cached_fault(cache->arena, c, bin_block(cache, c, n));
	return faults;
}
