/*
 * Buddy: free blocks of 2^k granules, which lie at multiples of their size from the range's origin
 * (Knowlton, 1965; Knuth, The Art of Computer Programming 1, section 2.5, the buddy system).
 *
 *	some   [ bit k: there's a free block of 2^k granules ]
 *	map 0  [ a bit for each granule        ]     the set of those that are free blocks
 *	map 1  [ a bit for each two granules ]
 *	map 2  [ a bit for each four ] ...
 *
 * The maps are sets of bits (fit_bits.h), of 2 bits a granule together: an 64th of the range.
 * Nothing is written into the free blocks. A request is served by the lowest block of the smallest
 * sufficient size. Each verb looks at no more than 12 words of one map; what splits and merges is
 * heap_buddy.h.
 */
#ifndef ACRE_FIT_BUDDY_H
#define ACRE_FIT_BUDDY_H

#include "fit_policy.h"

/* Whether the index has a free block of this size, a power of two, at this place. */
bool fit_buddy_has(char *base, const struct fit *fit, uint64_t at, uint64_t size);

/* The lowest free block of at least this size, however large; 0 if none. 12 words a doubling. */
uint64_t fit_buddy_lowest(char *base, const struct fit *fit, uint64_t size);

#endif
