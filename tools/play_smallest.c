/*
 * The smallest arena for a trace: upward from the bytes that were live at once, until there's no
 * refusal, then bisected. A larger arena isn't sure to serve where a smaller one does, since blocks
 * lie elsewhere in it; what's found did serve, and a page less did not.
 */
#include <unistd.h>

#include "complain.h"
#include "play.h"
#include "progress.h"
#include "sizes.h"

#define THREADS_STEP	32u	/* by threads, as a share of the size */

static size_t rounded(uint64_t bytes, size_t step)
{
	return (size_t)((bytes + step - 1) / step * step);
}

static bool serves(const struct trace *trace, enum acre_policy policy, bool threads, size_t size)
{
	const struct play_plan plan = { .trace = trace,
					.policy = policy,
					.arena = size,
					.threads = threads,
					.until_refused = true };
	struct play_result result;

	return play(&plan, &result) && result.complete && !result.refusals;
}

static unsigned bisections(size_t span, size_t step)
{
	unsigned n = 0;

	for (; span > step; span /= 2)
		n++;
	return n;
}

/* Upward, until one serves or there is none. */
static void climb(const struct trace *trace, enum acre_policy policy, bool threads,
		  struct play_bounds *bounds)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = ARENA_LEAST;

	if (trace->peak_bytes > ARENA_MOST)
		return;
	if (trace->peak_bytes > size)
		size = rounded(trace->peak_bytes, page);
	bounds->refuses = size - page;
	while (!serves(trace, policy, threads, size)) {
		if (progress_interrupted() || size == ARENA_MOST)
			return;
		bounds->refuses = size;
		size = rounded(size + size / 4, page);
		size = size > ARENA_MOST ? ARENA_MOST : size;
		progress_expect(5 + bisections(size - bounds->refuses, page));
	}
	bounds->serves = size;
}

bool play_smallest(const struct trace *trace, enum acre_policy policy, bool threads,
		   struct play_bounds *bounds)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t step = page;

	*bounds = (struct play_bounds){ 0 };
	climb(trace, policy, threads, bounds);
	if (threads && bounds->serves / THREADS_STEP > page)
		step = rounded(bounds->serves / THREADS_STEP, page);
	while (bounds->serves && bounds->serves - bounds->refuses > step) {
		size_t span = bounds->serves - bounds->refuses;
		size_t middle = rounded(bounds->refuses + span / 2, page);
		bool served = serves(trace, policy, threads, middle);

		if (progress_interrupted())
			return false;
		if (served)
			bounds->serves = middle;
		else
			bounds->refuses = middle;
		progress_expect(4 + bisections(span / 2, step));
	}
	return !progress_interrupted();
}
