/*
 * Reports: the lines that acre writes to stderr.
 *
 * They are made when the heap can't be trusted, perhaps with its locks held, so nothing here
 * allocates, takes a lock or uses stdio: a line is put together on the stack and leaves in one
 * write(2).
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tag.h"

void line_text(struct line *line, const char *text)
{
	size_t length = strlen(text);
	size_t room = sizeof(line->text) - line->used;

	if (length > room)
		length = room;
	memcpy(line->text + line->used, text, length);
	line->used += length;
}

static void line_digits(struct line *line, uint64_t number, unsigned radix)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[number % radix];
		number /= radix;
	} while (number);
	line_text(line, p);
}

void line_number(struct line *line, uint64_t number)
{
	line_digits(line, number, 10);
}

void line_address(struct line *line, const void *address)
{
	line_text(line, "0x");
	line_digits(line, (uintptr_t)address, 16);
}

void report_to(int fd, const struct line *line)
{
	char text[sizeof(line->text) + 8];
	size_t used = 6;
	const char *p = text;

	memcpy(text, "acre: ", used);
	memcpy(text + used, line->text, line->used);
	used += line->used;
	text[used++] = '\n';
	while (used) {
		ssize_t n = write(fd, p, used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		p += n;
		used -= (size_t)n;
	}
}

/* Written once, before there are threads that might read it. */
static bool mute;

void report_begin(void)
{
	mute = fcntl(STDERR_FILENO, F_GETFD) < 0;
}

void report(const struct line *line)
{
	if (!mute)
		report_to(STDERR_FILENO, line);
}

static void begin_misuse(struct line *line, const char *call, const void *block)
{
	line_text(line, call);
	line_text(line, ": block ");
	line_address(line, block);
}

static _Noreturn void end_misuse(struct line *line, const char *cause)
{
	line_text(line, ": ");
	line_text(line, cause);
	report(line);
	abort();
}

_Noreturn void report_misuse(const char *call, const void *block, const char *cause)
{
	struct line line = { 0 };

	begin_misuse(&line, call, block);
	end_misuse(&line, cause);
}

_Noreturn void report_misuse_of(const char *call, const void *block, uint64_t granules,
				uint32_t owner, const char *cause)
{
	struct line line = { 0 };

	begin_misuse(&line, call, block);
	if (granules) {
		line_text(&line, ", ");
		line_number(&line, payload_bytes(granules));
		line_text(&line, " bytes");
	}
	line_text(&line, ", ");
	line_text(&line, owner ? "plot " : "the commons");
	if (owner)
		line_number(&line, owner);
	end_misuse(&line, cause);
}
