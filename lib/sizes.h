/*
 * Sizes: from a request in bytes to granules, and to the class whose cache serves it.
 *
 *	class  1 .. 65		blocks of just so many granules: payloads of 8, 24, ... 1032 bytes
 *	class 66 .. 105		8 a doubling, each a granule above the round number, up to 32 KiB:
 *				73, 81, ... 129, 145, ... 2049 granules
 *
 * The granule on top holds the tag, so that a request of 1,024 or 4,096 bytes stays in the class of
 * its own size.
 */
#ifndef ACRE_SIZES_H
#define ACRE_SIZES_H

#include <stddef.h>
#include <stdint.h>

#include "tag.h"

/* Bytes of an arena. */
#define ARENA_LEAST	((size_t)64 << 10)
#define ARENA_MOST	((uint64_t)1 << 40)

#define SMALL_CLASSES	SMALL_GRANULES	/* class 0 stays empty */
#define SMALL_BYTES	((SMALL_GRANULES - 1) * GRANULE - TAG_BYTES)
#define CLASSES		106u
#define CLASSED_MOST	2049u	/* granules */
#define MEDIUM_BYTES	(CLASSED_MOST * GRANULE - TAG_BYTES)
#define BATCH_MOST	64u	/* blocks that move at a time: no call takes long */

/* The least multiple of `to` that isn't below n. */
static inline uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* The greatest power of two that isn't above n, and the least that isn't below; n isn't 0. */
static inline uint64_t power_below(uint64_t n)
{
	return UINT64_C(1) << (63 - __builtin_clzll(n));
}

static inline uint64_t power_above(uint64_t n)
{
	uint64_t below = power_below(n);

	return below == n ? n : 2 * below;
}

/* Granules of the least block with this payload. size is at most SIZE_MAX - 32. */
static inline uint64_t granules_for(size_t size)
{
	return ((uint64_t)size + TAG_BYTES + GRANULE - 1) / GRANULE;
}

/* The least class whose blocks have at least so many granules, which are at most CLASSED_MOST. */
static inline unsigned class_of(uint64_t granules)
{
	unsigned n, log, eighth;

	if (granules < SMALL_CLASSES)
		return (unsigned)granules;
	n = (unsigned)granules - 2;
	log = 31u - (unsigned)__builtin_clz(n);
	eighth = n >> (log - 3) & 7;
	return SMALL_CLASSES + (log - 6) * 8 + eighth;
}

/* Whether it's worth a lock to split off what a block has too much, where caches are in use. */
static inline bool resize_splits(uint64_t had, uint64_t size)
{
	return had - size >= 4 + had / 8;
}

/*
 * Granules for a small block that grows from `had` to at least so many. One that grows by little is
 * likely to do so again: with an eighth to spare, a string that grows by a few bytes at a time isn't
 * copied at each 16th byte.
 */
static inline uint64_t resize_roomy(uint64_t had, uint64_t granules)
{
	uint64_t roomy = granules + granules / 8;

	if (granules - had > had / 4 || roomy >= SMALL_GRANULES)
		return granules;
	return roomy;
}

/* Granules of the blocks of a class. */
static inline uint64_t class_granules(unsigned class)
{
	unsigned step = class - SMALL_CLASSES;

	if (class < SMALL_CLASSES)
		return class;
	return ((uint64_t)(9 + step % 8) << (step / 8 + 3)) + 1;
}

#endif
