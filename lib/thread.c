/*
 * Threads: joining, leaving, forking. See thread.h.
 *
 * Leaving is a destructor of thread-specific data. Other destructors may allocate and free after
 * it: by then the thread has no cache any more, and works under the locks of the heaps, so that
 * nothing is left behind whatever the order is.
 *
 * Fork: the parent takes all locks before, in their order (lock.h), so that the child finds every
 * heap whole. There, the plots of the threads that exist no longer are idle; what their caches held
 * is salvaged when a thread next joins the plot, or memory is short.
 */
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plot.h"
#include "private.h"
#include "report.h"

_Thread_local struct acre_thread acre_private_thread = {
	.home = &cache_none,
	/* What isn't an arena has any serial but this. */
	.slots = { [0 ... THREAD_SLOTS - 1] = { .serial = THREAD_NO_ARENA } },
};

static pthread_key_t leaving_key;
static atomic_bool have_leaving_key;

struct cache *acre_private_cache(struct acre *arena)
{
	return thread_cache(arena);
}

struct cache *thread_held(struct acre *arena)
{
	struct acre_thread *self = &acre_private_thread;
	struct cache *cache = thread_listed(arena);
	struct plot *plot = NULL;

	if (cache)
		return cache;
	if (self->evicted && plot_process_is_this())
		plot = plot_held(arena, (uintptr_t)self);
	return plot ? &plot->cache : &cache_none;
}

static void expect_arena(const struct acre *arena)
{
	if (arena->seal != arena_seal(arena))
		report_misuse("arena", arena, "no arena is here; was it destroyed?");
}

struct cache *thread_join_to_free(struct acre *arena)
{
	struct acre_thread *self = &acre_private_thread;

	if (self->freed == THREAD_FREES)
		return thread_join(arena);
	expect_arena(arena);
	self->freed++;
	return thread_held(arena);
}

struct cache *thread_join(struct acre *arena)
{
	struct acre_thread *self = &acre_private_thread;
	unsigned i = (unsigned)arena->serial % THREAD_SLOTS;
	int saved = errno;
	struct cache *cache;
	struct plot *plot;

	expect_arena(arena);
	/* Who can't be told that the thread leaves must not join. */
	if (!arena->plot_bytes || self->leaving || !have_leaving_key || !plot_process_is_this())
		return &cache_none;
	/*
	 * It may hold one already: its entry was evicted; or a thread that lived at this address
	 * before joined in its last breath, after leave(), and left its plot behind.
	 */
	plot = plot_held(arena, (uintptr_t)self);
	if (!plot)
		plot = plot_join(arena, (uintptr_t)self);
	if (!plot)
		return &cache_none;
	cache = &plot->cache;
	if (self->slots[i].serial != THREAD_NO_ARENA)
		self->evicted = true;
	self->slots[i].serial = arena->serial;
	self->slots[i].cache = cache;
	if (arena == acre_default())
		self->home = cache;
	/* Last, since it may allocate. */
	pthread_setspecific(leaving_key, self);
	errno = saved;
	return cache;
}

/* The thread's plot of this arena, if it has one, is handed on. */
static void leave_arena(struct acre *arena)
{
	struct plot *plot = thread_held(arena)->plot;

	if (plot)
		plot_leave(plot);
}

static void leave(void *user)
{
	struct acre_thread *self = user;

	self->leaving = true;
	self->home = &cache_none;
	lock_take(&arena_registry);
	arena_each(leave_arena);
	lock_drop(&arena_registry);
	for (unsigned i = 0; i < THREAD_SLOTS; i++)
		self->slots[i].serial = THREAD_NO_ARENA;
}

static void lock_arena(struct acre *arena)
{
	uint32_t locked = 0;

	lock_seize(&arena->depot.lock);
	lock_seize(&arena->waiting_lock);
	for (;;) {
		while (locked < plots_made(arena))
			lock_seize(&plot_at(arena, ++locked)->lock);
		lock_seize(&arena->lock);
		if (locked == plots_made(arena))
			break;
		/* A plot came meanwhile: its lock precedes that of the commons. */
		lock_yield(&arena->lock);
	}
	arena->plots_seized = locked;
	arena->seized = true;
}

/* An arena, or a plot, that this thread has made since isn't locked. */
static void unlock_arena(struct acre *arena)
{
	if (!arena->seized)
		return;
	arena->seized = false;
	lock_yield(&arena->lock);
	for (uint32_t id = arena->plots_seized; id; id--)
		lock_yield(&plot_at(arena, id)->lock);
	lock_yield(&arena->waiting_lock);
	lock_yield(&arena->depot.lock);
}

/*
 * In the child: the plots of all threads but this one are idle, also those that were just being
 * joined or left. What their caches hold, if anything, is salvaged.
 */
static void orphan_plots(struct acre *arena)
{
	uintptr_t self = (uintptr_t)&acre_private_thread;

	waiting_forked(arena);
	arena->idle_plot = 0;
	/* The thread that purged may be one of those. */
	if (atomic_load_explicit(&arena->purge_at, memory_order_relaxed) == PURGE_BUSY) {
		arena->purge_freed = 0;
		atomic_store_explicit(&arena->purge_at, 0, memory_order_relaxed);
	}
	for (uint32_t id = plots_made(arena); id; id--) {
		struct plot *plot = plot_at(arena, id);

		if (atomic_load_explicit(&plot->holder, memory_order_relaxed) == self) {
			atomic_store_explicit(&plot->tid, (int)syscall(SYS_gettid),
					      memory_order_relaxed);
			continue;
		}
		if (atomic_load_explicit(&plot->holder, memory_order_relaxed))
			depot_threads(arena, -1);
		atomic_store_explicit(&plot->holder, 0, memory_order_relaxed);
		plot->orphan = true;
		plot->next_idle = arena->idle_plot;
		arena->idle_plot = id;
	}
	unlock_arena(arena);
}

static void before_fork(void)
{
	lock_seize(&arena_registry);
	arena_each(lock_arena);
	lock_holds_all = true;
}

static void after_fork_parent(void)
{
	lock_holds_all = false;
	arena_each(unlock_arena);
	lock_yield(&arena_registry);
}

static void after_fork_child(void)
{
	lock_holds_all = false;
	plot_process_begin();
	arena_each(orphan_plots);
	lock_yield(&arena_registry);
}

static void setup(void)
{
	plot_process_begin();
	have_leaving_key = pthread_key_create(&leaving_key, leave) == 0;
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

void thread_setup(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, setup);
}
