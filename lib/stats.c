/*
 * Statistics: added up from the heaps and the caches, each heap under its lock.
 */
#include "arena.h"
#include "cache.h"
#include "commons.h"
#include "pages.h"
#include "plot.h"

/* What was counted so far, in granules and blocks. */
struct sums {
	uint64_t used, blocks;		/* live or cached */
	uint64_t free, free_blocks;
	uint64_t largest;
};

/* The free blocks of a heap. */
static void add_free(char *base, const struct heap *heap, struct sums *sums)
{
	uint64_t at = fit_next(base, &heap->fit, 1, 0);
	uint64_t singles = fit_unlisted(&heap->fit);

	sums->free += singles;
	sums->free_blocks += singles;
	if (singles && sums->largest == 0)
		sums->largest = 1;
	for (; at; at = fit_next(base, &heap->fit, 1, at)) {
		uint64_t size = tag_size(tag_at(base, at));

		sums->free += size;
		sums->free_blocks++;
		if (size > sums->largest)
			sums->largest = size;
	}
}

static void add_plot(struct acre *arena, struct plot *plot, struct sums *sums,
		     struct acre_stats *stats, size_t *cached_blocks)
{
	lock_take(&plot->lock);
	if (atomic_load_explicit(&plot->holder, memory_order_relaxed) && !plot_deserted(plot))
		stats->plots++;
	for (unsigned i = 0; i < plot->leases; i++)
		add_free(arena_base(arena), &plot_lease(arena, plot, i)->heap, sums);
	sums->used += plot->used;
	sums->blocks += plot->blocks;
	cache_count(&plot->cache, cached_blocks, &stats->cached_bytes);
	*cached_blocks += atomic_load_explicit(&plot->inbox_blocks, memory_order_relaxed);
	stats->cached_bytes += atomic_load_explicit(&plot->inbox_bytes, memory_order_relaxed);
	waiting_count(arena, plot, &stats->waiting_blocks, &stats->waiting_bytes);
	plot_let_go(arena, plot);
}

/*
 * Bytes of the arena that are in memory, looked for where something can be: below what's committed,
 * and from the end of the commons on.
 */
static size_t resident(struct acre *arena, uint64_t end)
{
	char *base = arena_base(arena);
	size_t page = pages_size();
	size_t committed, index, plots;

	if (!arena->mapped)
		return pages_resident((char *)((uintptr_t)base / page * page), arena->size);
	committed = atomic_load_explicit(&arena->committed, memory_order_relaxed);
	index = commons_index_end(arena, committed);
	plots = end * GRANULE / page * page;
	if (committed > plots)
		committed = plots;
	return pages_resident(base, index) +
	       (committed > index ? pages_resident(base + index, committed - index) : 0) +
	       pages_resident(base + plots, arena->mapped - plots);
}

static size_t above(uint64_t n, uint64_t than)
{
	return n > than ? (size_t)(n - than) : 0;
}

void acre_stats(struct acre *arena, struct acre_stats *stats)
{
	struct sums sums = { 0 };
	size_t cached_blocks = 0;
	uint64_t end;

	*stats = (struct acre_stats){ .size = arena->size };
	/* So nothing goes from the depot to a cache that was counted before, nor back. */
	lock_take(&arena->depot.lock);
	for (uint32_t id = 1; id <= plots_made(arena); id++)
		add_plot(arena, plot_at(arena, id), &sums, stats, &cached_blocks);
	lock_take(&arena->waiting_lock);
	waiting_count_rest(arena, &stats->waiting_blocks, &stats->waiting_bytes);
	lock_drop(&arena->waiting_lock);
	lock_take(&arena->lock);
	add_free(arena_base(arena), &arena->commons, &sums);
	sums.used += arena->commons.used - arena->lease_granules;
	sums.blocks += arena->commons.blocks - arena->leases;
	stats->leases = arena->leases;
	stats->search_steps = (size_t)arena->search_steps;
	cached_blocks += arena->guard.blocks;
	cached_blocks += depot_count(arena);
	stats->cached_bytes += atomic_load_explicit(&arena->depot.bytes, memory_order_relaxed);
	lock_drop(&arena->depot.lock);
	stats->cached_bytes += arena->guard.bytes;
	end = arena->commons.end;
	lock_drop(&arena->lock);

	/* Caches move while they are counted: a difference may pass zero for a moment. */
	stats->live_blocks = above(sums.blocks, cached_blocks + stats->waiting_blocks);
	stats->live_bytes = above(sums.used * GRANULE,
				  sums.blocks * TAG_BYTES + stats->cached_bytes +
					  stats->waiting_bytes);
	stats->free_bytes = sums.free * GRANULE - sums.free_blocks * TAG_BYTES;
	stats->largest_free = sums.largest ? payload_bytes(sums.largest) : 0;
	stats->refusals = atomic_load_explicit(&arena->refusals, memory_order_relaxed);
	stats->peak_live_bytes = arena_peak(arena, stats->live_bytes);
	stats->resident_bytes = resident(arena, end);
}
