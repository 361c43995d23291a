/*
 * Waiting: rings, hand-in, and what becomes free again. See waiting.h; grace.c has the grace
 * periods.
 */
#include "waiting.h"

#include "commons.h"
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

/* A block that no queue has room for; under waiting_lock. */
static void stray(struct acre *arena, uint64_t at, uint32_t number)
{
	struct grace *grace = &arena->graces[number];

	tag_set_state(tag_at(arena_base(arena), at), TAG_STRAY);
	grace->strays++;
	grace->stray_bytes += bytes_at(arena, at);
	grace->stray_fresh = true;
}

/* So many bytes more wait. */
static void account(struct acre *arena, uint32_t number, uint64_t bytes)
{
	atomic_fetch_add_explicit(&arena->waiting_bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&arena->graces[number].fresh_bytes, bytes, memory_order_relaxed);
}

/* A block comes into a queue, or becomes a stray if it may. False if neither can be. */
static bool enqueue(struct acre *arena, struct plot *plot, uint64_t at, uint32_t number,
		    bool may_stray)
{
	struct queue *queue = plot ? &plot->queues[number] : &arena->queues[number];

	if (queue_add(arena, plot, queue, at))
		return true;
	if (may_stray)
		stray(arena, at, number);
	return may_stray;
}

bool waiting_collect(struct acre *arena, struct plot *plot, bool may_stray)
{
	struct ring *ring = &plot->ring;
	uint64_t bytes = 0;
	/* Acquire, to the release in waiting_push(): the entries, and what the program did before. */
	uint32_t count = atomic_load_explicit(&ring->count, memory_order_acquire);

	for (; ring->taken < count; ring->taken++) {
		uint64_t at = place_of(arena_base(arena), ring->entries[ring->taken]);

		if (!enqueue(arena, plot, at, ring->number, may_stray))
			break;
		bytes += bytes_at(arena, at);
	}
	if (bytes)
		account(arena, ring->number, bytes);
	return ring->taken == count;
}

/* The ring is empty, and from now on for this flavour; its plot's thread, under the lock. */
static void begin_ring(struct ring *ring, const void *flavor, uint32_t number)
{
	ring->flavor = flavor;
	ring->number = number;
	ring->taken = 0;
	atomic_store_explicit(&ring->count, 0, memory_order_relaxed);
	/* In a fork handler, the worker can't be called: the next push shall look again. */
	atomic_store_explicit(&ring->limit, lock_holds_all ? 0 : RING_ENTRIES,
			      memory_order_relaxed);
}

/* The ring's blocks and another one come into the plot's queues; `at` becomes 0 once it's there. */
static bool hand_in(struct acre *arena, struct plot *plot, uint64_t *at, const void *flavor,
		    uint32_t number, bool may_stray)
{
	if (!waiting_collect(arena, plot, may_stray))
		return false;
	begin_ring(&plot->ring, flavor, number);
	if (!*at)
		return true;
	if (!enqueue(arena, plot, *at, number, may_stray))
		return false;
	account(arena, number, bytes_at(arena, *at));
	*at = 0;
	return true;
}

uint64_t waiting_retire(struct acre *arena, uint64_t at)
{
	struct tag *tag = tag_at(arena_base(arena), at);

	SHADOW_RETIRE(payload_at(arena_base(arena), at), payload_bytes(tag_size(tag)));
	SHADOW_HIDE(payload_at(arena_base(arena), at), payload_bytes(tag_size(tag)));
	tag_set_state(tag, TAG_CACHED);
	return at;
}

void waiting_left(struct acre *arena, const struct queue *queue, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&arena->waiting_bytes, bytes - queue->bytes,
				  memory_order_relaxed);
}

/*
 * Blocks that are due come into the thread's cache, as far as it has room; the others go back to
 * their owners. Under the lock of its plot. How many.
 */
static unsigned free_due(struct acre *arena, struct cache *cache, struct queue *queue, bool all)
{
	char *base = arena_base(arena);
	uint64_t bytes = queue->bytes;
	uint64_t places[BATCH_MOST];
	unsigned rest = 0;
	unsigned n = queue_take(arena, queue, queue->due, places, BATCH_MOST, all);

	for (unsigned i = 0; i < n; i++) {
		void *block = payload_at(base, places[i]);
		const struct tag *tag = tag_of(block);
		uint64_t size = tag_size(tag);
		unsigned class = size <= CLASSED_MOST ? class_of(size) : 0;

		if (!class || class_granules(class) != size ||
		    !bin_put(&cache->bins[class], block, tag_face(tag)))
			places[rest++] = waiting_retire(arena, places[i]);
	}
	if (rest)
		cache_give(cache, places, rest);
	waiting_left(arena, queue, bytes);
	return n;
}

unsigned acre_private_waiting_add(struct acre *arena, struct cache *cache, void *block,
				  const void *flavor, uint32_t number, bool all)
{
	uint64_t at = block ? release_expect(arena, block, "free_rcu") : 0;
	struct plot *plot = cache->plot;
	struct grace *grace = &arena->graces[number];
	unsigned wishes = 0;
	bool done = false;

	if (block)
		tag_set_state(tag_of(block), TAG_WAITING);
	if (plot) {
		struct queue *queue = &plot->queues[number];

		lock_take(&plot->lock);
		done = hand_in(arena, plot, &at, flavor, number, false);
		/* Acquire, to the release in grace_end(): readers are through with the blocks. */
		queue_ripen(queue, atomic_load_explicit(&grace->ended, memory_order_acquire));
		for (unsigned n = 0; queue->freed < queue->due && (all || n < 2 * RING_ENTRIES);)
			n += free_due(arena, cache, queue, all);
		lock_drop(&plot->lock);
	}
	if (!done) {
		lock_take(&arena->waiting_lock);
		if (plot) {
			lock_take(&plot->lock);
			hand_in(arena, plot, &at, flavor, number, true);
			lock_drop(&plot->lock);
		} else if (at) {
			enqueue(arena, NULL, at, number, true);
			account(arena, number, bytes_at(arena, at));
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
	/* Acquire, to the release in waiting_push(): the entries. */
	uint32_t count = atomic_load_explicit(&plot->ring.count, memory_order_acquire);

	for (uint32_t i = plot->ring.taken; i < count; i++) {
		*bytes += bytes_at(arena, place_of(arena_base(arena), plot->ring.entries[i]));
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
