/*
 * The lab's commands: the table, and how a line is taken apart.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "complain.h"
#include "lab.h"
#include "line.h"
#include "screen.h"

#define WORDS_MOST	3u	/* behind a command's name: one more than any takes */
#define HELP_NARROW	60u	/* columns: below that a command's summary has a line of its own */
#define SHOWN_MOST	40	/* characters of what's wrong */

const struct lab_command lab_commands[] = {
	{ "allocate", "malloc", "SIZE", "take a block of memory; it gets a name",
	  "Asks the heap for SIZE bytes: 100, or 2K, or 1M. The block is named by the next letter. "
	  "What's told: at which offset it lies, after how many steps the search found it there, "
	  "and what remained of the free block it was split from.",
	  lab_do_allocate, 1, 1, LAB_NOTHING },
	{ "de_allocate", "free deallocate", "NAME", "give a block back",
	  "Frees the block. It merges at once with what is free on either side; a buddy only with "
	  "its buddy, and what these make with theirs.",
	  lab_do_free, 1, 1, LAB_BLOCK },
	{ "reallocate", "realloc", "NAME SIZE", "make a block larger or smaller",
	  "Changes a block's size: in place where it can; else downward into the free block before "
	  "it; else to a new block, to which the content is copied.",
	  lab_do_resize, 2, 2, LAB_BLOCK },
	{ "policy", "", "[NAME]", "begin again under another policy, or tell this one",
	  "first: the lowest hole that fits. next: the first that fits from where the last block "
	  "ended, once around. best: the smallest that fits. worst: the largest. buddy: blocks are "
	  "powers of two, halved and merged again. good: one of the smallest class whose holes all "
	  "fit. The heap is empty then; undo brings the old one back.",
	  lab_do_policy, 0, 1, LAB_POLICY },
	{ "heap", "", "[SIZE]", "begin again with a heap of another size",
	  "Makes an empty heap of SIZE bytes, 64 to 1G, rounded up to a multiple of 16; without "
	  "SIZE, of the same size. It's the low end of a real arena, the rest of which is kept in "
	  "use. undo brings the old one back.",
	  lab_do_heap, 0, 1, LAB_NOTHING },
	{ "map", "", "", "draw the heap",
	  "A row begins with its offset. A block begins with its name; '.' is free, ':' is where a "
	  "free block begins behind another, '+' has parts of several blocks, '#' is a block that "
	  "has no room for its name.",
	  lab_do_map, 0, 0, LAB_NOTHING },
	{ "list", "", "", "all blocks, in the order of their offsets",
	  "Each block's offset, its size with tag and rounding, what was asked for, and its name.",
	  lab_do_list, 0, 0, LAB_NOTHING },
	{ "stats", "", "", "the heap in figures",
	  "Fragmentation is 1 - largest hole / all that's free: 0% if it's in one piece. The peak "
	  "is the most that was in use at once. Sizes include tags, but for what was asked for.",
	  lab_do_stats, 0, 0, LAB_NOTHING },
	{ "check", "", "", "have the library check its own structures",
	  "Calls acre_check(), which walks all of the heap, and looks whether each block still "
	  "holds what was written to it.",
	  lab_do_check, 0, 0, LAB_NOTHING },
	{ "random", "", "N [SEED]", "so many random steps",
	  "Allocates, frees and resizes at random, keeping the heap about two thirds full. The "
	  "same SEED on the same heap does the same; without it, a new one is told.",
	  lab_do_random, 1, 2, LAB_NOTHING },
	{ "compare", "", "", "the same steps under each policy",
	  "Does all that was done to this heap once more under each policy, in heaps of the same "
	  "size, and tells what came of it. What was refused here and isn't there, stays there.",
	  lab_do_compare, 0, 0, LAB_NOTHING },
	{ "save", "", "FILE", "write the steps to a file",
	  "FILE is then a script of commands that lead to this heap: for load, or for 'acre lab "
	  "--script FILE'. A file that's there already is replaced only if a save wrote it.",
	  lab_do_save, 1, 1, LAB_FILE },
	{ "load", "", "FILE", "carry out the commands in a file",
	  "What a save wrote begins a new heap. '#' begins a comment. A blank in the file's name is "
	  "written as '\\ '.",
	  lab_do_load, 1, 1, LAB_FILE },
	{ "undo", "", "[N]", "take back the last step, or the last N",
	  "A heap places blocks by what was asked of it alone. So it's made anew, and all steps "
	  "but the last are done again.",
	  lab_do_undo, 0, 1, LAB_NOTHING },
	{ "help", "?", "[COMMAND]", "this list, or more of one command",
	  "Commands may be shortened, as long as no other begins so: 'a 100' allocates.",
	  lab_do_help, 0, 1, LAB_COMMAND },
	{ "quit", "exit", "", "leave; so does Ctrl-D",
	  "Nothing is saved by itself.",
	  lab_do_quit, 0, 0, LAB_NOTHING },
	{ 0 },
};

enum lab_outcome lab_wrong(struct lab *lab, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (!lab->asks) {
		fflush(stdout);
		fprintf(stderr, "acre: %s:%lu: ", lab->script, lab->line);
		vfprintf(stderr, format, arguments);
		fputc('\n', stderr);
	} else {
		bool quiet = lab_screen_is_quiet();
		FILE *text = lab_screen_text();

		fprintf(text, "%sNot done:%s ", lab_style(LAB_ERROR), lab_style(LAB_PLAIN));
		if (lab->script)
			fprintf(text, "%s:%lu: ", lab->script, lab->line);
		vfprintf(text, format, arguments);
		lab_screen_quiet(false);
		lab_screen_say(0);
		lab_screen_quiet(quiet);
	}
	va_end(arguments);
	return LAB_WRONG;
}

/* What was typed, if it's not too long to be shown. */
static const char *shown(const char *word)
{
	static char text[SHOWN_MOST + 4];
	size_t length = strlen(word);

	snprintf(text, sizeof(text), "%.*s%s", SHOWN_MOST, word, length > SHOWN_MOST ? "..." : "");
	return text;
}

bool lab_read_size(struct lab *lab, const char *text, size_t *size)
{
	uint64_t bytes;

	switch (strchr(text, '%') ? BUDGET_NO_SIZE : budget_parse(text, 0, &bytes)) {
	case BUDGET_SIZE:
		*size = (size_t)bytes;
		return true;
	case BUDGET_TOO_LARGE:
		lab_wrong(lab, "'%s' is too large: no heap here has more than 1G", shown(text));
		return false;
	default:
		lab_wrong(lab, "'%s' is not a size: give bytes, or a number with K or M, such as "
			       "100 or 2K", shown(text));
		return false;
	}
}

bool lab_read_number(struct lab *lab, const char *what, const char *text, uint64_t least,
		     uint64_t most, uint64_t *number)
{
	if (!text[strspn(text, "0123456789")] && budget_parse(text, 0, number) == BUDGET_SIZE &&
	    *number >= least && *number <= most)
		return true;
	lab_wrong(lab, "'%s' is not %s: give a number from %llu to %llu", shown(text), what,
		  (unsigned long long)least, (unsigned long long)most);
	return false;
}

static bool is_also(const struct lab_command *command, const char *name, size_t length)
{
	for (const char *at = command->also; *at; at += strcspn(at, " "), at += *at == ' ')
		if (strcspn(at, " ") == length && strncmp(at, name, length) == 0)
			return true;
	return false;
}

const struct lab_command *lab_command_named(const char *name, size_t length, unsigned *count)
{
	const struct lab_command *found = NULL;

	*count = 0;
	for (const struct lab_command *command = lab_commands; command->name; command++) {
		bool begins = strncmp(command->name, name, length) == 0;

		if ((begins && !command->name[length]) || is_also(command, name, length)) {
			*count = 1;
			return command;
		}
		if (begins) {
			found = command;
			++*count;
		}
	}
	return *count == 1 ? found : NULL;
}

/* The command of this name, or the only one that begins so; NULL when it was told what's wrong. */
static const struct lab_command *find(struct lab *lab, const char *name)
{
	size_t length = strlen(name);
	unsigned count;
	const struct lab_command *found = lab_command_named(name, length, &count);
	char several[128] = "";

	if (!count)
		lab_wrong(lab, "unknown command '%s': 'help' lists them all", shown(name));
	if (count < 2)
		return found;
	for (const struct lab_command *command = lab_commands; command->name; command++)
		if (strncmp(command->name, name, length) == 0)
			snprintf(several + strlen(several), sizeof(several) - strlen(several),
				 "%s%s", *several ? ", " : "", command->name);
	lab_wrong(lab, "'%s' may be any of %s: type more of it", shown(name), several);
	return NULL;
}

static enum lab_outcome wrong_words(struct lab *lab, const struct lab_command *command)
{
	if (!command->most)
		return lab_wrong(lab, "%s takes nothing behind it", command->name);
	return lab_wrong(lab, "%s is given as: %s %s%s", command->name, command->name,
			 command->usage, command->kind == LAB_FILE ?
			 "; a blank in its name is written as '\\ '" : "");
}

static void trim_end(char *line)
{
	size_t length = strlen(line);

	while (length && strchr(" \t", line[length - 1]))
		line[--length] = '\0';
}

static enum lab_outcome perform(struct lab *lab, char *line)
{
	const struct lab_command *command = find(lab, lab_line_word(&line));
	char *words[WORDS_MOST + 1] = { NULL };
	unsigned count = 0;

	if (!command)
		return LAB_WRONG;
	while (count < WORDS_MOST && (words[count] = lab_line_word(&line)))
		count++;
	if (count < command->least || count > command->most)
		return wrong_words(lab, command);
	lab_session_command(&lab->session);
	return command->action(lab, words);
}

enum lab_outcome lab_perform(struct lab *lab, const char *line)
{
	char *copy = strdup(line + strspn(line, " \t"));
	enum lab_outcome outcome = LAB_DONE;

	if (!copy)
		complain(FAILED, "out of memory");
	trim_end(copy);
	if (*copy && *copy != '#')
		outcome = perform(lab, copy);
	free(copy);
	return outcome;
}

/* "allocate SIZE    take a block of memory" */
static void help_line(const struct lab_command *command)
{
	bool narrow = lab_screen_columns() < HELP_NARROW;
	unsigned column = narrow ? 4 : 22;
	FILE *text = lab_screen_text();
	int length = fprintf(text, "%s%s%s%s", lab_style(LAB_BOLD), command->name,
			     *command->usage ? " " : "", command->usage);

	length -= (int)strlen(lab_style(LAB_BOLD));
	fprintf(text, "%s", lab_style(LAB_PLAIN));
	if (narrow)
		putc('\n', text);
	else
		fprintf(text, "%*s", (int)column - length, "");
	fprintf(text, "%s", command->summary);
	lab_screen_say(column);
}

/* "free or deallocate" */
static void say_also(FILE *text, const struct lab_command *command)
{
	for (const char *at = command->also; *at; at++)
		if (*at == ' ')
			fputs(" or ", text);
		else
			putc(*at, text);
}

/* "Other names: malloc for allocate, ..." */
static void say_other_names(FILE *text)
{
	const char *before = " Other names: ";

	for (const struct lab_command *command = lab_commands; command->name; command++) {
		if (!*command->also)
			continue;
		fputs(before, text);
		say_also(text, command);
		fprintf(text, " for %s", command->name);
		before = ", ";
	}
	putc('.', text);
}

enum lab_outcome lab_do_help(struct lab *lab, char **words)
{
	const struct lab_command *command = lab_commands;
	FILE *text;

	if (words[0]) {
		command = find(lab, words[0]);
		if (!command)
			return LAB_WRONG;
		help_line(command);
		text = lab_screen_text();
		fprintf(text, "%s", command->help);
		if (*command->also) {
			fprintf(text, " Its other name: ");
			say_also(text, command);
			putc('.', text);
		}
		lab_screen_say(0);
		return LAB_DONE;
	}
	for (; command->name; command++)
		help_line(command);
	text = lab_screen_text();
	fprintf(text, "A name may be shortened.");
	say_other_names(text);
	fprintf(text,
		" An offset is a block's distance from the heap's first "
		"block, in bytes, tag to tag; each block begins where the one before it ends. "
		"Sizes of blocks include the tag, 8 bytes; sizes asked for don't. A step of a "
		"search is a look at one word of the policy's index, or at a block's tag.");
	lab_screen_say(0);
	return LAB_DONE;
}

enum lab_outcome lab_do_quit(struct lab *lab, char **words)
{
	(void)lab;
	(void)words;
	return LAB_QUIT;
}
