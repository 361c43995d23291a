/*
 * Completion of the lab's lines.
 */
#ifndef ACRE_LAB_COMPLETE_H
#define ACRE_LAB_COMPLETE_H

#include "lab.h"

/* A completer of line.h; user is the session. */
char **lab_complete(void *user, const char *line, size_t *start);

#endif
