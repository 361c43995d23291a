/*
 * Grace: what the beginning and the end of a grace period mean for what waits. See waiting.h.
 *
 * The caller holds `turn` of the arena's grace periods of this flavour, and no lock.
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "commons.h"
#include "guard.h"
#include "plot.h"
#include "release.h"
#include "waiting.h"

/* From here on, a plot that isn't among plots_made() will be made after this. */
static void settle_plots(struct acre *arena)
{
	lock_take(&arena->lock);
	lock_drop(&arena->lock);
}

/* Up to 64 blocks of a plot's queue go home; under the plot's lock. False if there's none. */
static bool free_from_plot(struct acre *arena, struct plot *plot, struct queue *queue,
			   uint64_t until)
{
	uint64_t bytes = queue->bytes;
	uint64_t places[BATCH_MOST];
	unsigned n = queue_take(arena, queue, until, places);

	for (unsigned i = 0; i < n; i++)
		waiting_retire(arena, places[i]);
	if (n)
		cache_give(arena, plot, places, n);
	waiting_left(arena, bytes - queue->bytes);
	return n != 0;
}

/* As acre_free() of a thread without a cache. */
static void free_live(struct acre *arena, uint64_t at)
{
	void *block = payload_at(arena_base(arena), at);

	if (arena->guard.kinds)
		guard_give(arena, block);
	else
		release(arena, &cache_none, block);
}

/* The same of the arena's own queue, under waiting_lock. */
static bool free_from_arena(struct acre *arena, struct queue *queue, uint64_t until)
{
	uint64_t bytes = queue->bytes;
	uint64_t places[BATCH_MOST];
	unsigned n = queue_take(arena, queue, until, places);

	for (unsigned i = 0; i < n; i++)
		free_live(arena, places[i]);
	waiting_left(arena, bytes - queue->bytes);
	return n != 0;
}

static void begin_in_arena(struct acre *arena, uint32_t number, uint64_t begun)
{
	struct queue *queue = &arena->queues[number];

	uint64_t stale = queue_stale(queue);

	while (free_from_arena(arena, queue, stale))
		;
	queue_ripen(arena, queue, begun - 1);
	queue_mark(queue, begun);
}

/* One plot at a time, and its lock is dropped after each batch: its thread may need it. */
static void begin_in_plot(struct acre *arena, struct plot *plot, uint32_t number, uint64_t begun)
{
	struct queue *queue = &plot->queues[number];
	uint64_t stale = 0;
	bool done;

	do {
		lock_take(&plot->lock);
		if (!stale)
			stale = queue_stale(queue);
		done = !free_from_plot(arena, plot, queue, stale);
		if (done) {
			waiting_collect(arena, plot);
			queue_ripen(arena, queue, begun - 1);
			queue_mark(queue, begun);
		}
		lock_drop(&plot->lock);
	} while (!done);
}

uint64_t acre_private_grace_begin(struct acre *arena, uint32_t number)
{
	struct grace *grace = &arena->graces[number];
	uint64_t begun = atomic_load_explicit(&grace->begun, memory_order_relaxed) + 1;

	atomic_store_explicit(&grace->begun, begun, memory_order_relaxed);
	atomic_store_explicit(&grace->fresh_bytes, 0, memory_order_relaxed);
	/* All the while, since what has no room in a queue becomes a stray. */
	lock_take(&arena->waiting_lock);
	begin_in_arena(arena, number, begun);
	settle_plots(arena);
	for (uint32_t id = 1; id <= plots_made(arena); id++)
		begin_in_plot(arena, plot_at(arena, id), number, begun);
	grace->stray_number = begun;
	grace->stray_fresh = false;
	lock_drop(&arena->waiting_lock);
	return begun;
}

void acre_private_grace_end(struct acre *arena, uint32_t number, uint64_t begun)
{
	/* Release, to the acquires of ended: readers are through with what was marked. */
	atomic_store_explicit(&arena->graces[number].ended, begun, memory_order_release);
}

/* Up to 64 strays of a heap, which are as live then; under its owner's lock. */
static unsigned strays_in(struct acre *arena, const struct heap *heap, uint64_t *places,
			  unsigned had)
{
	char *base = arena_base(arena);

	for (uint64_t at = heap->start; at < heap->end && had < BATCH_MOST;
	     at += tag_size(tag_at(base, at)))
		if (tag_state(tag_at(base, at)) == TAG_STRAY) {
			tag_set_state(tag_at(base, at), TAG_LIVE);
			places[had++] = at;
		}
	return had;
}

/* The same of all heaps of an owner: a plot, or 0 for the commons. */
static unsigned strays_of(struct acre *arena, uint32_t owner, uint64_t *places)
{
	struct plot *plot = owner ? plot_at(arena, owner) : NULL;
	unsigned had = 0;

	lock_take(owner_lock(arena, owner));
	for (unsigned i = 0; plot && i < plot->leases; i++)
		had = strays_in(arena, &plot_lease(arena, plot, i)->heap, places, had);
	if (!plot)
		had = strays_in(arena, &arena->commons, places, had);
	lock_drop(owner_lock(arena, owner));
	return had;
}

static void sweep(struct acre *arena)
{
	uint64_t places[BATCH_MOST];
	unsigned had;

	for (uint32_t owner = 0; owner <= plots_made(arena); owner++)
		do {
			had = strays_of(arena, owner, places);
			for (unsigned i = 0; i < had; i++)
				free_live(arena, places[i]);
		} while (had == BATCH_MOST);
}

/* Strays don't say of which flavour they are: all of them must be through. Under waiting_lock. */
static void free_strays(struct acre *arena)
{
	uint64_t strays = 0;

	for (unsigned f = 0; f < FLAVORS; f++) {
		struct grace *grace = &arena->graces[f];

		/* Acquire, to the release in grace_end(). */
		if (grace->strays &&
		    (grace->stray_fresh || grace->stray_number >
			     atomic_load_explicit(&grace->ended, memory_order_acquire)))
			return;
		strays += grace->strays;
	}
	if (!strays)
		return;
	sweep(arena);
	for (unsigned f = 0; f < FLAVORS; f++) {
		atomic_fetch_sub_explicit(&arena->waiting_bytes, arena->graces[f].stray_bytes,
					  memory_order_relaxed);
		arena->graces[f].strays = arena->graces[f].stray_bytes = 0;
	}
}

void acre_private_grace_free(struct acre *arena, uint32_t number)
{
	/* Relaxed: written under `turn`. */
	uint64_t ended = atomic_load_explicit(&arena->graces[number].ended, memory_order_relaxed);
	bool done;

	lock_take(&arena->waiting_lock);
	queue_ripen(arena, &arena->queues[number], ended);
	while (free_from_arena(arena, &arena->queues[number], arena->queues[number].due))
		;
	free_strays(arena);
	lock_drop(&arena->waiting_lock);
	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		struct plot *plot = plot_at(arena, id);

		do {
			lock_take(&plot->lock);
			queue_ripen(arena, &plot->queues[number], ended);
			done = !free_from_plot(arena, plot, &plot->queues[number],
					       plot->queues[number].due);
			lock_drop(&plot->lock);
		} while (!done);
	}
}

bool acre_private_grace_strays(struct acre *arena)
{
	uint64_t strays = 0;

	lock_take(&arena->waiting_lock);
	for (unsigned f = 0; f < FLAVORS; f++)
		strays += arena->graces[f].strays;
	lock_drop(&arena->waiting_lock);
	return strays != 0;
}

/* Under the plot's lock. */
static bool waits_in(const struct plot *plot, uint32_t number)
{
	const struct ring *ring = &plot->ring;
	const struct queue *queue = &plot->queues[number];

	return queue->first || queue->added != queue->freed ||
	       (ring->number == number &&
		atomic_load_explicit(&ring->count, memory_order_relaxed) != ring->taken);
}

/* Whether anything waits; and if the worker goes to sleep, no ring is filled without its knowing. */
static bool look_around(struct acre *arena, uint32_t number, bool sleep)
{
	bool waits;

	lock_take(&arena->waiting_lock);
	waits = arena->queues[number].first || arena->graces[number].strays;
	lock_drop(&arena->waiting_lock);
	settle_plots(arena);
	for (uint32_t id = 1; id <= plots_made(arena) && !waits; id++) {
		struct plot *plot = plot_at(arena, id);

		lock_take(&plot->lock);
		/* Relaxed: see waiting_settle(). */
		if (sleep && plot->ring.number == number)
			atomic_store_explicit(&plot->ring.limit, 0, memory_order_relaxed);
		waits = waits_in(plot, number);
		lock_drop(&plot->lock);
	}
	return waits;
}

bool acre_private_waiting_any(struct acre *arena, uint32_t number)
{
	return look_around(arena, number, false);
}

bool acre_private_waiting_settle(struct acre *arena, uint32_t number)
{
	if (look_around(arena, number, true))
		return false;
	/*
	 * A thread may be in a push that began before. It counts its block first and then looks at
	 * the limit, and the barrier orders this for it: either the block is seen below, or it has
	 * seen the new limit. Without one, the worker doesn't rest.
	 */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0 ||
	    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
		return false;
	return !look_around(arena, number, true);
}

void waiting_forked(struct acre *arena)
{
	for (unsigned f = 0; f < FLAVORS; f++) {
		struct grace *grace = &arena->graces[f];

		pthread_mutex_init(&grace->turn, NULL);
		atomic_store_explicit(&grace->state, 0, memory_order_relaxed);
		atomic_store_explicit(&grace->wanted, 0, memory_order_relaxed);
		atomic_store_explicit(&grace->given_up, 0, memory_order_relaxed);
		atomic_store_explicit(&grace->idle, true, memory_order_relaxed);
	}
	for (uint32_t id = 1; id <= plots_made(arena); id++)
		atomic_store_explicit(&plot_at(arena, id)->ring.limit, 0, memory_order_relaxed);
}

static const struct waiting_hooks *hooks_of(struct acre *arena)
{
	/* Acquire, to the release in rcu.c, which sets it. */
	return atomic_load_explicit(&arena->waiting_hooks, memory_order_acquire);
}

bool waiting_expedite(struct acre *arena, size_t size)
{
	const struct waiting_hooks *hooks = hooks_of(arena);

	/* In a fork handler, nobody else can do anything. */
	return hooks && size < arena->size && !lock_holds_all && hooks->expedite(arena);
}

bool waiting_end_workers(struct acre *arena)
{
	const struct waiting_hooks *hooks = hooks_of(arena);

	return !hooks || hooks->end(arena);
}

void waiting_end(struct acre *arena)
{
	for (unsigned f = 0; f < FLAVORS; f++)
		pthread_mutex_destroy(&arena->graces[f].turn);
	lock_end(&arena->waiting_lock);
}
