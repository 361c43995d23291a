/*
 * Good fit by segregated lists: the TLSF of Masmano, Ripoll, Crespo and Real ("TLSF: a new dynamic
 * memory allocator for real-time systems", ECRTS 2004).
 *
 * Free blocks of about one size are in one list. Each size up to 64 granules has a list of its own;
 * above, there are 32 to a doubling, so that the blocks of a list differ by less than a 32nd:
 *
 *	list   0   1   2        62   63 |  64      65      66             95   |  96      97
 *	size   1   2   3  ...   63   64 | 65-66   67-68   69-70  ...   127-128 | 129-132 133-136 ...
 *
 *	words  [1 0 1 ...]                     one bit for each word that isn't zero
 *	        |
 *	word   [0 1 1 0 0 0 ... ]  [ ... ]     one bit for each list that isn't empty
 *	            |
 *	heads  [  ] [ ]  [ ]                   place of the first block of each list
 *	             |
 *	             +--> block <--> block <--> block       newest first
 *
 * A request is served by the head of the least list, not empty, whose blocks are all large enough:
 * two words tell which. Where there's none such, a few blocks of the list that the request's own
 * size belongs to are tried. So each operation takes a constant number of steps.
 *
 * The links of a block lie in the granule behind its tag, where every block of two granules and
 * more has room for them beside its footer:
 *
 *	granule       at                at+1            at+2 (or later)
 *	       +--------+------+------+------+--------+------
 *	       |        | tag  | next | back | footer | tag
 *	       +--------+------+------+------+--------+------
 *
 * A link is a place, 0 = none. A program that writes to memory it has freed may overwrite it; so no
 * link is followed unless the block there is free and points back.
 *
 * A free block of one granule has no room for links. It's in no list, only counted, and serves
 * again when it has merged with a neighbour.
 */
#include "fit_policy.h"
#include "sizes.h"
#include "tag.h"

#define EXACT		64u	/* a list for each size up to this */
#define EXACT_LOG	6u
#define SPLIT		32u	/* lists in a doubling above it */
#define SPLIT_LOG	5u
#define TRIES		16u	/* blocks looked at that may or may not be large enough */
#define WORD_LISTS	64u

_Static_assert(EXACT == 1u << EXACT_LOG && SPLIT == 1u << SPLIT_LOG, "logarithms");

static unsigned log_of(uint64_t n)
{
	return 63u - (unsigned)__builtin_clzll(n);
}

/* The list of the blocks of this size. */
static unsigned list_of(uint64_t size)
{
	uint64_t n = size - 1;
	unsigned log;

	if (n < EXACT)
		return (unsigned)n;
	log = log_of(n);
	return (log - EXACT_LOG) * SPLIT + EXACT - SPLIT + (unsigned)(n >> (log - SPLIT_LOG));
}

/* The least list all of whose blocks are at least this large. */
static unsigned list_above(uint64_t size)
{
	uint64_t n = size - 1;

	if (n < EXACT)
		return (unsigned)n;
	return list_of(size + (UINT64_C(1) << (log_of(n) - SPLIT_LOG)) - 1);
}

static size_t bytes(uint64_t granules)
{
	return round_up((list_of(granules) + 1) * sizeof(uint64_t), GRANULE);
}

/* All of it, from the start. */
static size_t used_bytes(const struct fit *fit, uint64_t granules)
{
	(void)granules;
	return round_up(fit->good.lists * sizeof(uint64_t), GRANULE);
}

static void init(struct fit *fit, uint64_t granules)
{
	fit->links = true;
	fit->good = (struct fit_good){
		.reach = fit->origin,
		.lists = list_of(granules) + 1,
	};
}

static uint64_t *head_of(char *base, const struct fit *fit, unsigned list)
{
	STEP();
	return (uint64_t *)(base + fit->memory) + list;
}

/* Whether a block may lie at this place: one did, so the memory there can be read. */
static inline bool within(const struct fit *fit, uint64_t at)
{
	STEP();
	return at - fit->origin <= fit->good.reach - fit->origin;
}

static inline bool is_free(char *base, uint64_t at)
{
	return tag_state(tag_at(base, at)) == TAG_FREE;
}

/* Whether the block's link to the next one is sound. */
static inline bool next_sound(char *base, const struct fit *fit, uint64_t at, uint64_t to)
{
	return !to || (within(fit, to) && back_of(base, to) == at && is_free(base, to));
}

/* The same of its link back; the head of a list has none. */
static inline bool back_sound(char *base, const struct fit *fit, uint64_t at, uint64_t to,
			      unsigned list)
{
	if (!to)
		return *head_of(base, fit, list) == at;
	return within(fit, to) && link_of(base, to) == at && is_free(base, to);
}

static inline void push(char *base, struct fit *fit, uint64_t at, unsigned list)
{
	struct fit_good *good = &fit->good;
	uint64_t *head = head_of(base, fit, list);
	uint64_t second = *head;

	*head = at;
	link_write(base, at, second);
	back_write(base, at, 0);
	if (at > good->reach)
		good->reach = at;
	if (second) {
		back_write(base, second, at);
	} else {
		good->word[list / WORD_LISTS] |= UINT64_C(1) << list % WORD_LISTS;
		good->words |= UINT32_C(1) << list / WORD_LISTS;
	}
}

/* The sweep goes on behind a block of this list, which has the other as its next one. */
static inline void sweep_on(struct fit_good *good, unsigned list, uint64_t to)
{
	good->sweep = to;
	good->sweep_list = to ? list : list + 1;
}

static inline void pull(char *base, struct fit *fit, uint64_t at, unsigned list)
{
	struct fit_good *good = &fit->good;
	uint64_t to = link_of(base, at);
	uint64_t back = back_of(base, at);

	if (list >= good->lists || !next_sound(base, fit, at, to) ||
	    !back_sound(base, fit, at, back, list))
		fit_overwritten(base, at);
	if (at == good->sweep)
		sweep_on(good, list, to);
	/* calloc counts on zeros in a page that nobody has held: see dirt.h. */
	link_write(base, at, 0);
	back_write(base, at, 0);
	if (to)
		back_write(base, to, back);
	if (back) {
		link_write(base, back, to);
		return;
	}
	*head_of(base, fit, list) = to;
	if (to)
		return;
	good->word[list / WORD_LISTS] &= ~(UINT64_C(1) << list % WORD_LISTS);
	if (!good->word[list / WORD_LISTS])
		good->words &= ~(UINT32_C(1) << list / WORD_LISTS);
}

static void insert(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	if (size == 1)
		fit->good.singles++;
	else
		push(base, fit, at, list_of(size));
}

static void take_out(char *base, struct fit *fit, uint64_t at, uint64_t size)
{
	if (size == 1)
		fit->good.singles--;
	else
		pull(base, fit, at, list_of(size));
}

static void grow(char *base, struct fit *fit, uint64_t at, uint64_t had, uint64_t size)
{
	if (list_of(had) == list_of(size))
		return;
	take_out(base, fit, at, had);
	push(base, fit, at, list_of(size));
}

static void cut(char *base, struct fit *fit, uint64_t at, uint64_t size, uint64_t to, uint64_t rest)
{
	take_out(base, fit, at, size);
	insert(base, fit, to, rest);
}

/* The least list from this one on that isn't empty; the number of lists if none. */
static inline unsigned next_list(const struct fit *fit, unsigned list)
{
	const struct fit_good *good = &fit->good;
	unsigned w = list / WORD_LISTS;
	uint64_t bits;

	if (list >= good->lists)
		return good->lists;
	STEP();
	bits = good->word[w] & ~UINT64_C(0) << list % WORD_LISTS;
	if (!bits) {
		/* Shifted twice, since w + 1 may be all the bits there are. */
		uint32_t words = good->words >> w >> 1;

		STEP();
		if (!words)
			return good->lists;
		w += 1 + (unsigned)__builtin_ctz(words);
		bits = good->word[w];
	}
	return w * WORD_LISTS + (unsigned)__builtin_ctzll(bits);
}

/* The next block of the list. */
static uint64_t follow(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t to = link_of(base, at);

	STEP();
	if (!next_sound(base, fit, at, to))
		fit_overwritten(base, at);
	return to;
}

/* The first block of the least list from this one on that isn't empty; 0 if all are. */
static inline uint64_t first_of(char *base, const struct fit *fit, unsigned list)
{
	list = next_list(fit, list);
	return list < fit->good.lists ? *head_of(base, fit, list) : 0;
}

/* From the lists. */
static uint64_t listed(char *base, const struct fit *fit, uint64_t size)
{
	uint64_t at = first_of(base, fit, list_above(size));
	unsigned own = list_of(size);

	if (at || own >= fit->good.lists)
		return at;
	at = *head_of(base, fit, own);
	for (unsigned tries = TRIES; at && tries; tries--, at = follow(base, fit, at))
		if (tag_size(tag_at(base, at)) >= size)
			return at;
	return 0;
}

static uint64_t find(char *base, const struct fit *fit, uint64_t size)
{
	uint64_t at = listed(base, fit, size);

	return at ? at : top_with(fit, size);
}

/* The list of a free block, by its tag. */
static unsigned own_list(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t size = tag_size(tag_at(base, at));

	if (size < 2 || size > fit->end - at)
		fit_overwritten(base, at);
	return list_of(size);
}

static uint64_t next(char *base, const struct fit *fit, uint64_t size, uint64_t after)
{
	uint64_t at = after ? after : first_of(base, fit, list_of(size));

	/* Those of the first list may be too small. */
	while (at && (at == after || tag_size(tag_at(base, at)) < size)) {
		unsigned list = own_list(base, fit, at);

		at = follow(base, fit, at);
		if (!at)
			at = first_of(base, fit, list + 1);
	}
	return at;
}

/*
 * From list to list. What comes into a list comes before the block at which the sweep stands, and
 * so waits for the next round; blocks of a list that may hold smaller ones are left out.
 */
static uint64_t sweep(char *base, struct fit *fit, uint64_t size)
{
	struct fit_good *good = &fit->good;
	unsigned least = list_above(size);

	if (good->sweep_list < least)
		sweep_on(good, least - 1, 0);
	if (!good->sweep)
		good->sweep = first_of(base, fit, good->sweep_list);
	if (!good->sweep)
		good->sweep_list = 0;
	return good->sweep;
}

static void swept(char *base, struct fit *fit, uint64_t at)
{
	sweep_on(&fit->good, own_list(base, fit, at), link_of(base, at));
}

/* The head of the last list is the block that find() tries first. */
static uint32_t largest(char *base, const struct fit *fit)
{
	const struct fit_good *good = &fit->good;
	unsigned w;

	if (!good->words)
		return 0;
	w = 31u - (unsigned)__builtin_clz(good->words);
	STEP();
	return fit_saturated(tag_size(tag_at(base, *head_of(base, fit, w * WORD_LISTS +
							log_of(good->word[w])))));
}

static uint64_t unlisted(const struct fit *fit)
{
	return fit->good.singles;
}

static bool has(char *base, const struct fit *fit, uint64_t at)
{
	uint64_t size = tag_size(tag_at(base, at));
	unsigned list = list_of(size);

	if (size == 1)
		return true;
	return list < fit->good.lists && within(fit, at) &&
	       next_sound(base, fit, at, link_of(base, at)) &&
	       back_sound(base, fit, at, back_of(base, at), list);
}

/* Faults of one list; *blocks is what it adds to the count. */
static int check_list(char *base, const struct fit *fit, unsigned list, uint64_t *blocks)
{
	const struct fit_good *good = &fit->good;
	uint64_t at = *head_of(base, fit, list);
	uint64_t bit = good->word[list / WORD_LISTS] >> list % WORD_LISTS & 1;
	int faults = 0;

	if (bit != (at != 0))
		faults += fit_fault("the bit of a list", list, bit, at != 0);
	if (at && (!within(fit, at) || back_of(base, at) || !is_free(base, at)))
		return faults + fit_fault("the head of a list", list, at, 0);
	while (at) {
		const struct tag *tag = tag_at(base, at);
		uint64_t to = link_of(base, at);

		++*blocks;
		if (list_of(tag_size(tag)) != list)
			faults += fit_fault("the list of a block", at, list_of(tag_size(tag)),
					    list);
		if (!next_sound(base, fit, at, to))
			return faults + fit_fault("a link that isn't returned", at, to, 0);
		at = to;
	}
	return faults;
}

static int check(char *base, const struct fit *fit, uint64_t blocks)
{
	const struct fit_good *good = &fit->good;
	uint64_t found = good->singles;
	int faults = 0;

	for (unsigned list = 0; list < good->lists; list++)
		faults += check_list(base, fit, list, &found);
	for (unsigned w = 0; w < FIT_LISTS / WORD_LISTS; w++)
		if ((good->word[w] != 0) != (good->words >> w & 1))
			faults += fit_fault("the bit of a word", w, good->words >> w & 1,
					    good->word[w] != 0);
	if (found != blocks)
		faults += fit_fault("free blocks in the lists", fit->origin, found, blocks);
	return faults;
}

const struct fit_verbs fit_good_verbs = {
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
