/*
 * Queue: see queue.h.
 */
#include "queue.h"

#include <string.h>

#include "commons.h"
#include "dirt.h"
#include "guard.h"
#include "plot.h"
#include "report.h"

#define CHUNK_LEAST	((size_t)256)
#define CHUNK_MOST	((size_t)4096)
#define AHEAD		16u		/* tags to fetch before they're looked at */

struct chunk {
	uint64_t next;
	uint32_t high;			/* half of the places */
	uint32_t room, count, taken;
	uint32_t places[];
};

static struct chunk *chunk_at(struct acre *arena, uint64_t at)
{
	return payload_at(arena_base(arena), at);
}

static uint64_t chunk_place(const struct chunk *chunk, uint32_t i)
{
	return (uint64_t)chunk->high << 32 | chunk->places[i];
}

uint64_t queue_chunk(size_t arena_size)
{
	size_t bytes = arena_size / 1024;

	bytes = bytes < CHUNK_LEAST ? CHUNK_LEAST : bytes > CHUNK_MOST ? CHUNK_MOST : bytes;
	return bytes / GRANULE;
}

/* A block for a chunk; 0 if there's no room. */
static uint64_t take_block(struct acre *arena, struct plot *plot)
{
	uint64_t granules = arena_block(arena, queue_chunk(arena->size), 0);
	uint64_t at;

	if (arena->guard.kinds)
		return guard_place(arena, queue_chunk(arena->size) * GRANULE, 0);
	at = plot ? plot_take_more(arena, plot, granules, 0) : 0;
	if (!at) {
		lock_take(&arena->lock);
		at = commons_take(arena, granules, 0);
		lock_drop(&arena->lock);
	}
	return at;
}

/* Another chunk at the end, for places with this high half. */
static struct chunk *add_chunk(struct acre *arena, struct plot *plot, struct queue *queue,
			       uint32_t high)
{
	uint64_t at = take_block(arena, plot);
	struct chunk *chunk;
	uint64_t bytes, room;

	if (!at)
		return NULL;
	chunk = chunk_at(arena, at);
	bytes = payload_bytes(tag_size(tag_at(arena_base(arena), at)));
	room = arena->guard.kinds ? guard_request(arena, chunk, "free_rcu") : bytes;
	tag_set_state(tag_at(arena_base(arena), at), TAG_WAITING);
	SHADOW_SHOW(chunk, bytes);
	dirt_mark(arena, at, tag_size(tag_at(arena_base(arena), at)));
	*chunk = (struct chunk){
		.high = high,
		.room = (uint32_t)((room - sizeof(*chunk)) / sizeof(*chunk->places)),
	};
	if (queue->last)
		chunk_at(arena, queue->last)->next = at;
	else
		queue->first = at;
	queue->last = at;
	queue->chunks++;
	queue->chunk_bytes += bytes;
	return chunk;
}

unsigned queue_add(struct acre *arena, struct plot *plot, struct queue *queue, uint32_t high,
		   const uint32_t *places, unsigned count)
{
	struct chunk *chunk = queue->last ? chunk_at(arena, queue->last) : NULL;
	unsigned done = 0;

	while (done < count) {
		unsigned n = count - done;

		if (!chunk || chunk->count == chunk->room || chunk->high != high) {
			chunk = add_chunk(arena, plot, queue, high);
			if (!chunk)
				break;
		}
		if (n > chunk->room - chunk->count)
			n = chunk->room - chunk->count;
		memcpy(chunk->places + chunk->count, places + done, n * sizeof(*places));
		chunk->count += n;
		done += n;
	}
	queue->added += done;
	return done;
}

void queue_mark(struct queue *queue, uint64_t number)
{
	queue->stale = queue->due;
	queue->seen = queue->freed;
	queue->marked = queue->added;
	queue->number = number;
}

uint64_t queue_stale(const struct queue *queue)
{
	uint64_t left = queue->stale - queue->freed;

	return queue->stale > queue->freed && left > 64 * (queue->freed - queue->seen) ?
		       queue->stale : 0;
}

static unsigned chunk_holds(const struct chunk *chunk)
{
	return chunk->count - chunk->taken;
}

void queue_ripen(struct acre *arena, struct queue *queue, uint64_t number)
{
	if (queue->number <= number)
		queue->due = queue->marked;
	while (queue->first) {
		uint64_t at = queue->first;
		struct chunk *chunk = chunk_at(arena, at);

		if (!chunk->next || queue->front + chunk_holds(chunk) > queue->due)
			return;
		queue->front += chunk_holds(chunk);
		queue->first = chunk->next;
		chunk->next = queue->ripe;
		queue->ripe = at;
	}
}

uint64_t queue_expect(char *base, uint64_t at, uint32_t key)
{
	const struct tag *tag = tag_at(base, at);
	uint64_t size = tag_size(tag);

	if (tag_face(tag) != face_of(at, size, TAG_WAITING, tag_plot(tag), key))
		report_misuse("free_rcu", payload_at(base, at),
			      "it was handed in or freed by two threads at once, or its tag was "
			      "overwritten while it waited for a grace period");
	return payload_bytes(size);
}

bool queue_run(struct acre *arena, const struct queue *queue, uint64_t until, struct run *run)
{
	const struct chunk *chunk;
	uint64_t most = BATCH_MOST - 1;

	if (queue->freed >= until)
		return false;
	chunk = chunk_at(arena, queue->ripe ? queue->ripe : queue->first);
	if (most > until - queue->freed)
		most = until - queue->freed;
	run->high = (uint64_t)chunk->high << 32;
	run->count = chunk_holds(chunk);
	if (run->count > most)
		run->count = (unsigned)most;
	run->places = queue->ripe ? chunk->places + chunk->count - run->count :
				    chunk->places + chunk->taken;
	return run->count != 0;
}

/* The chunk on top of the pile has lost its newest blocks; as queue_leave(). */
static uint64_t leave_pile(struct acre *arena, struct queue *queue, unsigned count)
{
	uint64_t at = queue->ripe;
	struct chunk *chunk = chunk_at(arena, at);

	chunk->count -= count;
	if (chunk_holds(chunk))
		return 0;
	queue->ripe = chunk->next;
	return at;
}

/* The first chunk of the queue has lost its oldest. */
static uint64_t leave_front(struct acre *arena, struct queue *queue, unsigned count)
{
	uint64_t at = queue->first;
	struct chunk *chunk = at ? chunk_at(arena, at) : NULL;

	if (!chunk)
		return 0;
	chunk->taken += count;
	queue->front += count;
	if (chunk_holds(chunk))
		return 0;
	queue->first = chunk->next;
	if (!queue->first)
		queue->last = 0;
	return at;
}

uint64_t queue_leave(struct acre *arena, struct queue *queue, unsigned count, uint64_t bytes)
{
	uint64_t at = queue->ripe ? leave_pile(arena, queue, count) :
				    leave_front(arena, queue, count);

	queue->freed += count;
	queue->bytes -= bytes;
	if (!at)
		return 0;
	queue->chunks--;
	queue->chunk_bytes -= queue_expect(arena_base(arena), at, arena->key);
	tag_set_state(tag_at(arena_base(arena), at), TAG_LIVE);
	return at;
}

unsigned queue_take(struct acre *arena, struct queue *queue, uint64_t until, uint64_t *places)
{
	char *base = arena_base(arena);
	struct run run = { 0 };
	uint64_t bytes = 0;
	uint64_t chunk;
	unsigned n = 0;

	queue_run(arena, queue, until, &run);
	for (; n < run.count; n++) {
		if (n + AHEAD < run.count)
			__builtin_prefetch(tag_at(base, run.high | run.places[n + AHEAD]), 1);
		places[n] = run.high | run.places[n];
		bytes += queue_expect(base, places[n], arena->key);
		tag_set_state(tag_at(base, places[n]), TAG_LIVE);
	}
	chunk = queue_leave(arena, queue, n, bytes);
	if (chunk)
		places[n++] = chunk;
	return n;
}

void queue_count(const struct queue *queue, size_t *blocks, size_t *bytes)
{
	*blocks += queue->added - queue->freed + queue->chunks;
	*bytes += queue->bytes + queue->chunk_bytes;
}

static int fault(const struct acre *arena, uint64_t at, const char *what)
{
	struct line line = { 0 };

	line_text(&line, "check: block ");
	line_address(&line, payload_at(arena_base(arena), at));
	line_text(&line, ": ");
	line_text(&line, what);
	report(&line);
	return 1;
}

static bool waits(struct acre *arena, uint64_t at)
{
	char *base = arena_base(arena);

	return at < arena->size / GRANULE && tag_state(tag_at(base, at)) == TAG_WAITING &&
	       tag_sound(base, at, arena->key);
}

/* The same of a list of chunks; adds the blocks in them. */
static int check_chunks(struct acre *arena, uint64_t at, uint64_t *blocks)
{
	int faults = 0;

	for (; at; at = chunk_at(arena, at)->next) {
		const struct chunk *chunk = chunk_at(arena, at);

		if (!waits(arena, at))
			return fault(arena, at, "a queue links to it as a chunk, but it's none");
		for (uint32_t i = chunk->taken; i < chunk->count; i++)
			if (!waits(arena, chunk_place(chunk, i)))
				faults += fault(arena, chunk_place(chunk, i),
						"its tag isn't that of a block that waits, but a "
						"queue holds it");
		*blocks += chunk_holds(chunk);
	}
	return faults;
}

int queue_check(struct acre *arena, const struct queue *queue)
{
	uint64_t blocks = 0;
	int faults = check_chunks(arena, queue->first, &blocks);

	faults += check_chunks(arena, queue->ripe, &blocks);
	if (!faults && blocks != queue->added - queue->freed)
		faults += fault(arena, queue->first, "the queue that begins here counts other "
						     "blocks than it holds");
	return faults;
}
