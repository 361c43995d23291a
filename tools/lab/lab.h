/*
 * The lab of acre: what its commands have in common.
 *
 *	lab             the subcommand: its options, and the loop over a person's lines
 *	line, edit      where lines come from
 *	commands        the table of commands: names, help, who carries them out
 *	complete        what Tab puts in
 *	do              commands that change the heap; random: many of them at once
 *	show            commands that show it; compare: under each policy
 *	file            scripts: run, saved, loaded
 *	story           what a change did in words; choice: the search; pieces: splits and merges
 *	map             the heap as a picture
 *	screen          text and colours on the terminal
 *	session         the heap with names and history
 *	heap            the arena
 *
 * Each knows but those below it.
 */
#ifndef ACRE_LAB_H
#define ACRE_LAB_H

#include <stdio.h>

#include "session.h"

#define LAB_FIRST_SIZE	((size_t)4096)

struct lab {
	struct lab_session session;
	bool asks;			/* lines come from a person: what's wrong is told on the screen */
	const char *script;		/* whose line is carried out; NULL: a person's */
	unsigned long line;		/* its number there */
	unsigned depth;			/* scripts that load scripts */
};

enum lab_outcome {
	LAB_DONE,
	LAB_WRONG,			/* the line can't be carried out; it was told why */
	LAB_QUIT
};

/* A command's words behind its name, NULL at their end; as many as the table says. */
typedef enum lab_outcome lab_action(struct lab *lab, char **words);

enum lab_kind { LAB_NOTHING, LAB_BLOCK, LAB_POLICY, LAB_FILE, LAB_COMMAND };

struct lab_command {
	const char *name;
	const char *also;		/* other names, with blanks, in full only; or "" */
	const char *usage;		/* the arguments */
	const char *summary;
	const char *help;
	lab_action *action;
	unsigned least, most;		/* words */
	enum lab_kind kind;		/* of the first word, for completion */
};

/* The commands, in the order of help, NULL at the end of their names. */
extern const struct lab_command lab_commands[];

/*
 * The command of this name of so many characters, or the only one that begins so; else NULL. *count
 * is how many it may be.
 */
const struct lab_command *lab_command_named(const char *name, size_t length, unsigned *count);

/* Tells what's wrong with the line that's carried out. */
__attribute__((format(printf, 2, 3))) enum lab_outcome lab_wrong(struct lab *lab,
								   const char *format, ...);

/* Carries out a line. */
enum lab_outcome lab_perform(struct lab *lab, const char *line);

/*
 * Carries out all lines of a script, each shown first; quiet: none is, nor what comes of it, and
 * too many that are wrong end it. LAB_WRONG if some couldn't be carried out.
 * *lines is how many there were, *wrong how many of them weren't carried out.
 */
enum lab_outcome lab_perform_all(struct lab *lab, FILE *file, const char *name, bool quiet,
				 unsigned long *lines, unsigned long *wrong);

/* Draws the map, a block standing out: LAB_NOWHERE for none. */
void lab_draw(const struct lab *lab, size_t marked);

/* Bytes, or with K, M; false, when it was told what's wrong. */
bool lab_read_size(struct lab *lab, const char *text, size_t *size);
/* A plain number. */
bool lab_read_number(struct lab *lab, const char *what, const char *text, uint64_t least,
		     uint64_t most, uint64_t *number);

lab_action lab_do_allocate, lab_do_free, lab_do_resize, lab_do_policy, lab_do_heap, lab_do_undo;
lab_action lab_do_random, lab_do_compare;
lab_action lab_do_map, lab_do_list, lab_do_stats, lab_do_check;
lab_action lab_do_save, lab_do_load, lab_do_help, lab_do_quit;

#endif
