/*
 * Depot: what one cache has too much of, ready for the next that runs empty.
 *
 * A heap merges each block that comes home, and carves it anew when it's wanted again. Where a
 * class swings by more than a cache holds, or one thread frees what another allocates, blocks go to
 * the depot instead, as they are, and come back so: a few instructions each, not some hundred.
 *
 *	top[class] --> +-------------------+     +-------------------+
 *	               | below | count 7   | --> | below | count 15  | --> 0
 *	               | block 0 .. 6      |     | block 0 .. 14     |
 *	               +-------------------+     +-------------------+
 *
 * Chunks lie in an array of the arena's own, touched as far as it was ever in use. What the depot
 * may hold is bounded by the array and in bytes: a share for each thread with a cache, which takes it
 * along when it goes. No request is refused for what lies here:
 * supply_reclaim() empties the depot before, as do acre_flush() and acre_trim(). Blocks in it have
 * the state and the stamp of cached ones.
 *
 * All of it is under the depot's lock, which precedes those of the plots. Who allocates or frees
 * tries for it for about a microsecond, and then lets heaps serve, which costs more. Only who empties
 * or looks through all of it, a thread that leaves, and fork wait for it.
 */
#ifndef ACRE_DEPOT_H
#define ACRE_DEPOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "sizes.h"

#define DEPOT_CHUNK	15u	/* blocks in a chunk */

struct acre;

struct depot {
	struct lock lock;
	size_t chunks;			/* of the array, in bytes from base; 0 = no depot */
	uint32_t chunks_most;
	uint32_t chunks_used;		/* so far; the first is number 1 */
	size_t share;			/* bytes for each thread */
	size_t bytes_most;		/* and for all together */
	_Atomic uint32_t threads;	/* anyone's: those that have a cache */
	uint16_t spare;			/* the first chunk that was in use, 0 = none */
	uint16_t victim;		/* the class that was last to give way */
	uint32_t denied;		/* how often there was no room */
	_Atomic uint16_t top[CLASSES];	/* the first chunk of each, 0 = none */
	_Atomic size_t blocks;		/* written under the lock, read by acre_stats() too */
	_Atomic size_t bytes;		/* of payload */
};

/* The bytes of the array for a depot of an arena with plots of this size. */
size_t depot_size(size_t arena_size);

/* The array lies at this offset; size is depot_size()'s. */
void depot_init(struct acre *arena, size_t offset, size_t size);

/* A thread got a cache, or lost it (-1). What the depot then has too much is for depot_evict(). */
void depot_threads(struct acre *arena, int change);

/* How many blocks it holds; without the lock, a guess. */
size_t depot_count(const struct acre *arena);

/* Whether it holds any, or somebody is just putting them in or taking them home. */
bool depot_stirs(struct acre *arena);

/* Whether it holds more than it may. */
bool depot_over(const struct acre *arena);

/* Whether all chunks are in use: so many blocks are small that there's no room for further ones. */
bool depot_crowded(const struct acre *arena);

/* Puts up to count blocks of a class in, from the first on; the number that found room. */
unsigned depot_put(struct acre *arena, unsigned class, void *const *blocks, unsigned count);

/* Whether there are blocks of a class; without the lock, a guess. */
bool depot_has(const struct acre *arena, unsigned class);

/* Takes up to `most` blocks of a class; the number had. */
unsigned depot_get(struct acre *arena, unsigned class, void **blocks, unsigned most);

/*
 * Takes up to `most` blocks of another class than this (0 = of any), each in turn, to make room; the
 * number had.
 */
unsigned depot_evict(struct acre *arena, unsigned but, void **blocks, unsigned most);

/* The number of faults, under the lock; a line for each. */
int depot_check(struct acre *arena);

#endif
