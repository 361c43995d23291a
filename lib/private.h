/*
 * What libacre-malloc.so uses of libacre.so beside the public API. Exported under a symbol version
 * of its own, for that library of the same release alone.
 */
#ifndef ACRE_PRIVATE_H
#define ACRE_PRIVATE_H

#include "thread.h"

/* Creates the arena under malloc: as acre_create(), once. */
struct acre *acre_private_start(size_t size, const struct acre_options *options);

#endif
