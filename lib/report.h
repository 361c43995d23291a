/*
 * One line on stderr, built without allocating and without a lock.
 */
#ifndef ACRE_REPORT_H
#define ACRE_REPORT_H

#include <stddef.h>
#include <stdint.h>

/* A line in the making. What doesn't fit is cut off. */
struct line {
	size_t used;
	char text[240];
};

void line_text(struct line *line, const char *text);
void line_number(struct line *line, uint64_t number);
void line_address(struct line *line, const void *address);

/*
 * For the drop-in as it starts: where stderr is closed now, report() says nothing, for what the
 * program will open under its number is another file.
 */
void report_begin(void);

/* Writes "acre: ", the line and a newline to a file descriptor; or to stderr. */
void report_to(int fd, const struct line *line);
void report(const struct line *line);

/* Says what is wrong with a block that a call was given, or came upon, and aborts. */
_Noreturn void report_misuse(const char *call, const void *block, const char *cause);

/* The same of a block whose owner is known, and its size, unless that's 0. */
_Noreturn void report_misuse_of(const char *call, const void *block, uint64_t granules,
				uint32_t owner, const char *cause);

#endif
