/*
 * Heap: split, merge, resize. See heap.h for the picture and the invariants. A heap of buddies is
 * heap_buddy.c's.
 *
 * A free block is made by put_free(), grows when heap_give() merges others into it, and is cut at
 * its low end by cut_free(). Whatever a call does, it leaves the prev-free bit of the block behind
 * right.
 */
#include "heap.h"

#include <string.h>

#include "heap_buddy.h"
#include "report.h"

static struct tag *next_tag(char *base, uint64_t at, uint64_t size)
{
	return tag_at(base, at + size);
}

static _Noreturn void overwritten(char *base, const struct heap *heap, uint64_t at, uint64_t size,
				  const char *what)
{
	report_misuse_of("heap", payload_at(base, at), size, heap->plot, what);
}

/*
 * Whether a free block bears a stamp: not where its fit has links, nor on fresh land, whose next
 * page may not be there yet; and a single granule has room for its footer alone.
 */
static bool bears_stamp(const struct heap *heap, uint64_t at, uint64_t size)
{
	return !heap->fit.links && size > 1 && at + size != heap->end;
}

/* Tag, footer and stamp of the free block at `at`, where none of the three was. */
static void mark_free(char *base, const struct heap *heap, uint64_t at, uint64_t size)
{
	tag_write(base, at, size, TAG_FREE, heap->plot, heap->key, false);
	footer_write(base, at, size);
	if (bears_stamp(heap, at, size))
		stamp(payload_at(base, at), stamp_of(tag_face(tag_at(base, at)), TAG_FREE));
}

/* What mark_free() wrote must be as it was: nobody may have written to the block since. */
static void expect_free(char *base, const struct heap *heap, uint64_t at, uint64_t size)
{
	uint32_t face = face_of(at, size, TAG_FREE, heap->plot, heap->key);

	if (tag_face(tag_at(base, at)) != face)
		overwritten(base, heap, at, size,
			    "its tag was overwritten while it was free; look for a write past the "
			    "end of the block before");
	if (footer_before(base, at + size) != size)
		overwritten(base, heap, at, size,
			    "its end was overwritten while it was free; look for a write after "
			    "free, or before the start of the block behind");
	if (!bears_stamp(heap, at, size))
		return;
	if (!stamped(payload_at(base, at), stamp_of(face, TAG_FREE)))
		overwritten(base, heap, at, size,
			    "it was written to after it was freed; look for a write after free");
	unstamp(payload_at(base, at));
}

/* [at, at + size) becomes a free block, in the index. The block before isn't free. */
static void put_free(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	mark_free(base, heap, at, size);
	tag_set_prev_free(next_tag(base, at, size), true);
	fit_insert(base, &heap->fit, at, size);
}

/* The free block at `at` leaves the index. */
static void take_free(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	expect_free(base, heap, at, size);
	fit_remove(base, &heap->fit, at, size);
}

/*
 * The free block at `at` keeps its granules from `to` on, if any, and those before become something
 * else.
 */
static void cut_free(char *base, struct heap *heap, uint64_t at, uint64_t to)
{
	uint64_t size = tag_size(tag_at(base, at));
	uint64_t rest = size - (to - at);

	expect_free(base, heap, at, size);
	if (!rest) {
		fit_remove(base, &heap->fit, at, size);
		tag_set_prev_free(tag_at(base, to), false);
		return;
	}
	fit_cut(base, &heap->fit, at, size, to, rest);
	mark_free(base, heap, to, rest);
}

/*
 * The size of the free block behind [at, at + size); 0 if that one isn't free. Its tag is what an
 * overflow of this one hits first.
 */
static uint64_t free_behind(char *base, const struct heap *heap, uint64_t at, uint64_t size)
{
	const struct tag *next = next_tag(base, at, size);

	if (!tag_sound(base, at + size, heap->key))
		overwritten(base, heap, at, size,
			    "the tag behind it was overwritten; look for a write past its end");
	return tag_state(next) == TAG_FREE ? tag_size(next) : 0;
}

/* The size of the free block before the one at `at`; 0 if that one isn't free. */
static uint64_t free_before(char *base, const struct heap *heap, uint64_t at)
{
	uint64_t size;

	if (!tag_prev_free(tag_at(base, at)))
		return 0;
	size = footer_before(base, at);
	if (size == 0 || size > at - heap->start || tag_size(tag_at(base, at - size)) != size)
		overwritten(base, heap, at, tag_size(tag_at(base, at)),
			    "the free block before it was overwritten at its end; look for a "
			    "write after free, or before the start of this one");
	return size;
}

void heap_init(char *base, struct heap *heap, enum fit_policy policy, size_t index, uint64_t origin,
	       uint64_t start, uint64_t end, uint32_t key, uint32_t plot)
{
	heap->start = start;
	heap->end = end;
	heap->used = 0;
	heap->blocks = 0;
	heap->key = key;
	heap->plot = plot;
	fit_init(&heap->fit, policy, index, origin, end - origin);
	if (heap_is_buddy(heap)) {
		buddy_init(base, heap);
		return;
	}
	tag_write(base, end, 0, TAG_END, plot, key, false);
	put_free(base, heap, start, end - start);
}

uint64_t heap_find(char *base, const struct heap *heap, uint64_t size)
{
	return fit_find(base, &heap->fit, size);
}

/* The lowest place from `at` on whose payload lies at a multiple of alignment. */
static uint64_t align_place(char *base, uint64_t at, uint64_t alignment)
{
	uintptr_t payload = (uintptr_t)payload_at(base, at);

	return at + (-payload & (alignment - 1)) / GRANULE;
}

bool heap_find_aligned(char *base, const struct heap *heap, uint64_t size, uint64_t alignment,
		       uint64_t *at, uint64_t *place)
{
	if (heap_is_buddy(heap))
		return buddy_find_aligned(base, heap, size, alignment, at, place);
	/* A block with this much to spare serves wherever it lies. */
	*at = fit_find(base, &heap->fit, size + alignment / GRANULE - 1);
	if (*at) {
		*place = align_place(base, *at, alignment);
		return true;
	}
	/* One that happens to lie well may still serve: the last resort looks at each. */
	for (*at = fit_next(base, &heap->fit, size, 0); *at;
	     *at = fit_next(base, &heap->fit, size, *at)) {
		*place = align_place(base, *at, alignment);
		if (*place + size <= *at + tag_size(tag_at(base, *at)))
			return true;
	}
	return false;
}

void heap_take(char *base, struct heap *heap, uint64_t at, uint64_t place, uint64_t size,
	       enum tag_state state)
{
	if (heap_is_buddy(heap)) {
		buddy_take(base, heap, at, place, size, state);
		return;
	}
	cut_free(base, heap, at, place + size);
	if (place != at)
		put_free(base, heap, at, place - at);
	tag_write(base, place, size, state, heap->plot, heap->key, place != at);
	fit_took(&heap->fit, place + size);
	heap->used += size;
	heap->blocks++;
}

unsigned heap_take_run(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count)
{
	uint64_t total = tag_size(tag_at(base, at));
	uint64_t fits = 1;

	if (heap_is_buddy(heap))
		return buddy_take_run(base, heap, at, size, count);
	/* Many holes have room for one. */
	if (total >= 2 * size)
		fits = count * size <= total ? count : total / size;
	cut_free(base, heap, at, at + fits * size);
	tag_write_cached(base, at, size, fits, heap->plot, heap->key);
	fit_took(&heap->fit, at + fits * size);
	heap->used += fits * size;
	heap->blocks += fits;
	return (unsigned)fits;
}

void heap_give(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count)
{
	uint64_t before, behind, total, merged;

	if (heap_is_buddy(heap)) {
		buddy_give(base, heap, at, size, count);
		return;
	}
	before = free_before(base, heap, at);
	behind = free_behind(base, heap, at, size);
	total = before + size + behind;
	merged = at - before;
	heap->used -= size;
	heap->blocks -= count;
	/* Stale tags inside a free block say free, so that a second free of them is recognised. */
	tag_set_state(tag_at(base, at), TAG_FREE);
	if (behind)
		take_free(base, heap, at + size, behind);
	if (!before) {
		put_free(base, heap, at, total);
		return;
	}
	expect_free(base, heap, merged, before);
	mark_free(base, heap, merged, total);
	tag_set_prev_free(next_tag(base, merged, total), true);
	fit_grow(base, &heap->fit, merged, before, total);
}

_Noreturn void heap_unexpected(char *base, uint64_t at, uint32_t key)
{
	const struct tag *tag = tag_at(base, at);

	if (!tag_sound(base, at, key))
		report_misuse("free", payload_at(base, at),
			      "its tag was overwritten; look for a write after free, or past the "
			      "end of the block before");
	report_misuse_of("free", payload_at(base, at), tag_size(tag), tag_plot(tag),
			 "it was freed twice, by two threads, or its tag was overwritten");
}

/* The used block at `at` becomes size granules out of total; the rest is free. */
static void settle(char *base, struct heap *heap, uint64_t at, uint64_t size, uint64_t total,
		   bool prev_free)
{
	tag_write(base, at, size, TAG_LIVE, heap->plot, heap->key, prev_free);
	if (size != total)
		put_free(base, heap, at + size, total - size);
	else
		tag_set_prev_free(tag_at(base, at + total), false);
}

bool heap_resize(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	struct tag *tag = tag_at(base, at);
	uint64_t had = tag_size(tag);
	uint64_t behind;

	if (heap_is_buddy(heap))
		return buddy_resize(base, heap, at, size);
	behind = free_behind(base, heap, at, had);
	if (size > had + behind)
		return false;
	if (behind)
		take_free(base, heap, at + had, behind);
	settle(base, heap, at, size, had + behind, tag_prev_free(tag));
	heap->used += size - had;
	return true;
}

uint64_t heap_slide(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	uint64_t had = tag_size(tag_at(base, at));
	uint64_t before, behind;

	if (heap_is_buddy(heap))
		return 0;
	before = free_before(base, heap, at);
	behind = free_behind(base, heap, at, had);
	if (!before || size > before + had + behind)
		return 0;
	take_free(base, heap, at - before, before);
	if (behind)
		take_free(base, heap, at + had, behind);
	SHADOW_SHOW(payload_at(base, at - before), payload_bytes(before + had));
	tag_set_state(tag_at(base, at), TAG_FREE);
	/* Before the remainder's tag is written, which may lie where the payload was. */
	memmove(payload_at(base, at - before), payload_at(base, at), payload_bytes(had));
	settle(base, heap, at - before, size, before + had + behind, false);
	fit_took(&heap->fit, at - before + size);
	heap->used += size - had;
	return at - before;
}

uint64_t heap_lower_end(char *base, struct heap *heap, uint64_t size)
{
	uint64_t last, at;

	if (heap_is_buddy(heap))
		return buddy_lower_end(base, heap, size);
	last = free_before(base, heap, heap->end);
	at = heap->end - last;
	if (last <= size)
		return 0;
	take_free(base, heap, at, last);
	heap->end -= size;
	fit_lower_end(&heap->fit, heap->end);
	tag_write(base, heap->end, 0, TAG_END, heap->plot, heap->key, false);
	put_free(base, heap, at, last - size);
	return heap->end;
}

bool heap_empty(const struct heap *heap)
{
	return heap->blocks == 0;
}

int heap_fault(char *base, uint64_t at, const char *what)
{
	struct line line = { 0 };

	line_text(&line, "check: block ");
	line_address(&line, payload_at(base, at));
	line_text(&line, ": ");
	line_text(&line, what);
	report(&line);
	return 1;
}

int heap_check_owner(char *base, const struct heap *heap, uint64_t at)
{
	const struct tag *tag = tag_at(base, at);
	enum tag_state state = tag_state(tag);
	int faults = 0;

	if (!is_state(state) || state == TAG_END)
		faults += heap_fault(base, at, "its state is none");
	if (state != TAG_LEASE && tag_plot(tag) != heap->plot)
		faults += heap_fault(base, at, "its tag names another owner");
	return faults;
}

/* Faults of one block that isn't the end; before is the size of the one before, 0 if it's used. */
static int check_block(char *base, const struct heap *heap, uint64_t at, uint64_t before)
{
	const struct tag *tag = tag_at(base, at);
	bool free = tag_state(tag) == TAG_FREE;
	int faults = heap_check_owner(base, heap, at);

	if (before && free)
		faults += heap_fault(base, at, "two free blocks side by side");
	if (free && !fit_has(base, &heap->fit, at))
		faults += heap_fault(base, at, "a free block that isn't in the index");
	if (free && bears_stamp(heap, at, tag_size(tag)) &&
	    !stamped(payload_at(base, at), stamp_of(tag_face(tag), TAG_FREE)))
		faults += heap_fault(base, at, "a free block that was written to");
	return faults;
}

int heap_check(char *base, const struct heap *heap)
{
	uint64_t at = heap->start;
	uint64_t before = 0;
	uint64_t used = 0;
	uint64_t blocks = 0;
	uint64_t free_blocks = 0;
	int faults = 0;

	if (heap_is_buddy(heap))
		return buddy_check(base, heap);
	for (;;) {
		const struct tag *tag = tag_at(base, at);
		uint64_t size = tag_size(tag);

		/* Without a sound size there is no next block: the walk can't go on. */
		if (!tag_sound(base, at, heap->key))
			return faults + heap_fault(base, at, "its tag was overwritten");
		if (tag_prev_free(tag) != (before != 0))
			faults += heap_fault(base, at, "its prev-free bit is wrong");
		if (before && footer_before(base, at) != before)
			faults += heap_fault(base, at, "the footer of the block before is wrong");
		if (at == heap->end)
			break;
		if (size == 0 || size > heap->end - at)
			return faults + heap_fault(base, at, "it reaches beyond its heap");
		faults += check_block(base, heap, at, before);
		if (tag_state(tag) == TAG_FREE) {
			before = size;
			free_blocks++;
		} else {
			before = 0;
			used += size;
			blocks++;
		}
		at += size;
	}
	if (tag_state(tag_at(base, at)) != TAG_END)
		faults += heap_fault(base, at, "the end of a heap isn't marked");
	if (used != heap->used || blocks != heap->blocks)
		faults += heap_fault(base, heap->start, "its heap counts other blocks than it holds");
	return faults + fit_check(base, &heap->fit, free_blocks);
}
