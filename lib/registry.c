/*
 * Registry: see registry.h.
 */
#include "registry.h"

#include <string.h>

#include "pages.h"
#include "report.h"

#define SLAB_RANGES 1024u

struct range {
	_Atomic uint64_t version;	/* odd while the other two change */
	_Atomic uintptr_t start;	/* the arena */
	_Atomic size_t size;		/* 0 = none is here */
};

struct slab {
	_Atomic uint32_t used;		/* the ranges behind these never held an arena */
	struct slab *_Atomic next;
	struct range ranges[SLAB_RANGES];
};

struct lock arena_registry = { .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = RANK_REGISTRY };

static struct acre *arenas;		/* under the lock */
static struct slab first_slab;		/* written under the lock, read by anyone */

void arena_each(void (*visit)(struct acre *))
{
	for (struct acre *arena = arenas; arena; arena = arena->next)
		visit(arena);
}

/* Under the lock. */
static void set_range(struct range *range, uintptr_t start, size_t size)
{
	uint64_t version = atomic_load_explicit(&range->version, memory_order_relaxed);

	atomic_store_explicit(&range->version, version + 1, memory_order_relaxed);
	/*
	 * Release, to the acquires in arena_in(): who reads one of the new words sees that the version
	 * is odd, or a later one.
	 */
	atomic_store_explicit(&range->start, start, memory_order_release);
	atomic_store_explicit(&range->size, size, memory_order_release);
	/* Release, to the acquire in arena_in(): both words are there. */
	atomic_store_explicit(&range->version, version + 2, memory_order_release);
}

/* A range that holds no arena; NULL if the OS refuses a slab. Under the lock. */
static struct range *find_room(void)
{
	struct slab *slab = &first_slab;
	size_t bytes = round_up(sizeof(*slab), pages_size());

	for (;;) {
		uint32_t used = atomic_load_explicit(&slab->used, memory_order_relaxed);
		struct slab *next = atomic_load_explicit(&slab->next, memory_order_relaxed);

		for (uint32_t i = 0; i < used; i++)
			if (!atomic_load_explicit(&slab->ranges[i].size, memory_order_relaxed))
				return &slab->ranges[i];
		if (used < SLAB_RANGES) {
			/* Relaxed: who comes too early for a range finds nothing in it. */
			atomic_store_explicit(&slab->used, used + 1, memory_order_relaxed);
			return &slab->ranges[used];
		}
		if (!next) {
			next = pages_reserve(bytes);
			if (!next)
				return NULL;
			if (!pages_commit(next, bytes)) {
				pages_release(next, bytes);
				return NULL;
			}
			/* Release, to the acquire in acre_of(): its pages are there, and zero. */
			atomic_store_explicit(&slab->next, next, memory_order_release);
		}
		slab = next;
	}
}

bool registry_enter(struct acre *arena)
{
	struct range *range;

	lock_take(&arena_registry);
	range = find_room();
	if (range) {
		set_range(range, (uintptr_t)arena, arena->size);
		arena->next = arenas;
		arenas = arena;
	}
	lock_drop(&arena_registry);
	return range != NULL;
}

/* The range of an arena that's in; under the lock. */
static struct range *find_range(const struct acre *arena)
{
	struct slab *slab = &first_slab;
	uint32_t i = 0;

	while (atomic_load_explicit(&slab->ranges[i].start, memory_order_relaxed) !=
		       (uintptr_t)arena ||
	       !atomic_load_explicit(&slab->ranges[i].size, memory_order_relaxed))
		if (++i == SLAB_RANGES) {
			slab = atomic_load_explicit(&slab->next, memory_order_relaxed);
			i = 0;
		}
	return &slab->ranges[i];
}

bool registry_withdraw(struct acre *arena)
{
	struct acre **link;
	bool found;

	lock_take(&arena_registry);
	for (link = &arenas; *link && *link != arena; link = &(*link)->next)
		;
	found = *link != NULL;
	if (found) {
		*link = arena->next;
		set_range(find_range(arena), 0, 0);
	}
	lock_drop(&arena_registry);
	return found;
}

/* The arena of a range, if the address lies in it, and the range didn't change meanwhile. */
static struct acre *arena_in(const struct range *range, uintptr_t address)
{
	/*
	 * Acquires, to the releases in set_range(). By the first, both words are those of this
	 * version or later ones; by the others, the version that's read last is as late as they.
	 */
	uint64_t version = atomic_load_explicit(&range->version, memory_order_acquire);
	uintptr_t start = atomic_load_explicit(&range->start, memory_order_acquire);
	size_t size = atomic_load_explicit(&range->size, memory_order_acquire);

	if (address - start >= size || version % 2 ||
	    atomic_load_explicit(&range->version, memory_order_relaxed) != version)
		return NULL;
	return (struct acre *)start;
}

struct acre *acre_of(const void *address)
{
	struct acre *arena = NULL;

	/* Acquire, to the release in find_room(). */
	for (struct slab *slab = &first_slab; slab && !arena;
	     slab = atomic_load_explicit(&slab->next, memory_order_acquire)) {
		uint32_t used = atomic_load_explicit(&slab->used, memory_order_relaxed);

		for (uint32_t i = 0; i < used && !arena; i++)
			arena = arena_in(&slab->ranges[i], (uintptr_t)address);
	}
	return arena;
}

_Noreturn void registry_foreign(const struct acre *arena, const void *block, const char *call)
{
	const struct acre *home = acre_of(block);
	struct line line = { 0 };

	if (!home)
		report_misuse(call, block, "it doesn't lie in this arena, nor in another; was it "
					   "allocated elsewhere, or on the stack?");
	if (home == arena)
		report_misuse(call, block, "no block begins here: this is the arena's own memory");
	line_text(&line, "block of arena ");
	line_number(&line, home->serial);
	line_text(&line, strcmp(call, "usable_size") == 0 ? " given to arena " : " freed into arena ");
	line_number(&line, arena->serial);
	report_misuse(call, block, line.text);
}
