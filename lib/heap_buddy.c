/*
 * The buddy heap: see heap_buddy.h.
 */
#include "heap_buddy.h"

#include "fit_buddy.h"
#include "report.h"
#include "sizes.h"

/* A free block, in the index; its stamp is on its tag's page, as it lies at a multiple of its size. */
static void put_free(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	tag_write(base, at, size, TAG_FREE, heap->plot, heap->key, false);
	if (size > 1)
		stamp(payload_at(base, at), stamp_of(tag_face(tag_at(base, at)), TAG_FREE));
	fit_insert(base, &heap->fit, at, size);
}

/* A free block that the index has leaves it; its tag must be what put_free() wrote. */
static void pull_free(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	const struct tag *tag = tag_at(base, at);

	if (tag_face(tag) != face_of(at, size, TAG_FREE, heap->plot, heap->key) ||
	    tag_size(tag) != size)
		report_misuse_of("heap", payload_at(base, at), size, heap->plot,
				 "its tag was overwritten while it was free; look for a write past "
				 "the end of the block before");
	if (size > 1) {
		if (!stamped(payload_at(base, at), stamp_of(tag_face(tag), TAG_FREE)))
			report_misuse_of("heap", payload_at(base, at), size, heap->plot,
					 "it was written to after it was freed; look for a write "
					 "after free");
		unstamp(payload_at(base, at));
	}
	fit_remove(base, &heap->fit, at, size);
}

static uint64_t offset_of(const struct heap *heap, uint64_t at)
{
	return at - heap->fit.origin;
}

/* The largest block that may begin at `at` and ends at `to` or before. */
static uint64_t piece_at(const struct heap *heap, uint64_t at, uint64_t to)
{
	uint64_t offset = offset_of(heap, at);
	uint64_t piece = power_below(to - at);
	uint64_t most = offset & -offset;

	return most && most < piece ? most : piece;
}

/* All of [from, to) becomes free blocks. */
static void cut_up(char *base, struct heap *heap, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t size = piece_at(heap, from, to);

		put_free(base, heap, from, size);
		from += size;
	}
}

void buddy_init(char *base, struct heap *heap)
{
	cut_up(base, heap, heap->start, heap->end);
}

/* The lowest place in the free block at `at` where a block of this size would be aligned. */
static bool place_in(char *base, const struct heap *heap, uint64_t at, uint64_t size,
		     uint64_t alignment, uint64_t *place)
{
	uintptr_t payload = (uintptr_t)payload_at(base, at);

	*place = at + (-payload & (alignment - 1)) / GRANULE;
	return offset_of(heap, *place) % size == 0 &&
	       *place + size <= at + tag_size(tag_at(base, at));
}

bool buddy_find_aligned(char *base, const struct heap *heap, uint64_t size, uint64_t alignment,
			uint64_t *at, uint64_t *place)
{
	/* The first will do where the size is at least the alignment, and the origin has it too. */
	for (*at = fit_next(base, &heap->fit, size, 0); *at;
	     *at = fit_next(base, &heap->fit, size, *at))
		if (place_in(base, heap, *at, size, alignment, place))
			return true;
	return false;
}

void buddy_take(char *base, struct heap *heap, uint64_t at, uint64_t place, uint64_t size,
		enum tag_state state)
{
	uint64_t left = tag_size(tag_at(base, at));

	pull_free(base, heap, at, left);
	while (left > size) {
		left /= 2;
		if (place < at + left) {
			put_free(base, heap, at + left, left);
		} else {
			put_free(base, heap, at, left);
			at += left;
		}
	}
	tag_write(base, place, size, state, heap->plot, heap->key, false);
	heap->used += size;
	heap->blocks++;
}

unsigned buddy_take_run(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count)
{
	uint64_t total = tag_size(tag_at(base, at));
	uint64_t fits = count * size <= total ? count : total / size;

	pull_free(base, heap, at, total);
	tag_write_cached(base, at, size, fits, heap->plot, heap->key);
	cut_up(base, heap, at + fits * size, at + total);
	heap->used += fits * size;
	heap->blocks += fits;
	return (unsigned)fits;
}

static void give_one(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	/* Stale tags inside a free block say free, so that a second free of them is recognised. */
	tag_set_state(tag_at(base, at), TAG_FREE);
	for (;;) {
		uint64_t buddy = heap->fit.origin + (offset_of(heap, at) ^ size);

		if (!fit_buddy_has(base, &heap->fit, buddy, size))
			break;
		pull_free(base, heap, buddy, size);
		at = at < buddy ? at : buddy;
		size *= 2;
	}
	put_free(base, heap, at, size);
}

void buddy_give(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count)
{
	heap->used -= size;
	heap->blocks -= count;
	for (uint64_t end = at + size; at < end; at += size) {
		size = tag_size(tag_at(base, at));
		give_one(base, heap, at, size);
	}
}

bool buddy_resize(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	uint64_t had = tag_size(tag_at(base, at));

	for (uint64_t n = had; n < size; n *= 2)
		if (offset_of(heap, at) & n || !fit_buddy_has(base, &heap->fit, at + n, n))
			return false;
	for (uint64_t n = had; n < size; n *= 2)
		pull_free(base, heap, at + n, n);
	for (uint64_t n = had; n > size; n /= 2)
		put_free(base, heap, at + n / 2, n / 2);
	tag_write(base, at, size, TAG_LIVE, heap->plot, heap->key, false);
	heap->used += size - had;
	return true;
}

/* The free block that this place lies in: its size, 0 if none, and where it begins. */
static uint64_t free_around(char *base, const struct heap *heap, uint64_t place, uint64_t *at)
{
	for (uint64_t size = 1; size <= heap->end - heap->fit.origin; size *= 2) {
		*at = place - offset_of(heap, place) % size;
		if (fit_buddy_has(base, &heap->fit, *at, size))
			return size;
	}
	return 0;
}

uint64_t buddy_lower_end(char *base, struct heap *heap, uint64_t size)
{
	uint64_t end = heap->end - size;
	uint64_t first = end;
	uint64_t at, had;

	for (uint64_t place = end; place < heap->end; place = at + had) {
		had = free_around(base, heap, place, &at);
		if (!had)
			return 0;
		if (place == end)
			first = at;
	}
	for (uint64_t place = first; place < heap->end; place += had) {
		had = tag_size(tag_at(base, place));
		pull_free(base, heap, place, had);
	}
	heap->end = end;
	cut_up(base, heap, first, end);
	return first;
}

/* Faults of one free block. */
static int check_free(char *base, const struct heap *heap, uint64_t at, uint64_t size)
{
	uint64_t buddy = heap->fit.origin + (offset_of(heap, at) ^ size);
	int faults = 0;

	if (!fit_buddy_has(base, &heap->fit, at, size))
		faults += heap_fault(base, at, "a free block that isn't in the index");
	if (fit_buddy_has(base, &heap->fit, buddy, size))
		faults += heap_fault(base, at, "it and its buddy are free");
	return faults;
}

int buddy_check(char *base, const struct heap *heap)
{
	uint64_t used = 0;
	uint64_t blocks = 0;
	uint64_t free_blocks = 0;
	int faults = 0;
	uint64_t size;

	for (uint64_t at = heap->start; at < heap->end; at += size) {
		const struct tag *tag = tag_at(base, at);

		size = tag_size(tag);
		/* Without a sound size there is no next block: the walk can't go on. */
		if (!tag_sound(base, at, heap->key))
			return faults + heap_fault(base, at, "its tag was overwritten");
		if (size == 0 || size > heap->end - at || size & (size - 1) ||
		    offset_of(heap, at) % size)
			return faults + heap_fault(base, at, "no buddy has its size and place");
		if (tag_prev_free(tag))
			faults += heap_fault(base, at, "its prev-free bit is set");
		faults += heap_check_owner(base, heap, at);
		if (tag_state(tag) == TAG_FREE) {
			faults += check_free(base, heap, at, size);
			free_blocks++;
		} else {
			used += size;
			blocks++;
		}
	}
	if (used != heap->used || blocks != heap->blocks)
		faults += heap_fault(base, heap->start,
				     "its heap counts other blocks than it holds");
	return faults + fit_check(base, &heap->fit, free_blocks);
}
