/*
 * Slots: see slot.h.
 */
#include "slot.h"

#define MARK 256

void mark(struct slot *slot, uint64_t key)
{
	size_t end = slot->size < MARK ? slot->size : MARK;

	slot->key = key;
	fill(slot->block, end, key);
	if (slot->size > 2 * MARK)
		fill(slot->block + slot->size - MARK, MARK, ~key);
}

static bool holds_marks(const struct slot *slot, const char *block)
{
	size_t end = slot->size < MARK ? slot->size : MARK;

	return holds(block, end, slot->key) &&
	       (slot->size <= 2 * MARK || holds(block + slot->size - MARK, MARK, ~slot->key));
}

bool marked(const struct slot *slot)
{
	return holds_marks(slot, slot->block);
}

void must_be_kept(const struct slot *slot, const char *block, size_t size)
{
	if (size >= slot->size)
		must(holds_marks(slot, block), "realloc(%zu to %zu)", slot->size, size);
	else
		must(holds(block, size < MARK ? size : MARK, slot->key), "realloc(%zu to %zu)",
		     slot->size, size);
}
