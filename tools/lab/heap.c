/*
 * The lab's heap: see heap.h.
 */
#include "heap.h"

#include <stdint.h>
#include <stdlib.h>

#include "complain.h"

/* Around what's shown: the index takes 3 %, the arena's own records some KiB. */
#define SPARE		((size_t)128 << 10)

void *lab_grown(void *array, size_t count, size_t *room, size_t element)
{
	if (count < *room)
		return array;
	*room = *room ? *room * 2 : 64;
	array = realloc(array, *room * element);
	if (!array)
		complain(FAILED, "out of memory");
	return array;
}

static size_t power_below(size_t n)
{
	return (size_t)1 << (63 - __builtin_clzll(n));
}

static size_t power_above(size_t n)
{
	return n <= 1 ? 1 : power_below(n - 1) * 2;
}

size_t lab_block_size(enum acre_policy policy, size_t bytes)
{
	size_t size;

	/* No arena is as large as that. */
	if (bytes > SIZE_MAX / 4)
		return SIZE_MAX / 2;
	size = (bytes + LAB_TAG + LAB_GRANULE - 1) / LAB_GRANULE * LAB_GRANULE;
	return policy == ACRE_BUDDY ? power_above(size) : size;
}

static int find_largest(const struct acre_block *block, void *user)
{
	struct acre_block *largest = user;

	if (block->state == ACRE_FREE && (!largest->address || block->size > largest->size))
		*largest = *block;
	return 0;
}

/* Takes all there is, the largest first: so each free block is taken whole, under any policy. */
static bool take_all(struct acre *arena)
{
	for (;;) {
		struct acre_block largest = { 0 };

		acre_walk(arena, find_largest, &largest);
		if (!largest.address)
			return true;
		if (acre_malloc(arena, largest.size) != largest.address)
			return false;
	}
}

static int find_first(const struct acre_block *block, void *user)
{
	*(char **)user = (char *)(uintptr_t)block->address;
	return 1;
}

/* The size of the block at offset `at` when a heap of so many bytes is free. */
static size_t piece_of(enum acre_policy policy, size_t size, size_t at)
{
	return policy == ACRE_BUDDY ? power_below(size - at) : size;
}

/* All of the arena is taken but for its low end. */
static bool set_limit(struct lab_heap *heap)
{
	size_t piece;

	acre_walk(heap->arena, find_first, &heap->origin);
	if (!take_all(heap->arena))
		return false;
	acre_free(heap->arena, heap->origin);
	for (size_t at = 0; at < heap->size; at += piece) {
		piece = piece_of(heap->policy, heap->size, at);
		if (acre_malloc(heap->arena, piece - LAB_TAG) != heap->origin + at)
			return false;
	}
	if (!take_all(heap->arena))
		return false;
	for (size_t at = 0; at < heap->size; at += piece) {
		piece = piece_of(heap->policy, heap->size, at);
		acre_free(heap->arena, heap->origin + at);
	}
	return true;
}

bool lab_heap_open(struct lab_heap *heap, size_t size, enum acre_policy policy)
{
	const struct acre_options options = {
		.policy = policy,
		.flags = ACRE_NO_CACHE | ACRE_NO_PURGE,
	};
	/* Buddies' range is cut into powers of two: the first must hold all that's shown. */
	size_t whole = power_above(size);

	heap->arena = acre_create(whole + whole / 16 + SPARE, &options);
	if (!heap->arena)
		return false;
	heap->size = size;
	heap->policy = policy;
	if (!set_limit(heap))
		complain(FAILED, "the lab's arena isn't cut as it should be: report this");
	heap->steps = 0;
	heap->steps = lab_heap_steps(heap);
	return true;
}

void lab_heap_close(struct lab_heap *heap)
{
	acre_destroy(heap->arena);
	heap->arena = NULL;
}

void *lab_heap_payload(const struct lab_heap *heap, size_t offset)
{
	return heap->origin + offset;
}

static size_t offset_of(const struct lab_heap *heap, const void *block)
{
	return block ? (size_t)((const char *)block - heap->origin) : LAB_NOWHERE;
}

size_t lab_heap_allocate(struct lab_heap *heap, size_t size)
{
	return offset_of(heap, acre_malloc(heap->arena, size));
}

size_t lab_heap_reallocate(struct lab_heap *heap, size_t offset, size_t size)
{
	return offset_of(heap, acre_realloc(heap->arena, lab_heap_payload(heap, offset), size));
}

void lab_heap_free(struct lab_heap *heap, size_t offset)
{
	acre_free(heap->arena, lab_heap_payload(heap, offset));
}

size_t lab_heap_steps(const struct lab_heap *heap)
{
	struct acre_stats stats;

	acre_stats(heap->arena, &stats);
	return stats.search_steps - heap->steps;
}

struct look {
	const struct lab_heap *heap;
	struct lab_picture *picture;
};

static int add_block(const struct acre_block *block, void *user)
{
	const struct look *look = user;
	struct lab_picture *picture = look->picture;
	size_t offset = offset_of(look->heap, block->address);

	if (offset >= look->heap->size)
		return 1;
	picture->blocks = lab_grown(picture->blocks, picture->count, &picture->room,
				    sizeof(*picture->blocks));
	picture->blocks[picture->count++] = (struct lab_block){
		.offset = offset,
		.size = block->size + LAB_TAG,
		.live = block->state == ACRE_LIVE,
	};
	return 0;
}

void lab_heap_look(const struct lab_heap *heap, struct lab_picture *picture)
{
	struct look look = { heap, picture };

	picture->count = 0;
	acre_walk(heap->arena, add_block, &look);
}

struct lab_sums lab_sums_of(const struct lab_picture *picture)
{
	struct lab_sums sums = { 0 };

	for (size_t i = 0; i < picture->count; i++) {
		const struct lab_block *block = &picture->blocks[i];

		if (block->live) {
			sums.live_blocks++;
			sums.live += block->size;
		} else {
			sums.holes++;
			sums.free += block->size;
			if (block->size > sums.largest)
				sums.largest = block->size;
		}
	}
	return sums;
}

unsigned lab_fragmentation(const struct lab_sums *sums)
{
	return sums->free ? (unsigned)(100 - sums->largest * 100 / sums->free) : 0;
}

const struct lab_block *lab_block_around(const struct lab_picture *picture, size_t offset)
{
	size_t low = 0;
	size_t high = picture->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct lab_block *block = &picture->blocks[middle];

		if (offset < block->offset)
			high = middle;
		else if (offset >= block->offset + block->size)
			low = middle + 1;
		else
			return block;
	}
	return NULL;
}
