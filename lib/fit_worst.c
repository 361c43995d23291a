/*
 * Worst fit: the largest block, and of these the lowest (Silberschatz, Galvin and Gagne, Operating
 * System Concepts, on contiguous allocation). The first of the trees, whose keys put the largest
 * first, or the top if that one is larger. O(log(range)) steps.
 */
#include "fit_tree.h"
#include "tag.h"

static uint64_t find(char *base, const struct fit *fit, uint64_t size)
{
	uint64_t at = tree_next(base, fit, size, 0);
	uint64_t top = top_with(fit, size);

	/* All others lie below the top. */
	return top && (!at || fit->end - top > tag_size(tag_at(base, at))) ? top : at;
}

const struct fit_verbs fit_worst_verbs = {
	TREE_VERBS,
	.find = find,
};
