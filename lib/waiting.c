/*
 * Waiting: rings, hand-in, and what becomes free again. See waiting.h; grace.c has the grace
 * periods.
 */
#include "waiting.h"

#include "commons.h"
#include "guard.h"
#include "plot.h"
#include "purge.h"
#include "release.h"

#define RCU_BYTES	((size_t)64 << 20)
#define BATCH_BYTES	((size_t)1 << 20)

void waiting_init(struct acre *arena, size_t rcu_bytes)
{
	size_t share = arena->size / 8;

	arena->rcu_bytes = rcu_bytes ? rcu_bytes : share < RCU_BYTES ? share : RCU_BYTES;
	arena->rcu_batch = arena->rcu_bytes / 4 < BATCH_BYTES ? arena->rcu_bytes / 4 : BATCH_BYTES;
	lock_init(&arena->waiting_lock, RANK_WAITING);
	for (unsigned f = 0; f < FLAVORS; f++) {
		pthread_mutex_init(&arena->graces[f].turn, NULL);
		atomic_store_explicit(&arena->graces[f].idle, true, memory_order_relaxed);
	}
}

static uint64_t bytes_at(struct acre *arena, uint64_t at)
{
	return payload_bytes(tag_size(tag_at(arena_base(arena), at)));
}

/* A block that no queue has room for; under waiting_lock. Its bytes. */
static uint64_t stray(struct acre *arena, uint64_t at, uint32_t number)
{
	struct grace *grace = &arena->graces[number];

	tag_set_state(tag_at(arena_base(arena), at), TAG_STRAY);
	grace->strays++;
	grace->stray_bytes += bytes_at(arena, at);
	grace->stray_fresh = true;
	return bytes_at(arena, at);
}

/*
 * Blocks come into the queue of a plot, or into the arena's own; or become strays if they may. Their
 * bytes; 0 if these are to be found out. How many did.
 */
static unsigned enqueue(struct acre *arena, struct plot *plot, const struct ring *ring,
			unsigned from, unsigned count, uint64_t bytes, bool may_stray)
{
	struct queue *queue = plot ? &plot->queues[ring->number] : &arena->queues[ring->number];
	const uint32_t *places = ring->places + from;
	uint64_t high = (uint64_t)ring->high << 32;
	unsigned n = queue_add(arena, plot, queue, ring->high, places, count);

	if (n < count || !bytes) {
		bytes = 0;
		for (unsigned i = 0; i < n; i++)
			bytes += bytes_at(arena, high | places[i]);
	}
	queue->bytes += bytes;
	for (; may_stray && n < count; n++)
		bytes += stray(arena, high | places[n], ring->number);
	atomic_fetch_add_explicit(&arena->waiting_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&arena->graces[ring->number].fresh_bytes, bytes,
				  memory_order_relaxed);
	return n;
}

/* The entries of a ring that aren't in the queue yet. */
static bool collect(struct acre *arena, struct plot *plot, uint64_t bytes, bool may_stray)
{
	struct ring *ring = &plot->ring;
	/* Acquire, to the release of a push: the entries, and what the program did before. */
	uint32_t count = atomic_load_explicit(&ring->count, memory_order_acquire);

	if (ring->taken < count)
		ring->taken += enqueue(arena, plot, ring, ring->taken, count - ring->taken, bytes,
				       may_stray);
	return ring->taken == count;
}

void waiting_collect(struct acre *arena, struct plot *plot)
{
	collect(arena, plot, 0, true);
}

/* The ring is empty, and from now on for this flavour; its plot's thread, under the lock. */
static void begin_ring(struct ring *ring, const void *flavor, uint32_t number, uint32_t high)
{
	ring->flavor = flavor;
	ring->number = number;
	ring->high = high;
	ring->taken = 0;
	ring->twice = 0;
	atomic_store_explicit(&ring->count, 0, memory_order_relaxed);
	/* In a fork handler, the worker can't be called: the next push shall look again. */
	atomic_store_explicit(&ring->limit, lock_holds_all ? 0 : RING_ENTRIES,
			      memory_order_relaxed);
}

/* Payload of all entries; the plot's thread alone knows. */
static uint64_t ring_bytes(const struct ring *ring)
{
	/* Relaxed: its own. */
	uint32_t count = atomic_load_explicit(&ring->count, memory_order_relaxed);

	return (uint64_t)ring->twice * (GRANULE / 2) - (uint64_t)count * TAG_BYTES;
}

/* The ring's blocks come into the plot's queues, and *block, if it isn't NULL. False: not all. */
static bool hand_in(struct acre *arena, struct plot *plot, void **block, const void *flavor,
		    uint32_t number, bool may_stray)
{
	struct ring *ring = &plot->ring;
	uint64_t at = *block ? place_of(arena_base(arena), *block) : 0;
	uint32_t high = *block ? (uint32_t)(at >> 32) : ring->high;

	if (!collect(arena, plot, ring->taken ? 0 : ring_bytes(ring), may_stray))
		return false;
	begin_ring(ring, flavor, number, high);
	if (*block) {
		ring->places[0] = (uint32_t)at;
		if (!enqueue(arena, plot, ring, 0, 1, 0, may_stray))
			return false;
		*block = NULL;
	}
	return true;
}

/* A block of a thread without a plot; under waiting_lock. */
static void hand_in_alone(struct acre *arena, void *block, uint32_t number)
{
	uint64_t at = place_of(arena_base(arena), block);
	struct ring ring = { .number = number, .high = (uint32_t)(at >> 32),
			     .places = { (uint32_t)at } };

	enqueue(arena, NULL, &ring, 0, 1, 0, true);
}

uint64_t waiting_retire(struct acre *arena, uint64_t at)
{
	struct tag *tag = tag_at(arena_base(arena), at);

	SHADOW_RETIRE(payload_at(arena_base(arena), at), payload_bytes(tag_size(tag)));
	SHADOW_HIDE(payload_at(arena_base(arena), at), payload_bytes(tag_size(tag)));
	tag_set_state(tag, TAG_CACHED);
	return at;
}

void waiting_left(struct acre *arena, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&arena->waiting_bytes, bytes, memory_order_relaxed);
}

static inline void fetch_to_write(const void *line)
{
#ifdef __x86_64__
	__asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
	__builtin_prefetch(line, 1);
#endif
}

/*
 * A small block that is due comes into the thread's cache; its size is added to *twice. False if it
 * isn't one, or there's no room.
 */
static inline bool small_to_cache(struct cache *cache, void *block, uint32_t offset, uint32_t key,
				  uint32_t *twice)
{
	uint32_t face = tag_face(tag_of(block));
	uint32_t span = tag_twice(tag_of(block));
	struct bin *bin;

	AT_HAND(span);
	/* As in cache_small(): a large block has other check bits. */
	if (RARELY(((face ^ (TAG_WAITING | tag_hash_small(offset, span, key))) & ~FACE_PLOT) != 0))
		return false;
	bin = (struct bin *)((char *)cache->bins + (uint8_t)span * (sizeof(struct bin) / 2));
	if (!bin_put(bin, block, face_turned(face, TAG_WAITING, TAG_LIVE)))
		return false;
	*twice += span;
	return true;
}

/* Any other one. False if there's no room, or it's too large. */
static bool to_cache(struct cache *cache, uint64_t at)
{
	void *block = payload_at(arena_base(cache->arena), at);
	uint32_t face = face_turned(tag_face(tag_of(block)), TAG_WAITING, TAG_LIVE);
	uint64_t size = tag_size(tag_of(block));
	unsigned class;

	if (size > CLASSED_MOST)
		return false;
	class = arena_class(cache->arena, size);
	return cache->arena->plan.granules[class] == size &&
	       bin_put(&cache->bins[class], block, face);
}

/* Any other one, or one without room there: where it has to go home, it's among places. Its bytes. */
static uint64_t other_to_cache(struct acre *arena, struct cache *cache, uint64_t at,
			       uint64_t *places, unsigned *rest)
{
	uint64_t bytes = queue_expect(arena_base(arena), at, arena->key);

	if (!to_cache(cache, at))
		places[(*rest)++] = waiting_retire(arena, at);
	return bytes;
}

/* As far as there's room: the rest, which is to go home, comes to be in places. Bytes of all. */
static uint64_t run_to_cache(struct acre *arena, struct cache *cache, const struct run *run,
			     uint64_t *places, unsigned *rest)
{
	char *first = payload_at(arena_base(arena), run->high);
	const uint32_t *lows = run->places;
	unsigned count = run->count;
	unsigned smalls = count;
	uint32_t key = arena->key;
	uint32_t twice = 0;
	uint64_t bytes = 0;

	for (unsigned n = 0; n < count; n++) {
		uint64_t offset = (uint64_t)lows[n] * GRANULE;

		if (RARELY(!small_to_cache(cache, first + offset, (uint32_t)offset, key, &twice))) {
			bytes += other_to_cache(arena, cache, run->high | lows[n], places, rest);
			smalls--;
		}
	}
	return bytes + (uint64_t)twice * (GRANULE / 2) - (uint64_t)smalls * TAG_BYTES;
}

/* The tags of those that the next call will look at. */
static void fetch_ahead(struct acre *arena, const struct queue *queue)
{
	struct run run = { 0 };

	queue_run(arena, queue, queue->due, &run);
	for (unsigned n = 0; n < run.count; n++)
		fetch_to_write(tag_at(arena_base(arena), run.high | run.places[n]));
}

/*
 * Blocks that are due come into the thread's cache, as far as it has room; the others go back to
 * their owners. Under the lock of its plot. How many.
 */
static unsigned free_due(struct acre *arena, struct cache *cache, struct queue *queue)
{
	uint64_t places[BATCH_MOST];
	struct run run = { 0 };
	uint64_t bytes, chunk;
	unsigned rest = 0;

	queue_run(arena, queue, queue->due, &run);
	bytes = run_to_cache(arena, cache, &run, places, &rest);
	chunk = queue_leave(arena, queue, run.count, bytes);
	if (chunk)
		places[rest++] = waiting_retire(arena, chunk);
	fetch_ahead(arena, queue);
	if (rest)
		cache_give(arena, cache->plot, places, rest);
	waiting_left(arena, bytes);
	return run.count;
}

unsigned acre_private_waiting_add(struct acre *arena, struct cache *cache, void *block,
				  const void *flavor, uint32_t number, bool all)
{
	struct plot *plot = cache->plot;
	struct grace *grace = &arena->graces[number];
	unsigned wishes = 0;
	bool done = false;

	if (block) {
		if (arena->guard.kinds)
			guard_request(arena, block, "free_rcu");
		else
			release_expect(arena, block, "free_rcu");
		tag_set_state(tag_of(block), TAG_WAITING);
	}
	if (plot) {
		struct queue *queue = &plot->queues[number];

		cache_reach(cache, arena);
		lock_take(&plot->lock);
		done = hand_in(arena, plot, &block, flavor, number, false);
		/* Acquire, to the release in grace_end(): readers are through with the blocks. */
		queue_ripen(arena, queue, atomic_load_explicit(&grace->ended, memory_order_acquire));
		for (unsigned n = 0; queue->freed < queue->due && (all || !n);)
			n += free_due(arena, cache, queue);
		lock_drop(&plot->lock);
	}
	if (!done) {
		lock_take(&arena->waiting_lock);
		if (plot) {
			lock_take(&plot->lock);
			hand_in(arena, plot, &block, flavor, number, true);
			lock_drop(&plot->lock);
		} else if (block) {
			hand_in_alone(arena, block, number);
		}
		lock_drop(&arena->waiting_lock);
	}
	purge_maybe(arena, 0);
	if (lock_holds_all)
		return 0;
	/* Relaxed: the plot's lock orders this with waiting_settle(), if that came to it before. */
	if (atomic_load_explicit(&grace->idle, memory_order_relaxed) ||
	    atomic_load_explicit(&grace->fresh_bytes, memory_order_relaxed) >= arena->rcu_batch)
		wishes |= WAITING_CALL;
	if (atomic_load_explicit(&arena->waiting_bytes, memory_order_relaxed) > arena->rcu_bytes)
		wishes |= WAITING_FULL;
	return wishes;
}

void waiting_count(struct acre *arena, const struct plot *plot, size_t *blocks, size_t *bytes)
{
	/* Acquire, to the release of a push: the entries. */
	uint32_t count = atomic_load_explicit(&plot->ring.count, memory_order_acquire);

	for (uint32_t i = plot->ring.taken; i < count; i++) {
		*bytes += bytes_at(arena, (uint64_t)plot->ring.high << 32 | plot->ring.places[i]);
		++*blocks;
	}
	for (unsigned f = 0; f < FLAVORS; f++)
		queue_count(&plot->queues[f], blocks, bytes);
}

void waiting_count_rest(const struct acre *arena, size_t *blocks, size_t *bytes)
{
	for (unsigned f = 0; f < FLAVORS; f++) {
		queue_count(&arena->queues[f], blocks, bytes);
		*blocks += arena->graces[f].strays;
		*bytes += arena->graces[f].stray_bytes;
	}
}

int waiting_check(struct acre *arena, const struct plot *plot)
{
	const struct queue *queues = plot ? plot->queues : arena->queues;
	int faults = 0;

	for (unsigned f = 0; f < FLAVORS; f++)
		faults += queue_check(arena, &queues[f]);
	return faults;
}
