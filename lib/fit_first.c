/*
 * First fit: the lowest block that is large enough (Knuth, The Art of Computer Programming 1,
 * section 2.5, algorithm A). The first that the panes have; else the top, which lies above all of
 * theirs. O(log(range)) steps.
 */
#include "fit_panes.h"

static uint64_t find(char *base, const struct fit *fit, uint64_t size)
{
	uint64_t at = panes_first(base, fit, size);

	return at ? at : top_with(fit, size);
}

const struct fit_verbs fit_first_verbs = {
	PANES_VERBS,
	.insert = panes_insert,
	.grow = panes_grow,
	.find = find,
};
