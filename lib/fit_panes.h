/*
 * Panes: free blocks by address, in a tree of maxima: what first fit and next fit are made of.
 *
 * A pane is 64 granules (1 KiB) of the heap's range. For each, a word has a bit for every granule
 * at which a free block starts, and a number says how large the largest of these is. Above the
 * panes stands a tree of maxima:
 *
 *	upper 1            [ 4 of upper 0 ] ... and so on, up to the root     256 KiB each
 *	upper 0       [ one a strip ] ...                                      64 KiB each
 *	strip         tall[4]                                                  16 KiB each
 *	              wide[16]                                                  4 KiB each
 *	              most[64]   starts[64]                                     1 KiB each, a pane
 *
 * A search descends from the root to the first pane that has a block large enough and looks at the
 * at most 64 blocks which start there. One that begins at some place climbs from its pane until a
 * node to the right has such a block. A change climbs as long as it changes a maximum. All are
 * bounded by the depth, O(log(range)), whatever the number of blocks.
 *
 * Sizes saturate at 2^32 - 1 granules (64 GiB): the at most 16 blocks of an arena that are larger
 * than that are told apart by their tags.
 */
#ifndef ACRE_FIT_PANES_H
#define ACRE_FIT_PANES_H

#include "fit_policy.h"

/* The lowest block of at least size granules; 0 if none. */
uint64_t panes_first(char *base, const struct fit *fit, uint64_t size);

/* The verbs of fit_policy.h that don't depend on where a search begins. */
size_t panes_bytes(uint64_t granules);
size_t panes_used_bytes(const struct fit *fit, uint64_t granules);
void panes_init(struct fit *fit, uint64_t granules);
void panes_insert(char *base, struct fit *fit, uint64_t at, uint64_t size);
void panes_remove(char *base, struct fit *fit, uint64_t at, uint64_t size);
void panes_grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size);
void panes_cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest);
uint64_t panes_next(char *base, const struct fit *fit, uint64_t size, uint64_t after);
uint64_t panes_sweep(char *base, struct fit *fit, uint64_t size);
void panes_swept(char *base, struct fit *fit, uint64_t at);
uint32_t panes_largest(char *base, const struct fit *fit);
uint64_t panes_unlisted(const struct fit *fit);
bool panes_has(char *base, const struct fit *fit, uint64_t at);
int panes_check(char *base, const struct fit *fit, uint64_t blocks);

/* All but insert, grow and find. */
#define PANES_VERBS \
	.bytes = panes_bytes, \
	.used_bytes = panes_used_bytes, \
	.init = panes_init, \
	.remove = panes_remove, \
	.cut = panes_cut, \
	.next = panes_next, \
	.sweep = panes_sweep, \
	.swept = panes_swept, \
	.largest = panes_largest, \
	.unlisted = panes_unlisted, \
	.has = panes_has, \
	.check = panes_check

#endif
