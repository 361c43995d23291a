/*
 * Tenancy: how a plot comes to a thread, and what becomes of it when the thread goes.
 *
 *	           plot_join                 plot_leave
 *	new ----------------> held by a thread --------> idle, in a list --> held by another ...
 *	 slab at the end            |                        ^
 *	 of the arena               | its thread is gone     |
 *	                            +---- plot_reap ---------+
 *	                            +---- fork, in the child +
 *
 * A plot keeps its land all the while. plot.h says the rest.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dirt.h"
#include "pages.h"
#include "plot.h"

#define REAP_LEAST	16u

static _Atomic pid_t process;

void plot_process_begin(void)
{
	atomic_store_explicit(&process, getpid(), memory_order_relaxed);
}

bool plot_process_is_this(void)
{
	return getpid() == atomic_load_explicit(&process, memory_order_relaxed);
}

/* This thread, as the kernel knows it. */
static int own_tid(void)
{
	return (int)syscall(SYS_gettid);
}

size_t plot_size(const struct cache_plan *plan)
{
	return round_up(offsetof(struct plot, cache) + cache_size(plan), pages_size());
}

/* The commons end a slab lower, if what lies there is free; under their lock. */
static bool lower_end(struct acre *arena)
{
	char *base = arena_base(arena);
	uint64_t granules = arena->plot_bytes / GRANULE;
	uint64_t end = arena->commons.end - granules;
	char *last = base + end / arena->page * arena->page * GRANULE;
	uint64_t first;

	/* Beyond a quarter of the arena, threads work in the commons instead. */
	if ((arena->plot_reserved + 1) * arena->plot_bytes > arena->size / 4 ||
	    arena->commons.end - arena->commons.start <= granules ||
	    (arena->mapped && !pages_commit(last, arena->page * GRANULE)))
		return false;
	first = heap_lower_end(base, &arena->commons, granules);
	if (!first)
		return false;
	dirt_mark_tags(arena, first, end);
	dirt_mark(arena, end, 0);
	arena->plot_reserved++;
	return true;
}

/* Room for one more slab, accessible; under the lock of the commons. */
static struct plot *new_plot(struct acre *arena)
{
	uint32_t id = plots_made(arena) + 1;
	struct plot *plot;

	if (id > PLOT_LAST)
		return NULL;
	if (id > arena->plot_reserved && !lower_end(arena))
		return NULL;
	plot = plot_at(arena, id);
	if (arena->mapped && !pages_commit(plot, arena->plot_bytes))
		return NULL;
	SHADOW_SHOW(plot, arena->plot_bytes);
	memset(plot, 0, offsetof(struct plot, crest));
	lock_init(&plot->lock, RANK_PLOT(id));
	plot->id = id;
	cache_init(&plot->cache, arena, plot);
	/* Release, to the acquire in plots_made(): the plot is set up. */
	atomic_store_explicit(&arena->plots, id, memory_order_release);
	return plot;
}

bool plot_deserted(const struct plot *plot)
{
	int saved = errno;
	bool gone;

	if (!atomic_load_explicit(&plot->holder, memory_order_relaxed))
		return false;
	/* Not getpid(): the child of a vfork has a thread of its own alone. */
	gone = syscall(SYS_tgkill, atomic_load_explicit(&process, memory_order_relaxed),
		       atomic_load_explicit(&plot->tid, memory_order_relaxed), 0) != 0 &&
	       errno == ESRCH;
	errno = saved;
	return gone;
}

static void make_idle(struct acre *arena, struct plot *plot)
{
	lock_take(&arena->lock);
	plot->next_idle = arena->idle_plot;
	arena->idle_plot = plot->id;
	lock_drop(&arena->lock);
}

void plot_reap(struct acre *arena)
{
	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		struct plot *plot = plot_at(arena, id);
		bool gone;

		if (!plot_deserted(plot))
			continue;
		lock_take(&plot->lock);
		/* Another thread may have reaped it, or have been born at this address. */
		gone = plot_deserted(plot);
		if (gone) {
			atomic_store_explicit(&plot->holder, 0, memory_order_relaxed);
			plot->orphan = true;
			depot_threads(arena, -1);
		}
		lock_drop(&plot->lock);
		if (gone)
			make_idle(arena, plot);
	}
}

void plot_salvage(struct plot *plot)
{
	if (plot->orphan) {
		plot->orphan = false;
		cache_salvage(&plot->cache);
	}
}

struct plot *plot_held(struct acre *arena, uintptr_t holder)
{
	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		struct plot *plot = plot_at(arena, id);
		bool mine = false;

		if (atomic_load_explicit(&plot->holder, memory_order_relaxed) != holder)
			continue;
		/* Under the lock, for it may be a dead thread's that is being reaped. */
		lock_take(&plot->lock);
		if (atomic_load_explicit(&plot->holder, memory_order_relaxed) == holder) {
			atomic_store_explicit(&plot->tid, own_tid(), memory_order_relaxed);
			mine = true;
		}
		lock_drop(&plot->lock);
		if (mine)
			return plot;
	}
	return NULL;
}

struct plot *plot_join(struct acre *arena, uintptr_t holder)
{
	struct plot *plot;
	uint32_t made;

	lock_take(&arena->lock);
	made = plots_made(arena);
	if (!arena->idle_plot && made >= arena->reap_at) {
		/*
		 * Each time that there are twice as many: deserted plots stay fewer than the rest.
		 */
		arena->reap_at = made < REAP_LEAST ? REAP_LEAST : 2 * made;
		lock_drop(&arena->lock);
		plot_reap(arena);
		lock_take(&arena->lock);
	}
	if (arena->idle_plot) {
		plot = plot_at(arena, arena->idle_plot);
		arena->idle_plot = plot->next_idle;
	} else {
		plot = new_plot(arena);
	}
	lock_drop(&arena->lock);
	if (!plot)
		return NULL;
	lock_take(&plot->lock);
	plot_salvage(plot);
	plot_drain(arena, plot);
	atomic_store_explicit(&plot->tid, own_tid(), memory_order_relaxed);
	atomic_store_explicit(&plot->holder, holder, memory_order_relaxed);
	/* Under the lock, as holder: fork's child finds the two in step. */
	depot_threads(arena, 1);
	lock_drop(&plot->lock);
	return plot;
}

void plot_leave(struct plot *plot)
{
	struct acre *arena = plot->cache.arena;

	cache_leave(&plot->cache);
	lock_take(&plot->lock);
	atomic_store_explicit(&plot->holder, 0, memory_order_relaxed);
	plot_drain(arena, plot);
	plot_release(arena, plot);
	arena_used(arena, plot->unreported);
	plot->unreported = 0;
	cache_reset(&plot->cache);
	lock_drop(&plot->lock);
	make_idle(arena, plot);
}
