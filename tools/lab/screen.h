/*
 * Where the lab writes: text that is broken between words to fit the terminal, and colours where
 * they are wanted.
 *
 * The terminal's size is asked for each time, so a new one counts from the next command on. What
 * isn't a terminal has 80 columns, for what is written there shouldn't depend on who looks.
 */
#ifndef ACRE_LAB_SCREEN_H
#define ACRE_LAB_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

enum lab_style {
	LAB_PLAIN,
	LAB_BOLD,
	LAB_DIM,
	LAB_ERROR,
	LAB_FRESH,		/* what the last command made free */
	LAB_HUES		/* and LAB_HUES_COUNT more, for blocks */
};

#define LAB_HUES_COUNT	6

/* Colours on standard output, unless it's no terminal or they aren't wanted. */
void lab_screen_begin(bool colours);

unsigned lab_screen_columns(void);
unsigned lab_screen_rows(void);

/* What switches a style on; "" without colours. LAB_PLAIN switches all off. */
const char *lab_style(enum lab_style style);
/* A block's hue; standing out, for what the last command made. */
const char *lab_hue(size_t block, bool stands_out);

/* Nothing is shown while this is on, but errors. */
void lab_screen_quiet(bool quiet);
bool lab_screen_is_quiet(void);

/*
 * Text to be shown when lab_screen_say() is called: its first line from the left, what is broken
 * off it after so many blanks.
 */
FILE *lab_screen_text(void);
void lab_screen_say(unsigned indent);

/* What makes a word one of several: "s", if it isn't one. */
const char *lab_plural(size_t count);

/* A line as it is. */
__attribute__((format(printf, 1, 2))) void lab_screen_line(const char *format, ...);

#endif
