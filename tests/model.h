/*
 * A naive model of an ACRE_NO_CACHE arena under first, next, best and worst fit.
 *
 * It knows what the header and the design say (section 6, 'Exactly: ACRE_NO_CACHE') and no more:
 * blocks tile one range; a block is a multiple of 16 bytes that covers its payload and a tag of 8; the
 * low end of the chosen block is taken; merging is immediate, on both sides; a remainder is always
 * split off, since the least block of this implementation is 16 bytes. It is a sorted array, searched
 * from end to end.
 */
#ifndef ACRE_TESTS_MODEL_H
#define ACRE_TESTS_MODEL_H

#include "slot.h"

struct cell {
	size_t start; /* in granules from the range's origin */
	size_t size; /* in granules */
	bool live;
};

struct model {
	enum acre_policy policy;
	size_t place; /* next fit: the end of the block allocated last, as `start` */
	struct cell *cells;
	size_t count;
	size_t room;
	const char *origin; /* where the first tag lies */
	size_t size;
};

size_t model_granules(size_t bytes);
void *model_payload(const struct model *model, const struct cell *cell);
/* There must be one. */
struct cell *model_cell(struct model *model, const void *payload);
/* A cell more, in front of this one. */
void model_insert(struct model *model, struct cell *before, struct cell cell);

/* What the policy takes for so many granules; NULL if nothing fits. */
struct cell *model_choice(struct model *model, size_t size);
void *model_malloc(struct model *model, size_t bytes);
void model_free(struct model *model, const void *payload);
/* False where the block can't stay: then the model doesn't know what will happen. */
bool model_resize(struct model *model, const void *payload, size_t bytes);
/* Whether a block of bytes at a multiple of alignment lies in any free block. */
bool model_can_align(const struct model *model, size_t alignment, size_t bytes);

#endif
