/*
 * Resize: realloc.
 */
#ifndef ACRE_RESIZE_H
#define ACRE_RESIZE_H

#include "arena.h"
#include "cache.h"

/* Makes a live block hold size bytes, above 0. Its new address; NULL if there's no room. */
void *resize(struct acre *arena, struct cache *cache, void *block, size_t size);

/* Whether a block of `had` granules may be what a request of size bytes has got, or was resized to. */
bool resize_serves(const struct acre *arena, uint64_t had, size_t size);

#endif
