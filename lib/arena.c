/*
 * Arena: creation, layout, destruction. See arena.h for the picture.
 */
#include "arena.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include "cache.h"
#include "commons.h"
#include "dirt.h"
#include "guard.h"
#include "mix.h"
#include "pages.h"
#include "plot.h"
#include "private.h"
#include "registry.h"
#include "report.h"
#include "thread.h"

#define CACHE_BYTES	((size_t)1 << 20)
#define DEPOT_BYTES	((size_t)2 << 20)
#define CLASS_BYTES	((size_t)16 << 10)
#define QUARANTINE_BYTES	((size_t)64 << 20)
#define PLOTS_LEAST	((size_t)1 << 20)	/* a smaller arena has no plots */
#define PLOTS_RESERVED	256u
#define PLOT_BLOCK_MOST	((size_t)256 << 10)
#define LEASE_LEAST	((size_t)64 << 10)
#define LEASE_FLOOR	((size_t)16 << 10)
#define BASE_ALIGN	64u

static struct acre *_Atomic under_malloc;

static size_t clamp(size_t n, size_t least, size_t most)
{
	return n < least ? least : n > most ? most : n;
}

uint64_t arena_peak(struct acre *arena, uint64_t used)
{
	uint64_t peak = atomic_load_explicit(&arena->peak_bytes, memory_order_relaxed);

	while (used > peak)
		if (atomic_compare_exchange_weak_explicit(&arena->peak_bytes, &peak, used,
							  memory_order_relaxed,
							  memory_order_relaxed))
			return used;
	return peak;
}

void arena_used(struct acre *arena, int64_t bytes)
{
	int64_t used = (int64_t)atomic_fetch_add_explicit(&arena->used_bytes, (uint64_t)bytes,
							  memory_order_relaxed) + bytes;

	if (used > 0)
		arena_peak(arena, (uint64_t)used);
}

uint64_t arena_buddy(const struct acre *arena, uint64_t granules, uint64_t alignment)
{
	if (granules < alignment / GRANULE && alignment <= arena->aligned)
		granules = alignment / GRANULE;
	return power_above(granules);
}

bool arena_cached(const struct acre *arena, const void *block)
{
	char *base = arena_base(arena);
	uintptr_t offset = (uintptr_t)block - (uintptr_t)base;

	if (offset % GRANULE || offset >= arena->size || offset < GRANULE)
		return false;
	return tag_state(tag_of(block)) == TAG_CACHED &&
	       tag_sound(base, place_of(base, block), arena->key);
}

int arena_cached_fault(const struct acre *arena, unsigned class, const void *block)
{
	struct line line = { 0 };

	if (arena_cached(arena, block) && tag_size(tag_of(block)) == arena->plan.granules[class])
		return 0;
	line_text(&line, "check: block ");
	line_address(&line, block);
	line_text(&line, ": its tag isn't that of a cached block, but a cache holds it");
	report(&line);
	return 1;
}

/* What an attacker doesn't know, another for each arena. */
static uint64_t make_secret(uint64_t serial)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t seed = 0;

	if (random)
		memcpy(&seed, random, sizeof(seed));
	return mixed(seed ^ serial * UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t next_serial(void)
{
	static _Atomic uint64_t serial;

	return atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed) + 1;
}

/* How large caches, leases and plots are in an arena of this size. */
static void size_plots(struct acre *arena, size_t cache_bytes)
{
	size_t size = arena->size;
	struct depot *depot = &arena->depot;

	if (arena->flags & ACRE_NO_CACHE || size < PLOTS_LEAST)
		return;
	arena->cache_bytes = cache_bytes ? cache_bytes : clamp(size / 16, 0, CACHE_BYTES);
	depot->bytes_most = clamp(size / 32, 0, DEPOT_BYTES);
	depot->share = clamp(arena->cache_bytes / 8 * 3, 0, depot->bytes_most);
	/* Who sets a bound gets it for cache and depot together. */
	if (cache_bytes)
		arena->cache_bytes -= depot->share;
	arena->caches_bytes = cache_bytes ? SIZE_MAX : size / 8 - depot->bytes_most;
	/* Without room in the caches, each request arrives where it's counted. */
	cache_plan_init(&arena->plan, arena->fail_at ?
			0 : clamp(arena->cache_bytes / 64, 256, CLASS_BYTES),
			arena->policy == FIT_BUDDY);
	arena->plot_bytes = plot_size(&arena->plan);
	arena->plot_reserved = (uint32_t)clamp(size / 64 / arena->plot_bytes, 1, PLOTS_RESERVED);
	arena->plot_most = clamp(size / 64, 0, PLOT_BLOCK_MOST) / GRANULE;
	arena->lease_least = clamp(size / 128 / pages_size() * pages_size(), LEASE_FLOOR,
				   LEASE_LEAST) / GRANULE;
}

/* Where the maps, the index and the end of the commons lie; returns the index's end, in bytes. */
static size_t lay_out_front(struct acre *arena, size_t *index)
{
	size_t ceiling = arena->plot_bytes ? arena_ceiling(arena) -
					     arena->plot_reserved * arena->plot_bytes :
					     arena->size;
	size_t offset = round_up(sizeof(*arena), BASE_ALIGN);
	size_t depot = arena->plot_bytes ? depot_size(arena->size) : 0;

	depot_init(arena, offset, depot);
	offset += depot;
	arena->commons.end = ceiling / GRANULE - 1;
	if (arena->mapped) {
		arena->dirt = offset;
		arena->seams = round_up(offset + dirt_bytes(arena->size), BASE_ALIGN);
		offset = round_up(arena->seams + dirt_bytes(arena->size), BASE_ALIGN);
	}
	*index = offset;
	return offset + fit_bytes(arena->policy, arena->commons.end - offset / GRANULE);
}

/* Where the first payload of a mapped range of buddies lies, when the index ends there. */
static size_t first_buddy(size_t offset)
{
	return round_up(offset + GRANULE, pages_size());
}

/* Where the commons start. Where buddies do, they are aligned, as well as the range allows. */
static uint64_t lay_out_start(struct acre *arena, size_t offset)
{
	uintptr_t base = (uintptr_t)arena;
	uintptr_t payload;

	if (arena->policy != FIT_BUDDY)
		return round_up(offset, arena->plot_bytes ? pages_size() : GRANULE) / GRANULE;
	if (arena->mapped)
		payload = base + first_buddy(offset);
	else
		payload = round_up(base + offset + GRANULE, power_below(arena->size / 16));
	arena->aligned = payload & -payload;
	return (payload - base) / GRANULE - 1;
}

/*
 * Lays the arena out: the maps, the index, the range of the commons. The struct itself is
 * accessible and zero but for what the caller has set. False if the OS refuses memory.
 */
static bool lay_out(struct acre *arena)
{
	char *base = arena_base(arena);
	size_t page = pages_size();
	size_t index;
	uint64_t start = lay_out_start(arena, lay_out_front(arena, &index));
	uint64_t end = arena->commons.end;

	arena->commons.start = start;
	fit_init(&arena->commons.fit, arena->policy, index, start, end - start);
	if (!arena->mapped) {
		memset(base + index, 0, fit_bytes(arena->policy, end - start));
		arena->committed = SIZE_MAX;
	} else {
		size_t last = end * GRANULE / page * page;

		/* A page that holds the end of the index may hold the start of the commons too. */
		arena->committed = start * GRANULE / page * page;
		/* Halves of a buddy have tags far beyond what's in use. */
		if (!commons_commit(arena, arena->policy == FIT_BUDDY ? end : start) ||
		    !pages_commit(base + last, page))
			return false;
	}
	heap_init(base, &arena->commons, arena->policy, index, start, start, end, arena->key, 0);
	dirt_mark_tags(arena, start, end);
	dirt_mark(arena, end, 0);
	return true;
}

/* Of what an attacker doesn't know. */
static void set_guards(struct acre *arena, const struct acre_options *options, uint64_t secret)
{
	arena->guard.secret = secret * UINT64_C(0xda942042e4dd58b5);
	arena->guard.dice = secret ^ arena->guard.secret;
	arena->guard.quarantine_bytes = options->quarantine_bytes ? options->quarantine_bytes :
					clamp(arena->size / 16, 0, QUARANTINE_BYTES);
}

/* What the layout depends on. */
static void settle(struct acre *arena, size_t size, size_t mapped,
		   const struct acre_options *options)
{
	arena->size = size;
	arena->mapped = mapped;
	arena->page = pages_size() / GRANULE;
	arena->page_log = (unsigned)__builtin_ctzll(arena->page);
	arena->flags = options->flags | (options->guards ? ACRE_NO_CACHE : 0);
	arena->policy = (enum fit_policy)options->policy;
	arena->guard.kinds = options->guards;
	arena->fail_at = options->fail_at;
	arena->fail_count = options->fail_count ? options->fail_count : 1;
	size_plots(arena, options->cache_bytes);
}

/* Makes an arena in accessible, zeroed memory for the struct. NULL if the OS refuses more. */
static struct acre *make(void *base, size_t size, size_t mapped, const struct acre_options *options)
{
	struct acre *arena = base;
	uint64_t secret;

	arena->serial = next_serial();
	arena->seal = arena_seal(arena);
	secret = make_secret(arena->serial);
	/* Odd, so that it's a permutation. */
	arena->key = (uint32_t)(secret >> 32) | 1;
	settle(arena, size, mapped, options);
	if (options->guards)
		set_guards(arena, options, secret);
	lock_init(&arena->lock, RANK_COMMONS);
	lock_init(&arena->depot.lock, RANK_DEPOT);
	waiting_init(arena, options->rcu_bytes);
	if (!lay_out(arena))
		return NULL;
	if (mapped && arena->flags & ACRE_HUGE_PAGES)
		pages_huge(base, mapped);
	if (arena->flags & ACRE_PREFAULT) {
		if (!commons_commit(arena, arena->commons.end) ||
		    (mapped && !pages_commit(base, mapped)))
			return NULL;
		pages_prefault(base, size);
	}
	return registry_enter(arena) ? arena : NULL;
}

static const struct acre_options defaults;

_Static_assert((int)FIT_FIRST == (int)ACRE_FIRST_FIT && (int)FIT_NEXT == (int)ACRE_NEXT_FIT &&
	       (int)FIT_BEST == (int)ACRE_BEST_FIT && (int)FIT_WORST == (int)ACRE_WORST_FIT &&
	       (int)FIT_BUDDY == (int)ACRE_BUDDY && (int)FIT_GOOD == (int)ACRE_GOOD_FIT,
	       "policies by the same numbers");

/* Whether such an arena can be; else errno is set. */
static bool acceptable(size_t size, const struct acre_options *options)
{
	if (size < ARENA_LEAST || (uint64_t)size > ARENA_MOST ||
	    (unsigned)options->policy >= FIT_POLICIES ||
	    options->flags & ~ARENA_FLAGS || options->guards & ~GUARDS_ALL ||
	    (options->guards & ACRE_RANDOM && options->policy != ACRE_FIRST_FIT) ||
	    (options->guards & ACRE_GUARD_PAGES && options->policy == ACRE_BUDDY)) {
		errno = EINVAL;
		return false;
	}
	return true;
}

/*
 * A range for an arena. That of buddies is chosen such that the first of them is aligned as the
 * largest is that there may be; where the OS won't have that, less must do.
 */
static void *reserve(size_t size, size_t mapped, const struct acre_options *options)
{
	struct acre draft = { 0 };
	size_t index, first;

	if (options->policy != ACRE_BUDDY)
		return pages_reserve(mapped);
	settle(&draft, size, mapped, options);
	first = first_buddy(lay_out_front(&draft, &index));
	for (size_t alignment = power_below(size); alignment > pages_size(); alignment /= 2) {
		void *base = pages_reserve_aligned(mapped, alignment, first);

		if (base)
			return base;
	}
	return pages_reserve(mapped);
}

static struct acre *create(size_t size, const struct acre_options *options)
{
	size_t mapped;
	struct acre *arena;
	void *base;

	if (!options)
		options = &defaults;
	if (!acceptable(size, options))
		return NULL;
	mapped = round_up(size, pages_size());
	base = reserve(size, mapped, options);
	if (!base) {
		errno = ENOMEM;
		return NULL;
	}
	arena = pages_commit(base, round_up(sizeof(*arena), pages_size())) ?
			make(base, size, mapped, options) : NULL;
	if (!arena) {
		pages_release(base, mapped);
		errno = ENOMEM;
	}
	return arena;
}

struct acre *acre_create(size_t size, const struct acre_options *options)
{
	struct acre *arena = create(size, options);

	thread_setup();
	return arena;
}

struct acre *acre_create_at(void *memory, size_t size, const struct acre_options *options)
{
	size_t front = -(uintptr_t)memory % BASE_ALIGN;
	struct acre *arena;

	if (!options)
		options = &defaults;
	if (!acceptable(size, options))
		return NULL;
	if (!memory || (uintptr_t)memory > UINTPTR_MAX - size ||
	    options->guards & ACRE_GUARD_PAGES) {
		errno = EINVAL;
		return NULL;
	}
	memset((char *)memory + front, 0, sizeof(*arena));
	arena = make((char *)memory + front, size - front, 0, options);
	thread_setup();
	return arena;
}

struct acre *acre_private_start(size_t size, const struct acre_options *options)
{
	struct acre *arena = create(size, options);

	report_begin();
	/* Before the set-up, which may allocate. Release, to the acquire in acre_default(). */
	atomic_store_explicit(&under_malloc, arena, memory_order_release);
	thread_setup();
	return arena;
}

struct acre *acre_default(void)
{
	/* Acquire, to the release in acre_private_start(): the arena is set up. */
	return atomic_load_explicit(&under_malloc, memory_order_acquire);
}

/* Whoever gets the range next finds it as if no block had been in it. */
static void show_all(struct acre *arena)
{
	size_t committed = atomic_load_explicit(&arena->committed, memory_order_relaxed);

	SHADOW_SHOW(arena, committed < arena->size ? committed : arena->size);
	(void)committed;
}

int acre_destroy(struct acre *arena)
{
	if (!arena || arena == acre_default() || acre_of(arena) != arena) {
		errno = EINVAL;
		return -1;
	}
	if (!waiting_end_workers(arena)) {
		errno = EDEADLK;
		return -1;
	}
	/* Until here, a thread that forks takes the arena's locks. */
	registry_withdraw(arena);
	waiting_end(arena);
	show_all(arena);
	for (uint32_t id = 1; id <= plots_made(arena); id++)
		lock_end(&plot_at(arena, id)->lock);
	lock_end(&arena->lock);
	lock_end(&arena->depot.lock);
	arena->serial = 0;
	arena->seal = 0;
	if (arena->mapped)
		pages_release(arena, arena->mapped);
	return 0;
}
