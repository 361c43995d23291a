/*
 * Words: an arena's options as text, as the environment, the commands and the tests give them.
 *
 * Each reader returns false for a text that isn't one of its own, and leaves the options as they
 * are then; its macro says, behind the text, what would have been. None allocates: they run in a
 * process's first malloc too.
 */
#ifndef ACRE_WORDS_H
#define ACRE_WORDS_H

#include <acre/acre.h>
#include <stdbool.h>

#define WORDS_POLICIES	"first, next, best, worst, buddy or good"
#define WORDS_POLICY	"not a policy; give " WORDS_POLICIES
#define WORDS_POLICY_LIST \
	"not a list of policies; give " WORDS_POLICIES ", several with commas, or all"
#define WORDS_GUARDS \
	"not a list of guards; give canaries, fill, quarantine, random or pages, several with " \
	"commas, or all"
#define WORDS_FAIL_AT \
	"not the number of a request; give N from 1 on, or N+ for it and all after it"

/* One of WORDS_POLICIES. */
bool words_policy(const char *text, struct acre_options *options);
/* Several of them with commas, or all; in *set a bit for each, 1 << its enum acre_policy. */
bool words_policies(const char *text, unsigned *set);
/* The word for a policy; NULL if it's none. */
const char *words_of_policy(enum acre_policy policy);
/* A list with commas. */
bool words_guards(const char *text, struct acre_options *options);
/* NULL, or why an arena can't have the guards of these options with their policy. */
const char *words_conflict(const struct acre_options *options);
/* Which requests are to be refused for a test's sake: N or N+. */
bool words_fail_at(const char *text, struct acre_options *options);

#endif
