/*
 * Reader: what the bytes mean. play.h has the format.
 *
 * Sizes, alignments and blocks depend on the arena in use and on what is held; see verbs.h.
 */
#ifndef FUZZ_READER_H
#define FUZZ_READER_H

#include <stddef.h>

#include "model.h"
#include "play.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

void reader_begin(const uint8_t *bytes, size_t size);

/* The next byte; 0 where there's none any more, and then reader_ended(). */
unsigned next_byte(void);
int reader_ended(void);

enum verb next_verb(unsigned *varied);
size_t next_size(const struct land *land);
size_t next_alignment(void);
/* The number of a piece; there must be one. */
size_t next_piece(void);
/* How large an arena is to be, before its shift; what of it is acceptable is for others to say. */
size_t next_arena_size(void);
size_t next_cache_bytes(void);
/* Milliseconds. */
unsigned next_time(void);

/* Tells on stderr what is read and done, if play_aloud. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
