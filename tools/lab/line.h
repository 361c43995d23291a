/*
 * Where the lab's lines come from: a person at a terminal, with editing, history and completion
 * where the lab was built with libedit; or a script.
 */
#ifndef ACRE_LAB_LINE_H
#define ACRE_LAB_LINE_H

#include <signal.h>
#include <stddef.h>
#include <stdio.h>

#define LAB_PROMPT_WORD	"acre>"
#define LAB_PROMPT	LAB_PROMPT_WORD " "

enum lab_input {
	LAB_LINE,
	LAB_ABANDONED,		/* Ctrl-C: this line isn't to be */
	LAB_END			/* Ctrl-D, or the end of a file */
};

/*
 * What may come at the end of a line so far, for completion: an array of new strings with NULL at
 * its end, itself new, of what would replace all from *start on.
 */
typedef char **lab_completer(void *user, const char *line, size_t *start);

/* A person's lines. */
void lab_line_begin(lab_completer *complete, void *user);
void lab_line_end(void);
/* *line is the reader's own, until the next call. */
enum lab_input lab_line_ask(const char **line);

/* Set by Ctrl-C while a command runs. */
extern volatile sig_atomic_t lab_interrupted;

/* A script's next line, without its end, in *line, which grows; false at the end. */
int lab_line_read(FILE *file, char **line, size_t *room);

/*
 * The next word of a line, which is changed for it, and *line goes on behind it; NULL at the end. A
 * blank or a '\' that's part of a word has a '\' before it.
 */
char *lab_line_word(char **line);

/* Text as it would be typed, so that it's one word. */
void lab_line_escape(char *to, size_t size, const char *text);

#endif
