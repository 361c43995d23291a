/*
 * The heap of the buddy policy: what heap.h's verbs do where blocks are powers of two.
 *
 *	origin                                                            end
 *	+-------------------------------+---------------+-------+-------+---+
 *	| 2^4 granules                  | 2^3           | 2^2   | 2^2   | 1 |
 *	+-------------------------------+---------------+-------+-------+---+
 *	 0                               16              24      28      32
 *
 * A block of 2^k granules lies at a multiple of 2^k from the origin. Its buddy is the other half of
 * the block of 2^(k+1) that it came from, or could become: where it lies differs in one bit. A block
 * is taken out of a larger one by halves, whose other halves become free; one that comes back merges
 * with its buddy as long as that is free, whole. Which blocks are free, the index knows (a bit each);
 * tags say it too, so that a misuse is told from a block, but aren't trusted alone. Blocks need no
 * footers, no prev-free bits and no END tag.
 *
 *	halves of a block of 2^6	[ taken 1 | 1 | 2   | 4       | 8  ...                        ]
 *
 * A range that's no power of two is cut into the largest blocks that fit, from its start. Where it
 * starts behind the origin, as in a lease, whose own record comes first, these are such as lie right.
 *
 * Bounds: taking and giving a block of 2^k from or into one of 2^n changes n - k + 1 bits of the
 * index, which has at most 6 words to change for each: O(log(range / size)).
 *
 * Sizes are powers of two. What a verb does is said in heap.h, where it differs from that here.
 */
#ifndef ACRE_HEAP_BUDDY_H
#define ACRE_HEAP_BUDDY_H

#include "heap.h"

static inline bool heap_is_buddy(const struct heap *heap)
{
	return heap->fit.policy == FIT_BUDDY;
}

void buddy_init(char *base, struct heap *heap);
bool buddy_find_aligned(char *base, const struct heap *heap, uint64_t size, uint64_t alignment,
			uint64_t *at, uint64_t *place);

/* Halves the block at `at` down to the one at `place`, which lies at a multiple of its size. */
void buddy_take(char *base, struct heap *heap, uint64_t at, uint64_t place, uint64_t size,
		enum tag_state state);
unsigned buddy_take_run(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count);

/* One block after the other: their tags still say how large each is. */
void buddy_give(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count);

/* Smaller: upper halves become free. Larger: the buddies above are taken, if all of them are free. */
bool buddy_resize(char *base, struct heap *heap, uint64_t at, uint64_t size);

/* Whatever blocks lie there must be free; what remains of the lowest is cut anew. */
uint64_t buddy_lower_end(char *base, struct heap *heap, uint64_t size);

int buddy_check(char *base, const struct heap *heap);

#endif
