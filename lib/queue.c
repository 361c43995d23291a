/*
 * Queue: see queue.h.
 */
#include "queue.h"

#include "commons.h"
#include "dirt.h"
#include "plot.h"
#include "report.h"

#define CHUNK_LEAST	((size_t)256)
#define CHUNK_MOST	((size_t)4096)
#define AHEAD		8u	/* tags to fetch before they're looked at */

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
static uint64_t take_block(struct acre *arena, struct plot *plot, uint64_t granules)
{
	uint64_t at = plot ? plot_take_more(arena, plot, granules, 0) : 0;

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
	uint64_t at = take_block(arena, plot, queue_chunk(arena->size));
	struct chunk *chunk;
	uint64_t bytes;

	if (!at)
		return NULL;
	chunk = chunk_at(arena, at);
	bytes = payload_bytes(tag_size(tag_at(arena_base(arena), at)));
	tag_set_state(tag_at(arena_base(arena), at), TAG_WAITING);
	SHADOW_SHOW(chunk, bytes);
	dirt_mark(arena, at, tag_size(tag_at(arena_base(arena), at)));
	*chunk = (struct chunk){
		.high = high,
		.room = (uint32_t)((bytes - sizeof(*chunk)) / sizeof(*chunk->places)),
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

bool queue_add(struct acre *arena, struct plot *plot, struct queue *queue, uint64_t at)
{
	struct chunk *chunk = queue->last ? chunk_at(arena, queue->last) : NULL;
	uint32_t high = (uint32_t)(at >> 32);

	if (!chunk || chunk->count == chunk->room || chunk->high != high) {
		chunk = add_chunk(arena, plot, queue, high);
		if (!chunk)
			return false;
	}
	chunk->places[chunk->count++] = (uint32_t)at;
	queue->added++;
	queue->bytes += payload_bytes(tag_size(tag_at(arena_base(arena), at)));
	return true;
}

void queue_mark(struct queue *queue, uint64_t number)
{
	queue->stale = queue->due;
	queue->marked = queue->added;
	queue->number = number;
}

void queue_ripen(struct queue *queue, uint64_t number)
{
	if (queue->number <= number)
		queue->due = queue->marked;
}

/* A block that leaves the queue is as live. Its payload's bytes. */
static uint64_t awake(struct acre *arena, uint64_t at)
{
	char *base = arena_base(arena);
	struct tag *tag = tag_at(base, at);
	uint64_t size = tag_size(tag);

	if (tag_face(tag) != face_of(at, size, TAG_WAITING, tag_plot(tag), arena->key))
		report_misuse("free_rcu", payload_at(base, at),
			      "it was handed in or freed by two threads at once, or its tag was "
			      "overwritten while it waited for a grace period");
	tag_set_state(tag, TAG_LIVE);
	return payload_bytes(size);
}

/* The first chunk has been read: it's freed, or the last one begins anew. */
static bool leave_chunk(struct acre *arena, struct queue *queue, bool last)
{
	struct chunk *chunk = chunk_at(arena, queue->first);

	if (!chunk->next && !last) {
		chunk->count = chunk->taken = 0;
		return false;
	}
	queue->first = chunk->next;
	if (!queue->first)
		queue->last = 0;
	return true;
}

unsigned queue_take(struct acre *arena, struct queue *queue, uint64_t until, uint64_t *places,
		    unsigned most, bool last)
{
	char *base = arena_base(arena);
	unsigned n = 0;

	while (queue->first && n < most) {
		uint64_t at = queue->first;
		struct chunk *chunk = chunk_at(arena, at);

		while (chunk->taken < chunk->count && queue->freed < until && n < most) {
			uint64_t place = chunk_place(chunk, chunk->taken);

			if (chunk->taken + AHEAD < chunk->count)
				__builtin_prefetch(tag_at(base, chunk_place(chunk, chunk->taken +
									    AHEAD)), 1);
			queue->bytes -= awake(arena, place);
			places[n++] = place;
			chunk->taken++;
			queue->freed++;
		}
		if (chunk->taken < chunk->count || n == most || !leave_chunk(arena, queue, last))
			break;
		queue->chunks--;
		queue->chunk_bytes -= awake(arena, at);
		places[n++] = at;
	}
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

int queue_check(struct acre *arena, const struct queue *queue)
{
	uint64_t blocks = 0;
	int faults = 0;

	for (uint64_t at = queue->first; at; at = chunk_at(arena, at)->next) {
		const struct chunk *chunk = chunk_at(arena, at);

		if (!waits(arena, at))
			return fault(arena, at, "a queue links to it as a chunk, but it's none");
		for (uint32_t i = chunk->taken; i < chunk->count; i++)
			if (!waits(arena, chunk_place(chunk, i)))
				faults += fault(arena, chunk_place(chunk, i),
						"its tag isn't that of a block that waits, but a "
						"queue holds it");
		blocks += chunk->count - chunk->taken;
	}
	if (blocks != queue->added - queue->freed)
		faults += fault(arena, queue->first, "the queue that begins here counts other "
						     "blocks than it holds");
	return faults;
}
