/*
 * Seeds: the corpus in the tree, each file a play that is named for what it exercises. Written by
 * their meaning, so that they can be read; play.h has the format.
 *
 *	seeds.c		the parts of the format, and the files
 *	seeds_heap.c	one heap
 *	seeds_plots.c	plots, caches and threads
 *	seeds_arenas.c	arenas of other kinds, several of them, and every policy
 */
#ifndef FUZZ_SEEDS_H
#define FUZZ_SEEDS_H

#include <acre/acre.h>

#include "play.h"

#define KIB	((size_t)1 << 10)
#define MIB	((size_t)1 << 20)

/* Writes all seeds as files into a directory. 0 with errno if one can't be written. */
int seeds_write(const char *directory);

/* Ends with an entry without a name. */
struct seed_entry {
	const char *name;
	void (*write)(void);
};

extern const struct seed_entry seeds_heap[], seeds_plots[], seeds_arenas[];

/* How often the costly checks are made. */
enum { EACH, EACH_8, EACH_32, EACH_128, WORKERS_END_FIRST = 4 };

/* Kinds of arenas. */
enum {
	FROM_OS,
	IN_BUFFER,
	ONE_HEAP,
	ONE_HEAP_IN_BUFFER,
	HUGE_PAGED,
	PREFAULTED = 8,
	NO_PURGE = 16
};

/* Of edges in reader.c. */
enum { EXACT, LESS_1, MORE_1, LESS_8, MORE_8, LESS_9, MORE_9, LESS_16, MORE_16 };

/* Blocks. */
enum { OLDEST = 0, NEWEST_ONE = 255 };

/* The next byte of the seed. */
void put(unsigned byte);

/* What an arena is; how the play goes, with that; an operation. */
void put_arena(enum acre_policy policy, unsigned kind, size_t bytes, unsigned shift,
	       size_t cache_bytes);
void begin(unsigned how, enum acre_policy policy, unsigned kind, size_t bytes);
void op(enum verb verb, unsigned varied);

/* Sizes. */
void small(unsigned bytes);
void class(unsigned number, unsigned edge);
void pages(unsigned count, unsigned edge);
void large(unsigned mantissa, unsigned shift);		/* 32 to 63, shifted */
void share(enum share of, unsigned edge);
void huge(unsigned which, unsigned less);

/* Whole operations. */
void get(unsigned bytes);
void run(unsigned count, unsigned bytes);
void drop(unsigned block);
void drop_run(unsigned from, unsigned count, unsigned each);	/* each first, second, ... */
void turn(unsigned worker);
void pass(unsigned entry);

#endif
