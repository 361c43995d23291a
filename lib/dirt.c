/*
 * Dirt: the map of touched pages. See dirt.h.
 */
#include "dirt.h"

#include <string.h>

#include "pages.h"

#define WORD_PAGES 64u

static _Atomic uint64_t *word_of(struct acre *arena, size_t map, size_t page)
{
	return (_Atomic uint64_t *)(arena_base(arena) + map) + page / WORD_PAGES;
}

static bool is_dirty(struct acre *arena, size_t page)
{
	return atomic_load_explicit(word_of(arena, arena->dirt, page), memory_order_relaxed) >>
	       page % WORD_PAGES & 1;
}

/* The bits of word `page / 64` that stand for [page, last). */
static uint64_t mask_of(size_t page, size_t last)
{
	uint64_t mask = ~UINT64_C(0) << page % WORD_PAGES;

	if (last / WORD_PAGES == page / WORD_PAGES)
		mask &= (UINT64_C(1) << last % WORD_PAGES) - 1;
	return mask;
}

static size_t next_word(size_t page)
{
	return (page / WORD_PAGES + 1) * WORD_PAGES;
}

static void set_bits(struct acre *arena, size_t map, size_t first, size_t last)
{
	for (size_t page = first; page < last; page = next_word(page)) {
		uint64_t mask = mask_of(page, last);
		_Atomic uint64_t *word = word_of(arena, map, page);

		if ((atomic_load_explicit(word, memory_order_relaxed) & mask) != mask)
			atomic_fetch_or_explicit(word, mask, memory_order_relaxed);
	}
}

static void set_clean(struct acre *arena, size_t first, size_t last)
{
	for (size_t page = first; page < last; page = next_word(page))
		atomic_fetch_and_explicit(word_of(arena, arena->dirt, page), ~mask_of(page, last),
					  memory_order_relaxed);
}

/* The first page in [page, last) whose bit in a map is as wanted; last if there is none. */
static size_t next_bit(struct acre *arena, size_t map, size_t page, size_t last, bool wanted)
{
	while (page < last) {
		uint64_t bits = atomic_load_explicit(word_of(arena, map, page),
						     memory_order_relaxed);

		bits = (wanted ? bits : ~bits) & mask_of(page, last);
		if (bits)
			return page - page % WORD_PAGES + (unsigned)__builtin_ctzll(bits);
		page = next_word(page);
	}
	return last;
}

bool dirt_one_mapping(struct acre *arena, size_t start, size_t bytes)
{
	size_t page_bytes = arena->page * GRANULE;
	size_t last = (start + bytes) / page_bytes;

	return next_bit(arena, arena->seams, start / page_bytes + 1, last, true) == last;
}

size_t dirt_bytes(size_t arena_size)
{
	return (arena_size / pages_size() / WORD_PAGES + 2) * sizeof(uint64_t);
}

void dirt_mark(struct acre *arena, uint64_t at, uint64_t size)
{
	uint64_t last = at + size + FREE_HEAD;

	if (arena->dirt)
		set_bits(arena, arena->dirt, at >> arena->page_log, (last >> arena->page_log) + 1);
}

void dirt_mark_tags(struct acre *arena, uint64_t from, uint64_t to)
{
	for (; from < to; from += tag_size(tag_at(arena_base(arena), from)))
		dirt_mark(arena, from, 0);
}

void dirt_take(struct acre *arena, struct heap *heap, uint64_t at, uint64_t place, uint64_t size,
	       enum tag_state state)
{
	uint64_t end = at + tag_size(tag_at(arena_base(arena), at));

	heap_take(arena_base(arena), heap, at, place, size, state);
	dirt_mark_tags(arena, at, end);
}

void dirt_zero(struct acre *arena, size_t start, size_t bytes)
{
	char *base = arena_base(arena);
	size_t page_bytes = arena->page * GRANULE;
	size_t end = start + bytes;

	if (!arena->dirt) {
		memset(base + start, 0, bytes);
		return;
	}
	while (start < end) {
		size_t page = start / page_bytes;
		size_t stop = (page + 1) * page_bytes;

		if (stop > end)
			stop = end;
		if (is_dirty(arena, page))
			memset(base + start, 0, stop - start);
		start = stop;
	}
}

void dirt_copy(struct acre *arena, size_t to, size_t from, size_t bytes)
{
	char *base = arena_base(arena);
	size_t page_bytes = arena->page * GRANULE;
	size_t end = from + bytes;

	if (!arena->dirt) {
		memcpy(base + to, base + from, bytes);
		return;
	}
	while (from < end) {
		size_t page = from / page_bytes;
		size_t last = (end - 1) / page_bytes + 1;
		bool dirty = is_dirty(arena, page);
		size_t stop = next_bit(arena, arena->dirt, page, last, !dirty) * page_bytes;

		stop = stop < end ? stop : end;
		if (dirty)
			memcpy(base + to, base + from, stop - from);
		else
			dirt_zero(arena, to, stop - from);
		to += stop - from;
		from = stop;
	}
}

size_t dirt_purge(struct acre *arena, uint64_t *at, uint64_t end, size_t limit, unsigned *calls)
{
	size_t page_bytes = arena->page * GRANULE;
	size_t page = *at / arena->page + 1;
	size_t last = end / arena->page;
	uint64_t reached = atomic_load_explicit(&arena->reached, memory_order_relaxed);
	size_t given = 0;

	if (!arena->dirt) {
		*at = end;
		return 0;
	}
	/* Beyond what was ever handed out no page is dirty but those of a few tags. */
	reached = (reached + FREE_HEAD) / arena->page + 1;
	last = last < reached ? last : reached;
	while (given < limit && *calls &&
	       (page = next_bit(arena, arena->dirt, page, last, true)) < last) {
		size_t stop = next_bit(arena, arena->dirt, page, last, false);
		size_t bytes;

		if (stop - page > (limit - given) / page_bytes + 1)
			stop = page + (limit - given) / page_bytes + 1;
		bytes = (stop - page) * page_bytes;
		--*calls;
		if (pages_purge(arena_base(arena) + page * page_bytes, bytes)) {
			set_clean(arena, page, stop);
			given += bytes;
		}
		page = stop;
	}
	*at = page < last ? page * arena->page - 1 : end;
	return given;
}

void dirt_moved(struct acre *arena, size_t start, size_t to, size_t bytes)
{
	size_t page_bytes = arena->page * GRANULE;

	set_bits(arena, arena->dirt, to / page_bytes, (to + bytes) / page_bytes);
	set_bits(arena, arena->seams, to / page_bytes, to / page_bytes + 1);
	set_bits(arena, arena->seams, (to + bytes) / page_bytes, (to + bytes) / page_bytes + 1);
	set_clean(arena, start / page_bytes, (start + bytes) / page_bytes);
}
