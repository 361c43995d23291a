/*
 * acre: a thread-safe memory allocator in a fixed arena.
 *
 * An arena is one contiguous range of memory whose size is settled when it is created and never
 * grows. When no free block fits, an allocation returns NULL with errno ENOMEM, and the program
 * decides what to do. Nothing is ever asked for outside the arena, and all metadata lies in it.
 *
 *	+--------+-------+--------------------------------------------+-------------+
 *	| struct | index | blocks: the commons; inside it the leases  | plots, one  |
 *	| acre   |       | of the plots                               | per thread  |
 *	+--------+-------+--------------------------------------------+-------------+
 *
 * Each thread works in a heap of its own (a plot, made of spans leased from the locked global heap,
 * the commons) behind a small cache of free blocks. Placement is address-ordered first fit (Knuth,
 * The Art of Computer Programming 1, section 2.5), or the policy that is asked for, with
 * boundary-tag coalescing: eight bytes before each payload, free in O(1). An arena below 1 MiB is
 * one heap without plots and caches.
 *
 * Unless its text says otherwise, a function may be called from any thread at any time, also in the
 * child of a fork; none may be called from a signal handler. Sizes and alignments are in bytes.
 * A block that isn't one, a double free, or a tag that was overwritten, ends the process by abort()
 * with one line on stderr.
 */
#ifndef ACRE_ACRE_H
#define ACRE_ACRE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An arena. Its members are private. */
struct acre;

/*
 * Which free block serves a request, and what that costs: steps of a search in one heap, whatever the
 * number of blocks. Freeing costs the same. The low end of the block is taken, what remains is free.
 *
 * First fit: the lowest-addressed block that fits. O(log(range)) steps.
 *
 * Next fit: first fit from behind the block allocated last, once around (Knuth, The Art of Computer
 * Programming 1, section 2.5). Candidates are the free blocks whose end lies beyond that place, in
 * address order, then all; a realloc in place leaves the place. O(log(range)) steps.
 *
 * Best fit: the smallest block that fits, and of these the lowest; worst fit: the largest, and of
 * these the lowest. O(log(range)) steps, in digital search trees (Knuth 3, section 6.3).
 *
 * Buddy: blocks of 2^k bytes, tag included (2^k - 8 usable), at multiples of their size from the
 * range's origin; the smallest sufficient size is halved down to the one asked for, and free halves
 * merge again (Knowlton, CACM 8, 1965). A range that's no power of two is several blocks, so a request
 * for more than half of the arena may be refused from the start. Every block is aligned to its size;
 * an alignment above that takes a larger block. O(log(range / size)) halvings, of 12 words each at
 * most. In the caller's buffer alignments above a 16th of its size are for small blocks, if for any.
 * The arena is committed at creation, though not touched.
 *
 * Good fit sorts free blocks into lists by size class, 32 classes to a doubling, and takes the
 * newest block of the smallest class whose blocks all fit (TLSF: Masmano et al., ECRTS 2004): less
 * work than first fit, placement less compact, O(1) steps. It may refuse a request that a free block
 * has room for, where
 *	- the block is less than a 32nd larger than the request, 16 others of its class were freed
 *	  later and are too small, and there is no block of a higher class; or
 *	- the block is one of the least size (8 usable bytes): such a block serves again only when
 *	  it has merged with a free neighbour.
 *
 * Threads' caches are before the policy, and each lease of a plot is a heap by itself: under
 * ACRE_NO_CACHE placement is exactly the policy's.
 */
enum acre_policy {
	ACRE_FIRST_FIT,		/* the lowest-addressed block that fits */
	ACRE_NEXT_FIT,		/* first fit from behind the block allocated last */
	ACRE_BEST_FIT,		/* the smallest that fits */
	ACRE_WORST_FIT,		/* the largest */
	ACRE_BUDDY,		/* binary buddies */
	ACRE_GOOD_FIT		/* segregated: one of the smallest class whose blocks all fit */
};

/* acre_options.flags */
#define ACRE_NO_CACHE	0x1u	/* one heap under one lock: no caches, no plots, exact placement */
#define ACRE_HUGE_PAGES	0x2u	/* ask the kernel for transparent huge pages */
#define ACRE_PREFAULT	0x4u	/* make every page resident at creation */
#define ACRE_NO_PURGE	0x8u	/* free pages stay resident until acre_trim() */

/*
 * acre_options.guards: the second level of what's caught, for who pays its price (SECURITY.md has
 * both). Any of them puts canary bytes behind every request, which acre_usable_size() then is to the
 * byte; acre_free_sized() wants just that size. Such an arena works as with ACRE_NO_CACHE. What is
 * caught by a canary or in the quarantine aborts with a line, a guard page raises SIGSEGV.
 */
#define ACRE_CANARIES	0x1u	/* keyed bytes behind each request, verified when it's freed */
#define ACRE_FILL	0x2u	/* a block is filled with 0xa9 before it's handed out (unless it is
				   to be zero), and with 0xd6 when it's freed */
#define ACRE_QUARANTINE	0x4u	/* freed blocks wait, in order, up to quarantine_bytes of them; with
				   ACRE_FILL, a write to them is caught when they leave */
#define ACRE_RANDOM	0x8u	/* blocks lie in holes chosen at random; needs ACRE_FIRST_FIT */
#define ACRE_GUARD_PAGES 0x10u	/* a request of a page or more ends, but for up to 15 bytes, at a
				   page that can't be touched, up to 16,384 at a time (acre_walk()
				   tells of the block with that page and all); not with
				   acre_create_at(), nor with ACRE_BUDDY */

/* How an arena is to be. All zero means all defaults. */
struct acre_options {
	enum acre_policy policy;
	unsigned flags;
	size_t cache_bytes;	/* most bytes in one thread's cache; 0 = 1 MiB, in a small arena
				   less: all caches together at most an eighth of it. Three
				   eighths of it for each thread, at most 2 MiB, are for a depot
				   that all share, and from which whoever needs memory takes it;
				   they come on top of the default, and are part of a bound that's
				   set */
	unsigned guards;
	size_t quarantine_bytes; /* 0 = a sixteenth of the arena, at most 64 MiB */
	size_t fail_at;		/* for tests: the request of this number, counted from 1, is refused
				   as if the arena were full; 0 = none. A request is a call that
				   allocates, or makes a block larger. There are no caches */
	size_t fail_count;	/* so many requests in a row are refused from there on; 0 = 1 */
	size_t rcu_bytes;	/* most bytes to wait for grace periods (<acre/rcu.h>); 0 = 64 MiB,
				   at most an eighth of the arena */
};

/*
 * Creates an arena of size bytes, reserved from the OS and committed as it is used.
 *
 * The least size is 64 KiB, the largest 1 TiB; options may be NULL. Returns NULL with errno EINVAL
 * (size, policy, flags or guards) or ENOMEM (the OS refused). O(1), but for ACRE_PREFAULT.
 */
struct acre *acre_create(size_t size, const struct acre_options *options);

/*
 * Creates an arena in the caller's buffer: size bytes at memory, which may have any alignment.
 *
 * Nothing is written outside the buffer, and none of its pages goes back to the OS. The buffer must
 * outlive the arena. Errors as for acre_create(); a buffer that is NULL, or wraps around the end of
 * the address space, is EINVAL. O(size / 80): the index is cleared.
 */
struct acre *acre_create_at(void *memory, size_t size, const struct acre_options *options);

/*
 * Ends an arena and gives its range back to the OS (or to the caller, if it was the caller's).
 *
 * No other thread may be using the arena, nor use it later; threads that used it earlier may be
 * alive, and may exit at any time. Returns 0, or -1 with errno EINVAL if arena is not a live arena,
 * or is acre_default(); or EDEADLK, see <acre/rcu.h>.
 */
int acre_destroy(struct acre *arena);

/*
 * Allocates size bytes, aligned to 16. Size 0 gives a unique block of the least size.
 *
 * Returns NULL with errno ENOMEM when no free block fits; the calling thread's cache has been given
 * back by then. The common case takes no lock; the rest searches an index: O(log(arena size)) steps
 * a heap at most, whatever the number of blocks (see enum acre_policy). Now and then a call
 * fetches or gives back batches of at most 64 blocks, takes what other threads have sent, or gives
 * pages back to the OS. Before it returns NULL it looks through all plots.
 */
void *acre_malloc(struct acre *arena, size_t size);

/* Allocates count * size bytes, all zero. NULL with ENOMEM, also when the product overflows. */
void *acre_calloc(struct acre *arena, size_t count, size_t size);

/*
 * Makes block hold size bytes, in place where it can; else a new block gets its content. Where there
 * are caches, a small block (up to 1,032 bytes) is rather copied than grown under a lock.
 *
 * acre_realloc(arena, NULL, n) allocates; acre_realloc(arena, block, 0) frees and returns NULL.
 * All acre_usable_size() bytes of the old block are kept, up to the new size. A shrink is never
 * refused. On NULL with ENOMEM the old block is untouched.
 */
void *acre_realloc(struct acre *arena, void *block, size_t size);

/*
 * Allocates size bytes at a multiple of alignment, which is any power of two.
 *
 * NULL with errno EINVAL if it is none, ENOMEM if no free block fits. As acre_malloc(), but when
 * only a block that happens to lie well can serve, all free blocks may be looked at.
 */
void *acre_aligned_alloc(struct acre *arena, size_t alignment, size_t size);

/*
 * Frees a block of this arena, allocated by any thread. NULL is nothing. Keeps errno.
 *
 * The common case takes no lock; in a heap a free is two merges at most, and O(log(arena size))
 * steps in its index. Batches and pages as for acre_malloc().
 */
void acre_free(struct acre *arena, void *block);

/*
 * acre_free() for a caller who knows the size that was asked for, last by acre_realloc(): one that
 * such a block can't have been allocated for aborts. Where sizes are rounded, a wrong one may pass.
 */
void acre_free_sized(struct acre *arena, void *block, size_t size);

/* The bytes of block that may be written: at least what was asked for. NULL gives 0. */
size_t acre_usable_size(const struct acre *arena, const void *block);

/*
 * Gives the calling thread's cache back to the heaps, takes in what threads have sent to each
 * other, and gives wholly free leases of all plots back to the commons. O(cached blocks + plots).
 */
void acre_flush(struct acre *arena);

/*
 * acre_flush(), then gives every whole free page back to the OS. Returns the bytes given back
 * (0 for an arena in the caller's buffer).
 */
size_t acre_trim(struct acre *arena);

/*
 * Walks all structures of the arena. Returns 0 if they are sound, else the number of faults, each
 * with a line on stderr. Other threads may go on meanwhile; each heap is looked at under its lock.
 */
int acre_check(struct acre *arena);

/* What an arena holds. Taken from its structures; exact when no other thread is at work. */
struct acre_stats {
	size_t size;		/* of the arena, bytes */
	size_t live_bytes;	/* usable bytes of the blocks that callers hold */
	size_t live_blocks;	/* the number of these */
	size_t free_bytes;	/* usable bytes of the free blocks, in the commons and in leases */
	size_t cached_bytes;	/* usable bytes in threads' caches and on their way to a heap */
	size_t largest_free;	/* usable bytes of the largest free block */
	size_t resident_bytes;	/* of the arena's range, in memory now, metadata included */
	size_t peak_live_bytes;	/* the most live_bytes has been; with caches, within 64 KiB a plot,
				   and with what was cached or waiting added */
	size_t plots;		/* plots held by threads now */
	size_t leases;		/* spans of the commons held by plots */
	size_t refusals;	/* requests answered with ENOMEM */
	size_t search_steps;	/* index words and tags looked at to find a place in the commons;
				   with ACRE_NO_CACHE that's all there is to search */
	size_t waiting_bytes;	/* usable bytes of blocks that wait for a grace period, and of the
				   lists of them; not among the live, cached or free ones */
	size_t waiting_blocks;	/* the number of these */
};

/* Fills *stats. O(free blocks + plots + pages). */
void acre_stats(struct acre *arena, struct acre_stats *stats);

/* acre_block.state */
#define ACRE_LIVE	1u	/* a caller holds it */
#define ACRE_CACHED	2u	/* in a thread's cache, or on its way to its heap */
#define ACRE_FREE	3u	/* free and coalesced */
#define ACRE_WAITING	4u	/* handed to acre_free_rcu() (<acre/rcu.h>), or a list of such */

/* A block, as acre_walk() reports it. */
struct acre_block {
	const void *address;	/* of the payload; of a free block: what malloc would return */
	size_t size;		/* usable bytes */
	unsigned state;		/* ACRE_LIVE, ACRE_CACHED, ACRE_FREE, ACRE_WAITING */
	unsigned plot;		/* 0 = the commons */
};

/*
 * Calls visit for every block in address order, until it returns non-zero, which is returned.
 *
 * The visitor may not call the arena. Other threads may run meanwhile; each heap is seen
 * consistent, under its lock. O(blocks).
 */
int acre_walk(struct acre *arena, int (*visit)(const struct acre_block *block, void *user),
	      void *user);

/*
 * The arena that this address lies in: in a block, or in what the arena keeps for itself. NULL if it
 * lies in none.
 *
 * Never waits, also while other threads create and destroy arenas. If the caller's use of the
 * address doesn't keep the arena from being destroyed meanwhile, the answer may be out of date when
 * it comes. O(the most arenas that were alive at once).
 */
struct acre *acre_of(const void *address);

/* The arena under malloc when the program runs on libacre-malloc.so, else NULL. */
struct acre *acre_default(void);

#ifdef __cplusplus
}
#endif

#endif
