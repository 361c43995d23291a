/*
 * Release: the slow way of a free, and the recognition of what isn't a live block.
 */
#ifndef ACRE_RELEASE_H
#define ACRE_RELEASE_H

#include "arena.h"
#include "cache.h"

/*
 * The place of a live block of this arena. If it isn't one, aborts and says so; call is its name.
 */
uint64_t release_expect(const struct acre *arena, const void *block, const char *call);

/* Frees a block that cache_put() didn't take. */
void release(struct acre *arena, struct cache *cache, void *block);

#endif
