/*
 * The lab's line editor: see edit.h.
 *
 * The terminal doesn't make signals of keys while a line is edited: Ctrl-C comes as a key, which
 * ends the line and leaves a note that it's abandoned; and so does Ctrl-Z, which raises its signal.
 * The user's own ~/.editrc is read before that.
 */
#include "edit.h"

#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complain.h"
#include "screen.h"

#define HISTORY_MOST	1000
#define ESCAPE_MARK	'\1'	/* around what takes no column, in the prompt */

static EditLine *editor;
static History *past;
static bool abandoned;
static lab_completer *complete;
static void *complete_user;
static char *taken;

static char *prompt(EditLine *of)
{
	static char text[64];

	(void)of;
	if (!*lab_style(LAB_BOLD))
		return strcpy(text, LAB_PROMPT);
	/* A mark can't come last: libedit would leave out what's between the last two. */
	snprintf(text, sizeof(text), "%c%s%c" LAB_PROMPT_WORD "%c%s%c ", ESCAPE_MARK,
		 lab_style(LAB_BOLD), ESCAPE_MARK, ESCAPE_MARK, lab_style(LAB_PLAIN), ESCAPE_MARK);
	return text;
}

static unsigned char abandon(EditLine *of, int key)
{
	(void)of;
	(void)key;
	abandoned = true;
	return CC_NEWLINE;
}

static unsigned char suspend(EditLine *of, int key)
{
	(void)of;
	(void)key;
	raise(SIGTSTP);
	return CC_REDISPLAY;
}

/* How many characters all of the words have in common at their start. */
static size_t common(char **words)
{
	size_t length = strlen(words[0]);

	for (size_t i = 1; words[i]; i++) {
		size_t same = 0;

		while (same < length && words[i][same] == words[0][same])
			same++;
		length = same;
	}
	return length;
}

/* All of them, below the line. */
static void show(char **words)
{
	FILE *text = lab_screen_text();

	for (size_t i = 0; words[i]; i++)
		fprintf(text, "%s%s", i ? "  " : "", words[i]);
	putchar('\n');
	lab_screen_say(0);
	fflush(stdout);
}

/* Puts in what's missing of the only word, or of what all begin with. */
static unsigned char put_in(EditLine *of, char **words, size_t typed)
{
	size_t length = words[0] ? common(words) : 0;
	bool goes_on = words[0] && (words[1] || words[0][length - 1] == '/');
	char rest[256];

	if (!words[0])
		return CC_ERROR;
	if (length > typed || !words[1]) {
		snprintf(rest, sizeof(rest), "%.*s%s", (int)(length - typed), words[0] + typed,
			 goes_on ? "" : " ");
		return el_insertstr(of, rest) == 0 ? CC_REFRESH : CC_ERROR;
	}
	show(words);
	return CC_REDISPLAY;
}

static unsigned char tab(EditLine *of, int key)
{
	const LineInfo *info = el_line(of);
	size_t length = (size_t)(info->cursor - info->buffer);
	char *line = strndup(info->buffer, length);
	size_t start = 0;
	unsigned char code;
	char **words;

	(void)key;
	if (!line)
		complain(FAILED, "out of memory");
	words = complete(complete_user, line, &start);
	code = put_in(of, words, length - start);
	for (size_t i = 0; words[i]; i++)
		free(words[i]);
	free(words);
	free(line);
	return code;
}

bool lab_edit_begin(lab_completer *completer, void *user)
{
	HistEvent event;

	if (!isatty(STDOUT_FILENO))
		return false;
	complete = completer;
	complete_user = user;
	editor = el_init("acre", stdin, stdout, stderr);
	past = history_init();
	if (!editor || !past)
		complain(FAILED, "the line editor can't be started: out of memory");
	history(past, &event, H_SETSIZE, HISTORY_MOST);
	history(past, &event, H_SETUNIQUE, 1);
	el_set(editor, EL_HIST, history, past);
	el_set(editor, EL_PROMPT_ESC, prompt, ESCAPE_MARK);
	el_set(editor, EL_EDITOR, "emacs");
	el_set(editor, EL_ADDFN, "acre-abandon", "Abandon the line", abandon);
	el_set(editor, EL_ADDFN, "acre-suspend", "Stop the lab", suspend);
	el_set(editor, EL_ADDFN, "acre-complete", "Complete the word", tab);
	el_source(editor, NULL);
	el_set(editor, EL_BIND, "^C", "acre-abandon", NULL);
	el_set(editor, EL_BIND, "\t", "acre-complete", NULL);
	el_set(editor, EL_BIND, "^Z", "acre-suspend", NULL);
	el_set(editor, EL_SETTY, "-d", "-isig", NULL);
	/* It puts the terminal right when it's stopped, goes on, or gets another size. */
	el_set(editor, EL_SIGNAL, 1);
	return true;
}

void lab_edit_end(void)
{
	el_end(editor);
	history_end(past);
	free(taken);
}

enum lab_input lab_edit_ask(const char **line)
{
	int length = 0;
	const char *got;
	HistEvent event;

	abandoned = false;
	/* The terminal may have another size than when the last line was read. */
	el_resize(editor);
	/* Before the prompt is seen, so that what's typed at once is a key too. */
	el_set(editor, EL_PREP_TERM, 1);
	got = el_gets(editor, &length);
	if (abandoned || (!got && lab_interrupted)) {
		puts("^C");
		return LAB_ABANDONED;
	}
	if (!got || length <= 0) {
		putchar('\n');
		return LAB_END;
	}
	free(taken);
	taken = strndup(got, strcspn(got, "\n"));
	if (!taken)
		complain(FAILED, "out of memory");
	if (taken[strspn(taken, " \t")])
		history(past, &event, H_ENTER, taken);
	*line = taken;
	return LAB_LINE;
}
