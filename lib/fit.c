/*
 * First fit by a tree of maxima over panes. See fit.h for the picture.
 *
 * Levels are numbered from the panes upward: 0 the panes' maxima (most), 1 those of 8 panes (tall),
 * 2 and up the upper arrays. The children of one node lie side by side, so that each step looks at
 * 8 or 16 neighbouring words.
 */
#include "fit.h"

#include <stdbool.h>

#include "report.h"
#include "tag.h"

#define STRIP_PANES	64u
#define TALL_PANES	8u
#define UPPER_FAN	16u

struct strip {
	uint64_t starts[STRIP_PANES];
	uint32_t most[STRIP_PANES];
	uint32_t tall[STRIP_PANES / TALL_PANES];
};

#ifdef ACRE_COUNT_STEPS
uint64_t fit_steps;
#define STEP() (fit_steps++)
#else
#define STEP() ((void)0)
#endif

static uint64_t divide_up(uint64_t n, uint64_t by)
{
	return (n + by - 1) / by;
}

static uint64_t strips_of(uint64_t granules)
{
	return divide_up(granules, (uint64_t)FIT_PANE * STRIP_PANES);
}

size_t fit_upper_bytes(uint64_t granules)
{
	uint64_t nodes = strips_of(granules);
	size_t bytes = 0;

	for (;;) {
		bytes += divide_up(nodes, UPPER_FAN) * UPPER_FAN * sizeof(uint32_t);
		if (nodes == 1)
			return bytes;
		nodes = divide_up(nodes, UPPER_FAN);
	}
}

size_t fit_bytes(uint64_t granules)
{
	return fit_upper_bytes(granules) + strips_of(granules) * sizeof(struct strip);
}

size_t fit_used_bytes(const struct fit *fit, uint64_t granules)
{
	return fit->strips - fit->upper[fit->uppers - 1] + strips_of(granules) * sizeof(struct strip);
}

void fit_init(struct fit *fit, size_t memory, uint64_t origin, uint64_t granules)
{
	uint64_t nodes[FIT_UPPERS];
	unsigned n = 0;

	fit->origin = origin;
	fit->panes = divide_up(granules, FIT_PANE);
	nodes[0] = strips_of(granules);
	while (nodes[n] > 1) {
		nodes[n + 1] = divide_up(nodes[n], UPPER_FAN);
		n++;
	}
	fit->uppers = n + 1;
	/* The root first: in a large arena that is little used, the top levels share a page. */
	for (;; n--) {
		fit->upper[n] = memory;
		memory += divide_up(nodes[n], UPPER_FAN) * UPPER_FAN * sizeof(uint32_t);
		if (n == 0)
			break;
	}
	fit->strips = memory;
}

static struct strip *strip_of(char *base, const struct fit *fit, uint64_t pane)
{
	return (struct strip *)(base + fit->strips) + pane / STRIP_PANES;
}

/* The maximum with this number on this level. */
static uint32_t *node(char *base, const struct fit *fit, unsigned level, uint64_t i)
{
	if (level == 0)
		return &strip_of(base, fit, i)->most[i % STRIP_PANES];
	if (level == 1)
		return &strip_of(base, fit, i * TALL_PANES)->tall[i % (STRIP_PANES / TALL_PANES)];
	return (uint32_t *)(base + fit->upper[level - 2]) + i;
}

/* How many nodes of this level one node of the next has as children. */
static unsigned fan_into(unsigned level)
{
	return level < 2 ? 8 : UPPER_FAN;
}

static unsigned top_level(const struct fit *fit)
{
	return fit->uppers + 1;
}

static uint32_t saturated(uint64_t size)
{
	return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

static uint64_t pane_of(const struct fit *fit, uint64_t at)
{
	return (at - fit->origin) / FIT_PANE;
}

static uint64_t bit_of(const struct fit *fit, uint64_t at)
{
	return UINT64_C(1) << ((at - fit->origin) % FIT_PANE);
}

static uint64_t place_in(const struct fit *fit, uint64_t pane, uint64_t bits)
{
	return fit->origin + pane * FIT_PANE + (unsigned)__builtin_ctzll(bits);
}

/* A pane has a block of this size: every maximum above it is at least that. */
static void raise_maxima(char *base, const struct fit *fit, uint64_t pane, uint32_t size)
{
	uint64_t i = pane;

	for (unsigned level = 0; level <= top_level(fit); level++) {
		uint32_t *max = node(base, fit, level, i);

		STEP();
		if (*max >= size)
			return;
		*max = size;
		i /= fan_into(level);
	}
}

/* A block of this size left a pane: the maxima that were due to it are found anew. */
static void lower_maxima(char *base, const struct fit *fit, uint64_t pane, uint32_t size)
{
	struct strip *strip = strip_of(base, fit, pane);
	uint64_t bits = strip->starts[pane % STRIP_PANES];
	uint32_t *max = &strip->most[pane % STRIP_PANES];
	uint32_t found = 0;
	uint64_t i = pane;

	if (*max > size)
		return;
	for (; bits; bits &= bits - 1) {
		uint32_t other = saturated(tag_size(tag_at(base, place_in(fit, pane, bits))));

		STEP();
		if (other > found)
			found = other;
	}
	for (unsigned level = 0; found < *max; level++) {
		unsigned fan = fan_into(level);
		uint32_t *child;

		*max = found;
		if (level == top_level(fit))
			return;
		child = node(base, fit, level, i - i % fan);
		i /= fan;
		max = node(base, fit, level + 1, i);
		if (*max > size)
			return;
		for (unsigned k = 0; k < fan; k++) {
			STEP();
			if (child[k] > found)
				found = child[k];
		}
	}
}

void fit_insert(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	uint64_t pane = pane_of(fit, at);

	strip_of(base, fit, pane)->starts[pane % STRIP_PANES] |= bit_of(fit, at);
	raise_maxima(base, fit, pane, saturated(size));
}

void fit_remove(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	uint64_t pane = pane_of(fit, at);

	strip_of(base, fit, pane)->starts[pane % STRIP_PANES] &= ~bit_of(fit, at);
	lower_maxima(base, fit, pane, saturated(size));
}

void fit_grow(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	raise_maxima(base, fit, pane_of(fit, at), saturated(size));
}

/* The first pane under this node that has a block of at least so many granules: there is one. */
static uint64_t descend(char *base, const struct fit *fit, unsigned level, uint64_t i, uint32_t want)
{
	while (level) {
		const uint32_t *child;

		i *= fan_into(--level);
		child = node(base, fit, level, i);
		STEP();
		while (*child < want) {
			STEP();
			child++;
			i++;
		}
	}
	return i;
}

/* The first pane from this one on with a block of at least so many granules; fit->panes if none. */
static uint64_t next_pane(char *base, const struct fit *fit, uint64_t pane, uint32_t want)
{
	uint64_t i = pane;
	unsigned level = 0;

	if (pane == 0) {
		level = top_level(fit);
		return *node(base, fit, level, 0) >= want ? descend(base, fit, level, 0, want) :
							    fit->panes;
	}
	if (pane >= fit->panes)
		return fit->panes;
	for (;;) {
		unsigned fan = fan_into(level);
		uint64_t end = i - i % fan + fan;

		/* Nodes beyond the last of a level exist up to a whole group, and are zero. */
		for (; i < end; i++) {
			STEP();
			if (*node(base, fit, level, i) >= want)
				return descend(base, fit, level, i, want);
		}
		/* The parent's next sibling; where it begins a group, that group's parent. */
		do {
			i /= fan_into(level++);
			if (level == top_level(fit))
				return fit->panes;
		} while (i % fan_into(level) == 0);
	}
}

uint64_t fit_find(char *base, const struct fit *fit, uint64_t size, uint64_t from)
{
	uint64_t first = from > fit->origin ? pane_of(fit, from) : 0;
	uint64_t mask = from > fit->origin ? ~(bit_of(fit, from) - 1) : ~UINT64_C(0);
	uint32_t want = saturated(size);
	uint64_t pane = first;

	for (;;) {
		uint64_t bits;

		pane = next_pane(base, fit, pane, want);
		if (pane >= fit->panes)
			return 0;
		bits = strip_of(base, fit, pane)->starts[pane % STRIP_PANES];
		if (pane == first)
			bits &= mask;
		for (; bits; bits &= bits - 1) {
			uint64_t at = place_in(fit, pane, bits);

			STEP();
			if (tag_size(tag_at(base, at)) >= size)
				return at;
		}
		pane++;
	}
}

uint32_t fit_largest(char *base, const struct fit *fit)
{
	return *node(base, fit, top_level(fit), 0);
}

int fit_has(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t pane = pane_of(fit, at);

	return (strip_of(base, fit, pane)->starts[pane % STRIP_PANES] & bit_of(fit, at)) != 0;
}

static void fault(const char *what, uint64_t where, uint64_t has, uint64_t should)
{
	struct line line = { 0 };

	line_text(&line, "check: index: ");
	line_text(&line, what);
	line_text(&line, " at ");
	line_number(&line, where);
	line_text(&line, ": ");
	line_number(&line, has);
	line_text(&line, ", should be ");
	line_number(&line, should);
	report(&line);
}

/* Faults in one pane; *blocks is what it adds to the count. */
static int check_pane(char *base, const struct fit *fit, uint64_t pane, uint64_t *blocks)
{
	struct strip *strip = strip_of(base, fit, pane);
	uint64_t bits = strip->starts[pane % STRIP_PANES];
	uint32_t found = 0;
	int faults = 0;

	for (; bits; bits &= bits - 1) {
		const struct tag *tag = tag_at(base, place_in(fit, pane, bits));

		if (tag_state(tag) != TAG_FREE) {
			fault("a block that isn't free", place_in(fit, pane, bits), tag_state(tag),
			      TAG_FREE);
			faults++;
		}
		if (saturated(tag_size(tag)) > found)
			found = saturated(tag_size(tag));
		++*blocks;
	}
	if (found != strip->most[pane % STRIP_PANES]) {
		fault("maximum of a pane", pane, strip->most[pane % STRIP_PANES], found);
		faults++;
	}
	return faults;
}

/* Faults under a node; parts of the tree that are empty by their maximum aren't entered. */
static int check_node(char *base, const struct fit *fit, unsigned level, uint64_t i, uint64_t *blocks)
{
	unsigned fan;
	uint32_t found = 0;
	int faults = 0;

	if (level == 0)
		return check_pane(base, fit, i, blocks);
	if (*node(base, fit, level, i) == 0)
		return 0;
	fan = fan_into(level - 1);
	for (unsigned k = 0; k < fan; k++) {
		uint32_t child = *node(base, fit, level - 1, i * fan + k);

		if (child > found)
			found = child;
		if (child)
			faults += check_node(base, fit, level - 1, i * fan + k, blocks);
	}
	if (found != *node(base, fit, level, i)) {
		fault("maximum of a node", i, *node(base, fit, level, i), found);
		faults++;
	}
	return faults;
}

int fit_check(char *base, const struct fit *fit, uint64_t blocks)
{
	uint64_t found = 0;
	int faults = check_node(base, fit, top_level(fit), 0, &found);

	if (found != blocks) {
		fault("free blocks in the index", fit->origin, found, blocks);
		faults++;
	}
	return faults;
}
