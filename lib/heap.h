/*
 * Heap: blocks that tile one range, and the index of the free ones.
 *
 * The same code serves the commons (whose range is the arena's) and every lease of a plot. A heap
 * knows sizes and places only; what a block is used for, and by whom, is its owner's affair.
 *
 *	start                                                             end
 *	+-----+-----------+-----+-----------------------+-----------------+-----+
 *	| tag | live      | tag | free          footer  | tag | live      | END |
 *	+-----+-----------+-----+-----------------------+-----------------+-----+
 *
 * Invariants, held by heap_check():
 *	H1 from start on, each block begins where the one before ends, up to the END tag at `end`
 *	H2 every tag's check bits agree with its place and size
 *	H3 two free blocks never stand side by side
 *	H4 a block's prev-free bit says whether the one before is free, whose footer is its size
 *	H5 the index holds just the free blocks, as far as its policy lists them
 *	H6 used and blocks count the others
 *
 * Sizes and places are in granules. All calls are made under the owner's lock. Each takes a
 * constant number of steps beside those of the index, but for heap_check(), for a search with an
 * alignment, whose last resort looks at each free block, and for the payload that heap_slide()
 * moves.
 *
 * Where the policy is the buddy system, the same verbs work on blocks of another kind: sizes are
 * powers of two, and what differs is in heap_buddy.h. H3 then is: two free buddies never stand side
 * by side; and there is no END tag, and none of H4.
 */
#ifndef ACRE_HEAP_H
#define ACRE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "fit.h"
#include "tag.h"

struct heap {
	uint64_t start;		/* place of the first block */
	uint64_t end;		/* place of the END tag */
	uint64_t used;		/* granules in blocks that aren't free */
	uint64_t blocks;	/* number of these */
	uint32_t key;		/* of the check bits */
	uint32_t plot;		/* owner of the blocks */
	struct fit fit;
};

/*
 * Makes [start, end) one free block. index is the byte offset from base of zeroed memory for the
 * index, fit_bytes(policy, end - origin) bytes. From origin, which is start or, with buddies, may lie
 * before it, the index counts places.
 */
void heap_init(char *base, struct heap *heap, enum fit_policy policy, size_t index, uint64_t origin,
	       uint64_t start, uint64_t end, uint32_t key, uint32_t plot);

/* Place of the free block of at least size granules that the policy chooses; 0 if it has none. */
uint64_t heap_find(char *base, const struct heap *heap, uint64_t size);

/*
 * As heap_find(), for a payload that is to lie at a multiple of alignment (a power of two above
 * 16): *at is the free block, *place where in it the aligned block begins. False if there is none.
 */
bool heap_find_aligned(char *base, const struct heap *heap, uint64_t size, uint64_t alignment,
		       uint64_t *at, uint64_t *place);

/*
 * Takes [place, place + size) out of the free block at `at`; what remains on either side stays
 * free.
 *
 *	[ free                  ]   ->   [ free ][ state ][ free ]
 *	 at     place
 */
void heap_take(char *base, struct heap *heap, uint64_t at, uint64_t place, uint64_t size,
	       enum tag_state state);

/*
 * Takes up to count blocks of size granules, side by side, from the low end of the free block at
 * `at`; they are cached ones, with their stamps. Returns how many: at least one.
 */
unsigned heap_take_run(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count);

/*
 * Frees the granules [at, at + size), which are count whole neighbouring blocks, and merges them
 * with what is free on either side:
 *
 *	used [ at ] used   ->   used [ free ] used
 *	free [ at ] used   ->   [ free      ] used
 *	used [ at ] free   ->   used [ free      ]
 *	free [ at ] free   ->   [ free           ]
 */
void heap_give(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count);

/* Aborts with a line: a block that came back isn't what it should be. */
_Noreturn void heap_unexpected(char *base, uint64_t at, uint32_t key);

/*
 * The size of a block that comes back: its tag must be whole, and say this owner and this state.
 * Aborts with a line if it doesn't.
 */
static inline uint64_t heap_expect(char *base, uint64_t at, uint32_t plot, uint32_t key,
				   enum tag_state state)
{
	const struct tag *tag = tag_at(base, at);
	uint64_t size = tag_size(tag);

	if (tag_face(tag) != face_of(at, size, state, plot, key))
		heap_unexpected(base, at, key);
	return size;
}

/* The same for a cached block of a plot, which is never so large that its size is in the face. */
static inline uint64_t heap_expect_cached(char *base, uint64_t at, uint32_t plot, uint32_t key)
{
	const struct tag *tag = tag_at(base, at);
	uint32_t size = tag_twice(tag) / 2;

	if (tag_face(tag) != face_of(at, size, TAG_CACHED, plot, key))
		heap_unexpected(base, at, key);
	return size;
}

/*
 * And its tag says free from now on: inside a free block it's stale, and a second free is to be
 * recognised by it.
 */
static inline uint64_t heap_retire_cached(char *base, uint64_t at, uint32_t plot, uint32_t key)
{
	uint64_t size = heap_expect_cached(base, at, plot, key);

	tag_set_face(tag_at(base, at), face_of(at, size, TAG_FREE, plot, key));
	return size;
}

/*
 * Makes the used block at `at` size granules large, in place: a larger one needs a free block
 * behind it that has room. False if there is none (then nothing has changed).
 */
bool heap_resize(char *base, struct heap *heap, uint64_t at, uint64_t size);

/*
 * Makes the used block at `at` larger by the free block before it and, if there is one, the one
 * behind; its payload moves down. Returns its new place, 0 if there's no room.
 *
 *	[ free ][ at ][ free ]   ->   [ at, larger     ][ free ]
 */
uint64_t heap_slide(char *base, struct heap *heap, uint64_t at, uint64_t size);

/*
 * Moves the end of the heap down by size granules. Returns the place from which on tags were written
 * up to there; 0 if the last block isn't free, and larger.
 */
uint64_t heap_lower_end(char *base, struct heap *heap, uint64_t size);

/* Whether all of the heap is one free block. */
bool heap_empty(const struct heap *heap);

/* The number of faults; a line on stderr for each. */
int heap_check(char *base, const struct heap *heap);

/* A line about a fault of a block; returns 1, the number of faults it is. */
int heap_fault(char *base, uint64_t at, const char *what);

/* Faults of a block's state and owner. */
int heap_check_owner(char *base, const struct heap *heap, uint64_t at);

#endif
