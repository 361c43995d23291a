/*
 * Play: a sequence of operations, read from bytes, on real arenas and on a model of them.
 *
 *	bytes --> play.c ------> acre_malloc() ... --> lib/
 *	          what to do |         ^  |
 *	                     |         |  | os.c: its locks may be busy, the clock is ours,
 *	                     v         |  v       the OS may refuse
 *	                   baton.c   model.c
 *	                   whose     what must be so
 *	                   turn
 *
 * The one entry is play(). It returns if all was right, and aborts with a line on stderr if not; so
 * does the library when a tag is broken. Three programs call it: libfuzzer.c under libFuzzer, whose
 * entry AFL++ knows, too; and main.c, which plays files, and random bytes for every policy.
 *
 * The same bytes always do the same: threads take turns and never run at once, the clock goes on
 * when the bytes say so, a lock is found busy when they say so, and arenas lie at multiples of
 * OS_ALIGN, so that even alignments beyond a page fall alike. Any bytes are valid, and where they
 * end, the play does: all blocks are freed, by one thread after the other, and each arena must be
 * whole again.
 *
 * The format. The first byte is how the play goes, an arena follows, then come operations.
 *
 *	how	bits 0..1: costly checks every 1, 8, 32, 128 operations
 *		bit 2: at the end threads exit before all is freed, else after
 *	arena	policy: taken modulo 8, and first fit where acre_create() refuses it
 *		kind: bit 0 in the caller's buffer; bit 1 ACRE_NO_CACHE, 2 ACRE_HUGE_PAGES,
 *		    3 ACRE_PREFAULT, 4 ACRE_NO_PURGE
 *		size: an entry of sizes[] in reader.c
 *		shift: added to that, as a signed byte; so many bytes off a page a buffer begins
 *		cache_bytes: an entry of cache_sizes[] in reader.c
 *	operation
 *		verb: bits 0..5 choose from verbs[] in reader.c, bits 6..7 vary it
 *		what the verb needs: blocks, sizes, counts, alignments
 *	block	a byte: below 128 the oldest but so many, from 128 on the newest but 255 less that
 *	size	two bytes: bits 0..2 of the first are the kind (enum size_kind), the rest a figure
 *		of 5 bits (or one of edges[], to be added), the second one a figure of 8
 *
 * Missing bytes are 0.
 */
#ifndef FUZZ_PLAY_H
#define FUZZ_PLAY_H

#include <stddef.h>
#include <stdint.h>

/* Plays the bytes. Aborts if anything is wrong. */
void play(const uint8_t *bytes, size_t size);

/* Every operation is told on stderr, as it begins. */
extern int play_aloud;

enum verb {
	MALLOC,		/* size */
	CALLOC,		/* size; varied: as 1, 3, 16 members, or a product that overflows */
	ALIGNED,	/* alignment, size */
	REALLOC,	/* block, size; varied 3: of NULL */
	FREE,		/* block; varied 2: by realloc to 0, varied 3: of NULL */
	FREE_SIZED,	/* block; varied: the size asked for, all that's usable, 0 */
	RUN,		/* count, size: so many blocks of a size; varied 1: by calloc */
	FREE_RUN,	/* block, count: so many from there on; varied: each 1st to 4th */
	FILL,		/* size: blocks until none is left; varied 1..3: then smaller ones, too */
	FLUSH,
	TRIM,		/* varied 1: twice */
	TURN,		/* worker: goes on, or begins */
	EXIT,		/* of this worker; varied 2, 3: it works on in a destructor, or the last one */
	CHECK,		/* the costly checks; varied 1..3: a walk that ends early */
	BUSY,		/* count: so many locks will be busy when tried */
	PASS,		/* time */
	REFUSE,		/* count; varied: in the next one the OS refuses an mprotect (1), a madvise
			   (2) or an mremap (3), after so many that it grants */
	ARENA,		/* number, and an arena as above: another one in its place */
	DESTROY,	/* number */
	USE,		/* number: of the arena that is used from now on */
	VERBS
};

/* For who writes bytes: those that mean a verb, a size of an arena, and a cache_bytes. */
uint8_t play_byte(enum verb verb, unsigned varied);
uint8_t play_size(size_t bytes);
uint8_t play_cache(size_t bytes);

enum size_kind {
	SMALL,		/* both figures together: 0 to 1,099 */
	SMALL_TOO,
	CLASS,		/* the second: a class whose largest size it is, and an edge */
	PAGES,		/* so many pages, and an edge */
	MIDDLE,		/* 32 + the first, shifted by up to 11 */
	LARGE,		/* or by up to 19 */
	SHARE,		/* of what the arena has (enum share), and an edge */
	HUGE		/* beyond any arena */
};

enum share { ALL, LARGEST, HALF, QUARTER, PLOT_MOST, LEASE, NEWEST, REMAP, SHARES };

#define PLAY_WORKERS	4u
#define PLAY_ARENAS	3u
#define PLAY_PIECES	2048u

#endif
