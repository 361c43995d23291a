/*
 * Check: all structures of an arena, each heap under its lock, the caller's own cache as well.
 */
#include "arena.h"
#include "cache.h"
#include "guard.h"
#include "plot.h"
#include "report.h"
#include "thread.h"

/*
 * The leases that the commons count are those that the plots hold; under the lock of the commons.
 */
static int check_leases(struct acre *arena)
{
	char *base = arena_base(arena);
	uint64_t leases = 0;
	uint64_t granules = 0;
	struct line line = { 0 };

	for (uint64_t at = arena->commons.start; at < arena->commons.end;
	     at += tag_size(tag_at(base, at)))
		if (tag_state(tag_at(base, at)) == TAG_LEASE) {
			leases++;
			granules += tag_size(tag_at(base, at));
		}
	if (leases == arena->leases && granules == arena->lease_granules)
		return 0;
	line_text(&line, "check: the commons count ");
	line_number(&line, arena->leases);
	line_text(&line, " leases, but hold ");
	line_number(&line, leases);
	report(&line);
	return 1;
}

int acre_check(struct acre *arena)
{
	struct cache *cache = thread_held(arena);
	int faults = 0;
	int broken;

	for (uint32_t id = 1; id <= plots_made(arena); id++) {
		struct plot *plot = plot_at(arena, id);

		lock_take(&plot->lock);
		faults += plot_check(arena, plot);
		faults += waiting_check(arena, plot);
		plot_let_go(arena, plot);
	}
	lock_take(&arena->depot.lock);
	faults += depot_check(arena);
	lock_drop(&arena->depot.lock);
	lock_take(&arena->waiting_lock);
	faults += waiting_check(arena, NULL);
	lock_drop(&arena->waiting_lock);
	lock_take(&arena->lock);
	broken = heap_check(arena_base(arena), &arena->commons);
	faults += broken;
	if (!broken)
		faults += check_leases(arena);
	if (!broken && arena->guard.kinds)
		faults += guard_check(arena);
	lock_drop(&arena->lock);
	if (cache->plot)
		faults += cache_check(cache);
	return faults;
}
