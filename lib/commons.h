/*
 * Commons: the heap that owns the whole arena, under one lock: the source of leases, the home of
 * large blocks, and the fallback when a plot has nothing.
 *
 * Where there are plots, its blocks are whole pages as long as that's possible, but for those of an
 * alignment, and small ones of threads without a plot. So most of its tags lie 8 bytes into a page,
 * and footers at the start of one; what lies between in a free block is never touched.
 *
 *	page n                     page n+1                  page n+2
 *	|footer|tag|payload ...... | ....................... |footer|tag|payload
 *
 * The caller of each of these holds the lock of the commons, unless it says otherwise.
 */
#ifndef ACRE_COMMONS_H
#define ACRE_COMMONS_H

#include "arena.h"

/* The free block of at least size granules that the policy chooses; 0 if there's none. */
uint64_t commons_find(struct acre *arena, uint64_t size);

/*
 * A block of at least size granules, its payload at a multiple of alignment; 0 if there's no room.
 */
uint64_t commons_take(struct acre *arena, uint64_t size, uint64_t alignment);

/* Takes [place, place + size) from the free block at `at`; 0 if the OS won't have it written. */
uint64_t commons_take_at(struct acre *arena, uint64_t at, uint64_t place, uint64_t size);

/* The block at `at`, verified, is free again. */
void commons_give(struct acre *arena, uint64_t at);

/* heap_resize() and heap_slide() of a block of the commons. */
bool commons_resize(struct acre *arena, uint64_t at, uint64_t size);
uint64_t commons_slide(struct acre *arena, uint64_t at, uint64_t size);

/*
 * A lease for a plot, of whole pages: at least least granules, as many as wanted where the lowest
 * hole that serves has them; a power of two of buddies, which least is already. Its size in *size; 0
 * if there's no room. Takes the lock itself.
 */
uint64_t commons_lease(struct acre *arena, uint32_t plot, uint64_t least, uint64_t wanted,
		       uint64_t *size);

/* A lease comes back. Takes the lock itself. */
void commons_unlease(struct acre *arena, uint64_t at);

/* Where the part of the index ends, in bytes from base, that goes with so many committed bytes. */
size_t commons_index_end(const struct acre *arena, size_t committed);

/*
 * Makes the arena accessible up to this place, with the tag of a free block there and what may stand
 * behind it, and the index that goes with it.
 */
bool commons_commit(struct acre *arena, uint64_t place);

#endif
