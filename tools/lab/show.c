/*
 * The lab's commands that show the heap, and change nothing.
 */
#include "lab.h"
#include "screen.h"
#include "story.h"
#include "words.h"

enum lab_outcome lab_do_map(struct lab *lab, char **words)
{
	(void)words;
	lab_draw(lab, LAB_NOWHERE);
	return LAB_DONE;
}

static void list_block(const struct lab_session *session, const struct lab_block *block)
{
	size_t number;
	FILE *text;

	if (!block->live) {
		lab_screen_line("%10zu %10zu          %sfree%s", block->offset, block->size,
				lab_style(LAB_DIM), lab_style(LAB_PLAIN));
		return;
	}
	number = lab_session_at(session, block->offset);
	text = lab_screen_text();
	fprintf(text, "%10zu %10zu %8zu%*s", block->offset, block->size,
		session->items[number].asked, *lab_style(LAB_PLAIN) ? 1 : 2, "");
	lab_story_name(text, number);
	lab_screen_say(0);
}

enum lab_outcome lab_do_list(struct lab *lab, char **words)
{
	struct lab_change change = { 0 };

	(void)words;
	lab_heap_look(&lab->session.heap, &change.after);
	lab_screen_line("%s%10s %10s %8s  %s%s", lab_style(LAB_DIM), "offset", "size", "asked",
			"block", lab_style(LAB_PLAIN));
	for (size_t i = 0; i < change.after.count; i++)
		list_block(&lab->session, &change.after.blocks[i]);
	lab_change_end(&change);
	return LAB_DONE;
}

/* The label of a line of figures; what follows it is written to the stream that's returned. */
static FILE *label(const char *name)
{
	FILE *text = lab_screen_text();

	fprintf(text, "%s%-15s%s", lab_style(LAB_DIM), name, lab_style(LAB_PLAIN));
	return text;
}

static void end(void)
{
	lab_screen_say(15);
}

enum lab_outcome lab_do_stats(struct lab *lab, char **words)
{
	const struct lab_session *session = &lab->session;
	struct lab_change change = { 0 };
	struct lab_sums sums;

	(void)words;
	lab_heap_look(&session->heap, &change.after);
	sums = lab_sums_of(&change.after);
	lab_change_end(&change);

	fprintf(label("policy"), "%s", words_of_policy(session->heap.policy));
	end();
	fprintf(label("heap"), "%zu bytes", session->heap.size);
	end();
	fprintf(label("in use"), "%zu in %zu block%s; %zu were asked for", sums.live,
		sums.live_blocks, lab_plural(sums.live_blocks), session->asked);
	end();
	fprintf(label("peak"), "%zu", session->peak);
	end();
	fprintf(label("free"), "%zu in %zu hole%s, the largest %zu", sums.free, sums.holes,
		lab_plural(sums.holes), sums.largest);
	end();
	fprintf(label("fragmentation"), "%u%% = 1 - largest hole / free", lab_fragmentation(&sums));
	end();
	fprintf(label("requests"), "%zu, %zu of them refused", session->requests,
		session->refused);
	end();
	fprintf(label("search steps"), "%zu", lab_heap_steps(&session->heap));
	end();
	return LAB_DONE;
}

enum lab_outcome lab_do_check(struct lab *lab, char **words)
{
	size_t spoilt = lab_session_spoilt(&lab->session);
	int faults;

	(void)words;
	fflush(stdout);
	faults = acre_check(lab->session.heap.arena);
	if (faults || spoilt)
		return lab_wrong(lab, "%d faults in the heap's structures, %zu blocks that don't "
				      "hold what was written to them: report this", faults, spoilt);
	lab_screen_line("Sound: no faults, and each block holds what was written to it.");
	return LAB_DONE;
}
