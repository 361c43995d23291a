/*
 * Places: see places.h. The table has open addressing and is at most half full.
 */
#include "places.h"

#include <stdlib.h>

#include "complain.h"

#define GRANULE_LOG	4u
#define REGION_LOG	16u
#define GRANULES	(1u << (REGION_LOG - GRANULE_LOG))
#define LEAST_LOG	8u

static void *zeroed(uint64_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		complain(FAILED, "out of memory for so many blocks");
	return memory;
}

void places_begin(struct places *places)
{
	*places = (struct places){ .table = zeroed(1u << LEAST_LOG, sizeof(struct region)),
				   .log = LEAST_LOG };
}

void places_end(struct places *places)
{
	for (uint64_t i = 0; i >> places->log == 0; i++)
		free(places->table[i].block);
	free(places->table);
}

/* The region of this number, or where it goes. */
static struct region *find(const struct places *places, uint64_t number)
{
	uint64_t mask = (UINT64_C(1) << places->log) - 1;
	uint64_t at = number * UINT64_C(0x9e3779b97f4a7c15) >> (64 - places->log);

	while (places->table[at].number && places->table[at].number != number)
		at = (at + 1) & mask;
	return &places->table[at];
}

static void grow(struct places *places)
{
	struct region *old = places->table;
	uint64_t size = UINT64_C(1) << places->log++;

	places->table = zeroed(2 * size, sizeof(*old));
	for (uint64_t i = 0; i < size; i++)
		if (old[i].number)
			*find(places, old[i].number) = old[i];
	free(old);
}

uint64_t *places_at(struct places *places, uint64_t address)
{
	uint64_t number = (address >> REGION_LOG) + 1;
	struct region *region = find(places, number);

	if (!region->number) {
		if (2 * ++places->count > UINT64_C(1) << places->log) {
			grow(places);
			region = find(places, number);
		}
		region->number = number;
		region->block = zeroed(GRANULES, sizeof(*region->block));
	}
	return &region->block[address >> GRANULE_LOG & (GRANULES - 1)];
}
