/*
 * The lab's commands that change the heap, a step each.
 */
#include <errno.h>
#include <string.h>

#include "lab.h"
#include "map.h"
#include "screen.h"
#include "story.h"
#include "words.h"

#define UNDO_MOST	1000000u

void lab_draw(const struct lab *lab, size_t marked)
{
	struct lab_change change = { 0 };

	if (lab_screen_is_quiet())
		return;
	lab_heap_look(&lab->session.heap, &change.after);
	lab_map_draw(&lab->session, &change.after, marked);
	lab_change_end(&change);
}

/* The story and the picture of what was done. */
static enum lab_outcome show(struct lab *lab, struct lab_change *change)
{
	lab_story_tell(&lab->session, change);
	lab_map_draw(&lab->session, &change->after, lab_story_mark(change));
	lab_change_end(change);
	return LAB_DONE;
}

enum lab_outcome lab_do_allocate(struct lab *lab, char **words)
{
	struct lab_change change = { 0 };
	size_t size;

	if (!lab_read_size(lab, words[0], &size))
		return LAB_WRONG;
	lab_session_allocate(&lab->session, size, &change);
	return show(lab, &change);
}

/* The names of the live blocks, some of them. */
static const char *names_of_live(const struct lab_session *session)
{
	static char text[128];
	char name[LAB_NAME_MOST];
	size_t used = 0;

	text[0] = '\0';
	for (size_t block = 0; block < session->item_count; block++) {
		if (!session->items[block].live)
			continue;
		if (used > sizeof(text) - 2 * LAB_NAME_MOST - 8) {
			strcpy(text + used, " ...");
			break;
		}
		lab_name(block, name);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", used ? " " : "",
					 name);
	}
	return text;
}

/* The live block of this name; LAB_NOBODY when it was told what's wrong. */
static size_t find_block(struct lab *lab, const char *name)
{
	const struct lab_session *session = &lab->session;
	size_t block = lab_name_read(name);
	const char *names;

	if (block < session->item_count && session->items[block].live)
		return block;
	if (block < session->item_count) {
		lab_wrong(lab, "%s is free already. In a program, to free or to resize it now "
			       "would be a bug (a double free, a use after free), and acre would "
			       "end it. The heap is as it was", name);
		return LAB_NOBODY;
	}
	names = names_of_live(session);
	if (*names)
		lab_wrong(lab, "there's no block '%.20s': these are in use: %s", name, names);
	else
		lab_wrong(lab, "there's no block '%.20s': none is in use; allocate one", name);
	return LAB_NOBODY;
}

enum lab_outcome lab_do_free(struct lab *lab, char **words)
{
	struct lab_change change = { 0 };
	size_t block = find_block(lab, words[0]);

	if (block == LAB_NOBODY)
		return LAB_WRONG;
	lab_session_free(&lab->session, block, &change);
	return show(lab, &change);
}

enum lab_outcome lab_do_resize(struct lab *lab, char **words)
{
	struct lab_change change = { 0 };
	size_t block = find_block(lab, words[0]);
	size_t size;

	if (block == LAB_NOBODY || !lab_read_size(lab, words[1], &size))
		return LAB_WRONG;
	if (!size)
		return lab_wrong(lab, "0 is not a size to reallocate to: de_allocate %s frees it",
				 words[0]);
	lab_session_resize(&lab->session, block, size, &change);
	return show(lab, &change);
}

/* A new, empty heap; of the size that was asked for, rounded. */
static enum lab_outcome begin(struct lab *lab, size_t asked, enum acre_policy policy)
{
	size_t size = (asked + LAB_GRANULE - 1) / LAB_GRANULE * LAB_GRANULE;
	FILE *text;

	if (!lab_session_heap(&lab->session, size, policy))
		return lab_wrong(lab, "the system refuses a heap of %zu bytes: %s: give a smaller "
				      "one", size, strerror(errno));
	text = lab_screen_text();
	fprintf(text, "An empty heap of %zu bytes, %s%s", size, words_of_policy(policy),
		policy == ACRE_BUDDY ? " system" : " fit");
	if (size == asked)
		fprintf(text, ".");
	else
		fprintf(text, ": %zu, rounded up to a multiple of %zu.", asked, LAB_GRANULE);
	lab_screen_say(0);
	lab_draw(lab, LAB_NOWHERE);
	return LAB_DONE;
}

enum lab_outcome lab_do_policy(struct lab *lab, char **words)
{
	const struct lab_heap *heap = &lab->session.heap;
	struct acre_options options;

	if (!words[0]) {
		lab_screen_line("%s; there are " WORDS_POLICIES, words_of_policy(heap->policy));
		return LAB_DONE;
	}
	if (!words_policy(words[0], &options))
		return lab_wrong(lab, "'%.20s' is " WORDS_POLICY, words[0]);
	return begin(lab, heap->size, options.policy);
}

enum lab_outcome lab_do_heap(struct lab *lab, char **words)
{
	const struct lab_heap *heap = &lab->session.heap;
	size_t size = heap->size;

	if (words[0] && !lab_read_size(lab, words[0], &size))
		return LAB_WRONG;
	if (size < LAB_HEAP_LEAST || size > LAB_HEAP_MOST)
		return lab_wrong(lab, "%zu byte%s can't be a heap here: give 64 to 1G", size,
				 lab_plural(size));
	return begin(lab, size, heap->policy);
}

/* What a step was, as it would be typed. */
static void say_step(FILE *text, const struct lab_op *op, size_t count)
{
	char name[LAB_NAME_MOST] = "";

	if (op->block != LAB_NOBODY)
		lab_name(op->block, name);
	if (count > 1)
		fprintf(text, "%zu operations at once", count);
	else if (op->verb == LAB_HEAP)
		fprintf(text, "the new heap");
	else if (op->verb == LAB_ALLOCATE)
		fprintf(text, "allocate %zu, which was %s", op->size, name);
	else if (op->verb == LAB_FREE)
		fprintf(text, "de_allocate %s", name);
	else
		fprintf(text, "reallocate %s %zu", name, op->size);
}

enum lab_outcome lab_do_undo(struct lab *lab, char **words)
{
	uint64_t steps = 1;
	uint64_t undone = 0;
	struct lab_op first;
	size_t count;
	bool ended;
	FILE *text;

	if (words[0] && !lab_read_number(lab, "a number of steps", words[0], 1, UNDO_MOST,
					 &steps))
		return LAB_WRONG;
	while (undone < steps && lab_session_undo(&lab->session, &first, &count))
		undone++;
	if (!undone && errno)
		return lab_wrong(lab, "the system refuses a heap: %s", strerror(errno));
	if (!undone)
		return lab_wrong(lab, "there's nothing to undo");
	ended = undone < steps && !errno;
	text = lab_screen_text();
	fprintf(text, "Undone: ");
	if (undone > 1 || ended)
		fprintf(text, "%llu step%s,%s back to before ", (unsigned long long)undone,
			lab_plural(undone), ended ? " as there are no more," : "");
	say_step(text, &first, count);
	fprintf(text, ".");
	lab_screen_say(0);
	lab_draw(lab, LAB_NOWHERE);
	return LAB_DONE;
}
