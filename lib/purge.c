/*
 * Purge: see purge.h.
 *
 * A round goes through all heaps in passes. Where the next pass goes on is kept where it's at home:
 * the arena knows the plot, the plot the lease, each heap's index (fit_sweep) the block, and the
 * arena the place in a block that was too large for one pass.
 */
#include "purge.h"

#include <limits.h>
#include <time.h>

#include "dirt.h"
#include "plot.h"

#define DECAY_MS	1000u
#define AGAIN_MS	4u

/* What one pass may still do: bytes to give, calls of the OS, heaps and blocks to look at. */
struct pass {
	size_t bytes;
	unsigned calls;
	unsigned looks;
	size_t given;
};

#define PORTIONS_MOST	4u
#define PORTION_BYTES	((size_t)16 << 20)
#define PORTION_CALLS	128u
#define PORTION_LOOKS	2048u

_Thread_local unsigned purge_ticks;

static bool look(struct pass *pass)
{
	if (!pass->looks || !pass->calls || pass->given >= pass->bytes)
		return false;
	pass->looks--;
	return true;
}

/* Purges the free blocks of a heap, under its lock. True: the round through it has ended. */
static bool purge_heap(struct acre *arena, struct heap *heap, struct pass *pass)
{
	char *base = arena_base(arena);

	while (look(pass)) {
		uint64_t at = fit_sweep(base, &heap->fit, arena->page);
		uint64_t end, from;

		if (!at)
			return true;
		end = at + tag_size(tag_at(base, at));
		from = at == arena->purge_block ? arena->purge_from : at + FREE_HEAD;
		pass->given += dirt_purge(arena, &from, end, pass->bytes - pass->given, &pass->calls);
		if (from < end) {
			arena->purge_block = at;
			arena->purge_from = from;
		} else {
			arena->purge_block = 0;
			fit_swept(base, &heap->fit, at);
		}
	}
	return false;
}

/* The same of a plot, under its lock. */
static bool purge_plot(struct acre *arena, struct plot *plot, struct pass *pass)
{
	for (unsigned i = plot_lease_from(plot, plot->purged); i < plot->leases; i++) {
		plot->purged = plot->lease[i];
		if (!purge_heap(arena, &plot_lease(arena, plot, i)->heap, pass))
			return false;
	}
	plot->purged = 0;
	return true;
}

/* All heaps from where the last pass ended. True: the round has ended. */
static bool purge_heaps(struct acre *arena, struct pass *pass)
{
	bool done;

	for (; arena->purge_plot < plots_made(arena); arena->purge_plot++) {
		struct plot *plot = plot_at(arena, arena->purge_plot + 1);

		if (!look(pass))
			return false;
		/* Who is in a plot now will be in a slow path of its own. */
		if (!lock_try(&plot->lock))
			continue;
		done = purge_plot(arena, plot, pass);
		plot_let_go(arena, plot);
		if (!done)
			return false;
	}
	lock_take(&arena->lock);
	done = purge_heap(arena, &arena->commons, pass);
	lock_drop(&arena->lock);
	if (done)
		arena->purge_plot = 0;
	return done;
}

/* One thread purges at a time: until it says when the next purge is due, none is. */
static bool begin(struct acre *arena, uint64_t due)
{
	/* Acquire, to the release in end(): where the last pass ended. */
	return atomic_compare_exchange_strong_explicit(&arena->purge_at, &due, PURGE_BUSY,
						       memory_order_acquire, memory_order_relaxed);
}

static void end(struct acre *arena, uint64_t due)
{
	/* Release, to the acquire in begin(). */
	atomic_store_explicit(&arena->purge_at, due, memory_order_release);
}

void purge_at_ms(struct acre *arena, uint64_t now)
{
	uint64_t due = atomic_load_explicit(&arena->purge_at, memory_order_relaxed);
	struct pass pass = { 0 };
	uint64_t portions;

	if (now < due) {
		/* In the midst of a round the next slow path looks again. */
		if (due - now <= AGAIN_MS)
			purge_ticks = PURGE_TICKS - 1;
		return;
	}
	if (!begin(arena, due))
		return;
	if (!due) {
		end(arena, now + DECAY_MS);
		return;
	}
	/* What is freed in the course of a round is for the next one. */
	if (!arena->purge_freed)
		arena->purge_freed = atomic_load_explicit(&arena->freed_bytes,
							  memory_order_relaxed);
	portions = 1 + (now - due) / AGAIN_MS;
	portions = portions < PORTIONS_MOST ? portions : PORTIONS_MOST;
	pass.bytes = portions * PORTION_BYTES;
	pass.calls = (unsigned)portions * PORTION_CALLS;
	pass.looks = (unsigned)portions * PORTION_LOOKS;
	if (!purge_heaps(arena, &pass)) {
		purge_ticks = PURGE_TICKS - 1;
		end(arena, now + AGAIN_MS);
		return;
	}
	atomic_fetch_sub_explicit(&arena->freed_bytes, arena->purge_freed, memory_order_relaxed);
	arena->purge_freed = 0;
	end(arena, 0);
}

void purge_now(struct acre *arena)
{
	struct timespec now;

	if (!arena->dirt || arena->flags & ACRE_NO_PURGE) {
		atomic_store_explicit(&arena->freed_bytes, 0, memory_order_relaxed);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	purge_at_ms(arena, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/* All free pages of a heap, under its lock. */
static size_t trim_heap(struct acre *arena, struct heap *heap)
{
	char *base = arena_base(arena);
	unsigned calls = UINT_MAX;
	size_t given = 0;

	for (uint64_t at = fit_next(base, &heap->fit, arena->page, 0); at;
	     at = fit_next(base, &heap->fit, arena->page, at)) {
		uint64_t from = at + FREE_HEAD;

		given += dirt_purge(arena, &from, at + tag_size(tag_at(base, at)), SIZE_MAX, &calls);
	}
	return given;
}

size_t purge_all(struct acre *arena)
{
	size_t given = 0;

	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		struct plot *plot = plot_at(arena, id);

		lock_take(&plot->lock);
		for (unsigned i = 0; i < plot->leases; i++)
			given += trim_heap(arena, &plot_lease(arena, plot, i)->heap);
		plot_let_go(arena, plot);
	}
	lock_take(&arena->lock);
	given += trim_heap(arena, &arena->commons);
	lock_drop(&arena->lock);
	return given;
}
