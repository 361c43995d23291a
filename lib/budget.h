/*
 * Budget: how large an arena under malloc should be.
 */
#ifndef ACRE_BUDGET_H
#define ACRE_BUDGET_H

#include <stdint.h>

/*
 * Reads a size: a number of bytes, with K, M, G or T for powers of 1024, or N% of memory. 0, or -1
 * if text is none of these, or is 2^63 or more.
 */
int budget_parse(const char *text, uint64_t memory, uint64_t *bytes);

/* The memory that this process may use, bytes: RAM, its control groups' limit, or RLIMIT_AS. */
uint64_t budget_memory(void);

#endif
