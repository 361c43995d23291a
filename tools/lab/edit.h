/*
 * A person's lines by libedit: editing, history, completion.
 */
#ifndef ACRE_LAB_EDIT_H
#define ACRE_LAB_EDIT_H

#include <stdbool.h>

#include "line.h"

#ifdef ACRE_LIBEDIT
/* False where lines can't be edited: what's shown doesn't go to a terminal. */
bool lab_edit_begin(lab_completer *complete, void *user);
void lab_edit_end(void);
enum lab_input lab_edit_ask(const char **line);
#else
static inline bool lab_edit_begin(lab_completer *complete, void *user)
{
	(void)complete;
	(void)user;
	return false;
}

static inline void lab_edit_end(void)
{
}

static inline enum lab_input lab_edit_ask(const char **line)
{
	(void)line;
	return LAB_END;
}
#endif

#endif
