/*
 * Model: see model.h. What a walk sees is in view.c.
 */
#include "model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"
#include "shadow.h"
#include "view.h"

#define GUARD_BYTES	((size_t)8 << 10)
#define BUFFER_BYTES	((size_t)4 << 20)	/* the most that an arena in a buffer has */
#define PLOT_BYTES	((size_t)40 << 10)	/* the most that a thread's plot takes: acre.h */
#define REPORT_BYTES	((size_t)64 << 10)	/* of use that a plot may not have told of yet */

struct model model;
struct where where;

void model_fault(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "fuzz: step %u (%s, worker %u, arena %u): ", where.step,
		where.verb ? where.verb : "end", where.worker, where.land);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

/*
 * Content.
 */
#define CHUNK		((size_t)64 << 10)
#define SHIFTS		4096u
#define EDGE_BYTES	((size_t)64)
#define TAIL_BYTES	((size_t)16)

static unsigned char noise[CHUNK + SHIFTS + GUARD_BYTES];

static void make_noise(void)
{
	uint64_t x = 88172645463325252u;

	for (size_t i = 0; i < sizeof(noise); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		/* No zeros, or a page that was cleared might pass. */
		noise[i] = (unsigned char)(x % 255 + 1);
	}
}

/*
 * The n-th stretch of a block's first `bytes` that holds the pattern: *offset and its length. What
 * it is doesn't depend on bytes, or a block that has grown couldn't be verified. 0 at the end.
 */
static size_t stretch(size_t n, size_t bytes, size_t *offset)
{
	size_t length = n ? EDGE_BYTES : CHUNK;

	*offset = n ? CHUNK + n * 4096 - EDGE_BYTES / 2 + 8 : 0;
	/* Of what lies beyond a megabyte, the ends of each 16th page. */
	if (*offset > (size_t)1 << 20)
		*offset += (*offset - ((size_t)1 << 20)) / 4096 * 15 * 4096;
	if (*offset >= bytes)
		return 0;
	return length < bytes - *offset ? length : bytes - *offset;
}

static const unsigned char *pattern(uint32_t id, size_t n)
{
	return noise + (id * 2654435761u + (uint32_t)n * 40503u) % SHIFTS;
}

/* A large block's last bytes have a pattern of their own. */
static size_t tail_of(size_t bytes)
{
	return bytes < CHUNK + TAIL_BYTES ? 0 : TAIL_BYTES;
}

static void fill(unsigned char *block, size_t bytes, uint32_t id)
{
	size_t offset, length;

	size_t body = bytes - tail_of(bytes);

	for (size_t n = 0; (length = stretch(n, body, &offset)); n++) {
		memcpy(block + offset, pattern(id, n), length);
		model.bytes += length;
	}
	memcpy(block + body, pattern(id, SIZE_MAX), bytes - body);
}

static void verify_stretch(const unsigned char *block, size_t offset, size_t length,
			   const unsigned char *wanted, const char *when)
{
	size_t i = 0;

	model.bytes += length;
	if (!memcmp(block + offset, wanted, length))
		return;
	while (block[offset + i] == wanted[i])
		i++;
	model_fault("%s: byte %zu of the block at %p is %#x, should be %#x", when, offset + i,
		    (const void *)block, block[offset + i], wanted[i]);
}

/* The first so many bytes, of which a large block's last may have been others. */
static void verify_body(const unsigned char *block, size_t bytes, uint32_t id, const char *when)
{
	size_t offset, length;

	for (size_t n = 0; (length = stretch(n, bytes, &offset)); n++)
		verify_stretch(block, offset, length, pattern(id, n), when);
}

void model_verify(const struct piece *piece)
{
	size_t tail = tail_of(piece->usable);
	size_t body = piece->usable - tail;

	verify_body(piece->block, body, piece->id, "content");
	verify_stretch(piece->block, body, tail, pattern(piece->id, SIZE_MAX), "content");
}

/* Of a very large block the first megabytes, and the last bytes. */
void model_zero(const void *block, size_t bytes)
{
	const unsigned char *at = block;
	size_t most = bytes < BUFFER_BYTES ? bytes : BUFFER_BYTES;

	model.bytes += most;
	if (bytes && (at[0] || memcmp(at, at + 1, most - 1))) {
		size_t i = 0;

		while (!at[i])
			i++;
		model_fault("calloc: byte %zu of %zu at %p is %#x", i, bytes, block, at[i]);
	}
	for (size_t i = bytes - most < EDGE_BYTES ? bytes - most : EDGE_BYTES; i; i--)
		must(!at[bytes - i], "calloc: byte %zu of %zu at %p is %#x", bytes - i, bytes,
		     block, at[bytes - i]);
}

/*
 * Arenas.
 */
static unsigned char *buffers[PLAY_ARENAS];

void model_begin(void)
{
	if (!noise[0]) {
		make_noise();
		for (unsigned i = 0; i < PLAY_ARENAS; i++)
			buffers[i] = os_memory(BUFFER_BYTES + 4 * GUARD_BYTES);
	}
	model.count = 0;
	model.last_id = 0;
	model.bytes = 0;
	memset(model.lands, 0, sizeof(model.lands));
	memset(&where, 0, sizeof(where));
}

/* G1: the bytes on either side of a caller's buffer are as they were. */
static void verify_guards(const struct land *land)
{
	if (!land->memory)
		return;
	must(!memcmp(land->memory - GUARD_BYTES, noise, GUARD_BYTES),
	     "G1: bytes before the buffer at %p were written", (void *)land->memory);
	must(!memcmp(land->memory + land->size, noise, GUARD_BYTES),
	     "G1: bytes behind the buffer at %p, of %zu bytes, were written", (void *)land->memory,
	     land->size);
}

/* What an earlier play left in a buffer must not matter: all of it is something else than zeros. */
static void lay_buffer(struct land *land, unsigned number, size_t offset)
{
	land->memory = buffers[number] + GUARD_BYTES + offset;
	memset(land->memory, 0xa5, land->size);
	memcpy(land->memory - GUARD_BYTES, noise, GUARD_BYTES);
	memcpy(land->memory + land->size, noise, GUARD_BYTES);
	model.bytes += land->size;
}

static struct acre *create(const struct land *land)
{
	struct acre *arena;

	errno = 0;
	os.creating = true;
	arena = land->memory ? acre_create_at(land->memory, land->size, &land->options) :
			       acre_create(land->size, &land->options);
	os.creating = false;
	return arena;
}

/* How many blocks an arena is where all of it is free: of buddies, one for each bit of its size. */
static size_t whole_blocks(const struct land *land)
{
	size_t granules = (view.free_bytes + view.free_blocks * 8) / 16;

	return land->options.policy == ACRE_BUDDY ? (size_t)__builtin_popcountll(granules) : 1;
}

bool model_create(unsigned number, const struct acre_options *options, size_t size, bool in_buffer,
		  size_t offset)
{
	struct land *land = &model.lands[number];
	unsigned refused = os.refused;
	struct acre_stats stats;

	*land = (struct land){ .options = *options, .size = size };
	if (in_buffer) {
		land->size = size < BUFFER_BYTES ? size : BUFFER_BYTES;
		lay_buffer(land, number, offset % GUARD_BYTES);
	}
	land->arena = create(land);
	if (!land->arena && errno == EINVAL) {
		must(options->policy != ACRE_FIRST_FIT, "no arena of %zu bytes: %s", land->size,
		     strerror(errno));
		land->options.policy = ACRE_FIRST_FIT;
		land->arena = create(land);
	}
	if (!land->arena) {
		must(errno == ENOMEM && os.refused != refused, "no arena of %zu bytes: %s",
		     land->size, strerror(errno));
		return false;
	}
	acre_stats(land->arena, &stats);
	must(stats.size <= land->size && stats.size + 64 > land->size, "acre_stats: size is %zu",
	     stats.size);
	land->range = stats.size;
	land->tiled = options->flags & ACRE_NO_CACHE || land->range < (size_t)1 << 20;
	view_walk(number);
	land->first_free = view.free_blocks;
	land->first_bytes = view.free_bytes;
	must(view.free_blocks && view.count == view.free_blocks, "%zu blocks in a new arena",
	     view.count);
	must(view.free_blocks == whole_blocks(land), "%zu free blocks in a new arena",
	     view.free_blocks);
	return true;
}

/* No byte that was the arena's stays poisoned for who has it next. */
static void verify_shown(const struct land *land)
{
#ifdef ACRE_UNDER_ASAN
	size_t most = land->range < 2 * BUFFER_BYTES ? land->range : 2 * BUFFER_BYTES;
	const void *hidden = __asan_region_is_poisoned(land->arena, most);

	must(!hidden, "after acre_destroy() byte %p of the arena at %p is poisoned", hidden,
	     (void *)land->arena);
#endif
	(void)land;
}

void model_destroy(unsigned number)
{
	struct land *land = &model.lands[number];

	for (size_t i = 0; i < model.count; i++)
		if (model.pieces[i].land == number)
			model.pieces[i].block = NULL;
	model_tidy();
	must(acre_destroy(land->arena) == 0, "acre_destroy: %s", strerror(errno));
	verify_guards(land);
	verify_shown(land);
	if (land->memory) {
		errno = 0;
		must(acre_destroy(land->arena) == -1 && errno == EINVAL, "destroyed twice");
	}
	land->arena = NULL;
}

void model_join(unsigned number, unsigned worker)
{
	struct land *land = &model.lands[number];
	unsigned count;

	land->joined |= 1u << worker;
	count = (unsigned)__builtin_popcount(land->joined);
	if (count > land->most_joined)
		land->most_joined = count;
}

void model_leave(unsigned worker, bool heard)
{
	for (unsigned i = 0; i < PLAY_ARENAS; i++) {
		model.lands[i].joined &= ~(1u << worker);
		model.lands[i].unflushed |= !heard;
	}
}

/*
 * Blocks.
 */
static void note_use(struct land *land, size_t within)
{
	if (land->live_bytes > land->peak)
		land->peak = land->live_bytes;
	if (land->live_bytes + within > land->peak_within)
		land->peak_within = land->live_bytes + within;
}

/* What is so of every block that a call returns; its usable size. */
static size_t accept(const struct land *land, const void *block, size_t size, size_t alignment)
{
	uintptr_t start = (uintptr_t)land->arena;
	uintptr_t address = (uintptr_t)block;
	size_t usable;

	must(address % 16 == 0, "%p isn't aligned to 16", block);
	must(address % alignment == 0, "%p isn't aligned to %zu", block, alignment);
	must(address > start && address - start < land->size, "%p isn't in the arena", block);
	usable = acre_usable_size(land->arena, block);
	must(usable >= size && usable >= 8, "%p has %zu usable bytes, %zu were asked for", block,
	     usable, size);
	must(usable <= land->size - (address - start), "%p has %zu bytes, beyond the arena", block,
	     usable);
	must(!land->memory || usable <= land->size - (address - (uintptr_t)land->memory),
	     "%p has %zu bytes, beyond the buffer", block, usable);
	return usable;
}

static void set_piece(struct piece *piece, void *block, size_t size, size_t usable)
{
	piece->block = block;
	piece->asked = size;
	piece->usable = usable;
	piece->id = ++model.last_id;
	fill(piece->block, usable, piece->id);
}

void model_took(unsigned number, void *block, size_t size, size_t alignment)
{
	struct land *land = &model.lands[number];
	struct piece *piece = &model.pieces[model.count++];
	size_t usable = accept(land, block, size, alignment);

	piece->land = number;
	set_piece(piece, block, size, usable);
	land->live_blocks++;
	land->live_bytes += usable;
	note_use(land, 0);
}

void model_moved(struct piece *piece, void *block, size_t size)
{
	struct land *land = &model.lands[piece->land];
	size_t usable = accept(land, block, size, 16);
	size_t body = piece->usable - tail_of(piece->usable);

	verify_body(block, body < size ? body : size, piece->id, "realloc");
	if (size >= piece->usable)
		verify_stretch(block, body, piece->usable - body, pattern(piece->id, SIZE_MAX),
			       "realloc");
	/* For a moment there may have been both. */
	note_use(land, usable);
	land->live_bytes += usable - piece->usable;
	note_use(land, 0);
	set_piece(piece, block, size, usable);
}

void model_refused(unsigned number, size_t size, size_t alignment, const struct piece *piece)
{
	struct land *land = &model.lands[number];

	must(errno == ENOMEM, "%zu bytes were refused with errno %d", size, errno);
	land->refusals++;
	if (!piece)
		return view_refused(number, size, alignment, NULL);
	must(size > piece->usable, "a block of %zu bytes couldn't be made to have %zu",
	     piece->usable, size);
	model_verify(piece);
	view_refused(number, size, alignment, piece->block);
}

struct piece model_drop(size_t number)
{
	struct piece piece = model.pieces[number];
	struct land *land = &model.lands[piece.land];

	model_verify(&piece);
	must(acre_usable_size(land->arena, piece.block) == piece.usable,
	     "%p has %zu usable bytes, had %zu", (void *)piece.block,
	     acre_usable_size(land->arena, piece.block), piece.usable);
	model.pieces[number].block = NULL;
	land->live_blocks--;
	land->live_bytes -= piece.usable;
	return piece;
}

void model_tidy(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < model.count; i++)
		if (model.pieces[i].block)
			model.pieces[kept++] = model.pieces[i];
	model.count = kept;
}

/*
 * All of an arena.
 */
static size_t cache_most(const struct land *land)
{
	size_t most = land->range / 16 < (size_t)1 << 20 ? land->range / 16 : (size_t)1 << 20;

	/* The default's share in the depot comes on top. */
	return land->options.cache_bytes ? land->options.cache_bytes : most + most / 8 * 3;
}

static void verify_stats(const struct land *land)
{
	unsigned joined = (unsigned)__builtin_popcount(land->joined);
	struct acre_stats stats;

	memset(&stats, 0xa5, sizeof(stats));
	acre_stats(land->arena, &stats);
#define AGREE(field, with) \
	must(stats.field == (with), "acre_stats: " #field " is %zu, should be %zu", stats.field, \
	     (size_t)(with))
	AGREE(live_blocks, land->live_blocks);
	AGREE(live_bytes, land->live_bytes);
	AGREE(free_bytes, view.free_bytes);
	AGREE(largest_free, view.largest);
	AGREE(cached_bytes, view.cached_bytes);
	AGREE(refusals, land->refusals);
	AGREE(size, land->range);
#undef AGREE
	must(stats.plots <= joined, "acre_stats: %zu plots, %u threads", stats.plots, joined);
	must(stats.resident_bytes <= stats.size + (size_t)2 * 4096,
	     "acre_stats: %zu bytes are resident", stats.resident_bytes);
	if (land->tiled) {
		must(!stats.plots && !stats.leases && !stats.cached_bytes,
		     "acre_stats: %zu plots, %zu leases, %zu bytes cached in one heap",
		     stats.plots, stats.leases, stats.cached_bytes);
		must(stats.peak_live_bytes >= land->peak && stats.peak_live_bytes <=
								   land->peak_within,
		     "acre_stats: the peak is %zu, should be %zu to %zu", stats.peak_live_bytes,
		     land->peak, land->peak_within);
	}
	must(stats.peak_live_bytes + PLAY_WORKERS * REPORT_BYTES >= land->peak,
	     "acre_stats: the peak is %zu, should be %zu", stats.peak_live_bytes, land->peak);
	must(land->unflushed || !stats.cached_bytes ||
	     (stats.cached_bytes - 1) / cache_most(land) < joined,
	     "acre_stats: %zu bytes in the caches of %u threads, at most %zu each",
	     stats.cached_bytes, joined, cache_most(land));
}

void model_inspect(unsigned number)
{
	const struct land *land = &model.lands[number];
	int faults;

	if (!land->arena)
		return;
	faults = acre_check(land->arena);
	must(faults == 0, "acre_check found %d faults", faults);
	view_walk(number);
	view_compare(number);
	verify_stats(land);
	verify_guards(land);
	must(os.asked == 0, "G1: memory was asked for outside the arena");
	for (size_t i = 0; i < model.count; i++)
		if (model.pieces[i].land == number)
			model_verify(&model.pieces[i]);
}

void model_whole(unsigned number)
{
	struct land *land = &model.lands[number];
	size_t plots;
	void *block;

	if (!land->arena)
		return;
	/* The caller has its plot before, which may come out of the free block. */
	if (!land->tiled) {
		model_join(number, 0);
		acre_flush(land->arena);
		acre_free(land->arena, acre_malloc(land->arena, 1));
		acre_flush(land->arena);
	}
	model_inspect(number);
	plots = land->tiled ? 0 : land->most_joined * PLOT_BYTES;
	must(view.count == view.free_blocks && view.free_blocks == whole_blocks(land),
	     "G4: %zu blocks, of which %zu free and %zu cached, where all was freed",
	     view.count, view.free_blocks, view.cached_blocks);
	must(view.free_bytes <= land->first_bytes && view.free_bytes + plots >= land->first_bytes,
	     "G4: %zu bytes are free, at first it was %zu", view.free_bytes, land->first_bytes);
	block = acre_malloc(land->arena, view.largest);
	must(block && acre_usable_size(land->arena, block) >= view.largest,
	     "the largest free block, of %zu bytes, can't be had", view.largest);
	must(!acre_malloc(land->arena, view.largest + 1), "%zu bytes are more than there is",
	     view.largest + 1);
	land->refusals++;
	acre_free(land->arena, block);
}
