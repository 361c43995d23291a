/*
 * Panes: see fit_panes.h.
 *
 * Levels are numbered from the panes upward: 0 to 2 are most, wide and tall in the strips, 3 and up
 * the upper arrays. Four children lie side by side under each node: of all fans that's the one with
 * which a change, which looks at every child of each level, costs least.
 */
#include "fit_panes.h"

#include "tag.h"

#define PANE		64u	/* granules */
#define STRIP_PANES	64u
#define FAN		4u
#define UPPER_LEVEL	3u	/* the first that isn't in the strips */

struct strip {
	uint64_t starts[STRIP_PANES];
	uint32_t most[STRIP_PANES];
	uint32_t wide[STRIP_PANES / FAN];
	uint32_t tall[STRIP_PANES / FAN / FAN];
};

static uint64_t divide_up(uint64_t n, uint64_t by)
{
	return (n + by - 1) / by;
}

static uint64_t strips_of(uint64_t granules)
{
	return divide_up(granules, (uint64_t)PANE * STRIP_PANES);
}

static size_t upper_bytes(uint64_t granules)
{
	uint64_t nodes = strips_of(granules);
	size_t bytes = 0;

	for (;;) {
		bytes += divide_up(nodes, FAN) * FAN * sizeof(uint32_t);
		if (nodes == 1)
			return bytes;
		nodes = divide_up(nodes, FAN);
	}
}

size_t panes_bytes(uint64_t granules)
{
	return upper_bytes(granules) + strips_of(granules) * sizeof(struct strip);
}

/* The upper index, and the strips so far. */
size_t panes_used_bytes(const struct fit *fit, uint64_t granules)
{
	return fit->panes.strips - fit->memory + strips_of(granules) * sizeof(struct strip);
}

void panes_init(struct fit *fit, uint64_t granules)
{
	struct fit_panes *panes = &fit->panes;
	uint64_t nodes[FIT_UPPERS];
	size_t memory = fit->memory;
	unsigned n = 0;

	panes->count = divide_up(granules, PANE);
	nodes[0] = strips_of(granules);
	while (nodes[n] > 1) {
		nodes[n + 1] = divide_up(nodes[n], FAN);
		n++;
	}
	panes->uppers = n + 1;
	/* The root first: in a large arena that is little used, the top levels share a page. */
	for (;; n--) {
		panes->upper[n] = memory;
		memory += divide_up(nodes[n], FAN) * FAN * sizeof(uint32_t);
		if (n == 0)
			break;
	}
	panes->strips = memory;
	panes->swept = 0;
	fit->links = 0;
}

static struct strip *strip_of(char *base, const struct fit *fit, uint64_t pane)
{
	return (struct strip *)(base + fit->panes.strips) + pane / STRIP_PANES;
}

/* An upper level's maxima. */
static uint32_t *upper_of(char *base, const struct fit *fit, unsigned n)
{
	return (uint32_t *)(base + fit->panes.upper[n]);
}

/* The maximum with this number on this level. */
static uint32_t *node(char *base, const struct fit *fit, unsigned level, uint64_t i)
{
	switch (level) {
	case 0:
		return &strip_of(base, fit, i)->most[i % STRIP_PANES];
	case 1:
		return &strip_of(base, fit, i * FAN)->wide[i % (STRIP_PANES / FAN)];
	case 2:
		return &strip_of(base, fit, i * FAN * FAN)->tall[i % (STRIP_PANES / FAN / FAN)];
	default:
		return upper_of(base, fit, level - UPPER_LEVEL) + i;
	}
}

static unsigned top_level(const struct fit *fit)
{
	return UPPER_LEVEL + fit->panes.uppers - 1;
}

static uint64_t pane_of(const struct fit *fit, uint64_t at)
{
	return (at - fit->origin) / PANE;
}

static uint64_t bit_of(const struct fit *fit, uint64_t at)
{
	return UINT64_C(1) << ((at - fit->origin) % PANE);
}

static uint64_t place_in(const struct fit *fit, uint64_t pane, uint64_t bits)
{
	return fit->origin + pane * PANE + (unsigned)__builtin_ctzll(bits);
}

/* A maximum is at least size; false if it was that before, and so are those above. */
static bool raised(uint32_t *max, uint32_t size)
{
	STEP_OF_CHANGE();
	if (*max >= size)
		return false;
	*max = size;
	return true;
}

/* A pane has a block of this size: so have all above it. */
static void raise_maxima(char *base, const struct fit *fit, uint64_t pane, uint32_t size)
{
	struct strip *strip = strip_of(base, fit, pane);
	unsigned p = pane % STRIP_PANES;
	uint64_t i = pane / STRIP_PANES;

	if (!raised(&strip->most[p], size) || !raised(&strip->wide[p / FAN], size) ||
	    !raised(&strip->tall[p / FAN / FAN], size))
		return;
	for (unsigned n = 0; n < fit->panes.uppers && raised(upper_of(base, fit, n) + i, size); n++)
		i /= FAN;
}

/*
 * The largest block that starts in a pane, or `found` if that's more; the search ends at one as
 * large as enough.
 */
static uint32_t largest_in(char *base, const struct fit *fit, uint64_t pane, uint32_t enough,
			   uint32_t found)
{
	uint64_t bits = strip_of(base, fit, pane)->starts[pane % STRIP_PANES];

	for (; bits && found < enough; bits &= bits - 1) {
		uint32_t other = fit_saturated(tag_size(tag_at(base, place_in(fit, pane, bits))));

		STEP_OF_CHANGE();
		if (other > found)
			found = other;
	}
	return found;
}

/* A maximum may have been due to a child of this size: false if it's as it was. */
static bool lowered(uint32_t *max, const uint32_t *child, uint32_t size)
{
	uint32_t found = child[0];

	STEP_OF_CHANGE();
	if (*max > size)
		return false;
	for (unsigned k = 1; k < FAN; k++)
		found = child[k] > found ? child[k] : found;
	if (found == *max)
		return false;
	*max = found;
	return true;
}

/*
 * A block of this size left a pane, and one of size `came`, which has no bit yet, came into it: the
 * maxima that were due to the first are found anew.
 */
static void lower_maxima(char *base, const struct fit *fit, uint64_t pane, uint32_t size,
			 uint32_t came)
{
	struct strip *strip = strip_of(base, fit, pane);
	unsigned p = pane % STRIP_PANES;
	uint64_t i = pane / STRIP_PANES;
	const uint32_t *child = strip->tall;
	uint32_t found;

	if (strip->most[p] > size)
		return;
	found = largest_in(base, fit, pane, size, came);
	if (found == strip->most[p])
		return;
	strip->most[p] = found;
	if (!lowered(&strip->wide[p / FAN], &strip->most[p - p % FAN], size))
		return;
	p /= FAN;
	if (!lowered(&strip->tall[p / FAN], &strip->wide[p - p % FAN], size))
		return;
	for (unsigned n = 0; n < fit->panes.uppers; n++) {
		uint32_t *max = upper_of(base, fit, n);

		if (!lowered(max + i, child, size))
			return;
		child = max + i - i % FAN;
		i /= FAN;
	}
}

void panes_insert(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	uint64_t pane = pane_of(fit, at);

	strip_of(base, fit, pane)->starts[pane % STRIP_PANES] |= bit_of(fit, at);
	raise_maxima(base, fit, pane, fit_saturated(size));
}

void panes_remove(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	uint64_t pane = pane_of(fit, at);

	strip_of(base, fit, pane)->starts[pane % STRIP_PANES] &= ~bit_of(fit, at);
	lower_maxima(base, fit, pane, fit_saturated(size), 0);
}

void panes_cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest)
{
	uint64_t from = pane_of(fit, at);
	uint64_t pane = pane_of(fit, to);
	uint64_t *starts = &strip_of(base, fit, from)->starts[from % STRIP_PANES];

	*starts &= ~bit_of(fit, at);
	if (pane == from) {
		lower_maxima(base, fit, from, fit_saturated(size), fit_saturated(rest));
		*starts |= bit_of(fit, to);
		return;
	}
	strip_of(base, fit, pane)->starts[pane % STRIP_PANES] |= bit_of(fit, to);
	raise_maxima(base, fit, pane, fit_saturated(rest));
	lower_maxima(base, fit, from, fit_saturated(size), 0);
}

void panes_grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size)
{
	(void)had;
	raise_maxima(base, fit, pane_of(fit, at), fit_saturated(size));
}

/* The first of a node's children with so many granules: there is one. */
static unsigned first_child(const uint32_t *child, uint32_t want)
{
	unsigned k = 0;

	STEP();
	while (child[k] < want)
		k++;
	return k;
}

/*
 * The first pane of all with a block of at least so many granules; fit->panes.count if there's
 * none.
 */
static uint64_t first_pane(char *base, const struct fit *fit, uint32_t want)
{
	unsigned n = fit->panes.uppers - 1;
	const struct strip *strip;
	uint64_t i = 0;
	unsigned p;

	STEP();
	if (*upper_of(base, fit, n) < want)
		return fit->panes.count;
	while (n--) {
		i *= FAN;
		i += first_child(upper_of(base, fit, n) + i, want);
	}
	strip = strip_of(base, fit, i * STRIP_PANES);
	p = first_child(strip->tall, want) * FAN;
	p = (p + first_child(strip->wide + p, want)) * FAN;
	return i * STRIP_PANES + p + first_child(strip->most + p, want);
}

/* The first pane under this node, which has one. */
static uint64_t descend(char *base, const struct fit *fit, unsigned level, uint64_t i,
			uint32_t want)
{
	while (level) {
		i *= FAN;
		i += first_child(node(base, fit, --level, i), want);
	}
	return i;
}

/*
 * The first pane from this one on with a block of at least so many granules; fit->panes.count if
 * none.
 */
static uint64_t next_pane(char *base, const struct fit *fit, uint64_t pane, uint32_t want)
{
	uint64_t i = pane;
	unsigned level = 0;

	if (pane >= fit->panes.count)
		return fit->panes.count;
	/*
	 * Where the pane begins a group, the parent tells of it: the pane may begin a strip that isn't
	 * accessible yet.
	 */
	for (; i % FAN == 0 && level + 1 < top_level(fit); level++)
		i /= FAN;
	for (;;) {
		uint64_t end = i - i % FAN + FAN;

		/* Nodes beyond the last of a level exist up to a whole group, and are zero. */
		STEP();
		for (; i < end; i++)
			if (*node(base, fit, level, i) >= want)
				return descend(base, fit, level, i, want);
		/* The parent's next sibling; where it begins a group, that group's parent. */
		do {
			i /= FAN;
			if (++level == top_level(fit))
				return fit->panes.count;
		} while (i % FAN == 0);
	}
}

/* The lowest of the blocks with these bits in a pane that has at least size granules; 0 if none. */
static inline uint64_t first_in(char *base, const struct fit *fit, uint64_t pane, uint64_t bits,
				uint64_t size)
{
	for (; bits; bits &= bits - 1) {
		uint64_t at = place_in(fit, pane, bits);

		STEP();
		if (tag_size(tag_at(base, at)) >= size)
			return at;
	}
	return 0;
}

static uint64_t starts_in(char *base, const struct fit *fit, uint64_t pane)
{
	return strip_of(base, fit, pane)->starts[pane % STRIP_PANES];
}

/* Whether a free block's tag is what its footer says too. */
static bool is_whole(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t size = tag_size(tag_at(base, at));

	return tag_state(tag_at(base, at)) == TAG_FREE && size && size <= fit->end - at &&
	       footer_before(base, at + size) == size;
}

/* A pane has no block as large as its maximum says: one of its tags isn't as it was. */
static _Noreturn void misled(char *base, const struct fit *fit, uint64_t pane)
{
	uint64_t bits = starts_in(base, fit, pane);

	while (bits & (bits - 1) && is_whole(base, fit, place_in(fit, pane, bits)))
		bits &= bits - 1;
	fit_overwritten(base, bits ? place_in(fit, pane, bits) : fit->origin + pane * PANE);
}

/* The lowest block of at least size granules from this pane on, which has one by its maximum. */
static uint64_t first_from(char *base, const struct fit *fit, uint64_t pane, uint64_t size)
{
	uint32_t want = fit_saturated(size);
	uint64_t at = 0;

	while (!at && pane < fit->panes.count) {
		at = first_in(base, fit, pane, starts_in(base, fit, pane), size);
		/* More than one pane is searched only where saturated maxima tie. */
		if (!at && want < UINT32_MAX)
			misled(base, fit, pane);
		if (!at)
			pane = next_pane(base, fit, pane + 1, want);
	}
	return at;
}

uint64_t panes_first(char *base, const struct fit *fit, uint64_t size)
{
	return first_from(base, fit, first_pane(base, fit, fit_saturated(size)), size);
}

uint64_t panes_next(char *base, const struct fit *fit, uint64_t size, uint64_t after)
{
	uint64_t from = after < fit->origin ? fit->origin : after + 1;
	uint64_t pane = pane_of(fit, from);
	uint64_t at;

	if (pane >= fit->panes.count)
		return 0;
	at = first_in(base, fit, pane, starts_in(base, fit, pane) & ~(bit_of(fit, from) - 1), size);
	if (at)
		return at;
	return first_from(base, fit, next_pane(base, fit, pane + 1, fit_saturated(size)), size);
}

/* In address order. What grows over the place from below was met already, or is met next time. */
uint64_t panes_sweep(char *base, struct fit *fit, uint64_t size)
{
	uint64_t at = panes_next(base, fit, size, fit->panes.swept);

	if (!at)
		fit->panes.swept = 0;
	return at;
}

void panes_swept(char *base, struct fit *fit, uint64_t at)
{
	(void)base;
	fit->panes.swept = at;
}

uint32_t panes_largest(char *base, const struct fit *fit)
{
	return *node(base, fit, top_level(fit), 0);
}

bool panes_has(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t pane = pane_of(fit, at);

	return (strip_of(base, fit, pane)->starts[pane % STRIP_PANES] & bit_of(fit, at)) != 0;
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

		if (tag_state(tag) != TAG_FREE)
			faults += fit_fault("a block that isn't free", place_in(fit, pane, bits),
					    tag_state(tag), TAG_FREE);
		if (fit_saturated(tag_size(tag)) > found)
			found = fit_saturated(tag_size(tag));
		++*blocks;
	}
	if (found != strip->most[pane % STRIP_PANES])
		faults += fit_fault("maximum of a pane", pane, strip->most[pane % STRIP_PANES],
				    found);
	return faults;
}

/* Faults under a node; parts of the tree that are empty by their maximum aren't entered. */
static int check_node(char *base, const struct fit *fit, unsigned level, uint64_t i,
		      uint64_t *blocks)
{
	uint32_t found = 0;
	int faults = 0;

	if (level == 0)
		return check_pane(base, fit, i, blocks);
	if (*node(base, fit, level, i) == 0)
		return 0;
	for (unsigned k = 0; k < FAN; k++) {
		uint32_t child = *node(base, fit, level - 1, i * FAN + k);

		if (child > found)
			found = child;
		if (child)
			faults += check_node(base, fit, level - 1, i * FAN + k, blocks);
	}
	if (found != *node(base, fit, level, i))
		faults += fit_fault("maximum of a node", i, *node(base, fit, level, i), found);
	return faults;
}

int panes_check(char *base, const struct fit *fit, uint64_t blocks)
{
	uint64_t found = 0;
	int faults = check_node(base, fit, top_level(fit), 0, &found);

	if (found != blocks)
		faults += fit_fault("free blocks in the index", fit->origin, found, blocks);
	return faults;
}

uint64_t panes_unlisted(const struct fit *fit)
{
	(void)fit;
	return 0;
}
