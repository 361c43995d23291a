/*
 * Progress: a bar on standard error while something long goes on, and the end of it by Ctrl-C.
 *
 * The work has parts, and a part has passes through a trace. The bar is there only where standard
 * error is a terminal, and only after a second. Only the thread that began it may draw.
 */
#ifndef ACRE_PROGRESS_H
#define ACRE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * So many parts are to come. From now on a first SIGINT interrupts the work, a second one kills; what
 * was interrupted before is forgotten.
 */
void progress_begin(unsigned parts);

/* The next part, by its name. */
void progress_part(const char *name);

/* So many passes of the part are to come, as far as is known. */
void progress_expect(unsigned passes);

/* A pass of so many steps begins. */
void progress_pass(uint64_t steps);

/* So many steps are done. False: the user wants it to end. */
bool progress_at(uint64_t step);

/* Whether the user has wanted it to end. Any thread may ask. */
bool progress_interrupted(void);

/* Takes the bar away. */
void progress_end(void);

#endif
