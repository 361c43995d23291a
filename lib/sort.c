/*
 * Sort: batches that were allocated and freed in order rise or fall already; most others lie close
 * together, and are sorted by a bit for each place; the rest by merges, where parts that are in order
 * cost a look.
 */
#include "sort.h"

#include <stdbool.h>
#include <string.h>

#define FEW	8u
#define DENSE	4096u	/* granules */

/* [0, count) ascending, by insertion. */
static void sort_few(uint64_t *places, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		uint64_t place = places[i];
		unsigned k = i;

		for (; k && places[k - 1] > place; k--)
			places[k] = places[k - 1];
		places[k] = place;
	}
}

/* [0, half) and [half, count), each ascending, become one. */
static void merge(uint64_t *places, unsigned half, unsigned count)
{
	uint64_t low[BATCH_MOST / 2];
	unsigned i = 0, k = half, to = 0;

	if (places[half - 1] < places[half])
		return;
	while (places[to] < places[half])
		to++;
	half -= to;
	memcpy(low, places + to, half * sizeof(*low));
	while (i < half && k < count) {
		bool from_low = low[i] < places[k];

		places[to++] = from_low ? low[i] : places[k];
		i += from_low;
		k += !from_low;
	}
	memcpy(places + to, low + i, (half - i) * sizeof(*low));
}

/* All of them, by a bit for each place; false if they lie too far apart. */
static bool sort_dense(uint64_t *places, unsigned count)
{
	uint64_t bits[DENSE / 64];
	uint64_t low = places[0];
	uint64_t high = places[0];
	unsigned to = 0;

	for (unsigned i = 1; i < count; i++) {
		low = places[i] < low ? places[i] : low;
		high = places[i] > high ? places[i] : high;
	}
	if (high - low >= DENSE)
		return false;
	memset(bits, 0, ((high - low) / 64 + 1) * sizeof(*bits));
	for (unsigned i = 0; i < count; i++) {
		uint64_t bit = UINT64_C(1) << (places[i] - low) % 64;

		/* A place that's there twice is one block, freed twice: both are to be seen. */
		if (bits[(places[i] - low) / 64] & bit)
			return false;
		bits[(places[i] - low) / 64] |= bit;
	}
	for (uint64_t word = 0; word <= (high - low) / 64; word++)
		for (uint64_t rest = bits[word]; rest; rest &= rest - 1)
			places[to++] = low + word * 64 + (unsigned)__builtin_ctzll(rest);
	return true;
}

/* Ascending, if they were so or the other way round; false if neither. */
static bool sort_straight(uint64_t *places, unsigned count)
{
	unsigned rising = 1, falling = 1;

	while (rising < count && places[rising - 1] < places[rising])
		rising++;
	while (falling < count && places[falling - 1] > places[falling])
		falling++;
	if (rising == count)
		return true;
	if (falling < count)
		return false;
	for (unsigned i = 0; i < count / 2; i++) {
		uint64_t place = places[i];

		places[i] = places[count - 1 - i];
		places[count - 1 - i] = place;
	}
	return true;
}

void sort_places(uint64_t *places, unsigned count)
{
	if (sort_straight(places, count))
		return;
	if (count >= FEW && sort_dense(places, count))
		return;
	for (unsigned at = 0; at < count; at += FEW)
		sort_few(places + at, count - at < FEW ? count - at : FEW);
	for (unsigned half = FEW; half < count; half *= 2)
		for (unsigned at = 0; at + half < count; at += 2 * half)
			merge(places + at, half, count - at < 2 * half ? count - at : 2 * half);
}
