/*
 * View: see view.h.
 */
#include "view.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "os.h"

struct view view;

static int record(const struct acre_block *block, void *user)
{
	(void)user;
	if (view.count == view.room) {
		view.room = view.room ? view.room * 2 : 4096;
		view.blocks = realloc(view.blocks, view.room * sizeof(*view.blocks));
		if (!view.blocks) {
			perror("fuzz: realloc");
			exit(1);
		}
	}
	view.blocks[view.count++] = *block;
	return 0;
}

static void add(const struct acre_block *block)
{
	switch (block->state) {
	case ACRE_FREE:
		view.free_blocks++;
		view.free_bytes += block->size;
		if (block->size > view.largest)
			view.largest = block->size;
		break;
	case ACRE_CACHED:
		view.cached_blocks++;
		view.cached_bytes += block->size;
		break;
	case ACRE_LIVE:
		view.live_blocks++;
		break;
	default:
		model_fault("walk: block %p has state %u", block->address, block->state);
	}
}

/* A block and the one before it, in an arena of one heap. */
static void verify_tiled(const struct land *land, const struct acre_block *block, uintptr_t end)
{
	must(block->plot == 0 && block->state != ACRE_CACHED,
	     "walk: block %p is of plot %u, state %u", block->address, block->plot, block->state);
	if (!end)
		return;
	must((uintptr_t)block->address == end + 8, "walk: a gap before block %p", block->address);
	must(land->options.policy == ACRE_BUDDY || block->state != ACRE_FREE ||
	     block[-1].state != ACRE_FREE, "walk: two free blocks side by side at %p",
	     block->address);
}

void view_walk(unsigned number)
{
	const struct land *land = &model.lands[number];
	uintptr_t end = 0;
	int result;

	view = (struct view){ .blocks = view.blocks, .room = view.room };
	result = acre_walk(land->arena, record, NULL);
	must(result == 0, "acre_walk returned %d", result);
	for (size_t i = 0; i < view.count; i++) {
		const struct acre_block *block = &view.blocks[i];
		uintptr_t address = (uintptr_t)block->address;
		uintptr_t offset = address - (uintptr_t)land->arena;

		must(address % 16 == 0, "walk: block %p isn't aligned", block->address);
		must(address >= end + 8, "walk: block %p begins before %#zx, where the last ends",
		     block->address, (size_t)end);
		must(offset < land->size && block->size <= land->size - offset && block->size >= 8,
		     "walk: block %p has %zu bytes", block->address, block->size);
		if (land->tiled)
			verify_tiled(land, block, end);
		add(block);
		end = address + block->size;
	}
	if (land->tiled && land->first_bytes)
		must(end - (uintptr_t)view.blocks[0].address ==
		     land->first_bytes + 8 * (land->first_free - 1),
		     "walk: the blocks span %zu bytes, at first it was %zu",
		     (size_t)(end - (uintptr_t)view.blocks[0].address), land->first_bytes);
}

/*
 * Pieces by address.
 */
#define PLACES (2 * PLAY_PIECES)

static uint16_t places[PLACES];		/* number of a piece + 1; 0 = none */

static size_t place_of(const void *address)
{
	return (size_t)((uintptr_t)address / 16 * 2654435761u) % PLACES;
}

static const struct piece *find(const void *address, size_t *place)
{
	size_t i = place_of(address);

	while (places[i] && model.pieces[places[i] - 1].block != address)
		i = (i + 1) % PLACES;
	*place = i;
	return places[i] ? &model.pieces[places[i] - 1] : NULL;
}

static void enter(size_t number)
{
	const void *block = model.pieces[number].block;
	size_t place;

	must(!find(block, &place), "block %p was handed out twice", block);
	places[place] = (uint16_t)(number + 1);
}

void view_compare(unsigned number)
{
	const struct land *land = &model.lands[number];
	size_t place;

	memset(places, 0, sizeof(places));
	for (size_t i = 0; i < model.count; i++)
		if (model.pieces[i].land == number)
			enter(i);
	for (size_t i = 0; i < view.count; i++) {
		const struct acre_block *block = &view.blocks[i];
		const struct piece *piece;

		if (block->state != ACRE_LIVE)
			continue;
		piece = find(block->address, &place);
		must(piece, "walk: block %p is live, but nobody holds it", block->address);
		must(piece->usable == block->size, "walk: block %p has %zu bytes, should have %zu",
		     block->address, block->size, piece->usable);
	}
	must(view.live_blocks == land->live_blocks, "walk: %zu live blocks, %zu are held",
	     view.live_blocks, land->live_blocks);
}

/*
 * Refusals.
 */
static bool has_room(const struct acre_block *block, size_t size, size_t alignment)
{
	size_t front = -(uintptr_t)block->address & (alignment - 1);

	return block->size >= front && block->size - front >= size;
}

static size_t granules_of(size_t usable)
{
	return (usable + 8) / 16;
}

/* Good fit's class of a size: acre.h says 32 to a doubling. Here by their largest size. */
static size_t class_top(size_t granules)
{
	size_t low = 65, step = 2;

	if (granules <= 64)
		return granules;
	while (granules >= low + 32 * step) {
		low += 32 * step;
		step *= 2;
	}
	return low + (granules - low) / step * step + step - 1;
}

/* Where good fit may refuse, in the words of acre.h. */
static bool good_fit_may(const struct acre_block *block, size_t size)
{
	size_t has = granules_of(block->size);
	size_t wanted = granules_of((size + 8 + 15) / 16 * 16 - 8);
	size_t small = 0;

	if (has == 1)
		return true;
	if ((has - wanted) * 32 >= wanted)
		return false;
	for (size_t i = 0; i < view.count; i++) {
		size_t other = granules_of(view.blocks[i].size);

		small += view.blocks[i].state == ACRE_FREE && other < wanted &&
			 view.blocks[i].plot == block->plot && class_top(other) == class_top(has);
	}
	return small >= 16;
}

/*
 * A buddy has a size of a power of two, and lies at a multiple of it; an alignment above the size
 * that serves takes a larger one.
 */
static bool buddy_may(const struct acre_block *block, size_t size, size_t alignment)
{
	size_t front = -(uintptr_t)block->address & (alignment - 1);
	size_t whole = 16;

	while (whole < size + 8 || (alignment > 16 && whole < alignment))
		whole *= 2;
	return front % whole || block->size + 8 - front < whole;
}

static bool may_refuse(const struct land *land, const struct acre_block *block, size_t size,
		       size_t alignment)
{
	switch (land->options.policy) {
	case ACRE_GOOD_FIT:
		return good_fit_may(block, size);
	case ACRE_BUDDY:
		return buddy_may(block, size, alignment);
	default:
		return false;
	}
}

static bool next_to(const struct acre_block *low, const struct acre_block *high)
{
	return (const char *)low->address + low->size + 8 == (const char *)high->address &&
	       low->plot == high->plot;
}

/* What the block at number i would have with its free neighbours. */
static size_t room_around(size_t i)
{
	const struct acre_block *block = &view.blocks[i];
	size_t room = block->size;

	if (i && block[-1].state == ACRE_FREE && next_to(&block[-1], block))
		room += block[-1].size + 8;
	if (i + 1 < view.count && block[1].state == ACRE_FREE && next_to(block, &block[1]))
		room += block[1].size + 8;
	return room;
}

void view_refused(unsigned number, size_t size, size_t alignment, const void *block)
{
	const struct land *land = &model.lands[number];

	/* Where the OS didn't let it be used, free memory is of no use. */
	if (os.refused)
		return;
	view_walk(number);
	for (size_t i = 0; i < view.count; i++) {
		const struct acre_block *seen = &view.blocks[i];

		must(seen->state != ACRE_FREE || !has_room(seen, size, alignment) ||
		     may_refuse(land, seen, size, alignment),
		     "G2: %zu bytes at a multiple of %zu were refused, but %p has %zu, free", size,
		     alignment, seen->address, seen->size);
		if (seen->address == block && land->options.policy != ACRE_BUDDY)
			must(room_around(i) < size,
			     "G2: realloc to %zu bytes was refused, but %p and its free "
			     "neighbours have %zu", size, block, room_around(i));
	}
	/* The caller's own cache was given back: in the caches of nobody else there's nothing. */
	must(land->unflushed || os.busy_met || (land->joined & ~(1u << where.worker)) ||
	     !view.cached_bytes,
	     "G2: %zu bytes were refused, but %zu are in the thread's own cache", size,
	     view.cached_bytes);
}

struct stop {
	size_t after;
	int result;
};

static int count_down(const struct acre_block *block, void *user)
{
	struct stop *stop = user;

	(void)block;
	return stop->after-- ? 0 : stop->result;
}

void view_stop(unsigned number, size_t after, int result)
{
	const struct land *land = &model.lands[number];
	struct stop stop = { after, result };
	int got = acre_walk(land->arena, count_down, &stop);
	bool reached = stop.after == SIZE_MAX;

	must(got == (reached ? result : 0), "acre_walk returned %d, its visitor %d", got, result);
}
