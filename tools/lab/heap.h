/*
 * The heap that the lab shows: the low end of a real arena without caches.
 *
 *	origin                origin + size
 *	+---------------------+---------------------------------------+
 *	| what the lab shows  | blocks that stay in use, never shown  |
 *	+---------------------+---------------------------------------+
 *
 * An arena has at least 64 KiB, and its index takes some of that; a heap to learn with should be of
 * a round size, and may be small. So what lies above it is allocated once and for all: it serves no
 * request and merges with nothing. All that happens below it is the library's doing.
 *
 * An offset is a block's distance from the first block, tag to tag: the first is at 0, and each
 * begins where the one before ends. Sizes of blocks include their tags.
 */
#ifndef ACRE_LAB_HEAP_H
#define ACRE_LAB_HEAP_H

#include <acre/acre.h>
#include <stdbool.h>
#include <stddef.h>

#define LAB_TAG		((size_t)8)
#define LAB_GRANULE	((size_t)16)
#define LAB_HEAP_LEAST	((size_t)64)
#define LAB_HEAP_MOST	((size_t)1 << 30)
#define LAB_NOWHERE	((size_t)-1)

struct lab_heap {
	struct acre *arena;
	char *origin;		/* the first block's payload */
	size_t size;
	enum acre_policy policy;
	size_t steps;		/* of searches, before the lab's own */
};

/* A block, as the walk tells of it. */
struct lab_block {
	size_t offset;
	size_t size;
	bool live;
};

/* All blocks at one moment, in address order. */
struct lab_picture {
	struct lab_block *blocks;
	size_t count;
	size_t room;
};

/* What a picture adds up to. */
struct lab_sums {
	size_t live_blocks, live;	/* bytes with tags, as all here */
	size_t holes, free;
	size_t largest;			/* hole */
};

/* Makes a heap of size bytes, a multiple of 16. False, with errno, if the system refuses it. */
bool lab_heap_open(struct lab_heap *heap, size_t size, enum acre_policy policy);
void lab_heap_close(struct lab_heap *heap);

/* The payload of the block at this offset. */
void *lab_heap_payload(const struct lab_heap *heap, size_t offset);

/* The new block's offset, or LAB_NOWHERE. */
size_t lab_heap_allocate(struct lab_heap *heap, size_t size);
size_t lab_heap_reallocate(struct lab_heap *heap, size_t offset, size_t size);
void lab_heap_free(struct lab_heap *heap, size_t offset);

/* Steps of the library's searches since the heap was made. */
size_t lab_heap_steps(const struct lab_heap *heap);

void lab_heap_look(const struct lab_heap *heap, struct lab_picture *picture);
struct lab_sums lab_sums_of(const struct lab_picture *picture);

/* 1 - largest hole / all holes, in per cent. */
unsigned lab_fragmentation(const struct lab_sums *sums);

/* The block that this offset lies in; NULL if none does. */
const struct lab_block *lab_block_around(const struct lab_picture *picture, size_t offset);

/* The size of the block that serves a request for so many bytes. */
size_t lab_block_size(enum acre_policy policy, size_t bytes);

/* Makes room for one element more in an array of count; ends the process where there's none. */
void *lab_grown(void *array, size_t count, size_t *room, size_t element);

#endif
