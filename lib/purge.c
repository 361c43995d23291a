/*
 * Purge: see purge.h.
 */
#include "purge.h"

#include <time.h>

#include "dirt.h"
#include "plot.h"

#define DECAY_MS	1000u
#define AGAIN_MS	10u
#define PASS_BYTES	((size_t)64 << 20)

_Thread_local unsigned purge_ticks;

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Purges the free blocks of a heap, under its lock, at most limit bytes. */
static size_t purge_heap(struct acre *arena, struct heap *heap, size_t limit)
{
	char *base = arena_base(arena);
	uint64_t links = heap->fit.links;
	uint64_t at = fit_next(base, &heap->fit, arena->page, 0);
	size_t given = 0;

	for (; at && given < limit; at = fit_next(base, &heap->fit, arena->page, at))
		given += dirt_purge(arena, at + links, tag_size(tag_at(base, at)) - links,
				    limit - given);
	return given;
}

static size_t purge_plot(struct acre *arena, struct plot *plot, size_t limit)
{
	size_t given = 0;

	for (unsigned i = 0; i < plot->leases && given < limit; i++)
		given += purge_heap(arena, &plot_lease(arena, plot, i)->heap, limit - given);
	return given;
}

/* All heaps; without waiting for a plot that's in use, or with. */
static size_t purge_heaps(struct acre *arena, size_t limit, bool wait)
{
	/* Acquire, to the release in new_plot(): the plots up to this one are set up. */
	uint32_t count = atomic_load_explicit(&arena->plots_seen, memory_order_acquire);
	size_t given = 0;

	for (uint32_t id = 1; id <= count && given < limit; id++) {
		struct plot *plot = plot_at(arena, id);

		if (wait)
			lock_take(&plot->lock);
		else if (!lock_try(&plot->lock))
			continue;
		given += purge_plot(arena, plot, limit - given);
		lock_drop(&plot->lock);
	}
	lock_take(&arena->lock);
	if (given < limit)
		given += purge_heap(arena, &arena->commons, limit - given);
	lock_drop(&arena->lock);
	return given;
}

void purge_now(struct acre *arena)
{
	uint64_t due = atomic_load_explicit(&arena->purge_at, memory_order_relaxed);
	uint64_t now;
	size_t given;

	if (!arena->dirt || arena->flags & ACRE_NO_PURGE) {
		atomic_store_explicit(&arena->freed_bytes, 0, memory_order_relaxed);
		return;
	}
	now = now_ms();
	if (due && now < due)
		return;
	/* One thread purges; who comes second finds a later time. */
	if (!atomic_compare_exchange_strong_explicit(&arena->purge_at, &due, now + DECAY_MS,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	if (!due)
		return;
	given = purge_heaps(arena, PASS_BYTES, false);
	if (given >= PASS_BYTES) {
		atomic_store_explicit(&arena->purge_at, now + AGAIN_MS, memory_order_relaxed);
		return;
	}
	atomic_store_explicit(&arena->freed_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&arena->purge_at, 0, memory_order_relaxed);
}

size_t purge_all(struct acre *arena)
{
	return purge_heaps(arena, SIZE_MAX, true);
}
