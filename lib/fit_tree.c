/*
 * Trees: see fit_tree.h.
 */
#include "fit_tree.h"

#include "fit_bits.h"
#include "sizes.h"
#include "tag.h"

#define EXACT		32u	/* a tree for each size up to this */
#define EXACT_LOG	5u
#define SPLIT		4u	/* trees in a doubling above it */
#define SPLIT_LOG	2u
#define SINGLES		0u	/* the tree that is a set of bits */
#define WORD_TREES	64u

#define PLACE_BITS	36u
#define PLACE		((UINT64_C(1) << PLACE_BITS) - 1)
#define UP_LOW		28u	/* bits of a link upward in the first word */

#define LEFT		0u
#define RIGHT		1u

_Static_assert(EXACT == 1u << EXACT_LOG && SPLIT == 1u << SPLIT_LOG, "logarithms");
_Static_assert((PLACE_BITS - EXACT_LOG - 1) * SPLIT + EXACT + SPLIT == FIT_TREES, "all sizes");

/* What the keys of a tree are made of. */
struct shape {
	uint64_t low;		/* the least size */
	uint64_t invert;	/* bits of the size that are inverted */
	unsigned shift;		/* bits of a place that are left out */
	unsigned place_bits;	/* those that are not */
	unsigned bits;		/* of a key; at least one */
};

static unsigned log_of(uint64_t n)
{
	return 63u - (unsigned)__builtin_clzll(n);
}

/* The tree of the blocks of this size. */
static unsigned tree_of(uint64_t size)
{
	uint64_t n = size - 1;
	unsigned log;

	if (n < EXACT)
		return (unsigned)n;
	log = log_of(n);
	return (log - EXACT_LOG) * SPLIT + EXACT - SPLIT + (unsigned)(n >> (log - SPLIT_LOG));
}

static struct shape shape_of(const struct fit *fit, unsigned tree)
{
	struct shape shape = { .low = tree + 1 };
	unsigned size_bits = 0;

	if (tree < EXACT) {
		shape.shift = log_of(tree + 1);
	} else {
		unsigned above = tree - EXACT;

		shape.shift = EXACT_LOG + above / SPLIT;
		size_bits = shape.shift - SPLIT_LOG;
		shape.low = ((uint64_t)(SPLIT + above % SPLIT) << size_bits) + 1;
		shape.invert = fit->tree.descending ? (UINT64_C(1) << size_bits) - 1 : 0;
	}
	if (fit->tree.place_bits > shape.shift)
		shape.place_bits = fit->tree.place_bits - shape.shift;
	shape.bits = size_bits + shape.place_bits;
	shape.bits += shape.bits == 0;
	return shape;
}

static uint64_t key_of(const struct fit *fit, const struct shape *shape, uint64_t at, uint64_t size)
{
	return ((size - shape->low) ^ shape->invert) << shape->place_bits |
	       (at - fit->origin) >> shape->shift;
}

/* A key as the way from the root: the next turn is the uppermost bit. */
static uint64_t way_of(const struct shape *shape, uint64_t key)
{
	return key << (64 - shape->bits);
}

static uint64_t *root_of(char *base, const struct fit *fit, unsigned tree)
{
	STEP();
	return (uint64_t *)(base + fit->memory) + tree;
}

static uint64_t *singles_of(char *base, const struct fit *fit)
{
	return (uint64_t *)(base + fit->tree.singles);
}

/*
 * Links.
 */
static uint64_t side_of(char *base, uint64_t at, unsigned side)
{
	return (side == RIGHT ? back_of(base, at) : link_of(base, at)) & PLACE;
}

static void set_side(char *base, uint64_t at, unsigned side, uint64_t to)
{
	if (side == RIGHT)
		back_write(base, at, (back_of(base, at) & ~PLACE) | to);
	else
		link_write(base, at, (link_of(base, at) & ~PLACE) | to);
}

static uint64_t up_of(char *base, uint64_t at)
{
	return link_of(base, at) >> PLACE_BITS | back_of(base, at) >> PLACE_BITS << UP_LOW;
}

static void set_up(char *base, uint64_t at, uint64_t up)
{
	link_write(base, at, (link_of(base, at) & PLACE) | up << PLACE_BITS);
	back_write(base, at, (back_of(base, at) & PLACE) | up >> UP_LOW << PLACE_BITS);
}

/* Whether a free block may lie at this place: one did, so the memory there can be read. */
static bool sound(char *base, const struct fit *fit, uint64_t at)
{
	STEP();
	return at - fit->origin <= fit->tree.reach - fit->origin &&
	       tag_state(tag_at(base, at)) == TAG_FREE;
}

/* The block's link to a side is none, or is returned, and isn't that to the other side as well. */
static bool side_sound(char *base, const struct fit *fit, uint64_t at, unsigned side)
{
	uint64_t to = side_of(base, at, side);

	return !to || (to != side_of(base, at, !side) && sound(base, fit, to) &&
		       up_of(base, to) == at);
}

static uint64_t follow(char *base, const struct fit *fit, uint64_t at, unsigned side)
{
	if (!side_sound(base, fit, at, side))
		fit_overwritten(base, at);
	return side_of(base, at, side);
}

/* The block on the left, or else that on the right. */
static uint64_t follow_either(char *base, const struct fit *fit, uint64_t at, unsigned first)
{
	uint64_t to = follow(base, fit, at, first);

	return to ? to : follow(base, fit, at, !first);
}

static uint64_t follow_root(char *base, const struct fit *fit, unsigned tree)
{
	uint64_t at = *root_of(base, fit, tree);

	if (at && (!sound(base, fit, at) || up_of(base, at)))
		fit_overwritten(base, at);
	return at;
}

/* The side on which a block hangs below another. */
static unsigned side_below(char *base, uint64_t up, uint64_t at)
{
	return side_of(base, up, RIGHT) == at ? RIGHT : LEFT;
}

/* Whether what the block says it hangs on, or else the root, leads to it. */
static bool hangs(char *base, const struct fit *fit, uint64_t at, unsigned tree)
{
	uint64_t up = up_of(base, at);

	if (!up)
		return *root_of(base, fit, tree) == at;
	return sound(base, fit, up) && side_of(base, up, side_below(base, up, at)) == at;
}

/*
 * Blocks come and go.
 */
static void set_bit(struct fit *fit, unsigned tree)
{
	fit->tree.word[tree / WORD_TREES] |= UINT64_C(1) << tree % WORD_TREES;
}

static void clear_bit(struct fit *fit, unsigned tree)
{
	fit->tree.word[tree / WORD_TREES] &= ~(UINT64_C(1) << tree % WORD_TREES);
}

static void push(char *base, struct fit *fit, uint64_t at, uint64_t size, unsigned tree)
{
	struct shape shape = shape_of(fit, tree);
	uint64_t way = way_of(&shape, key_of(fit, &shape, at, size));
	uint64_t up = follow_root(base, fit, tree);
	uint64_t to;

	link_write(base, at, 0);
	back_write(base, at, 0);
	if (at > fit->tree.reach)
		fit->tree.reach = at;
	if (!up) {
		*root_of(base, fit, tree) = at;
		set_bit(fit, tree);
		return;
	}
	while ((to = follow(base, fit, up, way >> 63))) {
		up = to;
		way <<= 1;
	}
	set_side(base, up, way >> 63, at);
	set_up(base, at, up);
}

/* What led to a block leads to another, or to none. */
static void hang(char *base, struct fit *fit, uint64_t at, unsigned tree, uint64_t to)
{
	uint64_t up = up_of(base, at);

	if (up) {
		set_side(base, up, side_below(base, up, at), to);
		return;
	}
	*root_of(base, fit, tree) = to;
	if (!to)
		clear_bit(fit, tree);
}

/* A block leaves its tree; some leaf below it takes its place, for a key fits anywhere on its way. */
static void pull(char *base, struct fit *fit, uint64_t at, unsigned tree)
{
	uint64_t leaf = at;
	uint64_t to;

	if (!hangs(base, fit, at, tree) || !side_sound(base, fit, at, LEFT))
		fit_overwritten(base, at);
	while ((to = follow_either(base, fit, leaf, RIGHT)))
		leaf = to;
	if (leaf == at) {
		hang(base, fit, at, tree, 0);
	} else {
		hang(base, fit, leaf, tree, 0);
		hang(base, fit, at, tree, leaf);
		link_write(base, leaf, link_of(base, at));
		back_write(base, leaf, back_of(base, at));
		for (unsigned side = LEFT; side <= RIGHT; side++)
			if ((to = side_of(base, at, side)))
				set_up(base, to, leaf);
	}
	/* calloc counts on zeros in a page that nobody has held: see dirt.h. */
	link_write(base, at, 0);
	back_write(base, at, 0);
}

void tree_insert(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	if (size > 1) {
		push(base, fit, at, size, tree_of(size));
		return;
	}
	bits_set(singles_of(base, fit), fit->tree.granules, at - fit->origin);
	set_bit(fit, SINGLES);
}

void tree_remove(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	if (size > 1)
		pull(base, fit, at, tree_of(size));
	else if (bits_clear(singles_of(base, fit), fit->tree.granules, at - fit->origin))
		clear_bit(fit, SINGLES);
}

void tree_grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size)
{
	tree_remove(base, fit, at, had);
	tree_insert(base, fit, at, size);
}

void tree_cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest)
{
	tree_remove(base, fit, at, size);
	tree_insert(base, fit, to, rest);
}

/*
 * Memory: the roots, then the set, level 0 last, which is in use as far as the range is.
 */
static size_t roots_bytes(uint64_t granules)
{
	return (tree_of(granules) + 1) * sizeof(uint64_t);
}

size_t tree_bytes(uint64_t granules)
{
	return round_up(roots_bytes(granules) + (bits_upper_words(granules) +
						 bits_words(granules)) * sizeof(uint64_t), GRANULE);
}

size_t tree_used_bytes(const struct fit *fit, uint64_t granules)
{
	return round_up(fit->tree.singles - fit->memory + bits_words(granules) * sizeof(uint64_t),
			GRANULE);
}

void tree_init(struct fit *fit, uint64_t granules)
{
	fit->links = 1;
	fit->tree = (struct fit_tree){
		.reach = fit->origin,
		.singles = fit->memory + roots_bytes(granules) +
			   bits_upper_words(granules) * sizeof(uint64_t),
		.granules = granules,
		.place_bits = granules > 1 ? log_of(granules - 1) + 1 : 1,
		.descending = fit->policy == FIT_WORST,
	};
}

/*
 * Searches.
 */

/* The key of a block in a tree: its tag's size is one of this tree's. */
static uint64_t own_key(char *base, const struct fit *fit, const struct shape *shape, uint64_t at)
{
	uint64_t key = key_of(fit, shape, at, tag_size(tag_at(base, at)));

	if (key >> shape->bits)
		fit_overwritten(base, at);
	return key;
}

/* The least key of a tree that isn't below `from`, as its block; 0 if none. */
static uint64_t least(char *base, const struct fit *fit, unsigned tree, uint64_t from)
{
	struct shape shape = shape_of(fit, tree);
	uint64_t way = way_of(&shape, from);
	uint64_t found_key = UINT64_MAX;
	uint64_t found = 0;
	uint64_t aside = 0;
	uint64_t at, key;

	if (from >> shape.bits)
		return 0;
	/* Along the way of `from`; what turns off to the right of it is larger, the last of it least. */
	for (at = follow_root(base, fit, tree); at; way <<= 1) {
		uint64_t right = follow(base, fit, at, RIGHT);

		key = own_key(base, fit, &shape, at);
		if (key >= from && key < found_key) {
			found_key = key;
			found = at;
		}
		if (way >> 63) {
			at = right;
		} else {
			aside = right ? right : aside;
			at = follow(base, fit, at, LEFT);
		}
	}
	for (at = aside; at; at = follow_either(base, fit, at, LEFT)) {
		key = own_key(base, fit, &shape, at);
		if (key < found_key) {
			found_key = key;
			found = at;
		}
	}
	return found;
}

/* The next tree behind this one that isn't empty; FIT_TREES if none. */
static unsigned next_tree(const struct fit *fit, unsigned tree)
{
	const struct fit_tree *trees = &fit->tree;
	unsigned w = tree / WORD_TREES;
	uint64_t bits;

	STEP();
	if (trees->descending) {
		bits = trees->word[w] & ((UINT64_C(1) << tree % WORD_TREES) - 1);
		while (!bits && w)
			bits = trees->word[--w];
		return bits ? w * WORD_TREES + log_of(bits) : FIT_TREES;
	}
	/* Shifted twice, since tree may be the word's last. */
	bits = trees->word[w] & ~UINT64_C(0) << tree % WORD_TREES << 1;
	while (!bits && w < (FIT_TREES - 1) / WORD_TREES)
		bits = trees->word[++w];
	return bits ? w * WORD_TREES + (unsigned)__builtin_ctzll(bits) : FIT_TREES;
}

/* The first block of a tree whose key isn't below `from`. */
static uint64_t first_of(char *base, const struct fit *fit, unsigned tree, uint64_t from)
{
	uint64_t i;

	if (tree != SINGLES)
		return least(base, fit, tree, from);
	i = bits_from(singles_of(base, fit), fit->tree.granules, from);
	if (i == BITS_NONE)
		return 0;
	if (tag_size(tag_at(base, fit->origin + i)) != 1)
		fit_overwritten(base, fit->origin + i);
	return fit->origin + i;
}

uint64_t tree_from(char *base, const struct fit *fit, uint64_t size, uint64_t after)
{
	struct shape shape;
	unsigned tree;
	uint64_t at;

	if (size > fit->tree.granules)
		return 0;
	tree = tree_of(size);
	shape = shape_of(fit, tree);
	at = first_of(base, fit, tree, after ? key_of(fit, &shape, after, size) + 1 :
					       key_of(fit, &shape, fit->origin, size));
	while (!at && (tree = next_tree(fit, tree)) < FIT_TREES)
		at = first_of(base, fit, tree, 0);
	return at;
}

/* The first of all that may be next, of these sizes. */
static uint64_t begin(char *base, const struct fit *fit, uint64_t size)
{
	return tree_from(base, fit, fit->tree.descending ? fit->tree.granules : size, 0);
}

static uint64_t large_enough(char *base, uint64_t at, uint64_t size)
{
	return at && tag_size(tag_at(base, at)) >= size ? at : 0;
}

uint64_t tree_next(char *base, const struct fit *fit, uint64_t size, uint64_t after)
{
	uint64_t at = after ? tree_from(base, fit, tag_size(tag_at(base, after)), after) :
			      begin(base, fit, size);

	return large_enough(base, at, size);
}

/* In order. What comes meanwhile is met in this round or in the next. */
uint64_t tree_sweep(char *base, struct fit *fit, uint64_t size)
{
	const struct fit_tree *tree = &fit->tree;
	uint64_t at;

	if (!tree->sweep || (tree->sweep_size < size && !tree->descending))
		at = begin(base, fit, size);
	else
		at = tree_from(base, fit, tree->sweep_size, tree->sweep);
	at = large_enough(base, at, size);
	if (!at)
		fit->tree.sweep = 0;
	return at;
}

void tree_swept(char *base, struct fit *fit, uint64_t at)
{
	fit->tree.sweep = at;
	fit->tree.sweep_size = tag_size(tag_at(base, at));
}

/* The tree of the largest blocks; FIT_TREES if there are none at all. */
static unsigned last_tree(const struct fit *fit)
{
	for (unsigned w = (FIT_TREES - 1) / WORD_TREES + 1; w--;)
		if (fit->tree.word[w])
			return w * WORD_TREES + log_of(fit->tree.word[w]);
	return FIT_TREES;
}

/* It's on the way along the side to which larger sizes lead. */
uint32_t tree_largest(char *base, const struct fit *fit)
{
	unsigned tree = last_tree(fit);
	unsigned side = fit->tree.descending ? LEFT : RIGHT;
	uint64_t most = 0;

	if (tree == FIT_TREES)
		return 0;
	if (tree < EXACT)
		return tree + 1;
	for (uint64_t at = follow_root(base, fit, tree); at;
	     at = follow_either(base, fit, at, side)) {
		uint64_t size = tag_size(tag_at(base, at));

		most = size > most ? size : most;
	}
	return fit_saturated(most);
}

uint64_t tree_unlisted(const struct fit *fit)
{
	(void)fit;
	return 0;
}

bool tree_has(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t size = tag_size(tag_at(base, at));

	if (size == 1)
		return bits_has(singles_of(base, fit), at - fit->origin);
	return size && size <= fit->tree.granules && sound(base, fit, at) &&
	       hangs(base, fit, at, tree_of(size)) && side_sound(base, fit, at, LEFT) &&
	       side_sound(base, fit, at, RIGHT);
}

/*
 * Checks.
 */

/* Faults of the blocks from this one down, which the first `turns` turns of `way` lead to. */
static int check_below(char *base, const struct fit *fit, unsigned tree, uint64_t at, uint64_t way,
		       unsigned turns, uint64_t *blocks)
{
	struct shape shape = shape_of(fit, tree);
	uint64_t size = tag_size(tag_at(base, at));
	uint64_t own;
	int faults = 0;

	++*blocks;
	if (size < 2 || size > fit->tree.granules || tree_of(size) != tree)
		return fit_fault("the tree of a block", at, size ? tree_of(size) : 0, tree);
	own = way_of(&shape, key_of(fit, &shape, at, size));
	if (turns && (own ^ way) >> (64 - turns))
		faults += fit_fault("the way to a block", at, own, way);
	if (turns > shape.bits)
		return faults + fit_fault("the depth of a block", at, turns, shape.bits);
	for (unsigned side = LEFT; side <= RIGHT; side++) {
		uint64_t to = side_of(base, at, side);

		if (!side_sound(base, fit, at, side))
			faults += fit_fault("a link that isn't returned", at, to, 0);
		else if (to)
			faults += check_below(base, fit, tree, to,
					      way | (uint64_t)side << 63 >> turns, turns + 1,
					      blocks);
	}
	return faults;
}

static int check_tree(char *base, const struct fit *fit, unsigned tree, uint64_t *blocks)
{
	uint64_t at = *root_of(base, fit, tree);
	uint64_t bit = fit->tree.word[tree / WORD_TREES] >> tree % WORD_TREES & 1;
	int faults = 0;

	if (bit != (at != 0))
		faults += fit_fault("the bit of a tree", tree, bit, at != 0);
	if (at && (!sound(base, fit, at) || up_of(base, at)))
		return faults + fit_fault("the root of a tree", tree, at, 0);
	return at ? faults + check_below(base, fit, tree, at, 0, 0, blocks) : faults;
}

static int check_singles(char *base, const struct fit *fit, uint64_t *blocks)
{
	const uint64_t *singles = singles_of(base, fit);
	uint64_t bit = fit->tree.word[0] & 1;
	uint64_t before = *blocks;
	int faults = 0;

	if (!bits_sound(singles, fit->tree.granules))
		return fit_fault("the set of single granules", fit->origin, 0, 1);
	for (uint64_t i = bits_from(singles, fit->tree.granules, 0); i != BITS_NONE;
	     i = bits_from(singles, fit->tree.granules, i + 1)) {
		const struct tag *tag = tag_at(base, fit->origin + i);

		if (tag_state(tag) != TAG_FREE || tag_size(tag) != 1)
			faults += fit_fault("a single granule that isn't free", fit->origin + i,
					    tag_size(tag), 1);
		++*blocks;
	}
	if (bit != (*blocks != before))
		faults += fit_fault("the bit of a tree", SINGLES, bit, *blocks != before);
	return faults;
}

int tree_check(char *base, const struct fit *fit, uint64_t blocks)
{
	uint64_t found = 0;
	int faults = check_singles(base, fit, &found);

	for (unsigned tree = SINGLES + 1; tree <= tree_of(fit->tree.granules); tree++)
		faults += check_tree(base, fit, tree, &found);
	if (found != blocks)
		faults += fit_fault("free blocks in the trees", fit->origin, found, blocks);
	return faults;
}
