/*
 * A session of the lab: the heap, its blocks' names, and all that was done to it so far.
 *
 * History is a list of operations, of which those that one command made have one number. A heap
 * without caches places blocks by what was asked of it alone, so the operations since the heap was
 * made, done once more, lead to the same heap: that's how undo and save work. A request that was
 * refused is kept too, since statistics tell of it.
 *
 * Blocks are numbered from 0 in the order of allocation, and named by that: a, b, ... z, aa, ab. No
 * name comes twice in a heap, so that a block freed twice is told from another in its place.
 */
#ifndef ACRE_LAB_SESSION_H
#define ACRE_LAB_SESSION_H

#include <stdint.h>

#include "heap.h"

#define LAB_NAME_MOST	16u	/* characters of a name, with the 0 at its end */
#define LAB_NOBODY	((size_t)-1)

enum lab_verb { LAB_HEAP, LAB_ALLOCATE, LAB_FREE, LAB_RESIZE };

struct lab_op {
	enum lab_verb verb;
	enum acre_policy policy;	/* of LAB_HEAP, as is its size */
	bool refused;
	uint32_t command;		/* number of the command that made it */
	size_t block;			/* the block's number; LAB_NOBODY: refused */
	size_t size;			/* asked for */
};

struct lab_item {
	size_t asked;
	size_t offset;
	bool live;
};

struct lab_session {
	struct lab_heap heap;
	struct lab_item *items;		/* by number */
	size_t item_count, item_room;
	struct lab_op *ops;
	size_t op_count, op_room;
	uint32_t command;
	size_t place;			/* the end of the block allocated last: next fit's place */

	/* Of this heap. */
	size_t asked;			/* bytes, of the live blocks */
	size_t live, peak;		/* bytes with tags */
	size_t requests, refused;
};

/* What an operation did, for the story. */
struct lab_change {
	struct lab_op op;
	size_t was;			/* the block's offset before; LAB_NOWHERE */
	size_t now;			/* and after */
	size_t asked;			/* before */
	size_t place;			/* before */
	size_t steps;			/* of searches */
	struct lab_picture before;
	struct lab_picture after;
};

/* An empty heap; false, with errno, if the system refuses the memory. */
bool lab_session_begin(struct lab_session *session, size_t size, enum acre_policy policy);
void lab_session_end(struct lab_session *session);

/* What's done from here on is one command. */
void lab_session_command(struct lab_session *session);

/* A new heap in place of this one; false, with errno, and this one stays. */
bool lab_session_heap(struct lab_session *session, size_t size, enum acre_policy policy);

/* The others can't fail, but for what change->op.refused tells; change may be NULL. */
void lab_session_allocate(struct lab_session *session, size_t size, struct lab_change *change);
void lab_session_free(struct lab_session *session, size_t block, struct lab_change *change);
void lab_session_resize(struct lab_session *session, size_t block, size_t size,
			struct lab_change *change);
void lab_change_end(struct lab_change *change);

/*
 * Goes back to before the last command that changed something, whose first operation is stored,
 * with the number of them. False, and nothing has changed, if there's none (errno is 0), or if the
 * system refuses the memory.
 */
bool lab_session_undo(struct lab_session *session, struct lab_op *first, size_t *count);

/* The first operation behind the one that made this heap. */
size_t lab_session_first(const struct lab_session *session);

/*
 * Does an operation that isn't LAB_HEAP again, in another session, where blocks[n] is the number of
 * what was block n; nothing where that was refused. NULL: all numbers are the same.
 */
void lab_session_again(struct lab_session *session, const struct lab_op *op, size_t *blocks);

/* The number of blocks whose content isn't what was written to them. */
size_t lab_session_spoilt(const struct lab_session *session);

/* The number of the live block at this offset, where there is one. */
size_t lab_session_at(const struct lab_session *session, size_t offset);

void lab_name(size_t block, char name[LAB_NAME_MOST]);
/* The number that a name stands for; LAB_NOBODY if it's no name at all. */
size_t lab_name_read(const char *name);

#endif
