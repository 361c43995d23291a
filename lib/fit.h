/*
 * Fit: an index of a heap's free blocks that chooses, by one placement policy, which of them serves
 * a request.
 *
 *	policy		the block that serves			steps of a call		index
 *	FIT_FIRST	the lowest that is large enough		O(log(range))		fit_panes
 *	FIT_NEXT	the same from the block taken last on	O(log(range))		fit_panes
 *	FIT_BEST	the smallest, and of these the lowest	O(log(range))		fit_tree
 *	FIT_WORST	the largest, and of these the lowest	O(log(range))		fit_tree
 *	FIT_BUDDY	of the smallest power of two		6 for each doubling	fit_buddy
 *	FIT_GOOD	of the least list whose blocks all are	constant		fit_good
 *
 * The bounds hold whatever the number of blocks; each index says how it keeps them.
 *
 * The free block that ends where the range does, the top, is in no index; so taking from fresh
 * land, and giving back to it, costs a few instructions. Each policy says when the top serves: with
 * first fit after all others, since no block lies higher. A buddy heap has none.
 *
 * Sizes are in granules; maxima of them saturate at 2^32 - 1 (64 GiB).
 *
 * The index lies in memory that its heap provides, which is zero at first and found by an offset
 * from base; fit_tree and fit_good also write links into the free blocks themselves. There are no
 * pointers in it. All calls are made under the heap's lock.
 */
#ifndef ACRE_FIT_H
#define ACRE_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of enum acre_policy. */
enum fit_policy { FIT_FIRST, FIT_NEXT, FIT_BEST, FIT_WORST, FIT_BUDDY, FIT_GOOD, FIT_POLICIES };

#define FIT_UPPERS	13
#define FIT_TREES	156u
#define FIT_LOGS	37u
#define FIT_LISTS	1024u

struct fit_panes {
	uint64_t count;
	size_t strips;			/* byte offset of the strips from base */
	size_t upper[FIT_UPPERS];	/* of each upper level, lowest first */
	unsigned uppers;
	uint64_t swept;			/* fit_sweep() goes on behind this place */
};

struct fit_tree {
	uint64_t reach;			/* the highest place that ever was in a tree */
	size_t singles;			/* byte offset of the set of single granules from base */
	uint64_t granules;
	unsigned place_bits;		/* of a place, counted from origin */
	bool descending;		/* the largest come first */
	uint64_t sweep;			/* fit_sweep() goes on behind this place; 0 = at the first */
	uint64_t sweep_size;		/* among blocks of this size */
	uint64_t word[(FIT_TREES + 63) / 64];	/* a bit for each tree that isn't empty */
};

struct fit_buddy {
	uint64_t granules;
	uint64_t some;			/* bit k: map k isn't empty */
	uint64_t sweep;			/* fit_sweep() goes on with the block of this number, */
	unsigned sweep_log;		/* among those of 2^this granules */
	uint32_t map[FIT_LOGS];		/* words from the index's start to each map's level 0 */
};

struct fit_good {
	uint64_t reach;			/* the highest place that ever was in a list */
	uint64_t singles;		/* free blocks of one granule, which are in none */
	uint32_t lists;			/* how many there are for this range */
	uint32_t words;			/* bit k: word[k] isn't zero */
	uint32_t sweep_list;		/* fit_sweep() goes on in this list, */
	uint64_t sweep;			/* at this block; 0 = at the list's first */
	uint64_t word[FIT_LISTS / 64];	/* a bit for each list that isn't empty */
};

struct fit {
	uint64_t origin;	/* place of the first granule covered */
	uint64_t end;		/* place behind the last one */
	uint64_t top;		/* the free block that ends there; 0 = none */
	uint64_t place;		/* behind the block taken last */
	size_t memory;		/* byte offset of the index from base */
	uint32_t policy;
	bool links;		/* the policy keeps links behind a free block's tag */
	enum { SWEEP_INDEX, SWEEP_TOP, SWEEP_DONE } sweep;
	union {
		struct fit_panes panes;
		struct fit_tree tree;
		struct fit_buddy buddy;
		struct fit_good good;
	};
};

/* A size as the maxima have it. */
static inline uint32_t fit_saturated(uint64_t size)
{
	return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

/* Bytes of memory, a multiple of 16, for the index of a range of so many granules. */
size_t fit_bytes(enum fit_policy policy, uint64_t granules);

/* Bytes of the index, from its start, that are in use when the first so many granules are. */
size_t fit_used_bytes(const struct fit *fit, uint64_t granules);

/* Makes an empty index of granules from origin on, in zeroed memory at byte offset memory. */
void fit_init(struct fit *fit, enum fit_policy policy, size_t memory, uint64_t origin,
	      uint64_t granules);

/* The range ends lower; its last block isn't free now. */
void fit_lower_end(struct fit *fit, uint64_t end);

/* A free block, its tag written, enters the index. */
void fit_insert(char *base, struct fit *fit, uint64_t at, uint64_t size);

/* A block leaves it; its links are as they were when it entered. */
void fit_remove(char *base, struct fit *fit, uint64_t at, uint64_t size);

/* A block in it, at the same place, grew from one size to another; its tag says the new one. */
void fit_grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size);

/*
 * A block in it is cut at its low end: it begins at `to` from now on. Nothing there is written yet,
 * since its new tag may lie where the old links are.
 */
void fit_cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest);

/* A block was taken, which ends before this place: next fit goes on there. */
static inline void fit_took(struct fit *fit, uint64_t end)
{
	fit->place = end;
}

/* The free block of at least size granules that the policy chooses; 0 if it has none. */
uint64_t fit_find(char *base, const struct fit *fit, uint64_t size);

/*
 * All free blocks of at least size granules that are in the index, one after the other, in the
 * policy's own order: the first if after is 0, else the one behind that; 0 at the end. The index
 * may not change in between. First fit goes by address, and `after` may be any place that isn't
 * behind the top.
 */
uint64_t fit_next(char *base, const struct fit *fit, uint64_t size, uint64_t after);

/*
 * A round through the free blocks of at least size granules, a block a call, which other operations
 * may come between: a block that stays as it is meanwhile is met once in a round. 0 ends the round,
 * and the next call begins another. A block is met again until fit_swept() is told of it. Good fit
 * may leave out those less than a 32nd larger than size.
 */
uint64_t fit_sweep(char *base, struct fit *fit, uint64_t size);
void fit_swept(char *base, struct fit *fit, uint64_t at);

/*
 * A size up to which fit_find() is sure to find a block, saturated; 0 if there is none. But with
 * good fit it's that of the largest free block.
 */
uint32_t fit_largest(char *base, const struct fit *fit);

/* The number of free blocks, of one granule each, that fit_find() and fit_next() pass over. */
uint64_t fit_unlisted(const struct fit *fit);

/* Whether the index has the free block at this place, as far as it should. */
bool fit_has(char *base, const struct fit *fit, uint64_t at);

/* The number of faults in the index of so many free blocks; a line for each. */
int fit_check(char *base, const struct fit *fit, uint64_t blocks);

/* Index words and tags that this thread has looked at so far, in whatever index. */
extern _Thread_local uint64_t fit_steps;

#endif
