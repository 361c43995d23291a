/*
 * Budget: how large an arena under malloc should be.
 */
#ifndef ACRE_BUDGET_H
#define ACRE_BUDGET_H

#include <stdint.h>

/* What a text is. */
enum budget_text {
	BUDGET_SIZE,
	BUDGET_NO_SIZE,
	BUDGET_TOO_LARGE,	/* a size of 2^63 or more */
	BUDGET_TOO_MUCH		/* a share of more than 100% */
};

/* Reads a size: a number of bytes, with K, M, G or T for powers of 1024, or N% of memory. */
enum budget_text budget_parse(const char *text, uint64_t memory, uint64_t *bytes);

/*
 * Reads the size of an arena. NULL; or what the text is instead, and what it should be, in words to
 * be said behind it.
 */
const char *budget_arena(const char *text, uint64_t memory, uint64_t *bytes);

/* The memory that this process may use, bytes: RAM, its control groups' limit, or RLIMIT_AS. */
uint64_t budget_memory(void);

#endif
