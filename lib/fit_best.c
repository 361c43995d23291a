/*
 * Best fit: the smallest block that is large enough, and of these the lowest (Knuth, The Art of
 * Computer Programming 1, section 2.5). The trees' first from the size asked for on, or the top if
 * that one is smaller. O(log(range)) steps.
 */
#include "fit_tree.h"
#include "tag.h"

static uint64_t find(char *base, const struct fit *fit, uint64_t size)
{
	uint64_t at = tree_from(base, fit, size, 0);
	uint64_t top = top_with(fit, size);

	/* All others lie below the top. */
	return top && (!at || fit->end - top < tag_size(tag_at(base, at))) ? top : at;
}

const struct fit_verbs fit_best_verbs = {
	TREE_VERBS,
	.find = find,
};
