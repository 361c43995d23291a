/*
 * Guard: see guard.h.
 */
#include "guard.h"

#include <string.h>

#include "commons.h"
#include "dirt.h"
#include "mix.h"
#include "pages.h"
#include "purge.h"
#include "release.h"
#include "report.h"
#include "supply.h"

#define RECORD_BYTES	8u
#define RECORD_REQUEST	24		/* from this bit on */
#define RECORD_PAGED	(UINT64_C(1) << 23)
#define RECORD_HASH	(RECORD_PAGED - 1)
#define PAGES_MOST	16384u		/* each costs two of the 65,530 mappings of a process */
#define FRESH		0xa9		/* in a block just allocated: neither zero nor a pointer */
#define STALE		0xd6		/* in a freed one */
#define GAP_MOST	64u		/* granules left free before a block on fresh land */
#define SPREAD_LEAST	UINT64_C(65536)	/* granules among which a block is placed, at least */

/* The record lies in the last 8 bytes of the payload. */
static uint64_t *record_of(const struct acre *arena, uint64_t at)
{
	char *base = arena_base(arena);

	return (uint64_t *)(base + (at + tag_size(tag_at(base, at))) * GRANULE);
}

UNSHADOWED static uint64_t record_read(const struct acre *arena, uint64_t at)
{
	return *record_of(arena, at);
}

UNSHADOWED static void record_write(const struct acre *arena, uint64_t at, uint64_t record)
{
	*record_of(arena, at) = record;
}

static size_t request_of(uint64_t record)
{
	return record >> RECORD_REQUEST;
}

/* The lowest byte is never zero, which is what most often is written one byte too far. */
static uint64_t record_for(const struct acre *arena, uint64_t at, uint64_t request, uint64_t paged)
{
	uint64_t hash = mixed(request ^ paged ^ at << 40 ^ at >> 24 ^ arena->guard.secret);

	return request << RECORD_REQUEST | paged | (hash & RECORD_HASH) | 1;
}

/* Where the canary ends: at the record, or at the guard page. */
static char *canary_end(const struct acre *arena, uint64_t at, uint64_t record)
{
	char *end = (char *)record_of(arena, at);

	return record & RECORD_PAGED ? end - arena->page * GRANULE : end;
}

static unsigned char canary_of(const struct acre *arena, uint64_t at)
{
	return (unsigned char)(mixed(at ^ arena->guard.secret) | 1);
}

UNSHADOWED static bool all_are(const char *from, const char *end, unsigned char value)
{
	while (from < end && (unsigned char)*from == value)
		from++;
	return from == end;
}

/* What is wrong behind the request of a block; NULL if nothing is. */
static const char *fault_behind(const struct acre *arena, uint64_t at)
{
	uint64_t record = record_read(arena, at);
	const char *block = payload_at(arena_base(arena), at);
	const char *end = canary_end(arena, at, record);

	if (record != record_for(arena, at, request_of(record), record & RECORD_PAGED))
		return "its end was overwritten; look for a write past its end";
	if (!all_are(block + request_of(record), end, canary_of(arena, at)))
		return "bytes behind the request were overwritten; look for a write past its end";
	return NULL;
}

static void expect_whole(const struct acre *arena, uint64_t at, const char *call)
{
	const char *fault = fault_behind(arena, at);
	char *base = arena_base(arena);

	if (fault)
		report_misuse_of(call, payload_at(base, at), tag_size(tag_at(base, at)), 0, fault);
}

size_t guard_request(const struct acre *arena, const void *block, const char *call)
{
	uint64_t at = release_expect(arena, block, call);

	expect_whole(arena, at, call);
	return request_of(record_read(arena, at));
}

/* Below n, which isn't 0. */
static uint64_t roll(struct acre *arena, uint64_t n)
{
	arena->guard.dice += UINT64_C(0x9e3779b97f4a7c15);
	return mixed(arena->guard.dice) % n;
}

/*
 * A hole that begins behind a place rolled among twice the land in use; on fresh land, behind a gap
 * of random size. Its place; 0 if there is none.
 */
static uint64_t take_at_random(struct acre *arena, uint64_t granules)
{
	char *base = arena_base(arena);
	struct heap *commons = &arena->commons;
	uint64_t span = commons->end - commons->start;
	uint64_t spread = 2 * commons->used > SPREAD_LEAST ? 2 * commons->used : SPREAD_LEAST;
	uint64_t from = commons->start + roll(arena, spread < span ? spread : span);
	uint64_t top = commons->fit.top;
	uint64_t at, spare;

	/* Behind the top there's nothing to find. */
	if (top && from > top)
		from = top;
	at = fit_next(base, &commons->fit, granules, from - 1);
	if (!at)
		at = commons_find(arena, granules);
	if (!at)
		return 0;
	spare = tag_size(tag_at(base, at)) - granules;
	if (at != top || !spare)
		return commons_take_at(arena, at, at, granules);
	return commons_take_at(arena, at, at + roll(arena, spare < GAP_MOST ? spare : GAP_MOST),
			       granules);
}

/* A block whose request, rounded up, ends at a page boundary, a page before the block's own end. */
static uint64_t take_paged(struct acre *arena, size_t size, size_t alignment)
{
	char *base = arena_base(arena);
	size_t room = round_up(size, alignment > GRANULE ? alignment : GRANULE) / GRANULE;
	uint64_t granules = room + arena->page + 1;
	uint64_t at = commons_find(arena, granules + arena->page - 1);
	uint64_t end, place;

	if (!at)
		return 0;
	/* base lies at a page boundary, as all memory from the OS does. */
	end = round_up(at + 1 + room, arena->page);
	place = end - room - 1;
	place = commons_take_at(arena, at, place, granules);
	if (place && !pages_forbid(base + end * GRANULE, arena->page * GRANULE)) {
		/* The tag behind it was written, on a page that nobody has marked. */
		dirt_mark(arena, place, granules);
		commons_give(arena, place);
		return 0;
	}
	return place;
}

/* Whether a request is to have a guard page. */
static bool is_paged(const struct acre *arena, size_t size, size_t alignment)
{
	size_t page = arena->page * GRANULE;

	return arena->guard.kinds & ACRE_GUARD_PAGES && arena->mapped && size >= page &&
	       alignment <= page && arena->guard.pages < PAGES_MOST;
}

/* Record and canary of a block that is taken now; so guard_check() never sees it without. */
static void mark_end(struct acre *arena, uint64_t at, uint64_t record)
{
	char *base = arena_base(arena);
	char *canary = (char *)payload_at(base, at) + request_of(record);

	SHADOW_SHOW(payload_at(base, at), payload_bytes(tag_size(tag_at(base, at))));
	record_write(arena, at, record);
	memset(canary, canary_of(arena, at), (size_t)(canary_end(arena, at, record) - canary));
}

/* Under the lock. The place of a block with its record written; 0 if there's no room. */
static uint64_t take(struct acre *arena, size_t size, size_t alignment)
{
	uint64_t granules = granules_for(size + RECORD_BYTES);
	uint64_t paged = 0;
	uint64_t at = 0;

	/* In quarantine there's room for the record and a post. */
	if (granules < 2)
		granules = 2;
	granules = arena_block(arena, granules, alignment);
	if (is_paged(arena, size, alignment))
		at = take_paged(arena, size, alignment);
	if (at) {
		paged = RECORD_PAGED;
		arena->guard.pages++;
	} else if (arena->guard.kinds & ACRE_RANDOM && alignment <= GRANULE) {
		at = take_at_random(arena, granules);
	} else {
		at = commons_take(arena, granules, alignment);
	}
	if (at)
		mark_end(arena, at, record_for(arena, at, size, paged));
	return at;
}

/* Under the lock: a verified block is free again. */
static void let_go(struct acre *arena, uint64_t at)
{
	record_write(arena, at, 0);
	commons_give(arena, at);
}

/* A block in quarantine must be as it was left. */
static void expect_untouched(const struct acre *arena, uint64_t at, bool untouched)
{
	char *base = arena_base(arena);

	if (!untouched)
		report_misuse_of("free", payload_at(base, at), tag_size(tag_at(base, at)), 0,
				 "it was written to after it was freed; look for a write after free");
}

/* The block behind this one in the quarantine. */
static uint64_t behind(const struct acre *arena, uint64_t at)
{
	uint64_t next;
	bool sound = post_read(arena_base(arena), at, &next, arena->key);

	expect_untouched(arena, at, sound);
	return next;
}

/* Under the lock: the block that has waited longest leaves. */
static void release_oldest(struct acre *arena)
{
	struct guard *guard = &arena->guard;
	char *base = arena_base(arena);
	uint64_t at = guard->oldest;
	uint64_t size = heap_expect(base, at, 0, arena->key, TAG_CACHED);
	uint64_t record = record_read(arena, at);

	guard->oldest = behind(arena, at);
	expect_untouched(arena, at, record == record_for(arena, at, request_of(record),
							 record & RECORD_PAGED));
	if (guard->kinds & ACRE_FILL)
		expect_untouched(arena, at, all_are((char *)payload_at(base, at) + sizeof(uint64_t),
						    (char *)record_of(arena, at), STALE));
	guard->blocks--;
	guard->bytes -= payload_bytes(size);
	let_go(arena, at);
}

void guard_flush(struct acre *arena)
{
	lock_take(&arena->lock);
	while (arena->guard.blocks)
		release_oldest(arena);
	lock_drop(&arena->lock);
}

/* Under the lock: a freed block waits, and others may have waited long enough. */
static void detain(struct acre *arena, uint64_t at)
{
	struct guard *guard = &arena->guard;
	char *base = arena_base(arena);

	post_write(base, at, 0, arena->key);
	if (guard->blocks) {
		/* Or what was written over the last one's post would be written over. */
		behind(arena, guard->newest);
		post_write(base, guard->newest, at, arena->key);
	} else {
		guard->oldest = at;
	}
	guard->newest = at;
	guard->blocks++;
	guard->bytes += payload_bytes(tag_size(tag_at(base, at)));
	while (guard->bytes > guard->quarantine_bytes)
		release_oldest(arena);
}

/* What a fresh block holds, outside of the lock: nobody else knows it. */
static void *finish(struct acre *arena, uint64_t at, bool zero)
{
	char *block = payload_at(arena_base(arena), at);
	size_t request = request_of(record_read(arena, at));

	if (zero)
		dirt_zero(arena, (at + 1) * GRANULE, request);
	else if (arena->guard.kinds & ACRE_FILL)
		memset(block, FRESH, request);
	dirt_mark(arena, at, tag_size(tag_at(arena_base(arena), at)));
	return block;
}

uint64_t guard_place(struct acre *arena, size_t size, size_t alignment)
{
	uint64_t at;

	lock_take(&arena->lock);
	at = take(arena, size, alignment);
	while (!at && arena->guard.blocks) {
		release_oldest(arena);
		at = take(arena, size, alignment);
	}
	lock_drop(&arena->lock);
	return at;
}

void *guard_take(struct acre *arena, size_t size, size_t alignment, bool zero)
{
	uint64_t at;

	if ((uint64_t)size > REQUEST_MOST || (uint64_t)alignment > REQUEST_MOST)
		return NULL;
	at = guard_place(arena, size, alignment);
	if (!at && waiting_expedite(arena, size))
		at = guard_place(arena, size, alignment);
	purge_maybe(arena, 0);
	return at ? finish(arena, at, zero) : NULL;
}

/*
 * Under the lock: the block isn't the caller's any more; its guard page can be used again. False if the
 * system won't have that: then it stays a live block, which is nobody's, since whoever got the page
 * would fault.
 */
static bool take_back(struct acre *arena, uint64_t at)
{
	char *base = arena_base(arena);
	uint64_t record = record_read(arena, at);

	heap_expect(base, at, 0, arena->key, TAG_LIVE);
	if (record & RECORD_PAGED) {
		if (!pages_commit(canary_end(arena, at, record), arena->page * GRANULE))
			return false;
		arena->guard.pages--;
	}
	tag_set_state(tag_at(base, at), TAG_CACHED);
	arena->guard.passing++;
	return true;
}

void guard_give(struct acre *arena, void *block)
{
	char *base = arena_base(arena);
	uint64_t at, size;
	bool taken;

	guard_request(arena, block, "free");
	at = place_of(base, block);
	size = tag_size(tag_at(base, at));
	lock_take(&arena->lock);
	taken = take_back(arena, at);
	lock_drop(&arena->lock);
	if (!taken)
		return;
	SHADOW_RETIRE(block, payload_bytes(size) - RECORD_BYTES);
	if (arena->guard.kinds & ACRE_FILL)
		memset(block, STALE, payload_bytes(size) - RECORD_BYTES);
	SHADOW_HIDE(block, payload_bytes(size));
	lock_take(&arena->lock);
	arena->guard.passing--;
	if (arena->guard.kinds & ACRE_QUARANTINE)
		detain(arena, at);
	else
		let_go(arena, at);
	lock_drop(&arena->lock);
	purge_maybe(arena, size * GRANULE);
}

/* The block has a smaller request from now on. */
static void shorten(struct acre *arena, uint64_t at, size_t size)
{
	uint64_t paged = record_read(arena, at) & RECORD_PAGED;

	lock_take(&arena->lock);
	mark_end(arena, at, record_for(arena, at, size, paged));
	lock_drop(&arena->lock);
}

void *guard_resize(struct acre *arena, void *block, size_t size)
{
	size_t had = guard_request(arena, block, "realloc");
	void *fresh = NULL;

	/* A shrink is never refused: canaries take the rest. */
	if (size < had / 2 || (size > had && !supply_fails(arena)))
		fresh = guard_take(arena, size, 0, false);
	if (!fresh && size <= had) {
		shorten(arena, place_of(arena_base(arena), block), size);
		return block;
	}
	if (!fresh)
		return NULL;
	memcpy(fresh, block, had < size ? had : size);
	guard_give(arena, block);
	return fresh;
}

int guard_check(struct acre *arena)
{
	char *base = arena_base(arena);
	uint64_t waiting = 0;
	int faults = 0;

	for (uint64_t at = arena->commons.start; at < arena->commons.end;
	     at += tag_size(tag_at(base, at))) {
		enum tag_state state = tag_state(tag_at(base, at));
		bool held = state == TAG_LIVE || state == TAG_WAITING || state == TAG_STRAY;
		const char *what = held ? fault_behind(arena, at) : NULL;

		if (what)
			faults += heap_fault(base, at, what);
		waiting += state == TAG_CACHED;
	}
	if (waiting != arena->guard.blocks + arena->guard.passing)
		faults += heap_fault(base, arena->guard.oldest,
				     "the quarantine that begins here counts other blocks than it has");
	return faults;
}
