/*
 * Walk: every block of an arena, in address order.
 *
 * A block of the commons that is a lease is passed over for the blocks inside it. Their plot's lock
 * precedes that of the commons (lock.h), so the walk can't wait for it with the commons in hand. It
 * tries; where the plot is busy, it lets the commons go, waits, and then looks for its place anew.
 */
#include "arena.h"
#include "plot.h"

struct walk {
	struct acre *arena;
	int (*visit)(const struct acre_block *, void *);
	void *user;
	uint64_t done;		/* places below this have been visited */
	uint32_t busy;		/* the plot to wait for, 0 = none */
	uint32_t held;		/* the plot whose lock is held, 0 = none */
};

static int visit_block(struct walk *walk, uint64_t at)
{
	char *base = arena_base(walk->arena);
	const struct tag *tag = tag_at(base, at);
	enum tag_state state = tag_state(tag);
	struct acre_block block = {
		.address = payload_at(base, at),
		.size = payload_bytes(tag_size(tag)),
		.state = state == TAG_FREE ? ACRE_FREE :
			 state == TAG_LIVE ? ACRE_LIVE :
			 state == TAG_CACHED ? ACRE_CACHED : ACRE_WAITING,
		.plot = tag_plot(tag),
	};

	walk->done = at + tag_size(tag);
	return walk->visit(&block, walk->user);
}

/* The blocks of a heap from walk->done on, under its lock. */
static int walk_heap(struct walk *walk, const struct heap *heap)
{
	char *base = arena_base(walk->arena);
	int result = 0;

	for (uint64_t at = heap->start; at < heap->end && !result; at += tag_size(tag_at(base, at)))
		if (at >= walk->done)
			result = visit_block(walk, at);
	return result;
}

/* The blocks in the lease at `at`, if its plot's lock is to be had. */
static int walk_lease(struct walk *walk, uint64_t at)
{
	char *base = arena_base(walk->arena);
	uint32_t id = tag_plot(tag_at(base, at));
	struct plot *plot = plot_at(walk->arena, id);
	int result;

	if (id != walk->held && !lock_try(&plot->lock)) {
		walk->busy = id;
		return 0;
	}
	result = walk_heap(walk, &((struct lease *)payload_at(base, at))->heap);
	walk->done = at + tag_size(tag_at(base, at));
	if (id != walk->held)
		lock_drop(&plot->lock);
	return result;
}

/* The commons from walk->done on, until the end or a busy plot. */
static int walk_commons(struct walk *walk)
{
	char *base = arena_base(walk->arena);
	const struct heap *heap = &walk->arena->commons;
	int result = 0;

	for (uint64_t at = heap->start; at < heap->end && !result && !walk->busy;
	     at += tag_size(tag_at(base, at))) {
		if (tag_state(tag_at(base, at)) == TAG_LEASE) {
			if (at + tag_size(tag_at(base, at)) > walk->done)
				result = walk_lease(walk, at);
		} else if (at >= walk->done) {
			result = visit_block(walk, at);
		}
	}
	return result;
}

int acre_walk(struct acre *arena, int (*visit)(const struct acre_block *, void *), void *user)
{
	struct walk walk = { .arena = arena, .visit = visit, .user = user };
	int result;

	do {
		struct plot *plot = walk.busy ? plot_at(arena, walk.busy) : NULL;

		if (plot)
			lock_take(&plot->lock);
		walk.held = walk.busy;
		walk.busy = 0;
		lock_take(&arena->lock);
		result = walk_commons(&walk);
		lock_drop(&arena->lock);
		if (plot)
			lock_drop(&plot->lock);
	} while (walk.busy && !result);
	return result;
}
