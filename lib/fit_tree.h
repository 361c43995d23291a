/*
 * Trees: free blocks by size, and of equal size by address: what best fit and worst fit are made of.
 *
 * Blocks of about one size are in one tree. Each size up to 32 granules has a tree of its own;
 * above, there are 4 to a doubling:
 *
 *	tree   0   1   2       31 |  32     33     34     35   |  36     37
 *	size   1   2   3  ...  32 | 33-40  41-48  49-56  57-64 | 65-80  81-96  ...
 *
 *	words  [1 0 1 1 0 ...]                 one bit for each tree that isn't empty
 *	roots  [ ] [ ] [ ] ...                 place of a block of each tree
 *
 * A digital search tree (Coffman and Eve, 1970; Knuth, The Art of Computer Programming 3, section
 * 6.3), as Lea's malloc has them: a block's key tells the way to it from the root, a bit a step, and
 * it lies wherever on that way there was room when it came. The least key of a subtree is on its
 * leftmost way.
 *
 *	key   | size, above the least of its tree | place, from the range's start   |
 *	        log(size) - 2 bits                  log(range) - log(size) bits
 *
 * Blocks don't overlap; so two that have at least 2^k granules each differ in their places above bit
 * k, and lower bits are left out. A key has therefore log(range) bits at most, no way is longer, and
 * each verb takes O(log(range)) steps, down once or twice, whatever the number of blocks. Nothing is
 * ever balanced. Where the largest are to come first, the size in the key is inverted.
 *
 * The links of a block lie in the granule behind its tag, three places of 36 bits in its two words:
 *
 *	next  | up, low 28 bits      | left, 36 bits  |
 *	back  | 0 | up, high 8 bits  | right, 36 bits |
 *
 * A place is never 0. A program that writes to memory it has freed may overwrite links; so none is
 * followed unless the block there is free and points back.
 *
 * A free block of one granule has no room for links: these are in a set of bits (fit_bits.h), which
 * lies behind the roots and takes a 128th of the range.
 */
#ifndef ACRE_FIT_TREE_H
#define ACRE_FIT_TREE_H

#include "fit_policy.h"

/*
 * The block that comes first of those from this size on, downward where the largest come first, up
 * to the last tree; or the first behind the one of this size at `after`, which may be gone. 0 if
 * there is none.
 */
uint64_t tree_from(char *base, const struct fit *fit, uint64_t size, uint64_t after);

/* The verbs of fit_policy.h. */
size_t tree_bytes(uint64_t granules);
size_t tree_used_bytes(const struct fit *fit, uint64_t granules);
void tree_init(struct fit *fit, uint64_t granules);
void tree_insert(char *base, struct fit *fit, uint64_t at, uint64_t size);
void tree_remove(char *base, struct fit *fit, uint64_t at, uint64_t size);
void tree_grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size);
void tree_cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest);
uint64_t tree_next(char *base, const struct fit *fit, uint64_t size, uint64_t after);
uint64_t tree_sweep(char *base, struct fit *fit, uint64_t size);
void tree_swept(char *base, struct fit *fit, uint64_t at);
uint32_t tree_largest(char *base, const struct fit *fit);
uint64_t tree_unlisted(const struct fit *fit);
bool tree_has(char *base, const struct fit *fit, uint64_t at);
int tree_check(char *base, const struct fit *fit, uint64_t blocks);

/* All but find. */
#define TREE_VERBS \
	.bytes = tree_bytes, \
	.used_bytes = tree_used_bytes, \
	.init = tree_init, \
	.insert = tree_insert, \
	.remove = tree_remove, \
	.grow = tree_grow, \
	.cut = tree_cut, \
	.next = tree_next, \
	.sweep = tree_sweep, \
	.swept = tree_swept, \
	.largest = tree_largest, \
	.unlisted = tree_unlisted, \
	.has = tree_has, \
	.check = tree_check

#endif
