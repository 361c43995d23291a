/*
 * Plot: see plot.h.
 */
#include "plot.h"

#include <string.h>

#include "commons.h"
#include "dirt.h"
#include "pages.h"
#include "report.h"
#include "sort.h"

#define LEASE_MOST	((uint64_t)(4 << 20) / GRANULE)
#define REPORT_BYTES	((int64_t)64 << 10)
#define SPARE_MOST	LEASE_MOST

/* Granules of a lease that aren't blocks: its tag, its record, and the END tag, if any. */
static uint64_t lease_overhead(const struct acre *arena, uint64_t granules)
{
	return 1 + (sizeof(struct lease) + fit_bytes(arena->policy, granules)) / GRANULE + 1;
}

_Static_assert(sizeof(struct lease) % GRANULE == 0, "the index follows the record");

/* The number of the lease that holds this place: the last that begins before it. */
static unsigned lease_of(const struct plot *plot, uint64_t at)
{
	unsigned low = 0;
	unsigned high = plot->leases;

	while (high - low > 1) {
		unsigned middle = (low + high) / 2;

		if (plot->lease[middle] < at)
			low = middle;
		else
			high = middle;
	}
	return low;
}

unsigned plot_lease_from(const struct plot *plot, uint64_t at)
{
	unsigned i = plot->leases ? lease_of(plot, at) : 0;

	return i < plot->leases && plot->lease[i] < at ? i + 1 : i;
}

/* The largest room of the leases that crest number n is for. */
static uint32_t crest_of(const struct plot *plot, unsigned n)
{
	uint32_t largest = 0;

	for (unsigned i = n * CREST; i < (n + 1) * CREST && i < plot->leases; i++)
		if (plot->room[i] > largest)
			largest = plot->room[i];
	return largest;
}

/* Rooms have moved, from number i on. */
static void renew_crests(struct plot *plot, unsigned i)
{
	for (unsigned n = i / CREST; n * CREST < plot->leases; n++)
		plot->crest[n] = crest_of(plot, n);
}

static void set_room(struct plot *plot, unsigned i, uint32_t room)
{
	uint32_t had = plot->room[i];
	uint32_t *crest = &plot->crest[i / CREST];

	plot->room[i] = room;
	if (room >= *crest)
		*crest = room;
	else if (had == *crest)
		*crest = crest_of(plot, i / CREST);
}

/* Use changed: the plot's sums, the lease's room, and once in a while the arena's peak. */
static void account(struct acre *arena, struct plot *plot, unsigned i, int64_t granules,
		    int64_t blocks)
{
	set_room(plot, i, fit_largest(arena_base(arena), &plot_lease(arena, plot, i)->heap.fit));
	plot->used += (uint64_t)granules;
	plot->blocks += (uint64_t)blocks;
	plot->unreported += granules * (int64_t)GRANULE - blocks * (int64_t)TAG_BYTES;
	if (plot->unreported >= REPORT_BYTES || plot->unreported <= -REPORT_BYTES) {
		arena_used(arena, plot->unreported);
		plot->unreported = 0;
	}
}

/* The first lease from number i on with a free block of this size; plot->leases if none. */
static unsigned lease_with(const struct plot *plot, unsigned i, uint64_t size)
{
	uint32_t want = fit_saturated(size);

	while (i < plot->leases)
		if (i % CREST == 0 && plot->crest[i / CREST] < want)
			i += CREST;
		else if (plot->room[i] >= want)
			return i;
		else
			i++;
	return plot->leases;
}

/* Where the heap of a lease ends: at its END tag; buddies have none, and fill the lease. */
static uint64_t lease_end(const struct acre *arena, uint64_t at, uint64_t granules)
{
	return at + granules - (arena->policy != FIT_BUDDY);
}

/* Granules of a lease in which a block of this size is sure to have room. */
static uint64_t lease_for(const struct acre *arena, uint64_t size)
{
	uint64_t least = arena->lease_least;
	uint64_t needed;

	/* A buddy has the upper half, for the record and the index are in the lower. */
	if (arena->policy == FIT_BUDDY) {
		least = least > arena->page ? least : arena->page;
		return power_above(2 * size > least ? 2 * size : least);
	}
	needed = size + lease_overhead(arena, size) + lease_overhead(arena, least);

	return round_up(needed > least ? needed : least, arena->page);
}

/* Granules of the lease that the plot would have next: the more land it has, the more. */
static uint64_t lease_wanted(const struct acre *arena, const struct plot *plot)
{
	uint64_t wanted = plot->land / 8;

	if (wanted > LEASE_MOST)
		wanted = plot->land / 16 > LEASE_MOST ? plot->land / 16 : LEASE_MOST;
	return wanted / arena->page * arena->page;
}

/* The lease at `at` gets its record and its heap: one free block. */
static void lease_init(struct acre *arena, const struct plot *plot, uint64_t at, uint64_t granules)
{
	char *base = arena_base(arena);
	struct lease *lease = payload_at(base, at);
	size_t record = (at + 1) * GRANULE;
	uint64_t overhead = lease_overhead(arena, granules);
	uint64_t start = at + overhead - 1;
	uint64_t end = lease_end(arena, at, granules);

	/* All of it but the two tags. */
	SHADOW_SHOW(lease, (overhead - 2) * GRANULE);
	dirt_zero(arena, record, (overhead - 2) * GRANULE);
	dirt_mark(arena, at, overhead);
	dirt_mark(arena, at + granules - 1, 1);
	/* A buddy that lies right in its lease does so in the arena. */
	heap_init(base, &lease->heap, arena->policy, record + sizeof(*lease),
		  arena->policy == FIT_BUDDY ? at : start, start, end, arena->key, plot->id);
	dirt_mark_tags(arena, start, end);
}

/* The lease at `at` comes into the plot's list. */
static void enter(struct acre *arena, struct plot *plot, uint64_t at, uint64_t granules)
{
	unsigned i = plot_lease_from(plot, at);

	memmove(plot->lease + i + 1, plot->lease + i, (plot->leases - i) * sizeof(*plot->lease));
	memmove(plot->room + i + 1, plot->room + i, (plot->leases - i) * sizeof(*plot->room));
	plot->lease[i] = at;
	plot->room[i] = 0;
	plot->leases++;
	plot->land += granules;
	renew_crests(plot, i);
	account(arena, plot, i, 0, 0);
}

/* Another lease, with a free block of at least size granules. */
static bool extend(struct acre *arena, struct plot *plot, uint64_t size)
{
	uint64_t least = lease_for(arena, size);
	uint64_t wanted = lease_wanted(arena, plot);
	uint64_t granted = 0;
	uint64_t at;

	if (plot->leases == PLOT_LEASES)
		return false;
	at = commons_lease(arena, plot->id, least, wanted > least ? wanted : least, &granted);
	if (!at)
		return false;
	lease_init(arena, plot, at, granted);
	enter(arena, plot, at, granted);
	return true;
}

/* Lease number i, which is wholly free, goes back to the commons. */
static void hand_back(struct acre *arena, struct plot *plot, unsigned i)
{
	uint64_t at = plot->lease[i];

	plot->land -= tag_size(tag_at(arena_base(arena), at));
	plot->leases--;
	memmove(plot->lease + i, plot->lease + i + 1, (plot->leases - i) * sizeof(*plot->lease));
	memmove(plot->room + i, plot->room + i + 1, (plot->leases - i) * sizeof(*plot->room));
	renew_crests(plot, i);
	commons_unlease(arena, at);
}

static bool lease_empty(struct acre *arena, struct plot *plot, unsigned i)
{
	return heap_empty(&plot_lease(arena, plot, i)->heap);
}

/* Lease number i has become free: it goes back, unless the plot has a thread and no other spare. */
static void retire(struct acre *arena, struct plot *plot, unsigned i)
{
	uint64_t size = tag_size(tag_at(arena_base(arena), plot->lease[i]));

	if (atomic_load_explicit(&plot->holder, memory_order_relaxed) && size <= SPARE_MOST) {
		unsigned k = 0;

		while (k < plot->leases && (k == i || !lease_empty(arena, plot, k)))
			k++;
		if (k == plot->leases)
			return;
		/* Two are free: the higher one goes, to keep the plot low and dense. */
		if (k > i)
			i = k;
	}
	hand_back(arena, plot, i);
}

uint64_t plot_take(struct acre *arena, struct plot *plot, uint64_t size, uint64_t alignment)
{
	char *base = arena_base(arena);
	/* Good fit's room is that of a block whose list may have some up to a 32nd larger. */
	uint64_t least = arena->policy == FIT_GOOD ? size - size / 33 : size;

	for (unsigned i = lease_with(plot, 0, least); i < plot->leases;
	     i = lease_with(plot, i + 1, least)) {
		struct heap *heap = &plot_lease(arena, plot, i)->heap;
		uint64_t at, place;

		if (alignment <= GRANULE)
			place = at = heap_find(base, heap, size);
		else if (!heap_find_aligned(base, heap, size, alignment, &at, &place))
			at = 0;
		if (!at)
			continue;
		if (arena->policy == FIT_BUDDY)
			dirt_take(arena, heap, at, place, size, TAG_LIVE);
		else
			heap_take(base, heap, at, place, size, TAG_LIVE);
		if (place != at)
			dirt_mark(arena, place, 0);
		account(arena, plot, i, (int64_t)size, 1);
		return place;
	}
	return 0;
}

uint64_t plot_take_more(struct acre *arena, struct plot *plot, uint64_t size, uint64_t alignment)
{
	uint64_t at = plot_take(arena, plot, size, alignment);
	/* Buddies are aligned as they are large. */
	uint64_t slack = alignment > GRANULE && arena->policy != FIT_BUDDY ? alignment / GRANULE : 0;

	if (!at && extend(arena, plot, size + slack))
		at = plot_take(arena, plot, size, alignment);
	return at;
}

unsigned plot_take_run(struct acre *arena, struct plot *plot, uint64_t size, unsigned count,
		       uint64_t *first)
{
	char *base = arena_base(arena);
	unsigned i = lease_with(plot, 0, size);
	struct heap *heap;
	uint64_t at, end;
	unsigned had;

	if (i == plot->leases && extend(arena, plot, size))
		i = lease_with(plot, 0, size);
	if (i == plot->leases)
		return 0;
	heap = &plot_lease(arena, plot, i)->heap;
	at = heap_find(base, heap, size);
	end = at + tag_size(tag_at(base, at));
	had = heap_take_run(base, heap, at, size, count);
	dirt_mark(arena, at, had * size);
	if (arena->policy == FIT_BUDDY)
		dirt_mark_tags(arena, at + had * size, end);
	account(arena, plot, i, (int64_t)(had * size), had);
	*first = at;
	return had;
}

/* The first blocks of count, ascending, that lie in lease number i are free again; how many. */
static unsigned give_to(struct acre *arena, struct plot *plot, unsigned i, const uint64_t *places,
			unsigned count)
{
	char *base = arena_base(arena);
	struct heap *heap = &plot_lease(arena, plot, i)->heap;
	uint32_t id = plot->id;
	uint32_t key = arena->key;
	int64_t used = (int64_t)heap->used;
	unsigned k = 0;

	while (k < count && places[k] < heap->end) {
		uint64_t at = places[k];
		uint64_t end = at;
		unsigned first = k;

		/* Neighbours become one before the index hears of them. */
		do {
			end += heap_retire_cached(base, end, id, key);
			k++;
		} while (k < count && places[k] == end);
		heap_give(base, heap, at, end - at, k - first);
	}
	account(arena, plot, i, (int64_t)heap->used - used, -(int64_t)k);
	return k;
}

void plot_give(struct acre *arena, struct plot *plot, uint64_t *places, unsigned count)
{
	uint64_t used = plot->used;

	sort_places(places, count);
	while (count) {
		unsigned i = lease_of(plot, *places);
		unsigned given = 0;

		if (plot->leases && *places >= plot_lease(arena, plot, i)->heap.start)
			given = give_to(arena, plot, i, places, count);
		/* A link or a tag that was overwritten may lead to another plot's block. */
		if (!given)
			heap_unexpected(arena_base(arena), *places, arena->key);
		if (lease_empty(arena, plot, i))
			retire(arena, plot, i);
		places += given;
		count -= given;
	}
	atomic_fetch_add_explicit(&arena->freed_bytes, (used - plot->used) * GRANULE,
				  memory_order_relaxed);
}

/* The number of the lease in which a block of the plot lies. */
static unsigned lease_holding(struct acre *arena, struct plot *plot, uint64_t at)
{
	unsigned i = lease_of(plot, at);

	/* A tag that was overwritten may name another plot. */
	if (!plot->leases || at < plot_lease(arena, plot, i)->heap.start ||
	    at >= plot_lease(arena, plot, i)->heap.end)
		heap_unexpected(arena_base(arena), at, arena->key);
	return i;
}

bool plot_resize(struct acre *arena, struct plot *plot, uint64_t at, uint64_t size)
{
	char *base = arena_base(arena);
	uint64_t had = tag_size(tag_at(base, at));
	unsigned i = lease_holding(arena, plot, at);

	if (!heap_resize(base, &plot_lease(arena, plot, i)->heap, at, size))
		return false;
	account(arena, plot, i, (int64_t)size - (int64_t)had, 0);
	return true;
}

uint64_t plot_slide(struct acre *arena, struct plot *plot, uint64_t at, uint64_t size)
{
	char *base = arena_base(arena);
	uint64_t had = tag_size(tag_at(base, at));
	unsigned i = lease_holding(arena, plot, at);
	uint64_t place = heap_slide(base, &plot_lease(arena, plot, i)->heap, at, size);

	if (place)
		account(arena, plot, i, (int64_t)size - (int64_t)had, 0);
	return place;
}

void plot_post(struct acre *arena, struct plot *plot, uint64_t first, uint64_t last,
	       uint64_t blocks, uint64_t bytes)
{
	uint64_t head = atomic_load_explicit(&plot->inbox, memory_order_relaxed);

	atomic_fetch_add_explicit(&plot->inbox_blocks, blocks, memory_order_relaxed);
	atomic_fetch_add_explicit(&plot->inbox_bytes, bytes, memory_order_relaxed);
	/*
	 * Release, to the acquire in plot_drain(): the links, and the program's last use of them.
	 * Acquire, to the release in plot_let_go(): either that sees the post, or who posts sees the
	 * lock dropped.
	 */
	do
		post_write(arena_base(arena), last, head, arena->key);
	while (!atomic_compare_exchange_weak_explicit(&plot->inbox, &head, first,
						      memory_order_acq_rel, memory_order_relaxed));
}

void plot_drain(struct acre *arena, struct plot *plot)
{
	char *base = arena_base(arena);
	uint64_t batch[BATCH_MOST];
	uint64_t blocks = 0;
	uint64_t bytes = 0;
	uint64_t at;

	if (!atomic_load_explicit(&plot->inbox, memory_order_relaxed))
		return;
	/*
	 * Acquire, to the release in plot_post(), and to those before it by way of the exchanges.
	 */
	at = atomic_exchange_explicit(&plot->inbox, 0, memory_order_acquire);
	while (at) {
		unsigned count = 0;

		while (at && count < BATCH_MOST) {
			uint64_t size = heap_expect_cached(base, at, plot->id, arena->key);

			batch[count++] = at;
			bytes += payload_bytes(size);
			if (!post_read(base, at, &at, arena->key))
				report_misuse_of("free", payload_at(base, batch[count - 1]), size,
						 plot->id,
						 "it was written to after it was freed; look for a "
						 "write after free");
		}
		blocks += count;
		plot_give(arena, plot, batch, count);
	}
	atomic_fetch_sub_explicit(&plot->inbox_blocks, blocks, memory_order_relaxed);
	atomic_fetch_sub_explicit(&plot->inbox_bytes, bytes, memory_order_relaxed);
}

void plot_let_go(struct acre *arena, struct plot *plot)
{
	do {
		plot_drain(arena, plot);
		lock_drop(&plot->lock);
		/* Writes nothing new. Release, to the acquire in plot_post(). */
	} while (atomic_fetch_or_explicit(&plot->inbox, 0, memory_order_acq_rel) &&
		 lock_try(&plot->lock));
}

void plot_release(struct acre *arena, struct plot *plot)
{
	for (unsigned i = plot->leases; i--;)
		if (lease_empty(arena, plot, i))
			hand_back(arena, plot, i);
}

int plot_check(struct acre *arena, struct plot *plot)
{
	char *base = arena_base(arena);
	uint64_t used = 0;
	uint64_t blocks = 0;
	int faults = 0;

	for (unsigned i = 0; i < plot->leases; i++) {
		const struct heap *heap = &plot_lease(arena, plot, i)->heap;
		const struct tag *tag = tag_at(base, plot->lease[i]);

		if (tag_state(tag) != TAG_LEASE || tag_plot(tag) != plot->id ||
		    heap->end != lease_end(arena, plot->lease[i], tag_size(tag)) ||
		    plot->room[i] != fit_largest(base, &heap->fit) ||
		    plot->crest[i / CREST] != crest_of(plot, i / CREST) ||
		    (i && plot->lease[i - 1] >= plot->lease[i])) {
			struct line line = { 0 };

			line_text(&line, "check: plot ");
			line_number(&line, plot->id);
			line_text(&line, ": lease ");
			line_number(&line, i);
			line_text(&line, " isn't as its plot has it");
			report(&line);
			faults++;
		}
		faults += heap_check(base, heap);
		used += heap->used;
		blocks += heap->blocks;
	}
	if (used != plot->used || blocks != plot->blocks) {
		struct line line = { 0 };

		line_text(&line, "check: plot ");
		line_number(&line, plot->id);
		line_text(&line, " counts other blocks than its leases hold");
		report(&line);
		faults++;
	}
	return faults;
}
