/*
 * A person's lines by libedit: editing, history, completion. Only built where libedit is.
 */
#ifndef ACRE_LAB_EDIT_H
#define ACRE_LAB_EDIT_H

#include "lab_line.h"

void lab_edit_begin(lab_completer *complete, void *user);
void lab_edit_end(void);
enum lab_input lab_edit_ask(const char **line);

#endif
