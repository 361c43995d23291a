/*
 * Pieces: see pieces.h.
 */
#include "pieces.h"

void lab_pieces_add(struct lab_picture *picture, struct lab_block block)
{
	picture->blocks = lab_grown(picture->blocks, picture->count, &picture->room,
				    sizeof(*picture->blocks));
	picture->blocks[picture->count++] = block;
}

void lab_pieces_add_split(struct lab_picture *picture, enum acre_policy policy,
			  struct lab_block hole, struct lab_block taken)
{
	size_t end = hole.offset + hole.size;
	size_t piece;

	lab_pieces_add(picture, taken);
	/* Low ends are taken, so halves remain in the order of size. */
	for (size_t at = taken.offset + taken.size; at < end; at += piece) {
		piece = policy == ACRE_BUDDY ? at - hole.offset : end - at;
		lab_pieces_add(picture, (struct lab_block){ at, piece, false });
	}
}

/* "1024 at 1024, 512 at 512": the free blocks from an offset up to another. */
static void say_free_between(FILE *text, const struct lab_picture *picture, size_t from,
			     size_t to)
{
	size_t count = 0;

	for (size_t i = 0; i < picture->count; i++) {
		const struct lab_block *block = &picture->blocks[i];

		if (!block->live && block->offset >= from && block->offset < to)
			fprintf(text, "%s%zu at %zu", count++ ? ", " : "", block->size,
				block->offset);
	}
}

static size_t halvings(size_t from, size_t to)
{
	size_t n = 0;

	for (; from > to; from /= 2)
		n++;
	return n;
}

static void say_times(FILE *text, size_t n)
{
	if (n == 1)
		fprintf(text, "once");
	else if (n == 2)
		fprintf(text, "twice");
	else
		fprintf(text, "%zu times", n);
}

void lab_pieces_say_split(FILE *text, enum acre_policy policy, const struct lab_picture *before,
			  const struct lab_picture *after, size_t at, size_t size)
{
	const struct lab_block *hole = lab_block_around(before, at);

	if (hole->size == size) {
		fprintf(text, "It fits exactly: nothing remains of it.");
		return;
	}
	if (policy == ACRE_BUDDY) {
		fprintf(text, "It was halved ");
		say_times(text, halvings(hole->size, size));
		fprintf(text, " down to %zu; free %s: ", size,
			hole->size == size * 2 ? "half" : "halves");
		say_free_between(text, after, at + size, hole->offset + hole->size);
		fprintf(text, ".");
	} else {
		fprintf(text, "Split %zu from %zu;", size, hole->size);
		lab_pieces_say_free_behind(text, after, at + size);
	}
}

void lab_pieces_say_free_behind(FILE *text, const struct lab_picture *after, size_t at)
{
	const struct lab_block *behind = lab_block_around(after, at);

	if (behind && !behind->live)
		fprintf(text, " %zu remain free at %zu.", behind->size, behind->offset);
	else
		fprintf(text, " nothing remains of it.");
}

static bool is_free_block(const struct lab_picture *picture, size_t at, size_t size)
{
	const struct lab_block *block = lab_block_around(picture, at);

	return block && !block->live && block->offset == at && block->size == size;
}

/* Why a buddy that is part of no merge is none: what there is in its place. */
static void say_buddy(FILE *text, const struct lab_picture *picture, size_t at, size_t size)
{
	const struct lab_block *block = lab_block_around(picture, at);
	const struct lab_block *last = lab_block_around(picture, at + size - 1);

	if (!block || !last) {
		fprintf(text, "the heap ends before its buddy would");
		return;
	}
	fprintf(text, "its buddy, %zu at %zu, is %s", size, at,
		block == last && block->live ? "in use" : "split and partly in use");
}

static void merge_buddies(FILE *text, const struct lab_picture *before,
			  const struct lab_block *merged, struct lab_block freed)
{
	size_t at = freed.offset;
	size_t size = freed.size;
	size_t merges = 0;

	while (size < merged->size && is_free_block(before, at ^ size, size)) {
		const char *with = merges == 0 ? "Merged with its buddy" :
				   merges == 1 ? "; what that made, with" : ", with";

		fprintf(text, "%s %zu at %zu", with, size, at ^ size);
		at &= ~size;
		size *= 2;
		merges++;
	}
	if (merges)
		fprintf(text, ": now %zu free at %zu", size, at);
	if (at == 0 && !lab_block_around(before, size)) {
		fprintf(text, merges ? ", the whole heap." : "It's the whole heap.");
		return;
	}
	fprintf(text, merges ? ". No further: " : "No merge: ");
	say_buddy(text, before, at ^ size, size);
	fprintf(text, ".");
}

static void merge_neighbours(FILE *text, const struct lab_picture *before,
			     const struct lab_block *merged, struct lab_block freed)
{
	size_t end = freed.offset + freed.size;
	bool low = merged->offset < freed.offset;
	bool high = merged->offset + merged->size > end;
	const struct lab_block *below = low ? lab_block_around(before, merged->offset) : NULL;
	const struct lab_block *above = high ? lab_block_around(before, end) : NULL;

	if (low && high)
		fprintf(text, "Merged with both neighbours, %zu at %zu and %zu at %zu", below->size,
			below->offset, above->size, above->offset);
	else if (low)
		fprintf(text, "Merged with the free block before it, %zu at %zu", below->size,
			below->offset);
	else if (high)
		fprintf(text, "Merged with the free block behind it, %zu at %zu", above->size,
			above->offset);
	else
		fprintf(text, "No merge: no neighbour is free");
	if (low || high)
		fprintf(text, ", into one hole of %zu at %zu", merged->size, merged->offset);
	fprintf(text, ".");
}

void lab_pieces_say_merge(FILE *text, enum acre_policy policy, const struct lab_picture *before,
			  const struct lab_picture *after, struct lab_block freed)
{
	const struct lab_block *merged = lab_block_around(after, freed.offset);

	if (policy == ACRE_BUDDY)
		merge_buddies(text, before, merged, freed);
	else
		merge_neighbours(text, before, merged, freed);
}

void lab_pieces_say_doubled(FILE *text, size_t at, size_t had, size_t size)
{
	const char *separator = size == had * 2 ? "by taking in its free buddy " :
						  "by taking in its free buddies ";

	for (; had < size; had *= 2) {
		fprintf(text, "%s%zu at %zu", separator, had, at + had);
		separator = ", ";
	}
	fprintf(text, ".");
}

void lab_pieces_say_tail(FILE *text, enum acre_policy policy, const struct lab_change *change,
			 size_t had, size_t size)
{
	size_t end = change->now + had;
	const struct lab_block *behind = lab_block_around(&change->before, end);

	if (policy == ACRE_BUDDY) {
		fprintf(text, "Halved ");
		say_times(text, halvings(had, size));
		fprintf(text, "; free %s: ", had == size * 2 ? "half" : "halves");
	} else if (behind && !behind->live) {
		fprintf(text, "Its tail merged with the %zu free behind it: ", behind->size);
	} else {
		fprintf(text, "Its tail is free: ");
	}
	say_free_between(text, &change->after, change->now + size, end);
	fprintf(text, ".");
}
