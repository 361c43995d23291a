/*
 * Heap: split, merge, resize. See heap.h for the picture and the invariants.
 *
 * A free block is made by put_free(), grows when heap_give() merges others into it, and is cut at
 * its low end by cut_free(). Whatever a call does, it leaves the prev-free bit of the block behind
 * right.
 */
#include "heap.h"

#include <string.h>

#include "report.h"

static struct tag *next_tag(char *base, uint64_t at, uint64_t size)
{
	return tag_at(base, at + size);
}

/* [at, at + size) becomes a free block, in the index. The block before isn't free. */
static void put_free(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	tag_write(base, at, size, TAG_FREE, heap->plot, heap->key, false);
	footer_write(base, at, size);
	tag_set_prev_free(next_tag(base, at, size), true);
	fit_insert(base, &heap->fit, at, size);
}

/*
 * The free block at `at` keeps its granules from `to` on, if any, and those before become something
 * else.
 */
static void cut_free(char *base, struct heap *heap, uint64_t at, uint64_t to)
{
	uint64_t size = tag_size(tag_at(base, at));
	uint64_t rest = size - (to - at);

	if (!rest) {
		fit_remove(base, &heap->fit, at, size);
		tag_set_prev_free(tag_at(base, to), false);
		return;
	}
	fit_cut(base, &heap->fit, at, size, to, rest);
	tag_write(base, to, rest, TAG_FREE, heap->plot, heap->key, false);
	footer_write(base, to, rest);
}

/* The size of the free block behind [at, at + size); 0 if that one isn't free. */
static uint64_t free_behind(char *base, uint64_t at, uint64_t size)
{
	struct tag *next = next_tag(base, at, size);

	return tag_state(next) == TAG_FREE ? tag_size(next) : 0;
}

/* The size of the free block before the one at `at`; 0 if that one isn't free. */
static uint64_t free_before(char *base, const struct heap *heap, uint64_t at)
{
	uint64_t size;
	struct tag *prev;

	if (!tag_prev_free(tag_at(base, at)))
		return 0;
	size = footer_before(base, at);
	if (size == 0 || size > at - heap->start)
		report_misuse("heap", payload_at(base, at),
			      "the free block before it was overwritten at its end; "
			      "look for a write after free");
	prev = tag_at(base, at - size);
	if (tag_state(prev) != TAG_FREE || tag_size(prev) != size)
		report_misuse("heap", payload_at(base, at - size),
			      "its tag or footer was overwritten while it was free; "
			      "look for a write after free, or past the end of the block before");
	return size;
}

void heap_init(char *base, struct heap *heap, enum fit_policy policy, size_t index, uint64_t start,
	       uint64_t end, uint32_t key, uint32_t plot)
{
	heap->start = start;
	heap->end = end;
	heap->used = 0;
	heap->blocks = 0;
	heap->key = key;
	heap->plot = plot;
	fit_init(&heap->fit, policy, index, start, end - start);
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
	cut_free(base, heap, at, place + size);
	if (place != at)
		put_free(base, heap, at, place - at);
	tag_write(base, place, size, state, heap->plot, heap->key, place != at);
	heap->used += size;
	heap->blocks++;
}

unsigned heap_take_run(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count,
		       enum tag_state state)
{
	uint64_t total = tag_size(tag_at(base, at));
	uint64_t fits = count * size <= total ? count : total / size;

	cut_free(base, heap, at, at + fits * size);
	for (uint64_t i = 0; i < fits; i++)
		tag_write(base, at + i * size, size, state, heap->plot, heap->key, false);
	heap->used += fits * size;
	heap->blocks += fits;
	return (unsigned)fits;
}

void heap_give(char *base, struct heap *heap, uint64_t at, uint64_t size, unsigned count)
{
	uint64_t before = free_before(base, heap, at);
	uint64_t behind = free_behind(base, at, size);
	uint64_t total = before + size + behind;
	uint64_t merged = at - before;

	heap->used -= size;
	heap->blocks -= count;
	/* Stale tags inside a free block say free, so that a second free of them is recognised. */
	tag_set_state(tag_at(base, at), TAG_FREE);
	if (behind)
		fit_remove(base, &heap->fit, at + size, behind);
	if (!before) {
		put_free(base, heap, at, total);
		return;
	}
	tag_write(base, merged, total, TAG_FREE, heap->plot, heap->key, false);
	footer_write(base, merged, total);
	tag_set_prev_free(next_tag(base, merged, total), true);
	fit_grow(base, &heap->fit, merged, before, total);
}

_Noreturn void heap_unexpected(char *base, uint64_t at)
{
	report_misuse("free", payload_at(base, at),
		      tag_state(tag_at(base, at)) == TAG_FREE ?
			      "it is free already; it was freed twice, by two threads" :
			      "its tag was overwritten; look for a write after free, or past the "
			      "end of the block before");
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
	uint64_t behind = free_behind(base, at, had);

	if (size > had + behind)
		return false;
	if (behind)
		fit_remove(base, &heap->fit, at + had, behind);
	settle(base, heap, at, size, had + behind, tag_prev_free(tag));
	heap->used += size - had;
	return true;
}

uint64_t heap_slide(char *base, struct heap *heap, uint64_t at, uint64_t size)
{
	uint64_t had = tag_size(tag_at(base, at));
	uint64_t before = free_before(base, heap, at);
	uint64_t behind = free_behind(base, at, had);

	if (!before || size > before + had + behind)
		return 0;
	fit_remove(base, &heap->fit, at - before, before);
	if (behind)
		fit_remove(base, &heap->fit, at + had, behind);
	SHADOW_SHOW(payload_at(base, at - before), payload_bytes(before + had));
	tag_set_state(tag_at(base, at), TAG_FREE);
	/* Before the remainder's tag is written, which may lie where the payload was. */
	memmove(payload_at(base, at - before), payload_at(base, at), payload_bytes(had));
	settle(base, heap, at - before, size, before + had + behind, false);
	heap->used += size - had;
	return at - before;
}

bool heap_lower_end(char *base, struct heap *heap, uint64_t size)
{
	uint64_t last = free_before(base, heap, heap->end);
	uint64_t at = heap->end - last;

	if (last <= size)
		return false;
	fit_remove(base, &heap->fit, at, last);
	heap->end -= size;
	fit_lower_end(&heap->fit, heap->end);
	tag_write(base, heap->end, 0, TAG_END, heap->plot, heap->key, false);
	put_free(base, heap, at, last - size);
	return true;
}

bool heap_empty(const struct heap *heap)
{
	return heap->blocks == 0;
}

static int fault(char *base, uint64_t at, const char *what)
{
	struct line line = { 0 };

	line_text(&line, "check: block ");
	line_address(&line, payload_at(base, at));
	line_text(&line, ": ");
	line_text(&line, what);
	report(&line);
	return 1;
}

/* Faults of one block that isn't the end; before is the size of the one before, 0 if it's used. */
static int check_block(char *base, const struct heap *heap, uint64_t at, uint64_t before)
{
	const struct tag *tag = tag_at(base, at);
	enum tag_state state = tag_state(tag);
	int faults = 0;

	if (state != TAG_LIVE && state != TAG_CACHED && state != TAG_FREE && state != TAG_LEASE &&
	    state != TAG_WAITING && state != TAG_STRAY)
		faults += fault(base, at, "its state is none");
	if (state != TAG_LEASE && tag_plot(tag) != heap->plot)
		faults += fault(base, at, "its tag names another owner");
	if (before && state == TAG_FREE)
		faults += fault(base, at, "two free blocks side by side");
	if (state == TAG_FREE && !fit_has(base, &heap->fit, at))
		faults += fault(base, at, "a free block that isn't in the index");
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

	for (;;) {
		const struct tag *tag = tag_at(base, at);
		uint64_t size = tag_size(tag);

		/* Without a sound size there is no next block: the walk can't go on. */
		if (!tag_sound(base, at, heap->key))
			return faults + fault(base, at, "its tag was overwritten");
		if (tag_prev_free(tag) != (before != 0))
			faults += fault(base, at, "its prev-free bit is wrong");
		if (before && footer_before(base, at) != before)
			faults += fault(base, at, "the footer of the block before is wrong");
		if (at == heap->end)
			break;
		if (size == 0 || size > heap->end - at)
			return faults + fault(base, at, "it reaches beyond its heap");
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
		faults += fault(base, at, "the end of a heap isn't marked");
	if (used != heap->used || blocks != heap->blocks)
		faults += fault(base, heap->start, "its heap counts other blocks than it holds");
	return faults + fit_check(base, &heap->fit, free_blocks);
}
