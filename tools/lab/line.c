/*
 * The lab's lines: see line.h.
 *
 * While libedit reads, Ctrl-C is a key as any other; while a command runs, or a plain line is read,
 * it's a signal.
 */
#include "line.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "edit.h"
#include "screen.h"

volatile sig_atomic_t lab_interrupted;

static void interrupt(int number)
{
	(void)number;
	lab_interrupted = 1;
}

/* Without SA_RESTART, so that a read ends by it. */
static void catch_interrupts(void)
{
	struct sigaction action = { .sa_handler = interrupt };

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
}

int lab_line_read(FILE *file, char **line, size_t *room)
{
	ssize_t length = getline(line, room, file);

	if (length < 0)
		return 0;
	if (length && (*line)[length - 1] == '\n')
		(*line)[--length] = '\0';
	if (length && (*line)[length - 1] == '\r')
		(*line)[--length] = '\0';
	/* Any file may come as a script: what isn't text is to do no harm to the terminal. */
	for (char *c = *line; c < *line + length; c++)
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 127)
			*c = '?';
	return 1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* What has a '\' before it where it's part of a word. */
static bool is_escaped(char c)
{
	return is_blank(c) || c == '\\';
}

char *lab_line_word(char **line)
{
	char *at = *line + strspn(*line, " \t");
	char *word = at;
	char *to = at;
	bool more;

	if (!*at)
		return NULL;
	while (*at && !is_blank(*at)) {
		at += *at == '\\' && is_escaped(at[1]);
		*to++ = *at++;
	}
	more = *at;
	*to = '\0';
	*line = at + more;
	return word;
}

void lab_line_escape(char *to, size_t size, const char *text)
{
	for (; *text && size > 2; text++) {
		if (is_escaped(*text)) {
			*to++ = '\\';
			size--;
		}
		*to++ = *text;
		size--;
	}
	*to = '\0';
}

static bool editing;
static char *plain;
static size_t plain_room;

void lab_line_begin(lab_completer *complete, void *user)
{
	catch_interrupts();
	editing = lab_edit_begin(complete, user);
}

void lab_line_end(void)
{
	if (editing)
		lab_edit_end();
	free(plain);
}

static enum lab_input ask_plainly(const char **line)
{
	printf("%s" LAB_PROMPT "%s", lab_style(LAB_BOLD), lab_style(LAB_PLAIN));
	fflush(stdout);
	if (lab_line_read(stdin, &plain, &plain_room)) {
		*line = plain;
		return LAB_LINE;
	}
	putchar('\n');
	if (!lab_interrupted)
		return LAB_END;
	clearerr(stdin);
	return LAB_ABANDONED;
}

enum lab_input lab_line_ask(const char **line)
{
	fflush(stdout);
	lab_interrupted = 0;
	return editing ? lab_edit_ask(line) : ask_plainly(line);
}
