/*
 * The map of touched pages, white box, under each policy: what a heap itself writes into a free
 * block lies on dirty pages, and a clean page holds nothing but zeros.
 */
#include "arena.h"
#include "plot.h"
#include "support.h"

static const struct acre_options kinds[] = {
	{ .policy = ACRE_FIRST_FIT },
	{ .policy = ACRE_FIRST_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_BEST_FIT, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_WORST_FIT },
	{ .policy = ACRE_BUDDY },
	{ .policy = ACRE_BUDDY, .flags = ACRE_NO_CACHE },
	{ .policy = ACRE_GOOD_FIT },
	{ .policy = ACRE_GOOD_FIT, .flags = ACRE_NO_CACHE },
};

#define GOOD_ALONE 7	/* the last of these */

static bool dirty(struct acre *arena, uint64_t page)
{
	_Atomic uint64_t *words = (_Atomic uint64_t *)(arena_base(arena) + arena->dirt);

	return atomic_load_explicit(words + page / 64, memory_order_relaxed) >> page % 64 & 1;
}

UNSHADOWED static bool zero(const char *page, size_t bytes)
{
	const uint64_t *words = (const uint64_t *)page;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		if (words[i])
			return false;
	return true;
}

/* One free block. */
static void look_at(struct acre *arena, const struct heap *heap, uint64_t at)
{
	char *base = arena_base(arena);
	size_t page_bytes = arena->page * GRANULE;
	uint64_t end = at + tag_size(tag_at(base, at));
	uint64_t reached = (arena->reached + heap->fit.links) / arena->page + 1;

	must(dirty(arena, at / arena->page), "the page of a tag is clean");
	must(dirty(arena, end / arena->page), "the page of a footer is clean");
	if (end > at + 1 && heap->fit.links)
		must(dirty(arena, (at + 1) / arena->page), "the page of links is clean");
	for (uint64_t page = at / arena->page + 1; page < end / arena->page && page < reached;
	     page++)
		must(dirty(arena, page) || zero(base + page * page_bytes, page_bytes),
		     "page %lu holds something", (unsigned long)page);
}

static void look_through(struct acre *arena, const struct heap *heap)
{
	char *base = arena_base(arena);

	for (uint64_t at = heap->start; at < heap->end; at += tag_size(tag_at(base, at)))
		if (tag_state(tag_at(base, at)) == TAG_FREE)
			look_at(arena, heap, at);
}

static void look_all_through(struct acre *arena)
{
	look_through(arena, &arena->commons);
	for (uint32_t id = 1; id <= plots_made(arena); id++)
		for (unsigned i = 0; i < plot_at(arena, id)->leases; i++)
			look_through(arena, &plot_lease(arena, plot_at(arena, id), i)->heap);
}

/* Sizes about a page, a lease, and beyond what realloc moves by pages rather than by bytes. */
static size_t any_size(struct dice *dice)
{
	size_t granules = roll_log(dice, 1, roll(dice) % 8 ? 600 : 40000);

	return granules * 16 - 8;
}

START_TEST(what_a_heap_writes_is_on_dirty_pages)
{
	static char *blocks[200];
	struct acre *arena = new_arena(96 * MIB, &kinds[_i]);
	struct dice dice = dice_from(next_seed());

	for (int step = 0; step < SCALE(6000, 800); step++) {
		char **block = &blocks[roll(&dice) % COUNT_OF(blocks)];
		size_t size = any_size(&dice);

		switch (roll(&dice) % 6) {
		case 0:
			*block = acre_realloc(arena, *block, size);
			break;
		case 1:
			acre_free(arena, *block);
			*block = acre_aligned_alloc(arena, (size_t)32 << roll(&dice) % 9, size);
			break;
		case 2:
			acre_free(arena, *block);
			*block = acre_calloc(arena, 1, size);
			must(!*block || all_bytes(*block, size, 0), "%zu bytes", size);
			break;
		case 3:
			acre_free(arena, *block);
			*block = acre_malloc(arena, size);
			break;
		default:
			acre_free(arena, *block);
			*block = NULL;
		}
		if (*block)
			memset(*block, 0x5a, size);
		if (step % 50 == 0)
			acre_trim(arena);
		/* Buddies lie far apart: there's much to look at. */
		if (step % (kinds[_i].policy == ACRE_BUDDY ? 100 : 10) == 0)
			look_all_through(arena);
	}
	must_be_sound(arena);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(arena, blocks[i]);
	acre_trim(arena);
	look_all_through(arena);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* The block behind begins at each granule of a page in turn; its links may be on the next. */
START_TEST(links_beside_a_page_boundary)
{
	struct acre *arena = new_arena(4 * MIB, &kinds[_i]);
	size_t straddles = 0;

	for (uint64_t size = 1; size <= 2 * arena->page; size++) {
		char *first = acre_malloc(arena, size * 16 - 8);
		uint64_t behind = place_of(arena_base(arena), first) + size;

		must(first, "%lu granules", (unsigned long)size);
		look_all_through(arena);
		straddles += behind % arena->page == arena->page - 1;
		acre_free(arena, first);
		acre_trim(arena);
		must_be_sound(arena);
		look_all_through(arena);
	}
	must(straddles > 0 || !(kinds[_i].flags & ACRE_NO_CACHE) ||
		     kinds[_i].policy == ACRE_BUDDY, "no block lay so");
	end_arena(arena);
}
END_TEST

/* Takes the lowest free block whole, so that nothing merges into it. */
static void fill_front(struct acre *arena)
{
	char *base = arena_base(arena);
	uint64_t at = arena->commons.start;
	uint64_t size;

	while (tag_state(tag_at(base, at)) != TAG_FREE)
		at += tag_size(tag_at(base, at));
	for (uint64_t left = tag_size(tag_at(base, at)); left; left -= size) {
		size = left < 60 ? left : 60;
		must(acre_malloc(arena, size * 16 - 8), "%lu granules", (unsigned long)size);
	}
}

/*
 * A large block whose tag is the last of its page, so that its links will be on the next, goes
 * elsewhere by a move of its pages.
 */
START_TEST(links_where_pages_were_moved_away)
{
	struct acre *arena = new_arena(16 * MIB, &kinds[GOOD_ALONE]);
	char *block = acre_aligned_alloc(arena, 4096, 2 * MIB - 8);
	char *behind = acre_malloc(arena, 4096 - 8);
	char *moved;

	ck_assert(block && behind == block + 2 * MIB);
	fill_front(arena);
	memset(block, 0x5a, 2 * MIB - 8);
	moved = acre_realloc(arena, block, 4 * MIB);
	ck_assert(moved && moved != block && all_bytes(moved, 2 * MIB - 8, 0x5a));
	ck_assert(tag_state(tag_of(block)) == TAG_FREE);
	must(!dirty(arena, place_of(arena_base(arena), block) / arena->page + 9),
	     "not by its pages");
	look_all_through(arena);
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dirt");
	TCase *cases = tcase_create("dirt");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, what_a_heap_writes_is_on_dirty_pages, 0, COUNT_OF(kinds));
	tcase_add_loop_test(cases, links_beside_a_page_boundary, 0, COUNT_OF(kinds));
	tcase_add_test(cases, links_where_pages_were_moved_away);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
