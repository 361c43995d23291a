/*
 * Fit: an index of a heap's free blocks, by address, that finds the lowest one that is large enough.
 *
 * A pane is 64 granules (1 KiB) of the heap's range. For each, a word has a bit for every granule at
 * which a free block starts, and a number says how large the largest of these is. Above the panes
 * stands a tree of maxima:
 *
 *	upper 1            [ 4 of upper 0 ] ... and so on, up to the root     256 KiB each
 *	upper 0       [ one a strip ] ...                                      64 KiB each
 *	strip         tall[4]                                                  16 KiB each
 *	              wide[16]                                                  4 KiB each
 *	              most[64]   starts[64]                                     1 KiB each, a pane
 *
 * A search descends from the root to the first pane that has a block large enough and looks at the
 * at most 64 blocks which start there. A change climbs as long as it changes a maximum. Both are
 * bounded by the depth, O(log(range)), whatever the number of blocks.
 *
 * Sizes are in granules, and saturate at 2^32 - 1 (64 GiB): the at most 16 blocks of an arena that
 * are larger than that are told apart by their tags.
 *
 * The index lies in memory that its heap provides, which is zero at first and found by an offset
 * from base. The sizes of free blocks are read from their tags. All calls are made under the heap's
 * lock.
 */
#ifndef ACRE_FIT_H
#define ACRE_FIT_H

#include <stddef.h>
#include <stdint.h>

#define FIT_PANE	64u	/* granules */
#define FIT_UPPERS	13

struct fit {
	uint64_t origin;	/* place of the first granule covered */
	uint64_t panes;
	size_t strips;		/* byte offset of the strips from base */
	size_t upper[FIT_UPPERS];	/* of each upper level, lowest first */
	unsigned uppers;
};

/* Bytes of memory, a multiple of 16, for the index of a range of so many granules. */
size_t fit_bytes(uint64_t granules);

/* The part of these that is read and written from the start; strips follow, as the range is used. */
size_t fit_upper_bytes(uint64_t granules);

/* Bytes of the index that are in use when the first so many granules of the range are. */
size_t fit_used_bytes(const struct fit *fit, uint64_t granules);

/* Makes an empty index of granules from origin on, in zeroed memory at byte offset memory. */
void fit_init(struct fit *fit, size_t memory, uint64_t origin, uint64_t granules);

/* A free block, its tag written, enters the index. */
void fit_insert(char *base, struct fit *fit, uint64_t at, uint64_t size);

/* A block leaves it; its tag still says its size. */
void fit_remove(char *base, struct fit *fit, uint64_t at, uint64_t size);

/* A block in it, at the same place, grew from one size to another; its tag says the new one. */
void fit_grow(char *base, struct fit *fit, uint64_t at, uint64_t size);

/* A block in it is cut at its low end: it begins at `to` now, where its new tag is. */
void fit_cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest);

/* The lowest free block of at least size granules from place `from` on; 0 if there is none. */
uint64_t fit_find(char *base, const struct fit *fit, uint64_t size, uint64_t from);

/* Size of the largest free block, saturated at 2^32 - 1; 0 if there is none. */
uint32_t fit_largest(char *base, const struct fit *fit);

/* Whether the index has a free block that starts at this place. */
int fit_has(char *base, const struct fit *fit, uint64_t at);

/* The number of faults in the index, which should hold so many blocks; a line for each. */
int fit_check(char *base, const struct fit *fit, uint64_t blocks);

#ifdef ACRE_COUNT_STEPS
/* Index words and tags looked at so far: for the test that holds the bound. */
extern uint64_t fit_steps;
#endif

#endif
