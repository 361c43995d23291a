/*
 * Commons: see commons.h.
 */
#include "commons.h"

#include "dirt.h"
#include "fit_buddy.h"
#include "pages.h"

#define COMMIT_LEAST	((size_t)1 << 20)
#define COMMIT_MOST	((size_t)256 << 20)

size_t commons_index_end(const struct acre *arena, size_t committed)
{
	const struct fit *fit = &arena->commons.fit;

	return round_up(fit->memory +
			fit_used_bytes(fit, committed / GRANULE - arena->commons.start),
			pages_size());
}

/* Makes [had, need) accessible, and the index that goes with it. */
static bool commit_to(struct acre *arena, size_t had, size_t need)
{
	char *base = arena_base(arena);

	/* What's committed already, at the front of the index, may be committed again. */
	if (!pages_commit(base, commons_index_end(arena, need)) ||
	    !pages_commit(base + had, need - had))
		return false;
	atomic_store_explicit(&arena->committed, need, memory_order_relaxed);
	return true;
}

bool commons_commit(struct acre *arena, uint64_t place)
{
	size_t page = pages_size();
	size_t had = atomic_load_explicit(&arena->committed, memory_order_relaxed);
	size_t need = round_up((place + 1 + FREE_HEAD) * GRANULE, page);
	/* The last block ends in the granule of the END tag. */
	size_t last = round_up((arena->commons.end + 1) * GRANULE, page);
	size_t step = had / 4;

	/* The end may have come down since, below what's committed. */
	need = need < last ? need : last;
	if (need <= had)
		return true;
	step = step < COMMIT_LEAST ? COMMIT_LEAST : step > COMMIT_MOST ? COMMIT_MOST : step;
	step = round_up(had + step, page);
	step = step < need ? need : step < last ? step : last;
	/*
	 * In steps, so that there are few; where the OS refuses that much, what's needed will do.
	 */
	return commit_to(arena, had, step) || (step != need && commit_to(arena, had, need));
}

/* Blocks are handed out up to this place. */
static void reach(struct acre *arena, uint64_t place)
{
	if (place > atomic_load_explicit(&arena->reached, memory_order_relaxed))
		atomic_store_explicit(&arena->reached, place, memory_order_relaxed);
}

/* Takes [place, place + size) from the free block at `at`, if the OS lets it be written. */
static inline uint64_t take(struct acre *arena, uint64_t at, uint64_t place, uint64_t size,
			    enum tag_state state)
{
	if (!commons_commit(arena, place + size))
		return 0;
	reach(arena, place + size);
	if (arena->policy == FIT_BUDDY) {
		dirt_take(arena, &arena->commons, at, place, size, state);
		return place;
	}
	heap_take(arena_base(arena), &arena->commons, at, place, size, state);
	if (place != at)
		dirt_mark(arena, place, 0);
	return place;
}

uint64_t commons_take_at(struct acre *arena, uint64_t at, uint64_t place, uint64_t size)
{
	place = take(arena, at, place, size, TAG_LIVE);
	if (place)
		arena_used(arena, (int64_t)payload_bytes(size));
	return place;
}

uint64_t commons_find(struct acre *arena, uint64_t size)
{
	uint64_t before = fit_steps;
	uint64_t at = heap_find(arena_base(arena), &arena->commons, size);

	arena->search_steps += fit_steps - before;
	return at;
}

static bool find_aligned(struct acre *arena, uint64_t size, uint64_t alignment, uint64_t *at,
			 uint64_t *place)
{
	uint64_t before = fit_steps;
	bool found = heap_find_aligned(arena_base(arena), &arena->commons, size, alignment, at,
				       place);

	arena->search_steps += fit_steps - before;
	return found;
}

uint64_t commons_take(struct acre *arena, uint64_t size, uint64_t alignment)
{
	uint64_t whole = arena->plot_bytes ? round_up(size, arena->page) : size;
	uint64_t at, place;

	if (alignment > GRANULE) {
		if (!find_aligned(arena, size, alignment, &at, &place))
			return 0;
		return commons_take_at(arena, at, place, size);
	} else {
		/* A small block comes here only when its thread has no plot: not worth a page. */
		at = size < arena->page || whole == size ? 0 : commons_find(arena, whole);
		if (!at) {
			whole = size;
			at = commons_find(arena, whole);
		}
		if (!at)
			return 0;
		return commons_take_at(arena, at, at, whole);
	}
}

void commons_give(struct acre *arena, uint64_t at)
{
	char *base = arena_base(arena);
	uint64_t size = tag_size(tag_at(base, at));

	arena_used(arena, -(int64_t)payload_bytes(size));
	heap_give(base, &arena->commons, at, size, 1);
	atomic_fetch_add_explicit(&arena->freed_bytes, size * GRANULE, memory_order_relaxed);
}

bool commons_resize(struct acre *arena, uint64_t at, uint64_t size)
{
	char *base = arena_base(arena);
	uint64_t had = tag_size(tag_at(base, at));

	if (size > had && !commons_commit(arena, at + size))
		return false;
	if (!heap_resize(base, &arena->commons, at, size))
		return false;
	reach(arena, at + size);
	arena_used(arena, ((int64_t)size - (int64_t)had) * (int64_t)GRANULE);
	return true;
}

uint64_t commons_slide(struct acre *arena, uint64_t at, uint64_t size)
{
	char *base = arena_base(arena);
	uint64_t had = tag_size(tag_at(base, at));
	uint64_t place;

	if (!commons_commit(arena, at + size))
		return 0;
	place = heap_slide(base, &arena->commons, at, size);
	if (!place)
		return 0;
	reach(arena, place + size);
	arena_used(arena, ((int64_t)size - (int64_t)had) * (int64_t)GRANULE);
	return place;
}

uint64_t commons_lease(struct acre *arena, uint32_t plot, uint64_t least, uint64_t wanted,
		       uint64_t *size)
{
	char *base = arena_base(arena);
	struct heap *commons = &arena->commons;
	uint64_t at;

	lock_take(&arena->lock);
	if (arena->policy == FIT_BUDDY) {
		/* Small buddies lie at the end, which is to stay free for further plots. */
		wanted = power_below(wanted);
		at = fit_buddy_lowest(base, &commons->fit, least);
	} else {
		at = commons_find(arena, least);
	}
	if (at) {
		uint64_t hole = tag_size(tag_at(base, at)) / arena->page * arena->page;

		*size = hole < wanted ? hole : wanted;
		at = take(arena, at, at, *size, TAG_LEASE);
	}
	if (at) {
		tag_set_face(tag_at(base, at),
			     face_of(at, *size, TAG_LEASE, plot, arena->key));
		arena->leases++;
		arena->lease_granules += *size;
	}
	lock_drop(&arena->lock);
	return at;
}

void commons_unlease(struct acre *arena, uint64_t at)
{
	char *base = arena_base(arena);
	uint64_t size = tag_size(tag_at(base, at));

	lock_take(&arena->lock);
	arena->leases--;
	arena->lease_granules -= size;
	heap_give(base, &arena->commons, at, size, 1);
	lock_drop(&arena->lock);
}
