/*
 * Queue: blocks that wait for a grace period, in the order in which they were handed in.
 *
 * Readers may still look at a block that waits, so its payload isn't for links. The queue has chunks
 * of its own: arrays with 4 bytes for each block (the low half of its place; the high one is the
 * chunk's), linked by their places:
 *
 *	first                                                          last
 *	+------+---------------------+      +------+----------+- - - - +
 *	| next | places ............ | ---> | next | places . |        |
 *	+------+---------------------+      +------+----------+- - - - +
 *	          ^ taken                                ^ count
 *	          |
 *	          v all due          pile: ripe
 *	                             +------+-------------+      +------+----------+
 *	                             | next | places .... | ---> | next | places . | ---> ...
 *	                             +------+-------------+      +------+----------+
 *	                                              ^ count: the next to be freed
 *
 *	freed <= due <= marked <= added: how many, counted from the arena's creation
 *	   |       |       |        `-- came in
 *	   |       |       `-- a grace period has begun for
 *	   |       `-- and has ended for
 *	   `-- have left
 *
 * Of those that are due, the last that came in leave first: they are the warmest, and after a long
 * grace period has left many, not all of them go round and round. So a chunk that's due as a whole
 * moves to a pile.
 *
 * A chunk is a block of the arena, too, and waits like those in it; its heap is the queue's owner,
 * or the commons. It's freed when it has been read.
 *
 * A queue belongs to a plot and is guarded by its lock, or to the arena and is guarded by
 * waiting_lock; the caller of each of these holds that.
 */
#ifndef ACRE_QUEUE_H
#define ACRE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acre;
struct plot;

struct queue {
	uint64_t first, last;		/* places of chunks, 0 = none */
	uint64_t ripe;			/* the chunk on top of the pile, 0 = none */
	uint64_t added, marked, due, freed;
	uint64_t front;			/* so many have left for the pile, or were freed */
	uint64_t number;		/* of the grace period of `marked` */
	uint64_t stale;			/* what was due when that began, and */
	uint64_t seen;			/* what had been freed by then */
	uint64_t bytes;			/* payload of the blocks in it */
	uint64_t chunks, chunk_bytes;
};

/* How large chunks are in an arena of this size; granules. */
uint64_t queue_chunk(size_t arena_size);

/*
 * Adds count blocks, whose tags say that they wait, by the low halves of their places and the high
 * one that they share. Returns how many: fewer if there's no room for a chunk. The caller adds their
 * bytes.
 */
unsigned queue_add(struct acre *arena, struct plot *plot, struct queue *queue, uint32_t high,
		   const uint32_t *places, unsigned count);

/* A grace period with this number has begun. */
void queue_mark(struct queue *queue, uint64_t number);

/*
 * How many were due when the last grace period began, if they aren't being taken: its owner would
 * need 64 such periods for them, or is asleep. 0 = none.
 */
uint64_t queue_stale(const struct queue *queue);

/* All up to this number have ended: what's marked for them is due, and its chunks go to the pile. */
void queue_ripen(struct acre *arena, struct queue *queue, uint64_t number);

/* Blocks that stand side by side in a chunk. */
struct run {
	const uint32_t *places;		/* low halves */
	uint64_t high;			/* the other, in its place */
	unsigned count;
};

/*
 * The next blocks to leave, BATCH_MOST - 1 at most, until so many have left, at most due. False if
 * there are none.
 */
bool queue_run(struct acre *arena, const struct queue *queue, uint64_t until, struct run *run);

/*
 * The count blocks of that run leave, with so many bytes. Returns the place of the chunk they were in
 * if they were its last, for the caller to free; else 0.
 */
uint64_t queue_leave(struct acre *arena, struct queue *queue, unsigned count, uint64_t bytes);

/* The payload's bytes of a block that leaves; aborts with a line if its tag isn't as it should be. */
uint64_t queue_expect(char *base, uint64_t at, uint32_t key);

/*
 * Takes out the blocks of a run, and the chunk that was read. BATCH_MOST places at most; all are as
 * live then, for the caller to free. Returns how many.
 */
unsigned queue_take(struct acre *arena, struct queue *queue, uint64_t until, uint64_t *places);

/* Adds the blocks and chunks in the queue. */
void queue_count(const struct queue *queue, size_t *blocks, size_t *bytes);

/* The number of faults; a line for each. */
int queue_check(struct acre *arena, const struct queue *queue);

#endif
