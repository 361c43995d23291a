/*
 * Sort: the order in which a batch of blocks goes back to a heap.
 */
#ifndef ACRE_SORT_H
#define ACRE_SORT_H

#include <stdint.h>

#include "sizes.h"

/* Puts count places, from 1 to BATCH_MOST, in ascending order. */
void sort_places(uint64_t *places, unsigned count);

#endif
