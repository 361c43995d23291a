/*
 * The lab's scripts: files of commands, a line each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"
#include "line.h"
#include "screen.h"
#include "target.h"
#include "words.h"

#define DEPTH_MOST	8u	/* scripts that load scripts */
#define WRONG_MOST	10u	/* lines, and a file that's loaded isn't taken for a script */
#define SAVED		"# A heap of acre "	/* what a file that was saved begins with */

/* The line before it's carried out, as if it had been typed; a comment as it is. */
static void echo(const char *line)
{
	const char *start = line + strspn(line, " \t");

	if (*start == '#' || !*start)
		lab_screen_line("%s", line);
	else
		lab_screen_line("%s" LAB_PROMPT "%s%s", lab_style(LAB_BOLD), lab_style(LAB_PLAIN),
				line);
}

enum lab_outcome lab_perform_all(struct lab *lab, FILE *file, const char *name, bool quiet,
				 unsigned long *lines, unsigned long *wrong)
{
	const struct lab outer = *lab;
	enum lab_outcome outcome = LAB_DONE;
	char *line = NULL;
	size_t room = 0;

	*lines = *wrong = 0;
	lab_screen_quiet(quiet);
	while (outcome != LAB_QUIT && !lab_interrupted && !(quiet && *wrong == WRONG_MOST) &&
	       lab_line_read(file, &line, &room)) {
		lab->script = name;
		lab->line = ++*lines;
		lab->depth = outer.depth + 1;
		echo(line);
		outcome = lab_perform(lab, line);
		*wrong += outcome == LAB_WRONG;
	}
	lab->script = outer.script;
	lab->line = outer.line;
	lab->depth = outer.depth;
	free(line);
	if (outcome == LAB_QUIT)
		return LAB_QUIT;
	return *wrong ? LAB_WRONG : LAB_DONE;
}

enum lab_outcome lab_do_load(struct lab *lab, char **words)
{
	bool quiet = lab_screen_is_quiet();
	unsigned long lines, wrong;
	enum lab_outcome outcome;
	FILE *file, *text;
	int error;

	if (lab->depth >= DEPTH_MOST)
		return lab_wrong(lab, "%s isn't loaded: scripts load each other %u deep", words[0],
				 DEPTH_MOST);
	file = fopen(words[0], "r");
	if (!file)
		return lab_wrong(lab, "%s can't be read: %s", words[0], strerror(errno));
	outcome = lab_perform_all(lab, file, words[0], true, &lines, &wrong);
	error = ferror(file) ? errno : 0;
	lab_screen_quiet(quiet);
	fclose(file);
	if (error)
		return lab_wrong(lab, "%s can't be read: %s", words[0], strerror(error));
	if (outcome == LAB_QUIT)
		return LAB_QUIT;
	text = lab_screen_text();
	fprintf(text, "Loaded %s: %lu line%s", words[0], lines, lab_plural(lines));
	if (wrong)
		fprintf(text, ", %lu of them wrong", wrong);
	fprintf(text, wrong == WRONG_MOST ? ", and the rest left out: it may be no script of the lab." : ".");
	lab_screen_say(0);
	lab_draw(lab, LAB_NOWHERE);
	return outcome;
}

static void write_op(FILE *file, const struct lab_op *op)
{
	char name[LAB_NAME_MOST] = "";

	if (op->block != LAB_NOBODY)
		lab_name(op->block, name);
	if (op->verb == LAB_ALLOCATE)
		fprintf(file, "allocate %zu\n", op->size);
	else if (op->verb == LAB_FREE)
		fprintf(file, "de_allocate %s\n", name);
	else
		fprintf(file, "reallocate %s %zu\n", name, op->size);
}

enum lab_outcome lab_do_save(struct lab *lab, char **words)
{
	static const struct target_kind kind = { "heap that the lab saved", SAVED,
						 sizeof(SAVED) - 1 };
	const struct lab_session *session = &lab->session;
	size_t first = lab_session_first(session);
	const char *wrong = target_check(words[0], &kind);
	struct target target;

	if (!wrong)
		wrong = target_open(&target, words[0], &kind);
	if (wrong)
		return lab_wrong(lab, "%s %s", words[0], wrong);
	fputs(SAVED PACKAGE_VERSION "'s lab: for its load, or acre lab --script.\n", target.file);
	fprintf(target.file, "policy %s\n", words_of_policy(session->heap.policy));
	fprintf(target.file, "heap %zu\n", session->heap.size);
	for (size_t i = first; i < session->op_count; i++)
		write_op(target.file, &session->ops[i]);
	wrong = target_close(&target);
	if (wrong)
		return lab_wrong(lab, "%s %s", words[0], wrong);
	fprintf(lab_screen_text(), "Saved %zu step%s to %s.", session->op_count - first,
		lab_plural(session->op_count - first), words[0]);
	lab_screen_say(0);
	return LAB_DONE;
}
