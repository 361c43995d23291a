/*
 * Words: see words.h.
 */
#include "words.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

static const struct word {
	const char *text;
	unsigned value;
} policies[] = {
	{ "first", ACRE_FIRST_FIT },
	{ "next", ACRE_NEXT_FIT },
	{ "best", ACRE_BEST_FIT },
	{ "worst", ACRE_WORST_FIT },
	{ "buddy", ACRE_BUDDY },
	{ "good", ACRE_GOOD_FIT },
	{ NULL, 0 },
}, guards[] = {
	{ "canaries", ACRE_CANARIES },
	{ "fill", ACRE_FILL },
	{ "quarantine", ACRE_QUARANTINE },
	{ "random", ACRE_RANDOM },
	{ "pages", ACRE_GUARD_PAGES },
	{ "all", ACRE_CANARIES | ACRE_FILL | ACRE_QUARANTINE | ACRE_RANDOM | ACRE_GUARD_PAGES },
	{ NULL, 0 },
};

/* The word of these first characters; NULL if there's none. */
static const struct word *find(const struct word *words, const char *text, size_t length)
{
	for (; words->text; words++)
		if (strlen(words->text) == length && strncmp(words->text, text, length) == 0)
			return words;
	return NULL;
}

bool words_policy(const char *text, struct acre_options *options)
{
	const struct word *policy = find(policies, text, strlen(text));

	if (policy)
		options->policy = (enum acre_policy)policy->value;
	return policy;
}

/* A list with commas: the values of its words, or a bit for each, as one number. */
static bool read_list(const struct word *words, const char *text, bool bits, unsigned *all)
{
	unsigned sum = 0;

	for (;;) {
		size_t length = strcspn(text, ",");
		const struct word *word = find(words, text, length);

		if (!word)
			return false;
		sum |= bits ? 1u << word->value : word->value;
		if (!text[length])
			break;
		text += length + 1;
	}
	*all = sum;
	return true;
}

bool words_policies(const char *text, unsigned *set)
{
	if (strcmp(text, "all") != 0)
		return read_list(policies, text, true, set);
	*set = 0;
	for (const struct word *policy = policies; policy->text; policy++)
		*set |= 1u << policy->value;
	return true;
}

const char *words_of_policy(enum acre_policy policy)
{
	const struct word *word = policies;

	while (word->text && word->value != (unsigned)policy)
		word++;
	return word->text;
}

bool words_guards(const char *text, struct acre_options *options)
{
	return read_list(guards, text, false, &options->guards);
}

const char *words_conflict(const struct acre_options *options)
{
	if (options->guards & ACRE_RANDOM && options->policy != ACRE_FIRST_FIT)
		return "random needs the policy 'first'";
	if (options->guards & ACRE_GUARD_PAGES && options->policy == ACRE_BUDDY)
		return "pages can't be had with the policy 'buddy'";
	return NULL;
}

bool words_fail_at(const char *text, struct acre_options *options)
{
	const size_t most = SIZE_MAX / 2;
	size_t number = 0;

	for (; isdigit((unsigned char)*text); text++) {
		if (number > (most - 9) / 10)
			return false;
		number = number * 10 + (size_t)(*text - '0');
	}
	if (!number || (*text && (*text != '+' || text[1])))
		return false;
	options->fail_at = number;
	options->fail_count = *text ? SIZE_MAX : 1;
	return true;
}
