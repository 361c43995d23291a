/*
 * Tags: the eight bytes before every payload.
 *
 *	byte  0      1 ........ 2 ...... 3       4 ............................. 7
 *	+--------+-----------+----------+-------+------+------------------------------+
 *	| state  | plot      | size     | check | prev | size, low 31 bits            |
 *	| 8      | 11        | high 5   | 8     | free |                              |
 *	+--------+-----------+----------+-------+------+------------------------------+
 *	 `-------------- face ----------------'  `-------------- span --------------'
 *
 * A place is the number of a granule (16 bytes) from the arena's base. The block at place `at` has
 * its tag in the upper half of granule `at` and its payload from granule `at + 1` on; the lower
 * half of that granule is the last 8 bytes of the block before, where a free block keeps its size
 * (the footer); the first 8 of a block that nobody holds are its stamp:
 *
 *	granule       at                at+1                         at+size
 *	       +--------+------+-------+------------ ... ---------+--------+------
 *	       | footer | tag  | stamp | payload                  | footer | tag
 *	       | (prev) |      |       |                          | (ours) | (next)
 *	       +--------+------+-------+------------ ... ---------+--------+------
 *
 * So the least block is one granule, with a payload of 8 bytes, and every remainder is a block.
 *
 * Who writes what. The face belongs to whoever holds the block: the caller and its thread's cache
 * while it's live or cached, the heap (under its lock) while it's free. The span belongs to the
 * heap alone, because a neighbour's free changes its lowest bit while another thread holds the
 * block. The two halves are therefore atomics of their own; relaxed, since what orders a block's
 * passage from thread to thread is the heap's lock, the inbox, or the program's own hand-over.
 *
 * State is the lowest byte: what an overflow by one byte hits first. Its values are 4 bits apart
 * from each other and from zero, and none is ASCII. The check byte is a keyed hash of address and
 * size.
 */
#ifndef ACRE_TAG_H
#define ACRE_TAG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shadow.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the state byte must lie lowest");

#define GRANULE		16u
#define TAG_BYTES	8u
#define FREE_HEAD	1u	/* granules behind a free block's tag that may hold something */
#define PLOT_BITS	11
#define PLOT_LAST	((1u << PLOT_BITS) - 1)
#define SMALL_GRANULES	66u	/* a block of fewer is small: see sizes.h */

enum tag_state {
	TAG_LIVE = 0xA5,	/* a caller holds it */
	TAG_CACHED = 0xC3,	/* a thread's cache or an inbox holds it */
	TAG_FREE = 0x99,	/* in its heap's index */
	TAG_WAITING = 0xCC,	/* handed in, to be freed after a grace period: see waiting.h */
	TAG_STRAY = 0xAA,	/* the same, in no queue */
	TAG_LEASE = 0x96,	/* of the commons, held by a plot */
	TAG_END = 0xF0		/* behind the last block of a heap */
};

#define FACE_STATE	0x000000ffu
#define FACE_PLOT	0x0007ff00u
#define FACE_PLOT_SHIFT	8
#define FACE_HIGH	0x00f80000u
#define FACE_HIGH_SHIFT	19
#define FACE_CHECK	0xff000000u
#define FACE_LARGE	0x80000000u
#define SPAN_PREV_FREE	1u
#define SPAN_SIZE_BITS	31

struct tag {
	_Atomic uint32_t face;
	_Atomic uint32_t span;
};

static inline void *place_address(char *base, uint64_t at)
{
	return base + at * GRANULE;
}

static inline struct tag *tag_at(char *base, uint64_t at)
{
	return (struct tag *)(base + at * GRANULE + TAG_BYTES);
}

/* The tag of the block that has this payload. */
static inline struct tag *tag_of(const void *payload)
{
	return (struct tag *)(uintptr_t)payload - 1;
}

static inline void *payload_at(char *base, uint64_t at)
{
	return base + (at + 1) * GRANULE;
}

static inline uint64_t place_of(const char *base, const void *payload)
{
	return (uint64_t)((const char *)payload - base) / GRANULE - 1;
}

/* Usable bytes of a block of so many granules. */
static inline uint64_t payload_bytes(uint64_t granules)
{
	return granules * GRANULE - TAG_BYTES;
}

/*
 * The check bits of a small block, in their place in the face. offset is that of its granule, the
 * one with the tag, in bytes from base; twice is twice the granules, as they stand in the span.
 * Both modulo 2^32.
 */
static inline uint32_t tag_hash_small(uint32_t offset, uint32_t twice, uint32_t key)
{
	return (offset + twice) * key & FACE_CHECK;
}

/*
 * Those of a larger one differ in a bit, so that it's never taken for a small one. In the highest,
 * since then, of all bytes that an underflow may leave in the span's highest, 0x80 alone turns a
 * small block into a sound one: of 16 GiB, which few arenas have room for.
 */
static inline uint32_t tag_hash_large(uint32_t offset, uint32_t twice, uint32_t key)
{
	return tag_hash_small(offset, twice, key) ^ FACE_LARGE;
}

/* Those of any block. */
static inline uint32_t tag_hash(uint64_t at, uint64_t granules, uint32_t key)
{
	uint32_t offset = (uint32_t)(at * GRANULE);
	uint32_t twice = (uint32_t)granules * 2;

	return granules < SMALL_GRANULES ? tag_hash_small(offset, twice, key) :
					   tag_hash_large(offset, twice, key);
}

UNSHADOWED static inline uint32_t tag_face(const struct tag *tag)
{
	return atomic_load_explicit(&tag->face, memory_order_relaxed);
}

UNSHADOWED static inline void tag_set_face(struct tag *tag, uint32_t face)
{
	atomic_store_explicit(&tag->face, face, memory_order_relaxed);
}

UNSHADOWED static inline uint32_t tag_span(const struct tag *tag)
{
	return atomic_load_explicit(&tag->span, memory_order_relaxed);
}

UNSHADOWED static inline void tag_set_span(struct tag *tag, uint32_t span)
{
	atomic_store_explicit(&tag->span, span, memory_order_relaxed);
}

static inline enum tag_state face_state(uint32_t face)
{
	return (enum tag_state)(face & FACE_STATE);
}

static inline uint32_t face_plot(uint32_t face)
{
	return (face & FACE_PLOT) >> FACE_PLOT_SHIFT;
}

/* The same face in another state. */
static inline uint32_t face_turned(uint32_t face, enum tag_state from, enum tag_state to)
{
	return face ^ (uint32_t)(from ^ to);
}

/* Whether it's the face of a live block with these check bits, whatever plot's it is. */
static inline bool face_is_live(uint32_t face, uint32_t hash)
{
	return ((face ^ (TAG_LIVE | hash)) & ~FACE_PLOT) == 0;
}

static inline enum tag_state tag_state(const struct tag *tag)
{
	return face_state(tag_face(tag));
}

static inline uint32_t tag_plot(const struct tag *tag)
{
	return face_plot(tag_face(tag));
}

static inline uint64_t tag_size(const struct tag *tag)
{
	return tag_span(tag) >> 1 |
	       (uint64_t)((tag_face(tag) & FACE_HIGH) >> FACE_HIGH_SHIFT) << SPAN_SIZE_BITS;
}

/* Twice the size, modulo 2^32: just what the span says. */
static inline uint32_t tag_twice(const struct tag *tag)
{
	return tag_span(tag) & ~SPAN_PREV_FREE;
}

static inline bool tag_prev_free(const struct tag *tag)
{
	return tag_span(tag) & SPAN_PREV_FREE;
}

/* The face of a block, whole. */
static inline uint32_t face_of(uint64_t at, uint64_t granules, enum tag_state state, uint32_t plot,
			       uint32_t key)
{
	return state | plot << FACE_PLOT_SHIFT |
	       (uint32_t)(granules >> SPAN_SIZE_BITS) << FACE_HIGH_SHIFT |
	       tag_hash(at, granules, key);
}

static inline void tag_set_state(struct tag *tag, enum tag_state state)
{
	tag_set_face(tag, (tag_face(tag) & ~FACE_STATE) | state);
}

static inline void tag_set_prev_free(struct tag *tag, bool free)
{
	tag_set_span(tag, (tag_span(tag) & ~SPAN_PREV_FREE) | free);
}

/* Writes the tag of the block at `at`, all of it. */
static inline void tag_write(char *base, uint64_t at, uint64_t granules, enum tag_state state,
			     uint32_t plot, uint32_t key, bool prev_free)
{
	struct tag *tag = tag_at(base, at);

	tag_set_face(tag, face_of(at, granules, state, plot, key));
	tag_set_span(tag, (uint32_t)granules << 1 | prev_free);
}

static inline bool is_state(enum tag_state state)
{
	return state == TAG_LIVE || state == TAG_CACHED || state == TAG_FREE ||
	       state == TAG_LEASE || state == TAG_WAITING || state == TAG_STRAY ||
	       state == TAG_END;
}

/* Whether the tag has a state, and check bits that agree with its address and size. */
static inline bool tag_sound(char *base, uint64_t at, uint32_t key)
{
	struct tag *tag = tag_at(base, at);

	return is_state(tag_state(tag)) &&
	       (tag_face(tag) & FACE_CHECK) == tag_hash(at, tag_size(tag), key);
}

/* The footer of the block that ends before place `at`: its size, if it's free. */
UNSHADOWED static inline uint64_t footer_before(char *base, uint64_t at)
{
	return *(uint64_t *)(base + at * GRANULE);
}

UNSHADOWED static inline void footer_write(char *base, uint64_t at, uint64_t granules)
{
	*(uint64_t *)(base + (at + granules) * GRANULE) = granules;
}

/*
 * The first 8 bytes of the payload of a block that nobody holds are one of three things:
 *
 *	its stamp	of a cached block, and of a free one whose fit keeps no links: the face that it
 *			would have as a live one, so that a write after free, to it or to the tag, is
 *			seen before the block is handed out; never what the tag itself says, so that
 *			the same bytes over both, as zeros, are seen too
 *	a post		of a cached block in an inbox: the place of the next one, and check bits
 *	a link		of a free block in the list of a fit that keeps lists: the next one's place
 */
UNSHADOWED static inline void stamp(void *payload, uint64_t face)
{
	*(uint64_t *)payload = face;
}

UNSHADOWED static inline bool stamped(const void *payload, uint64_t face)
{
	return *(const uint64_t *)payload == face;
}

/* The stamp of a block that has this face, in this state. */
static inline uint32_t stamp_of(uint32_t face, enum tag_state state)
{
	return face_turned(face, state, TAG_LIVE);
}

/* Tags and stamps of count cached blocks of this size, side by side from `at` on. */
static inline void tag_write_cached(char *base, uint64_t at, uint64_t granules, uint64_t count,
				    uint32_t plot, uint32_t key)
{
	for (; count; count--, at += granules) {
		uint32_t face = face_of(at, granules, TAG_CACHED, plot, key);

		tag_set_face(tag_at(base, at), face);
		tag_set_span(tag_at(base, at), (uint32_t)granules << 1);
		stamp(payload_at(base, at), stamp_of(face, TAG_CACHED));
	}
}

/* No stamp, nor a link: zero, as in a page that nobody has held (dirt.h). */
UNSHADOWED static inline void unstamp(void *payload)
{
	*(uint64_t *)payload = 0;
}

#define POST_PLACE_BITS	40

static inline uint64_t post_hash(uint64_t at, uint64_t next, uint32_t key)
{
	return (at ^ next << 20 ^ key) * UINT64_C(0x9e3779b97f4a7c15) >> POST_PLACE_BITS
	       << POST_PLACE_BITS;
}

UNSHADOWED static inline void post_write(char *base, uint64_t at, uint64_t next, uint32_t key)
{
	*(uint64_t *)payload_at(base, at) = next | post_hash(at, next, key);
}

/* The next place in *next; false if the post isn't as it was written. */
UNSHADOWED static inline bool post_read(char *base, uint64_t at, uint64_t *next, uint32_t key)
{
	uint64_t post = *(uint64_t *)payload_at(base, at);

	*next = post & ((UINT64_C(1) << POST_PLACE_BITS) - 1);
	return post == (*next | post_hash(at, *next, key));
}

UNSHADOWED static inline uint64_t link_of(char *base, uint64_t at)
{
	return *(uint64_t *)payload_at(base, at);
}

UNSHADOWED static inline void link_write(char *base, uint64_t at, uint64_t next)
{
	*(uint64_t *)payload_at(base, at) = next;
}

/* The second 8 bytes: the place of the one before, in such a list. A single granule has none. */
UNSHADOWED static inline uint64_t back_of(char *base, uint64_t at)
{
	return *((uint64_t *)payload_at(base, at) + 1);
}

UNSHADOWED static inline void back_write(char *base, uint64_t at, uint64_t back)
{
	*((uint64_t *)payload_at(base, at) + 1) = back;
}

#endif
