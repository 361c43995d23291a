/*
 * Cache: a thread's free blocks, by class, ready to be handed out again.
 *
 * Each class has a row of pointers, used as a stack. The entry below the first points to what looks
 * like a block that isn't cached: so one look at tag and stamp tells both whether there's a block
 * and whether it's sound.
 *
 *	row of a class:   NO_BLOCK | block | block | block |   .   .   . |   .   .   .
 *	                                            ^ top                  ^ limit     ^ end
 *
 * A class that isn't used has no row; a row that becomes too short is exchanged for one twice as
 * long. So a thread that uses little touches few pages of its slab.
 *
 * Limits start low and double with use; their sum, in bytes, is what the cache may hold, and it
 * never exceeds the arena's cache_bytes. So the fast paths count nothing.
 *
 * A bin takes blocks of any plot and of the commons, and hands them out again as they are. What it
 * has too much of goes to the depot (depot.h), for the next bin of the class that runs empty. Where
 * the depot is full, blocks go home to their owners, in batches: to a plot under its lock if that's
 * to be had at once, else through its inbox; to the commons under their lock.
 *
 * A cache is used by its thread alone, and its fast paths take no lock and do no atomic
 * read-modify-write. Two others look at it: acre_stats() reads the tops; and where the thread is
 * gone without having left its plot, as in a fork's child, what its cache held is salvaged. For
 * both, tops are atomic, and a push writes the entry first.
 */
#ifndef ACRE_CACHE_H
#define ACRE_CACHE_H

#include <string.h>

#include "arena.h"
#include "sizes.h"

#define ROW_LEAST	8u		/* blocks in the shortest rows */
#define ROW_SIZES	6u		/* each twice the one before */
#define ROW_MOST	(ROW_LEAST << (ROW_SIZES - 1))
#define CACHE_BINS	128u		/* CLASSES, and as many as 7 bits tell apart */

struct plot;

typedef void *_Atomic entry;

struct bin {
	entry *_Atomic top;
	entry *limit;
};

struct cache {
	/* What the fast path of a free needs, in one line. */
	char *first;			/* a granule above base: less can't be a payload */
	uint64_t size;			/* bytes from there on that have blocks; 0 = cache_none */
	uint32_t key;
	struct bin bins[CACHE_BINS];

	struct acre *arena;
	struct plot *plot;
	size_t granted;			/* sum of the limits, bytes */
	unsigned victim;		/* the class whose limit is cut next */
	unsigned denied;		/* how often a bin was to grow, and couldn't */
	uint16_t used;			/* entries in rows so far */
	uint16_t spare[ROW_SIZES];	/* the first row of each size that isn't in use; 0 = none */
	uint16_t row[CLASSES];		/* of each class; 0 = none */
	uint8_t row_size[CLASSES];	/* ROW_LEAST << this are the blocks that it can hold */
	uint8_t lacking[CLASSES - SMALL_CLASSES]; /* how often each could borrow */
	entry entries[];		/* the rows; the first entry is the empty row's */
};

/* What a thread without a cache uses: it has no block and takes none. */
extern struct cache cache_none;

#ifdef __GNUC__
#define RARELY(x) __builtin_expect(!!(x), 0)
#else
#define RARELY(x) (x)
#endif

/* Keeps the compiler from deriving a value anew where it's at hand already: an instruction less. */
#define AT_HAND(x) __asm__("" : "+r"(x))

static inline entry *bin_top(const struct bin *bin)
{
	return atomic_load_explicit(&bin->top, memory_order_relaxed);
}

/* The lowest entry of each row: no block, but with a tag, and not the stamp that goes with it. */
extern const uint64_t cache_no_block[2];
#define NO_BLOCK ((void *)(uintptr_t)&cache_no_block[1])

/*
 * Takes the uppermost block; NULL if there is none, or it isn't a cached one whose tag and stamp are
 * as they were: the slow path tells these apart. One comparison is enough, since the stamp follows
 * from the tag, and is the face that the block is to have now.
 */
static inline void *bin_pop(struct bin *bin)
{
	entry *top = bin_top(bin);
	void *block = atomic_load_explicit(top, memory_order_relaxed);
	struct tag *tag = tag_of(block);
	uint64_t face = stamp_of(tag_face(tag), TAG_CACHED);

	AT_HAND(face);
	if (RARELY(!stamped(block, face)))
		return NULL;
	/* A row has no null pointer: so the caller's look whether there's a block costs nothing. */
	if (!block)
		__builtin_unreachable();
	atomic_store_explicit(&bin->top, top - 1, memory_order_relaxed);
	tag_set_face(tag, (uint32_t)face);
	SHADOW_SHOW(block, payload_bytes(tag_size(tag)));
	return block;
}

/* Puts a block, whose tag says cached and which bears its stamp, above top. The caller knows that there's room. */
static inline void bin_push(struct bin *bin, entry *top, void *block)
{
	atomic_store_explicit(top + 1, block, memory_order_relaxed);
	/* Release: in fork's copy, which the child salvages, the entry below the top is there. */
	atomic_store_explicit(&bin->top, top + 1, memory_order_release);
}

/* A live block, with this face, becomes a cached one. Faces have 64 bits where they are stamps. */
static inline void bin_mark(void *block, uint64_t face)
{
	stamp(block, face);
	tag_set_face(tag_of(block), face_turned((uint32_t)face, TAG_LIVE, TAG_CACHED));
}

/* Puts a live block with this face, if there's room. */
static inline bool bin_put(struct bin *bin, void *block, uint64_t face)
{
	entry *top = bin_top(bin);

	if (RARELY(top == bin->limit))
		return false;
	SHADOW_RETIRE(block, payload_bytes(tag_size(tag_of(block))));
	SHADOW_HIDE(block, payload_bytes(tag_size(tag_of(block))));
	bin_mark(block, face);
	bin_push(bin, top, block);
	return true;
}

/* The fast path of malloc. NULL: the slow one must be taken. */
static inline void *cache_take(struct cache *cache, size_t size)
{
	if (RARELY(size > SMALL_BYTES))
		return NULL;
	return bin_pop(&cache->bins[granules_for(size)]);
}

/* The same for a block of up to 32 KiB that isn't small. */
static inline void *cache_take_medium(struct cache *cache, size_t size)
{
	if (size > MEDIUM_BYTES)
		return NULL;
	return bin_pop(&cache->bins[class_of(granules_for(size))]);
}

/*
 * Whether it's a small live block, for sure: its face, and its size as an offset into the bins.
 *
 * A pointer that isn't aligned, or points into a block, meets no face that fits: the slow path
 * finds out what it is. A large block's check bits never fit here (see tag_hash), so the size is
 * cut to the bins that there are, and needs no comparison.
 */
static inline bool cache_small(const struct cache *cache, const void *block, uint64_t *face,
			       uint32_t *twice)
{
	uintptr_t offset = (uintptr_t)block - (uintptr_t)cache->first;
	const struct tag *tag = tag_of(block);
	uint32_t span;

	if (RARELY(offset >= cache->size))
		return false;
	span = tag_twice(tag);
	*face = tag_face(tag);
	AT_HAND(*face);
	if (RARELY(!face_is_live((uint32_t)*face, tag_hash_small((uint32_t)offset, span, cache->key))))
		return false;
	AT_HAND(span);
	*twice = (uint8_t)span;
	return true;
}

/*
 * The fast path of free: a small live block, and room in its bin. False: the slow one must be
 * taken, which also tells what is wrong.
 */
static inline bool cache_put(struct cache *cache, void *block)
{
	uint64_t face;
	uint32_t twice;
	struct bin *bin;

	if (!cache_small(cache, block, &face, &twice))
		return false;
	bin = (struct bin *)((char *)cache->bins + twice * (sizeof(struct bin) / 2));
	return bin_put(bin, block, face);
}

/* The same for a block that isn't small, if it has just the size of a class. */
static inline bool cache_put_medium(struct cache *cache, void *block)
{
	uintptr_t offset = (uintptr_t)block - (uintptr_t)cache->first;
	struct tag *tag = tag_of(block);
	uint32_t twice, face;
	unsigned class;

	if (offset >= cache->size)
		return false;
	twice = tag_twice(tag);
	face = tag_face(tag);
	if (twice > 2 * CLASSED_MOST ||
	    !face_is_live(face, tag_hash_large((uint32_t)offset, twice, cache->key)))
		return false;
	class = class_of(twice / 2);
	return 2 * class_granules(class) == twice && bin_put(&cache->bins[class], block, face);
}

/*
 * The fast path of realloc: a small block that stays as it is, or whose content goes into another
 * from the cache. NULL: the slow path must be taken.
 */
static inline void *cache_resize(struct cache *cache, void *block, size_t size)
{
	uint64_t face;
	uint32_t twice;
	uint64_t granules;
	void *fresh;

	if (!size || size > SMALL_BYTES || !cache_small(cache, block, &face, &twice))
		return NULL;
	granules = granules_for(size);
	if (granules <= twice / 2)
		return resize_splits(twice / 2, granules) ? NULL : block;
	fresh = bin_pop(&cache->bins[resize_roomy(twice / 2, granules)]);
	if (!fresh)
		return NULL;
	memcpy(fresh, block, payload_bytes(twice / 2));
	if (!cache_put(cache, block))
		acre_free(cache->arena, block);
	return fresh;
}

/* Bytes that a cache of this plan takes. */
size_t cache_size(const struct cache_plan *plan);

/*
 * The plan for caches that hold about so many bytes of a class; 0 = no block at all. Buddies of 2^k
 * granules, where that is no class of its own, are in the greatest class that they serve; the fast
 * path finds them for that class's requests, the slow one for all.
 */
void cache_plan_init(struct cache_plan *plan, size_t class_bytes, bool buddies);

void cache_init(struct cache *cache, struct acre *arena, struct plot *plot);

/* A cache that is empty, or whose blocks have gone elsewhere, is as new. */
void cache_reset(struct cache *cache);

/* The fast path of free looks at as much of the arena as is accessible now. */
void cache_reach(struct cache *cache, const struct acre *arena);

/*
 * Takes a block of this class, which bin_pop() didn't have: refills the bin. NULL if neither the
 * depot nor the plot has any, and the commons have no lease.
 */
void *cache_refill(struct cache *cache, unsigned class);

/* Takes a block of this class from its bin, or from where the bin is filled. NULL as above. */
static inline void *cache_obtain(struct cache *cache, unsigned class)
{
	void *block = bin_pop(&cache->bins[class]);

	return block ? block : cache_refill(cache, class);
}

/* Puts a verified block of just the class's size; false if the cache can't hold it. */
bool cache_keep(struct cache *cache, void *block, unsigned class);

/* Cached blocks go back, owner by owner; under the lock of this plot, if any. */
void cache_give(struct acre *arena, struct plot *own, uint64_t *places, unsigned count);

/* Gives back all that the cache holds. */
void cache_flush(struct cache *cache);

/*
 * The thread is leaving: the depot gets what it has room for without this thread, and the heaps the
 * rest.
 */
void cache_leave(struct cache *cache);

/* Gives back all that the depot holds. */
void cache_flush_depot(struct acre *arena);

/* Gives back what the cache of a thread that's gone held. Under the plot's lock. */
void cache_salvage(struct cache *cache);

/* Adds what the cache holds. */
void cache_count(const struct cache *cache, size_t *blocks, size_t *bytes);

/* The number of faults in what a cache holds; only its thread may ask. */
int cache_check(struct cache *cache);

#endif
