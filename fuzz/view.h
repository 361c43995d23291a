/*
 * View: what a walk shows of an arena, held against what must be so.
 */
#ifndef FUZZ_VIEW_H
#define FUZZ_VIEW_H

#include <acre/acre.h>
#include <stddef.h>

extern struct view {
	struct acre_block *blocks;
	size_t count;
	size_t room;
	size_t free_blocks, free_bytes;
	size_t cached_blocks, cached_bytes;
	size_t live_blocks;
	size_t largest;			/* of the free ones, bytes */
} view;

/* Looks; blocks must be aligned, in order, apart and in the arena; side by side in one heap. */
void view_walk(unsigned land);

/* The live blocks that were seen are those of the model. */
void view_compare(unsigned land);

/*
 * G2: after a refusal no free block has room for the request, nor, for realloc, has the block
 * together with its free neighbours. Looks anew.
 */
void view_refused(unsigned land, size_t size, size_t alignment, const void *block);

/* A walk that its visitor ends after so many blocks, with this result. */
void view_stop(unsigned land, size_t after, int result);

#endif
