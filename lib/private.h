/*
 * What libacre-malloc.so and libacre-rcu.so use of libacre.so beside the public API, with the names
 * acre_private_* in thread.h and waiting.h. Exported under a symbol version of its own, for these
 * libraries of the same release alone.
 */
#ifndef ACRE_PRIVATE_H
#define ACRE_PRIVATE_H

#include "thread.h"

/* Creates the arena under malloc: as acre_create(), once. */
struct acre *acre_private_start(size_t size, const struct acre_options *options);

/* thread_cache() in a function. */
struct cache *acre_private_cache(struct acre *arena);

#endif
