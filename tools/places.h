/*
 * Places: which block lies at which address now.
 *
 *	address:  | region, 64 KiB | granule |		a region has a word for each of its granules;
 *	                                		regions are found in a hash table, and stay
 *
 * So what lies side by side in the program's memory does so here, too.
 */
#ifndef ACRE_PLACES_H
#define ACRE_PLACES_H

#include <stdbool.h>
#include <stdint.h>

struct region {
	uint64_t number;	/* of its address, plus 1; 0 = none here */
	uint64_t *block;	/* of each granule, the block's number plus 1; 0 = none */
};

struct places {
	struct region *table;
	unsigned log;		/* of the table's size */
	uint64_t count;
};

void places_begin(struct places *places);
void places_end(struct places *places);

/* Where an address's block stands: its number plus 1; 0 = none. Stays in place until places_end(). */
uint64_t *places_at(struct places *places, uint64_t address);

#endif
