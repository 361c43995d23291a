/*
 * Purge: whole free pages go back to the OS once they have been free for a while.
 *
 * Once a megabyte was freed since the last purge, each 32nd slow path of a thread, and each free of
 * a megabyte, looks at the clock. The first to do so sets the time, a second later, from which a
 * call begins to purge: about 16 MiB at most, in at most 128 pieces, after a look at no more than
 * 2,048 blocks, so that no call takes long. The rest is for calls 4 ms later, and so on until all
 * has been looked at. A call that comes later than that does as much more, up to four times.
 */
#ifndef ACRE_PURGE_H
#define ACRE_PURGE_H

#include "arena.h"

#define PURGE_STEP	((uint64_t)1 << 20)
#define PURGE_TICKS	32u		/* the clock costs as much as a slow path itself */

/* Purges if one is due. */
void purge_now(struct acre *arena);

/* The same, where it's already known that the arena purges, with the time: tests have their own. */
void purge_at_ms(struct acre *arena, uint64_t now);

/* How often this thread has passed here with something to purge. */
extern _Thread_local unsigned purge_ticks;

/* In a slow path that has just freed so many bytes, or none. */
static inline void purge_maybe(struct acre *arena, uint64_t bytes)
{
	if (atomic_load_explicit(&arena->freed_bytes, memory_order_relaxed) >= PURGE_STEP &&
	    (++purge_ticks % PURGE_TICKS == 0 || bytes >= PURGE_STEP))
		purge_now(arena);
}

/* Purges all free pages; bytes given back. */
size_t purge_all(struct acre *arena);

#endif
