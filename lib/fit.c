/*
 * Fit: each verb goes to the index's policy, which the index names by a number.
 */
#include "fit.h"

#include "fit_policy.h"
#include "report.h"
#include "tag.h"

static const struct fit_verbs *const policies[] = {
	[FIT_FIRST] = &fit_first_verbs,
	[FIT_NEXT] = &fit_next_verbs,
	[FIT_BEST] = &fit_best_verbs,
	[FIT_WORST] = &fit_worst_verbs,
	[FIT_BUDDY] = &fit_buddy_verbs,
	[FIT_GOOD] = &fit_good_verbs,
};

_Thread_local uint64_t fit_steps;

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
	fit->end = origin + granules;
	fit->top = 0;
	fit->place = origin;
	fit->memory = memory;
	fit->policy = policy;
	fit->sweep = SWEEP_INDEX;
	policies[policy]->init(fit, granules);
}

void fit_lower_end(struct fit *fit, uint64_t end)
{
	fit->end = end;
}

void fit_insert(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	if (at + size == fit->end)
		fit->top = at;
	else
		policies[fit->policy]->insert(base, fit, at, size);
}

void fit_remove(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	if (at == fit->top)
		fit->top = 0;
	else
		policies[fit->policy]->remove(base, fit, at, size);
}

void fit_grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size)
{
	if (at + size != fit->end) {
		policies[fit->policy]->grow(base, fit, at, had, size);
		return;
	}
	policies[fit->policy]->remove(base, fit, at, had);
	fit->top = at;
}

void fit_cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest)
{
	if (at == fit->top)
		fit->top = to;
	else
		policies[fit->policy]->cut(base, fit, at, size, to, rest);
}

uint64_t fit_find(char *base, const struct fit *fit, uint64_t size)
{
	return policies[fit->policy]->find(base, fit, size);
}

uint64_t fit_next(char *base, const struct fit *fit, uint64_t size, uint64_t after)
{
	uint64_t at;

	if (fit->top && after >= fit->top)
		return 0;
	at = policies[fit->policy]->next(base, fit, size, after);
	return at ? at : top_with(fit, size);
}

uint64_t fit_sweep(char *base, struct fit *fit, uint64_t size)
{
	if (fit->sweep == SWEEP_INDEX) {
		uint64_t at = policies[fit->policy]->sweep(base, fit, size);

		if (at)
			return at;
		fit->sweep = SWEEP_TOP;
	}
	if (fit->sweep == SWEEP_TOP && top_with(fit, size))
		return fit->top;
	fit->sweep = SWEEP_INDEX;
	return 0;
}

void fit_swept(char *base, struct fit *fit, uint64_t at)
{
	if (fit->sweep == SWEEP_TOP)
		fit->sweep = SWEEP_DONE;
	else
		policies[fit->policy]->swept(base, fit, at);
}

uint32_t fit_largest(char *base, const struct fit *fit)
{
	uint32_t top = fit->top ? fit_saturated(fit->end - fit->top) : 0;
	uint32_t most = policies[fit->policy]->largest(base, fit);

	return most > top ? most : top;
}

uint64_t fit_unlisted(const struct fit *fit)
{
	return policies[fit->policy]->unlisted(fit);
}

bool fit_has(char *base, const struct fit *fit, uint64_t at)
{
	return at == fit->top || policies[fit->policy]->has(base, fit, at);
}

int fit_check(char *base, const struct fit *fit, uint64_t blocks)
{
	const struct tag *tag = tag_at(base, fit->top);
	int faults = 0;

	if (!fit->top)
		return policies[fit->policy]->check(base, fit, blocks);
	if (tag_state(tag) != TAG_FREE)
		faults += fit_fault("a last block that isn't free", fit->top, tag_state(tag),
				    TAG_FREE);
	if (tag_size(tag) != fit->end - fit->top)
		faults += fit_fault("the last free block's size", fit->top, tag_size(tag),
				    fit->end - fit->top);
	return faults + policies[fit->policy]->check(base, fit, blocks - 1);
}

_Noreturn void fit_overwritten(char *base, uint64_t at)
{
	report_misuse("heap", payload_at(base, at),
		      "its tag or links were overwritten while it was free; look for a write after "
		      "free, or past the end of the block before");
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
