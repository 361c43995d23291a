/*
 * Threads: which cache of an arena is the calling thread's; thread exit; fork.
 *
 * A thread finds its caches in a small table of its own, by the arena's serial number, which no two
 * arenas of a process ever share: an entry for an arena that's gone matches none that lives. Where
 * two arenas meet in one entry, the plots of the arena say which one the thread holds.
 *
 * A thread joins an arena, which gives it a plot with a cache, as it first allocates there, or as it
 * frees without having joined for the ninth time.
 */
#ifndef ACRE_THREAD_H
#define ACRE_THREAD_H

#include "arena.h"
#include "cache.h"

#define THREAD_SLOTS	16u
#define THREAD_NO_ARENA	UINT64_MAX
#define THREAD_FREES	8u	/* before it gets a plot for that alone */

struct acre_thread {
	struct cache *home;		/* of the arena under malloc; cache_none if there is none */
	struct {
		uint64_t serial;
		struct cache *cache;
	} slots[THREAD_SLOTS];
	bool evicted;			/* an entry gave way to another's */
	bool leaving;			/* the thread's plots have been handed on */
	uint8_t freed;			/* blocks, of arenas that weren't in the table */
};

extern _Thread_local struct acre_thread acre_private_thread;

/* The calling thread's cache of an arena, if it stands in the table; else NULL. */
static inline struct cache *thread_listed(const struct acre *arena)
{
	struct acre_thread *self = &acre_private_thread;
	unsigned i = (unsigned)arena->serial % THREAD_SLOTS;
	struct cache *cache = self->slots[i].cache;

	if (RARELY(self->slots[i].serial != arena->serial))
		return NULL;
	/* So the caller's look whether it's listed costs nothing. */
	if (!cache)
		__builtin_unreachable();
	return cache;
}

/* The slow way: joins the arena. cache_none if the thread works in the commons. */
struct cache *thread_join(struct acre *arena);

/* The calling thread's cache of an arena; cache_none if it has none and gets none. */
static inline struct cache *thread_cache(struct acre *arena)
{
	struct cache *cache = thread_listed(arena);

	return cache ? cache : thread_join(arena);
}

/* The same for a thread that frees, where it isn't listed: it joins if it has freed some before. */
struct cache *thread_join_to_free(struct acre *arena);

/*
 * A thread that has allocated nothing yet, and frees what it was handed at its start, needs no plot.
 * And that block, which may lie in a line of the processors' caches with those of other threads,
 * isn't the first that it gets to write to, as it would be from a cache.
 */
static inline struct cache *thread_cache_to_free(struct acre *arena)
{
	struct cache *cache = thread_listed(arena);

	return cache ? cache : thread_join_to_free(arena);
}

/* The cache that the calling thread has already; cache_none if it has none. */
struct cache *thread_held(struct acre *arena);

/* Registers the handlers of thread exit and fork, once in a process. */
void thread_setup(void);

#endif
