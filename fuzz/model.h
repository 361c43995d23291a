/*
 * Model: what the play knows about each arena and each block, and what must be so.
 *
 * A land is an arena as the model has it. A piece is a block that the play holds, full of a pattern
 * that its id chooses: all of it up to 64 KiB, beyond that the ends of pages. So a block that
 * overlaps another, or that the allocator wrote into, shows when it's next verified.
 *
 *	model_took()	a block that a call returned: alignment, place, usable size; it's filled
 *	model_refused()	a call that returned NULL: errno, and G2, that nothing free fits
 *	model_verify()	the content of a piece
 *	model_inspect()	acre_check(), a walk, the statistics and the model agree; G1
 *	model_whole()	nothing is held: G4, and all of it can be had
 *
 * What isn't so ends the process: a line with what, where in the play, and abort().
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <acre/acre.h>
#include <stdbool.h>

#include "play.h"

struct piece {
	unsigned char *block;
	size_t asked;
	size_t usable;
	uint32_t id;
	unsigned land;
};

struct land {
	struct acre *arena;		/* NULL: there's none */
	struct acre_options options;
	size_t size;			/* as it was asked for */
	size_t range;			/* as acre_stats() tells it */
	unsigned char *memory;		/* of a caller's buffer, else NULL */
	bool tiled;			/* one heap: no plots, no caches */

	size_t first_free;		/* at the start: so many free blocks, */
	size_t first_bytes;		/* of so many bytes */

	size_t live_blocks;
	size_t live_bytes;
	size_t peak;			/* the most live_bytes has been after a call, */
	size_t peak_within;		/* and may have been in one */
	size_t refusals;
	unsigned joined;		/* bits of living workers that used it */
	unsigned most_joined;		/* at once */
	bool unflushed;			/* blocks may be in an inbox, since a lock was busy, or in
					   the cache of a thread that ended without a word */
};

struct model {
	struct piece pieces[PLAY_PIECES];
	size_t count;
	struct land lands[PLAY_ARENAS];
	uint32_t last_id;
	size_t bytes;			/* filled and verified so far */
};

extern struct model model;

/* Where the play is, for the line that tells of a fault. */
extern struct where {
	unsigned step;
	unsigned worker;
	unsigned land;
	const char *verb;
} where;

_Noreturn void model_fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define must(condition, ...) \
	do { \
		if (!(condition)) \
			model_fault(__VA_ARGS__); \
	} while (0)

/* Nothing is held, no arena lives. */
void model_begin(void);

/* Makes an arena of the land; its options may be made acceptable. False if the OS refused. */
bool model_create(unsigned land, const struct acre_options *options, size_t size, bool in_buffer,
		  size_t offset);
/* Ends it; its pieces are forgotten. */
void model_destroy(unsigned land);

/* A worker uses the arena, and so may have a plot; or is gone, and its arenas heard of that. */
void model_join(unsigned land, unsigned worker);
void model_leave(unsigned worker, bool heard);

/* A call returned a block for so many bytes; a new piece, filled. */
void model_took(unsigned land, void *block, size_t size, size_t alignment);
/* realloc returned this for the piece. */
void model_moved(struct piece *piece, void *block, size_t size);
/* A call returned NULL; piece is what realloc left as it is, else NULL. */
void model_refused(unsigned land, size_t size, size_t alignment, const struct piece *piece);
/* Verifies the piece; the caller frees the block. Its place is empty until model_tidy(). */
struct piece model_drop(size_t number);
void model_tidy(void);

void model_verify(const struct piece *piece);
void model_zero(const void *block, size_t bytes);
void model_inspect(unsigned land);
void model_whole(unsigned land);

#endif
