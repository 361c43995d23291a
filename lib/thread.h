/*
 * Threads: which cache of an arena is the calling thread's; thread exit; fork.
 *
 * A thread finds its caches in a small table of its own, by the arena's serial number, which no two
 * arenas of a process ever share: an entry for an arena that's gone matches none that lives. Where
 * two arenas meet in one entry, the plots of the arena say which one the thread holds.
 */
#ifndef ACRE_THREAD_H
#define ACRE_THREAD_H

#include "arena.h"
#include "cache.h"

#define THREAD_SLOTS	16u
#define THREAD_NO_ARENA	UINT64_MAX

struct acre_thread {
	struct cache *home;		/* of the arena under malloc; cache_none if there is none */
	struct {
		uint64_t serial;
		struct cache *cache;
	} slots[THREAD_SLOTS];
	bool evicted;			/* an entry gave way to another's */
	bool leaving;			/* the thread's plots have been handed on */
};

extern _Thread_local struct acre_thread acre_private_thread;

/* The slow way: joins the arena. cache_none if the thread works in the commons. */
struct cache *thread_join(struct acre *arena);

/* The calling thread's cache of an arena; cache_none if it has none and gets none. */
static inline struct cache *thread_cache(struct acre *arena)
{
	struct acre_thread *self = &acre_private_thread;
	unsigned i = (unsigned)arena->serial % THREAD_SLOTS;

	if (RARELY(self->slots[i].serial != arena->serial))
		return thread_join(arena);
	return self->slots[i].cache;
}

/* The cache that the calling thread has already; cache_none if it has none. */
struct cache *thread_held(struct acre *arena);

/* Registers the handlers of thread exit and fork, once in a process. */
void thread_setup(void);

#endif
