/*
 * Blocks and their content.
 *
 * Word i of a block's pattern is key + i * STEP, where the key comes from the block's address, its
 * size and its serial number: no two blocks of a run share a pattern, nor does a block share one
 * with what lay at its address before. The first two words hold the size and the serial instead,
 * where there is room for them, so that a block can be verified by whoever has its address.
 */
#include "stress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STEP	UINT64_C(0x9e3779b97f4a7c15)
#define WORD	sizeof(uint64_t)

size_t draw_size(struct random *random, size_t most)
{
	unsigned bits = 0;
	size_t size;

	while (bits < 62 && most >> bits != 0)
		bits++;
	size = (size_t)draw(random) & (((size_t)1 << draw_below(random, bits + 1)) - 1);
	return size <= most ? size : most;
}

static uint64_t size_mask(const void *block)
{
	return scramble((uintptr_t)block);
}

static uint64_t serial_mask(const void *block)
{
	return scramble(~(uint64_t)(uintptr_t)block);
}

static uint64_t key_of(const struct slot *slot)
{
	return scramble((uintptr_t)slot->block ^ scramble(slot->size ^ scramble(slot->serial)));
}

/* The words that differ from the plain sequence; 0 or 2. */
static size_t heading(const struct slot *slot, uint64_t words[2])
{
	if (slot->size < PARCEL_LEAST)
		return 0;
	words[0] = slot->size ^ size_mask(slot->block);
	words[1] = slot->serial ^ serial_mask(slot->block);
	return 2;
}

static void slot_stamp(const struct slot *slot)
{
	uint64_t *words = (uint64_t *)(void *)slot->block, key = key_of(slot), first[2], last;
	size_t count = slot->size / WORD, i;

	i = heading(slot, first);
	if (i != 0) {
		words[0] = first[0];
		words[1] = first[1];
	}
	for (; i < count; i++)
		words[i] = key + i * STEP;
	last = key + count * STEP;
	for (i = count * WORD; i < slot->size; i++)
		slot->block[i] = (unsigned char)(last >> 8 * (i % WORD));
}

static _Noreturn void tell_damage(const unsigned char *where, const struct slot *slot,
				  size_t offset, unsigned char wanted)
{
	fault("block %p of %zu bytes (serial %#llx, filled at %p): byte %zu is %#x, should be %#x: "
	      "it overlaps another block, or was written to while live", (const void *)where,
	      slot->size, (unsigned long long)slot->serial, (void *)slot->block, offset,
	      where[offset], wanted);
}

static void verify_word(const unsigned char *where, const struct slot *slot, size_t i,
			uint64_t want)
{
	uint64_t have = ((const uint64_t *)(const void *)where)[i];
	size_t byte = 0;

	if (have == want)
		return;
	while (((have ^ want) >> 8 * byte & 0xff) == 0)
		byte++;
	tell_damage(where, slot, i * WORD + byte, (unsigned char)(want >> 8 * byte));
}

/* The first length bytes at where are what slot_stamp() wrote for slot? */
static void verify(const unsigned char *where, const struct slot *slot, size_t length)
{
	uint64_t key = key_of(slot), first[2], last;
	size_t count = length / WORD, headed = heading(slot, first), i;

	for (i = 0; i < headed && i < count; i++)
		verify_word(where, slot, i, first[i]);
	for (; i < count; i++)
		verify_word(where, slot, i, key + i * STEP);
	last = count < headed ? first[count] : key + count * STEP;
	for (i = count * WORD; i < length; i++)
		if (where[i] != (unsigned char)(last >> 8 * (i % WORD)))
			tell_damage(where, slot, i, (unsigned char)(last >> 8 * (i % WORD)));
}

void slot_verify(const struct slot *slot)
{
	verify(slot->block, slot, slot->size);
}

/* The allocator returned NULL for a request of size bytes: that must be told by errno. */
static void note_refusal(struct worker *worker, const char *call, size_t size)
{
	if (errno != ENOMEM)
		fault("%s of %zu bytes returned NULL with errno %d, not ENOMEM", call, size, errno);
	worker->refusals++;
	count_operation(worker);
}

static void check_place(const struct worker *worker, const void *block, size_t size, size_t usable,
			size_t alignment)
{
	const struct range *range = worker->range;
	size_t offset = (size_t)((const unsigned char *)block - range->start);

	if ((uintptr_t)block % alignment != 0)
		fault("block %p isn't aligned to %zu", block, alignment);
	if (usable < size)
		fault("block %p has %zu usable bytes, %zu were asked for", block, usable, size);
	if (offset >= range->size || usable > range->size - offset)
		fault("block %p of %zu bytes lies outside the arena's range", block, usable);
}

/* The block is the worker's now: fills it, in a quarter of cases to the last usable byte. */
static void adopt(struct worker *worker, struct slot *slot, void *block, size_t size)
{
	size_t usable = acre_usable_size(worker->arena, block);

	check_place(worker, block, size, usable, 16);
	slot->block = block;
	slot->asked = size;
	slot->serial = (uint64_t)worker->index << 48 | ++worker->serial;
	slot->size = slot->serial % 4 == 0 ? usable : size;
	slot_stamp(slot);
	worker->taken_bytes += usable;
	count_operation(worker);
}

static void check_zero(const unsigned char *block, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != 0)
			fault("calloc block %p of %zu bytes: byte %zu is %#x, not 0",
			      (const void *)block, size, i, block[i]);
}

bool slot_fill(struct worker *worker, struct slot *slot, size_t size, enum manner manner)
{
	unsigned choice = manner == PLAIN_MALLOC ? 0 : (unsigned)draw_below(&worker->random, 8);
	size_t alignment;
	void *block;

	errno = 0;
	switch (choice) {
	case 6:
		block = acre_calloc(worker->arena, size % 3 == 0 ? 3 : 1,
				    size % 3 == 0 ? size / 3 : size);
		if (block == NULL) {
			note_refusal(worker, "acre_calloc", size);
			return false;
		}
		check_zero(block, size);
		break;
	case 7:
		alignment = (size_t)1 << draw_below(&worker->random, 13);
		block = acre_aligned_alloc(worker->arena, alignment, size);
		if (block == NULL) {
			note_refusal(worker, "acre_aligned_alloc", size);
			return false;
		}
		check_place(worker, block, size, acre_usable_size(worker->arena, block), alignment);
		break;
	default:
		block = acre_malloc(worker->arena, size);
		if (block == NULL) {
			note_refusal(worker, "acre_malloc", size);
			return false;
		}
	}
	worker->taken++;
	adopt(worker, slot, block, size);
	return true;
}

void slot_empty(struct worker *worker, struct slot *slot)
{
	int before = (int)(slot->serial & 0x7f);

	slot_verify(slot);
	worker->given++;
	worker->given_bytes += acre_usable_size(worker->arena, slot->block);
	errno = before;
	if (slot->serial % 3 == 0)
		acre_free_sized(worker->arena, slot->block, slot->asked);
	else
		acre_free(worker->arena, slot->block);
	if (errno != before)
		fault("acre_free changed errno from %d to %d", before, errno);
	slot->block = NULL;
	count_operation(worker);
}

bool slot_resize(struct worker *worker, struct slot *slot, size_t size)
{
	size_t usable = acre_usable_size(worker->arena, slot->block);
	struct slot old = *slot;
	void *block;

	slot_verify(slot);
	errno = 0;
	block = acre_realloc(worker->arena, old.block, size);
	if (block == NULL) {
		note_refusal(worker, "acre_realloc", size);
		if (size <= usable)
			fault("acre_realloc refused to shrink block %p from %zu to %zu bytes",
			      (void *)old.block, usable, size);
		slot_verify(&old);
		if (acre_usable_size(worker->arena, old.block) != usable)
			fault("a refused acre_realloc changed the size of block %p",
			      (void *)old.block);
		return false;
	}
	verify(block, &old, old.size < size ? old.size : size);
	worker->given_bytes += usable;
	adopt(worker, slot, block, size);
	return true;
}

void *parcel_pack(struct worker *worker, size_t size)
{
	struct slot slot;

	if (!slot_fill(worker, &slot, size < PARCEL_LEAST ? PARCEL_LEAST : size, PLAIN_MALLOC))
		return NULL;
	return slot.block;
}

struct slot parcel_read(struct acre *arena, void *parcel)
{
	const uint64_t *words = parcel;
	struct slot slot = { .block = parcel };
	size_t usable = acre_usable_size(arena, parcel);

	slot.size = (size_t)(words[0] ^ size_mask(parcel));
	slot.asked = slot.size;
	slot.serial = words[1] ^ serial_mask(parcel);
	if (slot.size < PARCEL_LEAST || slot.size > usable)
		fault("block %p of %zu usable bytes: its first word is damaged: it overlaps "
		      "another block, or was written to while live", parcel, usable);
	slot_verify(&slot);
	return slot;
}

void parcel_open(struct worker *worker, void *parcel)
{
	struct slot slot = parcel_read(worker->arena, parcel);

	slot_empty(worker, &slot);
}

void mailbox_exchange(struct worker *worker, mailbox *place, size_t most)
{
	void *parcel = atomic_exchange_explicit(place, NULL, memory_order_acquire), *none = NULL;

	if (parcel != NULL) {
		parcel_open(worker, parcel);
		return;
	}
	parcel = parcel_pack(worker, draw_size(&worker->random, most));
	if (parcel != NULL &&
	    !atomic_compare_exchange_strong_explicit(place, &none, parcel, memory_order_release,
						     memory_order_relaxed))
		parcel_open(worker, parcel);
}

void mailboxes_empty(struct worker *worker, mailbox *mailboxes, size_t count, size_t first,
		     size_t step)
{
	for (size_t i = first; i < count; i += step) {
		void *parcel = atomic_exchange_explicit(&mailboxes[i], NULL, memory_order_acquire);

		if (parcel != NULL)
			parcel_open(worker, parcel);
	}
}

struct slot *slots_add(struct worker *worker)
{
	struct slot *slot;

	if (worker->slot_count == worker->slot_room) {
		size_t room = worker->slot_room == 0 ? 256 : 2 * worker->slot_room;
		struct slot *slots = get_memory(room, sizeof(*slots));

		if (worker->slot_count != 0)
			memcpy(slots, worker->slots, worker->slot_count * sizeof(*slots));
		free(worker->slots);
		worker->slots = slots;
		worker->slot_room = room;
	}
	slot = &worker->slots[worker->slot_count++];
	slot->block = NULL;
	return slot;
}

void slots_remove(struct worker *worker, struct slot *slot)
{
	*slot = worker->slots[--worker->slot_count];
}

void slots_empty(struct worker *worker, struct worker *from)
{
	for (size_t i = 0; i < from->slot_count; i++)
		if (from->slots[i].block != NULL)
			slot_empty(worker, &from->slots[i]);
	from->slot_count = 0;
}
