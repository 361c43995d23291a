/*
 * What a placement policy is made of: the verbs of fit.h, which says what each does.
 */
#ifndef ACRE_FIT_POLICY_H
#define ACRE_FIT_POLICY_H

#include "fit.h"

struct fit_verbs {
	size_t (*bytes)(uint64_t granules);
	size_t (*used_bytes)(const struct fit *fit, uint64_t granules);
	/* origin, end, place, memory and policy are set; all else is the policy's to set. */
	void (*init)(struct fit *fit, uint64_t granules);
	void (*insert)(char *base, struct fit *fit, uint64_t at, uint64_t size);
	void (*remove)(char *base, struct fit *fit, uint64_t at, uint64_t size);
	void (*grow)(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size);
	void (*cut)(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to,
		    uint64_t rest);
	/* The top among them, which the other verbs needn't know. */
	uint64_t (*find)(char *base, const struct fit *fit, uint64_t size);
	uint64_t (*next)(char *base, const struct fit *fit, uint64_t size, uint64_t after);
	uint64_t (*sweep)(char *base, struct fit *fit, uint64_t size);
	void (*swept)(char *base, struct fit *fit, uint64_t at);
	uint32_t (*largest)(char *base, const struct fit *fit);
	uint64_t (*unlisted)(const struct fit *fit);
	bool (*has)(char *base, const struct fit *fit, uint64_t at);
	int (*check)(char *base, const struct fit *fit, uint64_t blocks);
};

extern const struct fit_verbs fit_first_verbs;
extern const struct fit_verbs fit_next_verbs;
extern const struct fit_verbs fit_best_verbs;
extern const struct fit_verbs fit_worst_verbs;
extern const struct fit_verbs fit_buddy_verbs;
extern const struct fit_verbs fit_good_verbs;

/* The top, if it has so many granules; else 0. */
static inline uint64_t top_with(const struct fit *fit, uint64_t size)
{
	return fit->top && fit->end - fit->top >= size ? fit->top : 0;
}

/* Aborts with a line: the tag or the links of this free block aren't what was written there. */
_Noreturn void fit_overwritten(char *base, uint64_t at);

/* A line about a fault of the index; returns 1, the number of faults it is. */
int fit_fault(const char *what, uint64_t where, uint64_t has, uint64_t should);

/* A step of a search; of a change, which is counted only for the tests that hold the bounds. */
#define STEP() (fit_steps++)
#ifdef ACRE_COUNT_STEPS
#define STEP_OF_CHANGE() (fit_steps++)
#else
#define STEP_OF_CHANGE() ((void)0)
#endif

#endif
