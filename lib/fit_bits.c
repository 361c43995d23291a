/*
 * Bits: see fit_bits.h.
 */
#include "fit_bits.h"

#include "fit_policy.h"

#define WORD	64u
#define LEVELS	7u	/* 2^36 numbers have 6 */

uint64_t bits_words(uint64_t n)
{
	return (n + WORD - 1) / WORD;
}

uint64_t bits_upper_words(uint64_t n)
{
	uint64_t words = 0;

	for (n = bits_words(n); n > 1; words += n)
		n = bits_words(n);
	return words;
}

void bits_set(uint64_t *bits, uint64_t n, uint64_t i)
{
	for (;;) {
		uint64_t *word = &bits[i / WORD];
		uint64_t was = *word;

		STEP();
		*word |= UINT64_C(1) << i % WORD;
		n = bits_words(n);
		if (was || n == 1)
			return;
		i /= WORD;
		bits -= bits_words(n);
	}
}

bool bits_clear(uint64_t *bits, uint64_t n, uint64_t i)
{
	for (;;) {
		uint64_t *word = &bits[i / WORD];

		STEP();
		*word &= ~(UINT64_C(1) << i % WORD);
		n = bits_words(n);
		if (*word || n == 1)
			return !*word;
		i /= WORD;
		bits -= bits_words(n);
	}
}

uint64_t bits_from(const uint64_t *bits, uint64_t n, uint64_t i)
{
	uint64_t widths[LEVELS];	/* words of each level passed */
	unsigned level = 0;

	/* Up, until a word has a member to the right. */
	for (;;) {
		uint64_t word;

		if (i >= n)
			return BITS_NONE;
		STEP();
		word = bits[i / WORD] & ~UINT64_C(0) << i % WORD;
		n = bits_words(n);
		if (word) {
			i = i / WORD * WORD + (unsigned)__builtin_ctzll(word);
			break;
		}
		if (n == 1)
			return BITS_NONE;
		widths[level++] = bits_words(n);
		i = i / WORD + 1;
		bits -= bits_words(n);
	}
	/* And down to the least below it. */
	while (level) {
		bits += widths[--level];
		STEP();
		i = i * WORD + (unsigned)__builtin_ctzll(bits[i]);
	}
	return i;
}

/* Whether all is right below word i of the level with this number, which has members. */
static bool sound_below(const uint64_t *const *levels, unsigned level, uint64_t i)
{
	for (uint64_t word = levels[level][i]; level && word; word &= word - 1) {
		uint64_t child = i * WORD + (unsigned)__builtin_ctzll(word);

		if (!levels[level - 1][child] || !sound_below(levels, level - 1, child))
			return false;
	}
	return true;
}

bool bits_sound(const uint64_t *bits, uint64_t n)
{
	const uint64_t *levels[LEVELS] = { bits };
	unsigned level = 0;

	for (n = bits_words(n); n > 1; n = bits_words(n)) {
		levels[level + 1] = levels[level] - bits_words(n);
		level++;
	}
	return sound_below(levels, level, 0);
}
