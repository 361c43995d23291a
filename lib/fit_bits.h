/*
 * Bits: a set of numbers below some n, which finds the least member from a number on.
 *
 *	root     [ a bit for each word of the level below that isn't zero ]
 *	 ...
 *	level 1  [ 1 0 1 ... ]  [ 0 ... ]
 *	level 0  [ a bit for each number ] [ 0 0 0 ... ] [ ... ]
 *
 * A word is 64 bits, so that a set of 2^36 numbers has 6 levels: each verb looks at 12 words at
 * most. The levels follow each other, the root first; the set is named by its level 0, so that n
 * and arithmetic tell where the others are. All of it is zero at first.
 */
#ifndef ACRE_FIT_BITS_H
#define ACRE_FIT_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITS_NONE	UINT64_MAX

/* Words of level 0, and of the levels above it. */
uint64_t bits_words(uint64_t n);
uint64_t bits_upper_words(uint64_t n);

void bits_set(uint64_t *bits, uint64_t n, uint64_t i);

/* True: it was the last member. */
bool bits_clear(uint64_t *bits, uint64_t n, uint64_t i);

static inline bool bits_has(const uint64_t *bits, uint64_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

/* The least member from number i on; BITS_NONE if there is none. */
uint64_t bits_from(const uint64_t *bits, uint64_t n, uint64_t i);

/* Whether the upper levels say what is below them, as far as the root leads there. */
bool bits_sound(const uint64_t *bits, uint64_t n);

#endif
