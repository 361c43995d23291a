/*
 * Slots: where random tests of placement keep a live block each, with content to tell it by.
 */
#ifndef ACRE_TESTS_SLOT_H
#define ACRE_TESTS_SLOT_H

#include "support.h"

/* The unit of all sizes and places, and what a block has before its payload. */
#define GRANULE 16
#define TAG 8

struct slot {
	char *block;	/* NULL = none */
	size_t size;
	uint64_t key;
};

/* Large blocks are marked at both ends only, so that a step costs no page faults. */
void mark(struct slot *slot, uint64_t key);
bool marked(const struct slot *slot);

/* A realloc to size gave this block, which has what the slot's had: as far as it was marked. */
void must_be_kept(const struct slot *slot, const char *block, size_t size);

#endif
