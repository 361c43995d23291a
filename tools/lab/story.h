/*
 * What an operation did, in words, taken from the heap as it was before and as it is after.
 *
 * A sentence is only said if the two pictures bear it out: which block was taken is looked up in
 * the one before, what remained of it, or what merged, in the one after.
 */
#ifndef ACRE_LAB_STORY_H
#define ACRE_LAB_STORY_H

#include <stdio.h>

#include "session.h"

/* A block's name, in its hue. */
void lab_story_name(FILE *text, size_t block);

/* The whole story. */
void lab_story_tell(const struct lab_session *session, const struct lab_change *change);

/* A line of it, as one of many. */
void lab_story_tell_short(const struct lab_change *change);

/* The block that the change made or made free, in the picture after; LAB_NOWHERE if none. */
size_t lab_story_mark(const struct lab_change *change);

#endif
