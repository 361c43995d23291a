/*
 * Why a search took the block that it took.
 */
#ifndef ACRE_LAB_CHOICE_H
#define ACRE_LAB_CHOICE_H

#include <stdio.h>

#include "session.h"

/* "after 3 steps: the lowest of 4 holes that fit. "; the change is one that took a block. */
void lab_choice_say(FILE *text, enum acre_policy policy, const struct lab_change *change);

#endif
