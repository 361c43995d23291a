/*
 * The lab's screen: see screen.h.
 */
#include "screen.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "complain.h"

#define COLUMNS		80u	/* of what is no terminal */
#define ROWS		24u
#define COLUMNS_LEAST	20u

static bool coloured;
static bool silent;

static char *text;
static size_t text_size;
static FILE *text_stream;

void lab_screen_begin(bool colours)
{
	coloured = colours;
}

void lab_screen_quiet(bool quiet)
{
	silent = quiet;
}

bool lab_screen_is_quiet(void)
{
	return silent;
}

static struct winsize terminal_size(void)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_col || !size.ws_row)
		size = (struct winsize){ .ws_col = COLUMNS, .ws_row = ROWS };
	return size;
}

unsigned lab_screen_columns(void)
{
	unsigned columns = terminal_size().ws_col;

	return columns < COLUMNS_LEAST ? COLUMNS_LEAST : columns;
}

unsigned lab_screen_rows(void)
{
	return terminal_size().ws_row;
}

const char *lab_style(enum lab_style style)
{
	static const char *const codes[] = {
		[LAB_PLAIN] = "\033[0m",
		[LAB_BOLD] = "\033[1m",
		[LAB_DIM] = "\033[2m",
		[LAB_ERROR] = "\033[1;31m",
		[LAB_FRESH] = "\033[1;32m",
		[LAB_HUES] = "\033[30;46m",
		"\033[30;43m",
		"\033[30;42m",
		"\033[30;45m",
		"\033[97;44m",
		"\033[30;47m",
	};

	return coloured ? codes[style] : "";
}

const char *lab_hue(size_t block, bool stands_out)
{
	static char code[32];

	if (!coloured)
		return "";
	snprintf(code, sizeof(code), "%s%s",
		 lab_style((enum lab_style)(LAB_HUES + block % LAB_HUES_COUNT)),
		 stands_out ? "\033[1;4m" : "");
	return code;
}

FILE *lab_screen_text(void)
{
	if (!text_stream)
		text_stream = open_memstream(&text, &text_size);
	if (!text_stream)
		complain(FAILED, "out of memory");
	return text_stream;
}

/* The length of the escape sequence at the start, 0 if there's none. */
static size_t escape(const char *at)
{
	return *at == '\033' ? strcspn(at, "m") + 1 : 0;
}

/* The bytes of the word at the start, and how many columns it takes. */
static size_t word(const char *at, unsigned *columns)
{
	const char *end = at;

	*columns = 0;
	while (*end && *end != ' ' && *end != '\n') {
		size_t length = escape(end);

		*columns += !length;
		end += length ? length : 1;
	}
	return (size_t)(end - at);
}

/* Blanks that come several in a row stay, unless the line is broken there. */
static void wrap(const char *at, unsigned indent, unsigned width)
{
	unsigned column = 0;
	unsigned blanks = 0;
	unsigned columns;

	while (*at) {
		size_t length = word(at, &columns);

		if (column && blanks && column + blanks + columns > width) {
			printf("\n%*s", (int)indent, "");
			column = indent;
			blanks = 0;
		}
		printf("%*s%.*s", (int)blanks, "", (int)length, at);
		column += blanks + columns;
		at += length;
		for (blanks = 0; *at == ' '; at++)
			blanks++;
		if (*at == '\n') {
			putchar('\n');
			column = blanks = 0;
			at++;
			/* A further line of the same text is indented as one that's broken off. */
			if (*at && *at != '\n' && indent) {
				printf("%*s", (int)indent, "");
				column = indent;
			}
		}
	}
}

void lab_screen_say(unsigned indent)
{
	if (!text_stream)
		return;
	if (fclose(text_stream) != 0)
		complain(FAILED, "out of memory");
	text_stream = NULL;
	if (!silent) {
		wrap(text, indent, lab_screen_columns());
		putchar('\n');
	}
	free(text);
}

const char *lab_plural(size_t count)
{
	return count == 1 ? "" : "s";
}

void lab_screen_line(const char *format, ...)
{
	va_list arguments;

	if (silent)
		return;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}
