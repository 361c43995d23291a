/*
 * Guard: the second level of G7, for those who pay for it. An arena with acre_options.guards puts
 * a record behind every request, and as much more as was asked for:
 *
 *	 tag | request ................ | canary | record | tag of the next block
 *	     ^ the caller's, to the byte  0 to 15   8 bytes
 *
 *	record		request in bytes, whether there's a guard page, keyed hash of both and the place
 *	canary		keyed bytes up to the record: with it, an overflow by one byte is seen
 *	fill		a fresh block holds no old data, a freed one none of the caller's
 *	quarantine	freed blocks wait, first in, first out, before they are free; how they were
 *			left, fill included, is verified when they leave
 *	random		where a block comes to lie can't be foretold
 *	pages		a block of a page and more ends at a page that can't be read or written:
 *
 *	 tag | request ........ | canary || guard page || record | tag of the next block
 *	                          0 to 15 ^page boundary
 *
 * Such an arena has no plots and no caches: each call works in the commons, under their lock. So
 * the fast paths don't know of all this. Nothing here is done in other arenas.
 *
 * Who owns what: record and canary belong to whoever holds the block; struct guard, and the blocks
 * in quarantine, to the lock of the commons.
 */
#ifndef ACRE_GUARD_H
#define ACRE_GUARD_H

#include "arena.h"

#define GUARDS_ALL (ACRE_CANARIES | ACRE_FILL | ACRE_QUARANTINE | ACRE_RANDOM | ACRE_GUARD_PAGES)

/* A block for a request, as supply(); NULL if there's no room, also once the quarantine is empty. */
void *guard_take(struct acre *arena, size_t size, size_t alignment, bool zero);

/*
 * The same from the heap and the quarantine alone, for who holds a lock that comes before theirs: a
 * place, whose block isn't marked as touched yet; 0 if there's no room.
 */
uint64_t guard_place(struct acre *arena, size_t size, size_t alignment);

/* Frees a block. */
void guard_give(struct acre *arena, void *block);

/*
 * A new block gets the content; a slight shrink stays where it is, as any does where there's no room.
 * NULL if there's none for growth: then the old block is untouched.
 */
void *guard_resize(struct acre *arena, void *block, size_t size);

/* The bytes that were requested of a live block, which is whole; else aborts. call is its name. */
size_t guard_request(const struct acre *arena, const void *block, const char *call);

/* Empties the quarantine. */
void guard_flush(struct acre *arena);

/* The number of faults in records, canaries and the quarantine; under the lock of the commons. */
int guard_check(struct acre *arena);

#endif
