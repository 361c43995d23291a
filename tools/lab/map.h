/*
 * The map: the heap as rows of cells, each a power of two of bytes, and so is each row, so that the
 * offsets at the rows' starts are round.
 *
 *	   0 a======b=====c=========..........
 *	 512 ......d===:...e=====.............
 *
 * A block's cells begin with its name, and have its hue or '='; a dot is free, and ':' is where a
 * free block begins behind another, as buddies may. A cell with parts of several blocks is '+'.
 */
#ifndef ACRE_LAB_MAP_H
#define ACRE_LAB_MAP_H

#include "session.h"

/* What the last command made, or made free, to stand out: the block at this offset; LAB_NOWHERE. */
void lab_map_draw(const struct lab_session *session, const struct lab_picture *picture,
		  size_t marked);

#endif
