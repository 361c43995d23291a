/*
 * Next fit: first fit from the place where the block allocated last ends, once around (Knuth, The
 * Art of Computer Programming 1, section 2.5, exercise 6).
 *
 *	place                  |
 *	[ used ][ free 3 ][ used ][ free 1 ][ used ][ top 2 ]
 *	                       |  ------------------------->
 *	   ------------------>
 *
 * Candidates are the free blocks whose end lies beyond the place, in address order, then all from
 * the start. The one that has the place inside it is known, without a search, from the moment when
 * blocks merge over the place: it moves down to that block's start. So the search needs but the
 * blocks that start at the place or behind, and takes O(log(range)) steps, twice at most.
 *
 * The top may have the place inside it too; it's the last candidate before the start either way.
 */
#include "fit_panes.h"

/* A free block, here now, may have swallowed the place. */
static void swallow(struct fit *fit, uint64_t at, uint64_t size)
{
	if (fit->place - at < size)
		fit->place = at;
}

static void insert(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	swallow(fit, at, size);
	panes_insert(base, fit, at, size);
}

static void grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size)
{
	swallow(fit, at, size);
	panes_grow(base, fit, at, had, size);
}

static uint64_t find(char *base, const struct fit *fit, uint64_t size)
{
	uint64_t at = panes_next(base, fit, size, fit->place - 1);

	if (!at && fit->place < fit->end)
		at = top_with(fit, size);
	if (!at)
		at = panes_first(base, fit, size);
	return at ? at : top_with(fit, size);
}

const struct fit_verbs fit_next_verbs = {
	PANES_VERBS,
	.insert = insert,
	.grow = grow,
	.find = find,
};
