/*
 * Depot: see depot.h.
 */
#include "depot.h"

#include <string.h>

#include "arena.h"
#include "report.h"

#define CHUNKS_MOST	1024u	/* 128 KiB, if all are in use */

struct chunk {
	uint16_t below;		/* the next chunk of the class, or the next spare one; 0 = none */
	uint16_t count;
	void *block[DEPOT_CHUNK];
};

static struct chunk *chunk_at(struct acre *arena, unsigned number)
{
	return (struct chunk *)(arena_base(arena) + arena->depot.chunks) + number - 1;
}

size_t depot_size(size_t arena_size)
{
	size_t chunks = arena_size / 64 / 1024;

	return (chunks < CHUNKS_MOST ? chunks : CHUNKS_MOST) * sizeof(struct chunk);
}

void depot_init(struct acre *arena, size_t offset, size_t size)
{
	arena->depot.chunks = size ? offset : 0;
	arena->depot.chunks_most = (uint32_t)(size / sizeof(struct chunk));
}

void depot_threads(struct acre *arena, int change)
{
	atomic_fetch_add_explicit(&arena->depot.threads, (uint32_t)change, memory_order_relaxed);
}

/* Bytes that it may hold now. */
static size_t bytes_now(const struct acre *arena)
{
	const struct depot *depot = &arena->depot;
	size_t shares = depot->share * atomic_load_explicit(&depot->threads, memory_order_relaxed);

	return shares < depot->bytes_most ? shares : depot->bytes_most;
}

size_t depot_count(const struct acre *arena)
{
	return atomic_load_explicit(&arena->depot.blocks, memory_order_relaxed);
}

bool depot_stirs(struct acre *arena)
{
	size_t count;

	if (!arena->depot.chunks)
		return false;
	if (!lock_try(&arena->depot.lock))
		return true;
	count = depot_count(arena);
	lock_drop(&arena->depot.lock);
	return count != 0;
}

bool depot_over(const struct acre *arena)
{
	return atomic_load_explicit(&arena->depot.bytes, memory_order_relaxed) > bytes_now(arena);
}

/* Written under the lock alone. */
static unsigned top_of(const struct acre *arena, unsigned class)
{
	return atomic_load_explicit(&arena->depot.top[class], memory_order_relaxed);
}

static void set_top(struct acre *arena, unsigned class, unsigned number)
{
	atomic_store_explicit(&arena->depot.top[class], (uint16_t)number, memory_order_relaxed);
}

bool depot_has(const struct acre *arena, unsigned class)
{
	return top_of(arena, class) != 0;
}

/* So many blocks of a class came, or went. */
static void account(struct acre *arena, unsigned class, int change)
{
	struct depot *depot = &arena->depot;
	int bytes = change * (int)payload_bytes(arena->plan.granules[class]);

	atomic_store_explicit(&depot->blocks,
			      atomic_load_explicit(&depot->blocks, memory_order_relaxed) +
				      (size_t)change, memory_order_relaxed);
	atomic_store_explicit(&depot->bytes,
			      atomic_load_explicit(&depot->bytes, memory_order_relaxed) +
				      (size_t)bytes, memory_order_relaxed);
}

/* Whether so many blocks of a class may come. */
static bool has_room(struct acre *arena, unsigned class, unsigned count)
{
	size_t bytes = atomic_load_explicit(&arena->depot.bytes, memory_order_relaxed);

	return bytes + count * payload_bytes(arena->plan.granules[class]) <= bytes_now(arena);
}

bool depot_crowded(const struct acre *arena)
{
	return !arena->depot.spare && arena->depot.chunks_used == arena->depot.chunks_most;
}

/* An empty chunk on top of a class; NULL if all are in use. */
static struct chunk *new_chunk(struct acre *arena, unsigned class)
{
	struct depot *depot = &arena->depot;
	unsigned number = depot->spare;
	struct chunk *chunk;

	if (number)
		depot->spare = chunk_at(arena, number)->below;
	else if (depot->chunks_used < depot->chunks_most)
		number = ++depot->chunks_used;
	else
		return NULL;
	chunk = chunk_at(arena, number);
	chunk->below = (uint16_t)top_of(arena, class);
	chunk->count = 0;
	set_top(arena, class, number);
	return chunk;
}

/* The chunk on top of a class is empty now. */
static void drop_chunk(struct acre *arena, unsigned class)
{
	struct depot *depot = &arena->depot;
	unsigned number = top_of(arena, class);
	struct chunk *chunk = chunk_at(arena, number);

	set_top(arena, class, chunk->below);
	chunk->below = depot->spare;
	depot->spare = (uint16_t)number;
}

unsigned depot_put(struct acre *arena, unsigned class, void *const *blocks, unsigned count)
{
	unsigned done = 0;

	if (!has_room(arena, class, count))
		return 0;
	while (done < count) {
		unsigned top = top_of(arena, class);
		struct chunk *chunk = top ? chunk_at(arena, top) : NULL;
		unsigned n;

		if (!chunk || chunk->count == DEPOT_CHUNK)
			chunk = new_chunk(arena, class);
		if (!chunk)
			break;
		n = DEPOT_CHUNK - chunk->count;
		n = n < count - done ? n : count - done;
		memcpy(chunk->block + chunk->count, blocks + done, n * sizeof(*blocks));
		chunk->count = (uint16_t)(chunk->count + n);
		done += n;
	}
	account(arena, class, (int)done);
	return done;
}

unsigned depot_get(struct acre *arena, unsigned class, void **blocks, unsigned most)
{
	unsigned done = 0;

	while (done < most && top_of(arena, class)) {
		struct chunk *chunk = chunk_at(arena, top_of(arena, class));
		unsigned n = chunk->count < most - done ? chunk->count : most - done;

		chunk->count = (uint16_t)(chunk->count - n);
		memcpy(blocks + done, chunk->block + chunk->count, n * sizeof(*blocks));
		done += n;
		if (!chunk->count)
			drop_chunk(arena, class);
	}
	account(arena, class, -(int)done);
	return done;
}

unsigned depot_evict(struct acre *arena, unsigned but, void **blocks, unsigned most)
{
	struct depot *depot = &arena->depot;

	for (unsigned i = 1; i <= CLASSES; i++) {
		unsigned class = (depot->victim + i) % CLASSES;

		if (class == but || !depot_has(arena, class))
			continue;
		depot->victim = (uint16_t)class;
		return depot_get(arena, class, blocks, most);
	}
	return 0;
}

static int fault(const char *what)
{
	struct line line = { 0 };

	line_text(&line, "check: the depot ");
	line_text(&line, what);
	report(&line);
	return 1;
}

int depot_check(struct acre *arena)
{
	struct depot *depot = &arena->depot;
	size_t blocks = 0, bytes = 0;
	int faults = 0;

	for (unsigned class = 1; class < CLASSES; class++)
		for (unsigned n = top_of(arena, class), steps = 0; n; n = chunk_at(arena, n)->below) {
			struct chunk *chunk;

			if (n > depot->chunks_used || steps++ == depot->chunks_used)
				return faults + fault("has a chunk that doesn't exist");
			chunk = chunk_at(arena, n);
			if (!chunk->count || chunk->count > DEPOT_CHUNK)
				return faults + fault("has a chunk with more blocks than fit, or none");
			for (unsigned i = 0; i < chunk->count; i++)
				faults += arena_cached_fault(arena, class, chunk->block[i]);
			blocks += chunk->count;
			bytes += chunk->count * payload_bytes(arena->plan.granules[class]);
		}
	if (blocks != atomic_load_explicit(&depot->blocks, memory_order_relaxed) ||
	    bytes != atomic_load_explicit(&depot->bytes, memory_order_relaxed))
		faults += fault("counts other blocks than it has");
	return faults;
}
