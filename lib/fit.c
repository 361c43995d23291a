/*
 * Fit: each verb goes to the index's policy, which the index names by a number.
 */
#include "fit.h"

#include "fit_policy.h"
#include "report.h"

static const struct fit_verbs *const policies[] = {
	[FIT_FIRST] = &fit_first_verbs,
	[FIT_GOOD] = &fit_good_verbs,
};

#ifdef ACRE_COUNT_STEPS
uint64_t fit_steps;
#endif

size_t fit_bytes(enum fit_policy policy, uint64_t granules)
{
	return policies[policy]->bytes(granules);
}

size_t fit_used_bytes(const struct fit *fit, uint64_t granules)
{
	return policies[fit->policy]->used_bytes(fit, granules);
}

void fit_init(struct fit *fit, enum fit_policy policy, size_t memory, uint64_t origin,
	      uint64_t granules)
{
	fit->origin = origin;
	fit->memory = memory;
	fit->policy = policy;
	policies[policy]->init(fit, granules);
}

void fit_insert(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	policies[fit->policy]->insert(base, fit, at, size);
}

void fit_remove(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	policies[fit->policy]->remove(base, fit, at, size);
}

void fit_grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size)
{
	policies[fit->policy]->grow(base, fit, at, had, size);
}

void fit_cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest)
{
	policies[fit->policy]->cut(base, fit, at, size, to, rest);
}

uint64_t fit_find(char *base, const struct fit *fit, uint64_t size)
{
	return policies[fit->policy]->find(base, fit, size);
}

uint64_t fit_next(char *base, const struct fit *fit, uint64_t size, uint64_t after)
{
	return policies[fit->policy]->next(base, fit, size, after);
}

uint64_t fit_sweep(char *base, struct fit *fit, uint64_t size)
{
	return policies[fit->policy]->sweep(base, fit, size);
}

void fit_swept(char *base, struct fit *fit, uint64_t at)
{
	policies[fit->policy]->swept(base, fit, at);
}

uint32_t fit_largest(char *base, const struct fit *fit)
{
	return policies[fit->policy]->largest(base, fit);
}

uint64_t fit_unlisted(const struct fit *fit)
{
	return policies[fit->policy]->unlisted(fit);
}

bool fit_has(char *base, const struct fit *fit, uint64_t at)
{
	return policies[fit->policy]->has(base, fit, at);
}

int fit_check(char *base, const struct fit *fit, uint64_t blocks)
{
	return policies[fit->policy]->check(base, fit, blocks);
}

int fit_fault(const char *what, uint64_t where, uint64_t has, uint64_t should)
{
	struct line line = { 0 };

	line_text(&line, "check: index: ");
	line_text(&line, what);
	line_text(&line, " at ");
	line_number(&line, where);
	line_text(&line, ": ");
	line_number(&line, has);
	line_text(&line, ", should be ");
	line_number(&line, should);
	report(&line);
	return 1;
}
