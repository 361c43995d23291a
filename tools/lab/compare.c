/*
 * The same steps under each policy, side by side.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"
#include "screen.h"
#include "words.h"

/* All that was done to the lab's heap, done in another. */
static void follow(const struct lab_session *from, struct lab_session *to)
{
	size_t *blocks = malloc((from->item_count + 1) * sizeof(*blocks));
	size_t room = 0;

	if (!blocks)
		blocks = lab_grown(NULL, from->item_count, &room, sizeof(*blocks));
	for (size_t i = lab_session_first(from); i < from->op_count; i++)
		lab_session_again(to, &from->ops[i], blocks);
	free(blocks);
}

static void row(const struct lab_session *session, bool own)
{
	struct lab_change change = { 0 };
	struct lab_sums sums;

	lab_heap_look(&session->heap, &change.after);
	sums = lab_sums_of(&change.after);
	lab_screen_line("%s%-6s %7zu %6zu %8zu %4u%% %6zu%s",
			own ? lab_style(LAB_BOLD) : "", words_of_policy(session->heap.policy),
			session->refused, sums.holes, sums.largest, lab_fragmentation(&sums),
			lab_heap_steps(&session->heap), own ? lab_style(LAB_PLAIN) : "");
	lab_change_end(&change);
}

enum lab_outcome lab_do_compare(struct lab *lab, char **words)
{
	const struct lab_session *own = &lab->session;

	(void)words;
	if (lab_session_first(own) == own->op_count)
		return lab_wrong(lab, "nothing was done to this heap yet: allocate, or try random");
	lab_screen_line("%s%-6s %7s %6s %8s %5s %6s%s", lab_style(LAB_DIM), "policy", "refused",
			"holes", "largest", "frag", "steps", lab_style(LAB_PLAIN));
	for (int policy = ACRE_FIRST_FIT; policy <= ACRE_GOOD_FIT; policy++) {
		struct lab_session other;

		if (!lab_session_begin(&other, own->heap.size, (enum acre_policy)policy))
			return lab_wrong(lab, "the system refuses a heap: %s", strerror(errno));
		follow(own, &other);
		row(&other, policy == (int)own->heap.policy);
		lab_session_end(&other);
	}
	return LAB_DONE;
}
