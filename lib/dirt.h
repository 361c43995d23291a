/*
 * Dirt: which pages of an arena may hold something other than zeros, a bit for each.
 *
 * A page is clean from the start, and again once it was purged. It's marked when a block that
 * touches it is handed out, before the block's holder can write. So calloc clears only dirty pages,
 * and a purge gives back only those.
 *
 * The page of a heap's tags and footers is always dirty, because a block's mark covers the granules
 * of its own tag and of the next one's; a purge leaves these out. It also covers the stamp or
 * the links behind the tag of a free block, perhaps on the next page. They are zero again when the
 * block leaves the index, so it does no harm that another thread may take the block before their
 * page is marked. A footer stays: where one is written into the block before an aligned one, its page
 * is marked under the heap's lock. So are the pages of buddies' tags, which lie anywhere.
 *
 * Bits of pages inside a block or a free block belong to its holder, or to the heap's lock; the
 * words are shared with others, so bits are set and cleared by atomic operations, relaxed, since
 * the block itself carries the order.
 *
 * An arena in the caller's buffer has no map: all of it counts as dirty, and nothing is purged.
 */
#ifndef ACRE_DIRT_H
#define ACRE_DIRT_H

#include "arena.h"

/* Bytes of the map for an arena of so many bytes. */
size_t dirt_bytes(size_t arena_size);

/* The block at `at` is handed out. */
void dirt_mark(struct acre *arena, uint64_t at, uint64_t size);

/* A heap has written the tags of the blocks in [from, to), some of them free and never handed out. */
void dirt_mark_tags(struct acre *arena, uint64_t from, uint64_t to);

/* heap_take(), and the marks of all tags that it wrote. */
void dirt_take(struct acre *arena, struct heap *heap, uint64_t at, uint64_t place, uint64_t size,
	       enum tag_state state);

/* Bytes [start, start + bytes) from base, inside a block that isn't marked yet, become zero. */
void dirt_zero(struct acre *arena, size_t start, size_t bytes);

/*
 * Copies bytes from one block to another that isn't marked yet; pages that were never touched are
 * neither read nor, where they can be left alone, written.
 */
void dirt_copy(struct acre *arena, size_t to, size_t from, size_t bytes);

/*
 * The pages that lie wholly between granule *at, the last at the low end of a free block that holds
 * something, and the block's end go to the OS: about limit bytes at most, in at most *calls pieces,
 * which are taken off it. *at becomes the place to go on from, end if all was looked at. Returns the
 * bytes given.
 */
size_t dirt_purge(struct acre *arena, uint64_t *at, uint64_t end, size_t limit, unsigned *calls);

/*
 * Whether whole pages [start, start + bytes) lie in one mapping of the OS. Moved pages are a
 * mapping of their own, and where these begin and end is kept in a second map, the seams, for good.
 */
bool dirt_one_mapping(struct acre *arena, size_t start, size_t bytes);

/* Whole pages [start, start + bytes) were moved away and are clean; those at `to` are dirty. */
void dirt_moved(struct acre *arena, size_t start, size_t to, size_t bytes);

#endif
