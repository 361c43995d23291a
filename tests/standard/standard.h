/*
 * What the C standard, POSIX and the manuals say of malloc's family, a row per clause.
 *
 * The program has no allocator of its own: it holds the one that the process has to each clause.
 * Run on the C library's it checks the table itself, since each row tells how that one differs, if
 * it does. The tables:
 *
 *	refusals.c	calls that must fail, and what they leave as it was
 *	blocks.c	calls that must give a block, and what a block is
 *	frees.c		giving blocks back, and resizing them
 *	services.c	mallopt(), mallinfo(), malloc_trim() and their like
 *
 * Sources: "C17 7.22.3.4", "C23 7.24.3.4" (N3220), "POSIX" (The Open Group Base Specifications, the
 * function's page), "glibc" (its manual, "The GNU Allocator"), or the manual page: "malloc(3)".
 */
#ifndef ACRE_TESTS_STANDARD_H
#define ACRE_TESTS_STANDARD_H

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MIB ((size_t)1 << 20)

/*
 * One clause. check() runs in a child process of its own, returns true if the clause holds, and
 * says by because() what doesn't. The last two are NULL where an allocator conforms; else the words
 * for how it is known to differ, and then it must differ.
 */
struct clause {
	const char *name;
	const char *source;
	bool (*check)(const struct clause *clause);
	const char *glibc;	/* 2.36 */
	const char *acre;
	const void *row;	/* a table's own, for check() */
};

/* Appends the rows of a table; the sum of all is at most CLAUSES_MOST. */
#define CLAUSES_MOST 200
size_t add_refusals(struct clause *to);
size_t add_blocks(struct clause *to);
size_t add_frees(struct clause *to);
size_t add_services(struct clause *to);

/* Notes why the clause doesn't hold; returns false. */
bool because(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Returns from a check that found something. */
#define REQUIRE(condition, ...) \
	do { \
		if (!(condition)) \
			return because(__VA_ARGS__); \
	} while (0)

/* The calls that give a block. The first argument is an alignment, or a count, or nothing. */
enum entry {
	MALLOC,
	CALLOC,
	REALLOC_NULL,
	REALLOC,		/* of a block of 100 bytes */
	REALLOCARRAY_NULL,
	REALLOCARRAY,		/* of a block of 100 bytes */
	ALIGNED_ALLOC,
	MEMALIGN,
	POSIX_MEMALIGN,
	VALLOC,
	PVALLOC,
	ENTRIES
};

extern const char *const entry_names[ENTRIES];

/* errno before each call; no system has an error of this number. */
#define NO_ERROR 4711

/* Whether the first argument is a count. */
static inline bool is_array(enum entry entry)
{
	return entry == CALLOC || entry == REALLOCARRAY_NULL || entry == REALLOCARRAY;
}

/* In place of posix_memalign's error: it failed, and wrote *memptr. */
#define WROTE (-1)

/* What a call gave. */
struct answer {
	void *block;
	int error;	/* errno, or what posix_memalign returned; 0 with a block */
	int left;	/* errno after the call */
	void *old;	/* REALLOC, REALLOCARRAY: the block before */
};

/* Numbers are volatile, so that no compiler sees what is asked for. */
struct answer call(enum entry entry, volatile size_t first, volatile size_t size);

/* Content that a key chooses. */
void fill(void *block, size_t size, unsigned key);
bool holds(const void *block, size_t size, unsigned key);

/* Bytes that the allocator says are in use. */
size_t bytes_in_use(void);

#endif
