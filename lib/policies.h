/*
 * The policies' names, as the environment, the command and the tests have them.
 */
#ifndef ACRE_POLICIES_H
#define ACRE_POLICIES_H

#include <acre/acre.h>
#include <string.h>

#define POLICY_NAMES	"first, next, best, worst, buddy or good"

/* The policy of this name, an enum acre_policy; -1 if there is none. */
static inline int policy_named(const char *name)
{
	static const char *const names[] = {
		[ACRE_FIRST_FIT] = "first",
		[ACRE_NEXT_FIT] = "next",
		[ACRE_BEST_FIT] = "best",
		[ACRE_WORST_FIT] = "worst",
		[ACRE_BUDDY] = "buddy",
		[ACRE_GOOD_FIT] = "good",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return (int)i;
	return -1;
}

#endif
