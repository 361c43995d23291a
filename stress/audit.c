/*
 * The arena's own account of itself against the program's.
 *
 * Three witnesses must agree when nobody works: what acre_walk() sees, what acre_stats() says, and
 * what the program knows it holds. A block lost by the allocator is missing from the walk, or stays
 * cached for ever so that the arena isn't one free block at the end; a block handed out twice, or
 * two that overlap, break the order of the walk or the pattern of one of them (block.c).
 */
#include "stress.h"

#include <stdlib.h>
#include <string.h>

/* After so many lines about blocks, the rest is only counted. */
#define MOST_LINES 8

static void add(struct ledger *ledger, const void *block)
{
	if (ledger->count == ledger->room) {
		size_t room = ledger->room == 0 ? 1024 : 2 * ledger->room;
		const void **blocks = get_memory(room, sizeof(*blocks));

		if (ledger->count != 0)
			memcpy(blocks, ledger->blocks, ledger->count * sizeof(*blocks));
		free(ledger->blocks);
		ledger->blocks = blocks;
		ledger->room = room;
	}
	ledger->blocks[ledger->count++] = block;
}

void ledger_add(struct ledger *ledger, const void *block)
{
	if (block != NULL)
		add(ledger, block);
}

void ledger_add_slots(struct ledger *ledger, const struct worker *worker)
{
	for (size_t i = 0; i < worker->slot_count; i++)
		ledger_add(ledger, worker->slots[i].block);
}

void ledger_clear(struct ledger *ledger)
{
	free(ledger->blocks);
	memset(ledger, 0, sizeof(*ledger));
}

/* What a walk has seen so far. */
struct sight {
	const struct range *range;	/* NULL: not known yet */
	const unsigned char *end;	/* of the block before */
	const struct acre_block *before;	/* that one, if it's free */
	struct acre_block last;
	bool others;			/* than free blocks that are powers of two, ever smaller */
	bool tiled;			/* free blocks must not be neighbours, or buddies */
	size_t blocks[4], bytes[4];	/* by state */
	struct acre_block first;
	struct ledger live;
};

static size_t whole_size(const struct acre_block *block)
{
	return block->size + 8;
}

/* Whether two free blocks, one behind the other, are no business of a heap of this kind. */
static bool may_be_neighbours(const struct range *range, const struct acre_block *low,
			      const struct acre_block *high)
{
	size_t offset = (size_t)((const unsigned char *)low->address - range->start);

	return range->buddies && (low->size != high->size || offset / whole_size(low) % 2 == 1);
}

static int look(const struct acre_block *block, void *user)
{
	const unsigned char *address = block->address;
	struct sight *sight = user;

	if (block->state != ACRE_LIVE && block->state != ACRE_CACHED && block->state != ACRE_FREE)
		fault("a walk shows block %p in state %u", block->address, block->state);
	if ((uintptr_t)address % 16 != 0)
		fault("a walk shows block %p, which isn't aligned to 16", block->address);
	if (sight->end != NULL && address < sight->end + 8)
		fault("a walk shows block %p of %zu bytes, which begins before the end of the one "
		      "before, %p", block->address, block->size, (const void *)sight->end);
	if (sight->range != NULL &&
	    (address < sight->range->start ||
	     block->size > sight->range->size - (size_t)(address - sight->range->start)))
		fault("a walk shows block %p of %zu bytes, which lies outside the arena's range",
		      block->address, block->size);
	if (sight->end == NULL)
		sight->first = *block;
	if (sight->tiled && sight->end != NULL) {
		if (address != sight->end + 8)
			fault("an arena without caches has a gap between %p and the block at %p",
			      (const void *)sight->end, block->address);
		if (block->state == ACRE_FREE && sight->before != NULL &&
		    !may_be_neighbours(sight->range, sight->before, block))
			fault("an arena without caches has two free blocks side by side at %p",
			      block->address);
	}
	if (block->state != ACRE_FREE || (whole_size(block) & (whole_size(block) - 1)) != 0 ||
	    (sight->end != NULL && block->size >= sight->last.size))
		sight->others = true;
	sight->last = *block;
	sight->before = block->state == ACRE_FREE ? &sight->last : NULL;
	sight->end = address + block->size;
	sight->blocks[block->state]++;
	sight->bytes[block->state] += block->size;
	if (block->state == ACRE_LIVE)
		add(&sight->live, block->address);
	return 0;
}

static void walk(struct acre *arena, struct sight *sight)
{
	int result = acre_walk(arena, look, sight);

	if (result != 0)
		fault("acre_walk returned %d, its visitor 0", result);
}

static void check(struct acre *arena)
{
	int faults = acre_check(arena);

	if (faults != 0)
		fault("acre_check found %d faults", faults);
}

static bool is_one_free_block(const struct sight *sight)
{
	return sight->blocks[ACRE_FREE] == 1 && sight->blocks[ACRE_LIVE] == 0 &&
	       sight->blocks[ACRE_CACHED] == 0;
}

struct range range_of(struct acre *arena)
{
	struct sight sight = { .range = NULL };
	struct range range;

	walk(arena, &sight);
	if (!is_one_free_block(&sight) && sight.others)
		fault("a new arena has %zu free, %zu live and %zu cached blocks, not one free",
		      sight.blocks[ACRE_FREE], sight.blocks[ACRE_LIVE], sight.blocks[ACRE_CACHED]);
	range.start = sight.first.address;
	range.size = (size_t)(sight.end - range.start);
	range.buddies = !sight.others;
	return range;
}

void inspect(struct acre *arena, const struct range *range)
{
	struct sight sight = { .range = range };
	struct acre_stats stats;

	check(arena);
	walk(arena, &sight);
	ledger_clear(&sight.live);
	acre_stats(arena, &stats);
	if (stats.largest_free > range->size)
		fault("acre_stats: the largest free block has %zu bytes, the range %zu",
		      stats.largest_free, range->size);
}

static int by_address(const void *left, const void *right)
{
	const char *a = *(const char *const *)left, *b = *(const char *const *)right;

	return (a > b) - (a < b);
}

/* The walk's live blocks, in address order already, are exactly those of the ledger. */
static void compare_blocks(const struct ledger *seen, const struct ledger *ledger)
{
	const void **held = get_memory(ledger->count + 1, sizeof(*held));
	size_t lost = 0, unknown = 0, i = 0, j = 0;

	if (ledger->count != 0) {
		memcpy(held, ledger->blocks, ledger->count * sizeof(*held));
		qsort(held, ledger->count, sizeof(*held), by_address);
	}
	while (i < ledger->count || j < seen->count) {
		if (j == seen->count ||
		    (i < ledger->count && (uintptr_t)held[i] < (uintptr_t)seen->blocks[j])) {
			if (lost++ < MOST_LINES)
				complain("block %p is held by the program, but not live", held[i]);
			i++;
		} else if (i == ledger->count || held[i] != seen->blocks[j]) {
			if (unknown++ < MOST_LINES)
				complain("block %p is live, but nobody holds it", seen->blocks[j]);
			j++;
		} else {
			i++;
			j++;
		}
	}
	free(held);
	if (lost + unknown != 0)
		fault("%zu blocks are held but not live, %zu are live but not held", lost, unknown);
}

static void count_held(const struct worker *worker, uint64_t *blocks, uint64_t *bytes)
{
	*blocks += worker->taken - worker->given;
	*bytes += worker->taken_bytes - worker->given_bytes;
}

void audit(struct run *run, const struct ledger *ledger)
{
	struct sight sight = {
		.range = &run->range, .tiled = (run->flags & ACRE_NO_CACHE) != 0,
	};
	struct acre_stats stats;
	uint64_t blocks = 0, bytes = 0;

	check(run->arena);
	walk(run->arena, &sight);
	compare_blocks(&sight.live, ledger);
	ledger_clear(&sight.live);
	if (sight.tiled && sight.end != run->range.start + run->range.size)
		fault("an arena without caches ends at %p, not at %p", (const void *)sight.end,
		      (const void *)(run->range.start + run->range.size));

	count_held(&run->main, &blocks, &bytes);
	for (unsigned i = 0; run->workers != NULL && i < run->threads; i++)
		count_held(&run->workers[i], &blocks, &bytes);
	acre_stats(run->arena, &stats);
	if (stats.live_blocks != blocks || stats.live_bytes != bytes)
		fault("acre_stats counts %zu live blocks of %zu bytes, the program %llu of %llu",
		      stats.live_blocks, stats.live_bytes, (unsigned long long)blocks,
		      (unsigned long long)bytes);
	if (stats.live_bytes != sight.bytes[ACRE_LIVE] ||
	    stats.free_bytes != sight.bytes[ACRE_FREE] ||
	    stats.cached_bytes != sight.bytes[ACRE_CACHED])
		fault("acre_stats counts %zu bytes live, %zu free, %zu cached; a walk %zu, %zu, "
		      "%zu",
		      stats.live_bytes, stats.free_bytes, stats.cached_bytes,
		      sight.bytes[ACRE_LIVE], sight.bytes[ACRE_FREE], sight.bytes[ACRE_CACHED]);
	if (stats.peak_live_bytes < stats.live_bytes)
		fault("acre_stats: %zu bytes are live, but at most %zu have been", stats.live_bytes,
		      stats.peak_live_bytes);
	if (stats.peak_live_bytes < run->peak)
		fault("acre_stats: at most %zu bytes have been live, but it told of %zu before",
		      stats.peak_live_bytes, run->peak);
	run->peak = stats.peak_live_bytes;
}

void audit_whole(struct acre *arena, const struct range *range, unsigned most_alive)
{
	struct sight sight = { .range = range };
	size_t plots = most_alive * PLOT_BYTES;

	check(arena);
	walk(arena, &sight);
	ledger_clear(&sight.live);
	if (!is_one_free_block(&sight) && (sight.others || !range->buddies))
		fault("after all was freed and flushed, the arena has %zu free, %zu live and %zu "
		      "cached blocks, not one free (the first: %p, %zu bytes)",
		      sight.blocks[ACRE_FREE], sight.blocks[ACRE_LIVE], sight.blocks[ACRE_CACHED],
		      sight.first.address, sight.first.size);
	if ((size_t)(sight.end - range->start) + plots < range->size)
		fault("after all was freed and flushed, %zu bytes of %zu are free: more is missing "
		      "than the plots of %u threads take", (size_t)(sight.end - range->start),
		      range->size, most_alive);
}

void audit_taken_whole(struct acre *arena)
{
	struct acre_stats stats;
	void *block;

	acre_stats(arena, &stats);
	block = acre_malloc(arena, stats.largest_free);
	if (block == NULL)
		fault("the one free block of %zu bytes can't be had", stats.largest_free);
	if (acre_usable_size(arena, block) != stats.largest_free)
		fault("the one free block of %zu bytes was allocated with %zu", stats.largest_free,
		      acre_usable_size(arena, block));
	acre_free(arena, block);
	acre_flush(arena);
}
