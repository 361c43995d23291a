/*
 * Buddy: see fit_buddy.h.
 */
#include "fit_buddy.h"

#include "fit_bits.h"
#include "sizes.h"
#include "tag.h"

static unsigned log_of(uint64_t n)
{
	return 63u - (unsigned)__builtin_clzll(n);
}

/* Of how many blocks of 2^k granules a map tells. */
static uint64_t width(const struct fit *fit, unsigned k)
{
	return fit->buddy.granules >> k;
}

static uint64_t *map_of(char *base, const struct fit *fit, unsigned k)
{
	return (uint64_t *)(base + fit->memory) + fit->buddy.map[k];
}

static uint64_t number_of(const struct fit *fit, uint64_t at, unsigned k)
{
	return (at - fit->origin) >> k;
}

static size_t bytes(uint64_t granules)
{
	uint64_t words = 0;

	for (uint64_t n = granules; n; n /= 2)
		words += bits_upper_words(n) + bits_words(n);
	return round_up(words * sizeof(uint64_t), GRANULE);
}

/* All of it: the maps lie one behind the other. */
static size_t used_bytes(const struct fit *fit, uint64_t granules)
{
	(void)granules;
	return bytes(fit->buddy.granules);
}

static void init(struct fit *fit, uint64_t granules)
{
	uint64_t words = 0;

	fit->links = 0;
	/* No block is the top: one that ends where the range does is as any other. */
	fit->end = 0;
	fit->buddy = (struct fit_buddy){ .granules = granules };
	for (unsigned k = 0; granules >> k; k++) {
		words += bits_upper_words(granules >> k);
		fit->buddy.map[k] = (uint32_t)words;
		words += bits_words(granules >> k);
	}
}

static void insert(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	unsigned k = log_of(size);

	bits_set(map_of(base, fit, k), width(fit, k), number_of(fit, at, k));
	fit->buddy.some |= UINT64_C(1) << k;
}

static void take_out(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	unsigned k = log_of(size);

	if (bits_clear(map_of(base, fit, k), width(fit, k), number_of(fit, at, k)))
		fit->buddy.some &= ~(UINT64_C(1) << k);
}

static void grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size)
{
	take_out(base, fit, at, had);
	insert(base, fit, at, size);
}

static void cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest)
{
	take_out(base, fit, at, size);
	insert(base, fit, to, rest);
}

/*
 * The first block in the order of size and address, from the one with this number among those of
 * 2^k granules; 0 if none.
 */
static uint64_t from(char *base, const struct fit *fit, unsigned k, uint64_t number)
{
	uint64_t larger;

	if (fit->buddy.some >> k & 1) {
		uint64_t i = bits_from(map_of(base, fit, k), width(fit, k), number);

		if (i != BITS_NONE)
			return fit->origin + (i << k);
	}
	/* Shifted twice, since k may be the last bit. */
	larger = fit->buddy.some >> k >> 1;
	if (!larger)
		return 0;
	k += 1 + (unsigned)__builtin_ctzll(larger);
	return fit->origin + (bits_from(map_of(base, fit, k), width(fit, k), 0) << k);
}

static uint64_t find(char *base, const struct fit *fit, uint64_t size)
{
	return from(base, fit, log_of(power_above(size)), 0);
}

/* The logarithm of a free block's size, by its tag; the index must agree. */
static unsigned own_log(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t size = tag_size(tag_at(base, at));

	if (!size || !fit_buddy_has(base, fit, at, size))
		fit_overwritten(base, at);
	return log_of(size);
}

static uint64_t next(char *base, const struct fit *fit, uint64_t size, uint64_t after)
{
	unsigned k;

	if (!after)
		return find(base, fit, size);
	k = own_log(base, fit, after);
	return from(base, fit, k, number_of(fit, after, k) + 1);
}

/* In order. What comes meanwhile is met in this round or in the next. */
static uint64_t sweep(char *base, struct fit *fit, uint64_t size)
{
	struct fit_buddy *buddy = &fit->buddy;
	uint64_t at;

	if (UINT64_C(1) << buddy->sweep_log < size) {
		buddy->sweep_log = log_of(power_above(size));
		buddy->sweep = 0;
	}
	at = from(base, fit, buddy->sweep_log, buddy->sweep);
	if (!at) {
		buddy->sweep_log = 0;
		buddy->sweep = 0;
	}
	return at;
}

static void swept(char *base, struct fit *fit, uint64_t at)
{
	fit->buddy.sweep_log = own_log(base, fit, at);
	fit->buddy.sweep = number_of(fit, at, fit->buddy.sweep_log) + 1;
}

static uint32_t largest(char *base, const struct fit *fit)
{
	(void)base;
	return fit->buddy.some ? fit_saturated(UINT64_C(1) << log_of(fit->buddy.some)) : 0;
}

static uint64_t unlisted(const struct fit *fit)
{
	(void)fit;
	return 0;
}

bool fit_buddy_has(char *base, const struct fit *fit, uint64_t at, uint64_t size)
{
	unsigned k = log_of(size);
	uint64_t i = number_of(fit, at, k);

	STEP_OF_CHANGE();
	return i < width(fit, k) && bits_has(map_of(base, fit, k), i);
}

uint64_t fit_buddy_lowest(char *base, const struct fit *fit, uint64_t size)
{
	uint64_t some = fit->buddy.some & ~(power_above(size) - 1);
	uint64_t lowest = 0;

	for (; some; some &= some - 1) {
		uint64_t at = from(base, fit, (unsigned)__builtin_ctzll(some), 0);

		lowest = lowest && lowest < at ? lowest : at;
	}
	return lowest;
}

static bool has(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t size = tag_size(tag_at(base, at));

	return size && (at - fit->origin) % size == 0 && fit_buddy_has(base, fit, at, size);
}

/* Faults of the blocks of one size; *blocks is what it adds to the count. */
static int check_map(char *base, const struct fit *fit, unsigned k, uint64_t *blocks)
{
	const uint64_t *map = map_of(base, fit, k);
	uint64_t before = *blocks;
	uint64_t bit = fit->buddy.some >> k & 1;
	int faults = 0;

	if (!bits_sound(map, width(fit, k)))
		return fit_fault("the map of blocks of a size", UINT64_C(1) << k, 0, 1);
	for (uint64_t i = bits_from(map, width(fit, k), 0); i != BITS_NONE;
	     i = bits_from(map, width(fit, k), i + 1)) {
		const struct tag *tag = tag_at(base, fit->origin + (i << k));

		if (tag_state(tag) != TAG_FREE || tag_size(tag) != UINT64_C(1) << k)
			faults += fit_fault("a block that isn't free", fit->origin + (i << k),
					    tag_size(tag), UINT64_C(1) << k);
		++*blocks;
	}
	if (bit != (*blocks != before))
		faults += fit_fault("the bit of a size", k, bit, *blocks != before);
	return faults;
}

static int check(char *base, const struct fit *fit, uint64_t blocks)
{
	uint64_t found = 0;
	int faults = 0;

	for (unsigned k = 0; width(fit, k); k++)
		faults += check_map(base, fit, k, &found);
	if (found != blocks)
		faults += fit_fault("free blocks in the maps", fit->origin, found, blocks);
	return faults;
}

const struct fit_verbs fit_buddy_verbs = {
	.bytes = bytes,
	.used_bytes = used_bytes,
	.init = init,
	.insert = insert,
	.remove = take_out,
	.grow = grow,
	.cut = cut,
	.find = find,
	.next = next,
	.sweep = sweep,
	.swept = swept,
	.largest = largest,
	.unlisted = unlisted,
	.has = has,
	.check = check,
};
