/*
 * The lab's session: see session.h.
 *
 * Each block's payload has its number written into it, over and over: so a block found by the walk
 * tells its own name, and what realloc moves can be looked at.
 */
#include "session.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MARKS_MOST	8u	/* of its number in a block */
#define LETTERS		26u

void lab_name(size_t block, char name[LAB_NAME_MOST])
{
	char reversed[LAB_NAME_MOST];
	size_t length = 0;

	for (block++; block; block = (block - 1) / LETTERS)
		reversed[length++] = (char)('a' + (block - 1) % LETTERS);
	for (size_t i = 0; i < length; i++)
		name[i] = reversed[length - 1 - i];
	name[length] = '\0';
}

size_t lab_name_read(const char *name)
{
	size_t number = 0;

	if (!*name || strlen(name) > 8)
		return LAB_NOBODY;
	for (; *name; name++) {
		if (!islower((unsigned char)*name))
			return LAB_NOBODY;
		number = number * LETTERS + (size_t)(*name - 'a') + 1;
	}
	return number - 1;
}

static size_t marks_in(size_t asked)
{
	size_t marks = asked / sizeof(size_t);

	return marks < 1 ? 1 : marks < MARKS_MOST ? marks : MARKS_MOST;
}

static void mark(const struct lab_session *session, size_t block)
{
	const struct lab_item *item = &session->items[block];
	size_t *payload = lab_heap_payload(&session->heap, item->offset);

	for (size_t i = 0; i < marks_in(item->asked); i++)
		payload[i] = block;
}

size_t lab_session_at(const struct lab_session *session, size_t offset)
{
	return *(const size_t *)lab_heap_payload(&session->heap, offset);
}

size_t lab_session_spoilt(const struct lab_session *session)
{
	size_t spoilt = 0;

	for (size_t block = 0; block < session->item_count; block++) {
		const struct lab_item *item = &session->items[block];
		const size_t *payload = lab_heap_payload(&session->heap, item->offset);
		bool whole = true;

		for (size_t i = 0; item->live && i < marks_in(item->asked); i++)
			whole = whole && payload[i] == block;
		spoilt += !whole;
	}
	return spoilt;
}

static struct lab_op *add_op(struct lab_session *session, enum lab_verb verb, size_t block,
			     size_t size)
{
	struct lab_op *op;

	session->ops = lab_grown(session->ops, session->op_count, &session->op_room,
				 sizeof(*session->ops));
	op = &session->ops[session->op_count++];
	*op = (struct lab_op){
		.verb = verb,
		.policy = session->heap.policy,
		.command = session->command,
		.block = block,
		.size = size,
	};
	return op;
}

void lab_session_command(struct lab_session *session)
{
	session->command++;
}

/* All that's of one heap is as when it was made. */
static void forget(struct lab_session *session)
{
	session->item_count = 0;
	session->place = 0;
	session->asked = 0;
	session->live = session->peak = 0;
	session->requests = session->refused = 0;
}

/* Another heap, of which history says nothing yet. */
static bool replace_heap(struct lab_session *session, size_t size, enum acre_policy policy)
{
	struct lab_heap heap;

	if (!lab_heap_open(&heap, size, policy))
		return false;
	if (session->heap.arena)
		lab_heap_close(&session->heap);
	session->heap = heap;
	forget(session);
	return true;
}

bool lab_session_heap(struct lab_session *session, size_t size, enum acre_policy policy)
{
	if (!replace_heap(session, size, policy))
		return false;
	add_op(session, LAB_HEAP, LAB_NOBODY, size);
	return true;
}

bool lab_session_begin(struct lab_session *session, size_t size, enum acre_policy policy)
{
	*session = (struct lab_session){ 0 };
	return lab_session_heap(session, size, policy);
}

void lab_session_end(struct lab_session *session)
{
	lab_heap_close(&session->heap);
	free(session->items);
	free(session->ops);
}

/* The block's size at this offset, tag included. */
static size_t size_at(const struct lab_session *session, size_t offset)
{
	return acre_usable_size(session->heap.arena, lab_heap_payload(&session->heap, offset)) +
	       LAB_TAG;
}

static void count(struct lab_session *session, size_t size, size_t asked)
{
	session->live += size;
	session->asked += asked;
	if (session->live > session->peak)
		session->peak = session->live;
}

static void uncount(struct lab_session *session, size_t size, size_t asked)
{
	session->live -= size;
	session->asked -= asked;
}

static void look_before(struct lab_session *session, struct lab_change *change, size_t was,
			size_t asked)
{
	if (!change)
		return;
	change->was = was;
	change->asked = asked;
	change->place = session->place;
	change->steps = lab_heap_steps(&session->heap);
	lab_heap_look(&session->heap, &change->before);
}

static void look_after(struct lab_session *session, struct lab_change *change, size_t now)
{
	if (!change)
		return;
	change->op = session->ops[session->op_count - 1];
	change->now = now;
	change->steps = lab_heap_steps(&session->heap) - change->steps;
	lab_heap_look(&session->heap, &change->after);
}

void lab_change_end(struct lab_change *change)
{
	free(change->before.blocks);
	free(change->after.blocks);
}

void lab_session_allocate(struct lab_session *session, size_t size, struct lab_change *change)
{
	struct lab_op *op = add_op(session, LAB_ALLOCATE, LAB_NOBODY, size);
	size_t offset;

	look_before(session, change, LAB_NOWHERE, 0);
	offset = lab_heap_allocate(&session->heap, size);
	session->requests++;
	if (offset == LAB_NOWHERE) {
		op->refused = true;
		session->refused++;
	} else {
		op->block = session->item_count;
		session->items = lab_grown(session->items, session->item_count,
					   &session->item_room, sizeof(*session->items));
		session->items[session->item_count++] = (struct lab_item){ size, offset, true };
		mark(session, op->block);
		session->place = offset + size_at(session, offset);
		count(session, size_at(session, offset), size);
	}
	look_after(session, change, offset);
}

void lab_session_free(struct lab_session *session, size_t block, struct lab_change *change)
{
	struct lab_item *item = &session->items[block];

	add_op(session, LAB_FREE, block, 0);
	look_before(session, change, item->offset, item->asked);
	uncount(session, size_at(session, item->offset), item->asked);
	lab_heap_free(&session->heap, item->offset);
	item->live = false;
	look_after(session, change, LAB_NOWHERE);
}

/* A size that isn't 0, which would be a free. */
void lab_session_resize(struct lab_session *session, size_t block, size_t size,
			struct lab_change *change)
{
	struct lab_item *item = &session->items[block];
	struct lab_op *op = add_op(session, LAB_RESIZE, block, size);
	size_t had = size_at(session, item->offset);
	size_t offset;

	look_before(session, change, item->offset, item->asked);
	offset = lab_heap_reallocate(&session->heap, item->offset, size);
	session->requests++;
	if (offset == LAB_NOWHERE) {
		op->refused = true;
		session->refused++;
	} else {
		if (offset != item->offset)
			session->place = offset + size_at(session, offset);
		uncount(session, had, item->asked);
		count(session, size_at(session, offset), size);
		item->offset = offset;
		item->asked = size;
		mark(session, block);
	}
	look_after(session, change, offset);
}

size_t lab_session_first(const struct lab_session *session)
{
	size_t first = session->op_count;

	while (session->ops[first - 1].verb != LAB_HEAP)
		first--;
	return first;
}

void lab_session_again(struct lab_session *session, const struct lab_op *op, size_t *blocks)
{
	size_t block = op->block;

	if (op->verb == LAB_ALLOCATE) {
		lab_session_allocate(session, op->size, NULL);
		if (blocks && block != LAB_NOBODY)
			blocks[block] = session->ops[session->op_count - 1].block;
		return;
	}
	if (blocks)
		block = blocks[block];
	if (block == LAB_NOBODY)
		return;
	if (op->verb == LAB_FREE)
		lab_session_free(session, block, NULL);
	else
		lab_session_resize(session, block, op->size, NULL);
}

/* The last operation that changed the heap, and isn't the first of all; 0 if there's none. */
static size_t last_change(const struct lab_session *session)
{
	size_t i = session->op_count - 1;

	while (i && session->ops[i].refused)
		i--;
	return i;
}

bool lab_session_undo(struct lab_session *session, struct lab_op *first, size_t *undone)
{
	size_t cut = last_change(session);
	size_t total = session->op_count;
	size_t heap;
	uint32_t command = session->ops[cut].command;

	errno = 0;
	if (!cut)
		return false;
	*undone = 0;
	while (cut && session->ops[cut].command == command) {
		*undone += 1;
		cut--;
	}
	cut++;
	*first = session->ops[cut];

	/* A heap is made anew, and what was done to it is done again. */
	session->op_count = cut;
	heap = lab_session_first(session) - 1;
	if (!replace_heap(session, session->ops[heap].size, session->ops[heap].policy)) {
		session->op_count = total;
		return false;
	}
	session->op_count = heap + 1;
	for (size_t i = heap + 1; i < cut; i++) {
		struct lab_op op = session->ops[i];

		session->command = op.command;
		lab_session_again(session, &op, NULL);
	}
	return true;
}
