/*
 * The lab's stories: see story.h. How a search chose, and how blocks are split and merge, are choice.c
 * and pieces.c.
 */
#include "story.h"

#include <stdio.h>
#include <stdlib.h>

#include "choice.h"
#include "pieces.h"
#include "screen.h"

#define INDENT	3u

void lab_story_name(FILE *text, size_t block)
{
	char name[LAB_NAME_MOST];

	lab_name(block, name);
	if (*lab_style(LAB_PLAIN))
		fprintf(text, "%s %s %s", lab_hue(block, false), name, lab_style(LAB_PLAIN));
	else
		fputs(name, text);
}

/* How many bytes a block has, and why it's not as many as were asked for. */
static void say_size(FILE *text, enum acre_policy policy, size_t asked, size_t size)
{
	fprintf(text, "a block of %zu (with a tag of %zu", size, LAB_TAG);
	if (asked + LAB_TAG == size)
		fprintf(text, ").");
	else if (policy == ACRE_BUDDY)
		fprintf(text, ", a power of two).");
	else
		fprintf(text, ", in units of %zu).", LAB_GRANULE);
}

static size_t size_now(const struct lab_change *change)
{
	return lab_block_around(&change->after, change->now)->size;
}

static void tell_allocated(FILE *text, enum acre_policy policy, const struct lab_change *change)
{
	fprintf(text, "%zu byte%s at offset %zu: ", change->op.size,
		lab_plural(change->op.size), change->now);
	say_size(text, policy, change->op.size, size_now(change));
	fprintf(text, "\nFound ");
	lab_choice_say(text, policy, change);
	lab_pieces_say_split(text, policy, &change->before, &change->after, change->now,
			     size_now(change));
}

static void tell_freed(FILE *text, enum acre_policy policy, const struct lab_change *change)
{
	const struct lab_block *had = lab_block_around(&change->before, change->was);

	fprintf(text, "freed: the block of %zu at offset %zu.\n", had->size, change->was);
	lab_pieces_say_merge(text, policy, &change->before, &change->after, *had);
}

/* The heap between the two halves of a realloc that moved: both blocks are there. */
static struct lab_picture between(enum acre_policy policy, const struct lab_change *change)
{
	struct lab_picture both = { 0 };

	for (size_t i = 0; i < change->before.count; i++) {
		const struct lab_block *block = &change->before.blocks[i];
		struct lab_block taken = { change->now, size_now(change), true };

		if (block->live || change->now < block->offset ||
		    change->now >= block->offset + block->size)
			lab_pieces_add(&both, *block);
		else
			lab_pieces_add_split(&both, policy, *block, taken);
	}
	return both;
}

static void tell_moved(FILE *text, enum acre_policy policy, const struct lab_change *change)
{
	const struct lab_block *had = lab_block_around(&change->before, change->was);
	const struct lab_block *hole = lab_block_around(&change->before, change->now);
	struct lab_picture both;

	fprintf(text, "%zu byte%s, now at offset %zu: ", change->op.size,
		lab_plural(change->op.size), change->now);
	say_size(text, policy, change->op.size, size_now(change));
	putc('\n', text);
	if (policy != ACRE_BUDDY && hole->offset + hole->size == had->offset) {
		fprintf(text, "It moved down from %zu, into the %zu free bytes before it;",
			change->was, hole->size);
		lab_pieces_say_free_behind(text, &change->after, change->now + size_now(change));
		return;
	}
	fprintf(text, "It couldn't grow at offset %zu. A new block was found ", change->was);
	lab_choice_say(text, policy, change);
	both = between(policy, change);
	lab_pieces_say_split(text, policy, &change->before, &both, change->now, size_now(change));
	fprintf(text, "\nThe content was copied, and the old block of %zu at offset %zu freed. ",
		had->size, change->was);
	lab_pieces_say_merge(text, policy, &both, &change->after, *had);
	free(both.blocks);
}

static void tell_resized(FILE *text, enum acre_policy policy, const struct lab_change *change)
{
	size_t had = lab_block_around(&change->before, change->was)->size;
	size_t size;

	if (change->now != change->was) {
		tell_moved(text, policy, change);
		return;
	}
	size = size_now(change);
	fprintf(text, "%zu byte%s, still at offset %zu: ", change->op.size,
		lab_plural(change->op.size), change->now);
	say_size(text, policy, change->op.size, size);
	putc('\n', text);
	if (size == had) {
		fprintf(text, "Its block of %zu is right for that already: nothing changes.", had);
	} else if (size > had) {
		fprintf(text, "It grew in place, from %zu to %zu, ", had, size);
		if (policy == ACRE_BUDDY) {
			lab_pieces_say_doubled(text, change->was, had, size);
		} else {
			fprintf(text, "into the %zu free bytes behind it;",
				lab_block_around(&change->before, change->was + had)->size);
			lab_pieces_say_free_behind(text, &change->after, change->now + size);
		}
	} else {
		fprintf(text, "It shrank in place, from %zu to %zu. ", had, size);
		lab_pieces_say_tail(text, policy, change, had, size);
	}
}

/* Why there's no room: what it takes, and what there is. */
static void tell_refused(FILE *text, const struct lab_session *session,
			 const struct lab_change *change)
{
	struct lab_sums sums = lab_sums_of(&change->after);
	size_t size = lab_block_size(session->heap.policy, change->op.size);

	fprintf(text, "%sNo room%s for %zu byte%s: that takes a block of %zu", lab_style(LAB_ERROR),
		lab_style(LAB_PLAIN), change->op.size, lab_plural(change->op.size), size);
	if (!sums.free)
		fprintf(text, ", and nothing at all is free.");
	else if (sums.largest == sums.free)
		fprintf(text, "; all that's free is one hole of %zu.", sums.free);
	else
		fprintf(text, "; the largest hole has %zu, of %zu free in %zu holes: fragmentation "
			      "%u%%.%s", sums.largest, sums.free, sums.holes,
			lab_fragmentation(&sums),
			sums.free < size ? "" : sums.largest < size ?
			" It would be enough in one piece." :
			" Good fit looks only where every block is sure to fit.");
	if (change->op.verb == LAB_RESIZE) {
		char name[LAB_NAME_MOST];

		lab_name(change->op.block, name);
		fprintf(text, " %s stays as it was.", name);
	}
}

void lab_story_tell(const struct lab_session *session, const struct lab_change *change)
{
	FILE *text;

	if (lab_screen_is_quiet())
		return;
	text = lab_screen_text();
	if (change->op.refused) {
		tell_refused(text, session, change);
		lab_screen_say(0);
		return;
	}
	lab_story_name(text, change->op.block);
	fprintf(text, "%*s", *lab_style(LAB_PLAIN) ? 1 : 2, "");
	if (change->op.verb == LAB_ALLOCATE)
		tell_allocated(text, session->heap.policy, change);
	else if (change->op.verb == LAB_FREE)
		tell_freed(text, session->heap.policy, change);
	else
		tell_resized(text, session->heap.policy, change);
	lab_screen_say(INDENT);
}

void lab_story_tell_short(const struct lab_change *change)
{
	static const char *const verbs[] = {
		[LAB_ALLOCATE] = "allocate",
		[LAB_FREE] = "de_allocate",
		[LAB_RESIZE] = "reallocate",
	};
	char name[LAB_NAME_MOST];
	FILE *text;

	if (lab_screen_is_quiet())
		return;
	text = lab_screen_text();
	fprintf(text, "%s", verbs[change->op.verb]);
	if (change->op.verb != LAB_ALLOCATE) {
		lab_name(change->op.block, name);
		fprintf(text, " %s", name);
	}
	if (change->op.verb != LAB_FREE)
		fprintf(text, " %zu", change->op.size);
	fprintf(text, ": ");
	if (change->op.refused) {
		fprintf(text, "%sno room%s", lab_style(LAB_ERROR), lab_style(LAB_PLAIN));
	} else if (change->op.verb == LAB_FREE) {
		const struct lab_block *hole = lab_block_around(&change->after, change->was);

		fprintf(text, "%zu free at %zu", hole->size, hole->offset);
	} else {
		lab_name(change->op.block, name);
		fprintf(text, "%s has %zu at %zu", name, size_now(change), change->now);
	}
	lab_screen_say(INDENT);
}

size_t lab_story_mark(const struct lab_change *change)
{
	if (change->op.refused)
		return LAB_NOWHERE;
	if (change->op.verb != LAB_FREE)
		return change->now;
	return lab_block_around(&change->after, change->was)->offset;
}
