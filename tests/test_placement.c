/*
 * Where blocks are placed: the exact addresses of an ACRE_NO_CACHE arena under first, next, best and
 * worst fit, held against a naive model over millions of random steps (the design's section 6,
 * 'Exactly: ACRE_NO_CACHE').
 *
 * The model knows what the header and the design say and no more: blocks tile one range; a block
 * is a multiple of 16 bytes that covers its payload and a tag of 8; the low end of the chosen block
 * is taken; merging is immediate, on both sides; a remainder is always split off, since the least
 * block of this implementation is 16 bytes. It is a sorted array, searched from end to end.
 *
 * Where realloc must move a block, and where an alignment is asked for, the place is the library's
 * choice. There the model checks that nothing else changed, and takes the new state from a walk.
 */
#include "support.h"

#define GRANULE 16
#define TAG 8

struct cell {
	size_t start; /* in granules from the range's origin */
	size_t size; /* in granules */
	bool live;
};

struct model {
	enum acre_policy policy;
	size_t place; /* next fit: the end of the block allocated last, as `start` */
	struct cell *cells;
	size_t count;
	size_t room;
	const char *origin; /* where the first tag lies */
	size_t size;
};

static size_t granules_for(size_t bytes)
{
	size_t granules = (bytes + TAG + GRANULE - 1) / GRANULE;

	return granules ? granules : 1;
}

static void *payload_of(const struct model *model, const struct cell *cell)
{
	return (void *)(uintptr_t)(model->origin + cell->start * GRANULE + TAG);
}

static struct cell *cell_of(struct model *model, const void *payload)
{
	size_t start = (size_t)((const char *)payload - TAG - model->origin) / GRANULE;
	size_t low = 0;
	size_t high = model->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (model->cells[middle].start < start)
			low = middle + 1;
		else
			high = middle;
	}
	must(low < model->count && model->cells[low].start == start, "no block at %p", payload);
	return &model->cells[low];
}

static void insert(struct model *model, struct cell *before, struct cell cell)
{
	size_t at = (size_t)(before - model->cells);

	if (model->count == model->room) {
		model->room = model->room ? model->room * 2 : 1024;
		model->cells = realloc(model->cells, model->room * sizeof(cell));
		must(model->cells, "out of memory for a model of %zu blocks", model->room);
	}
	memmove(model->cells + at + 1, model->cells + at, (model->count - at) * sizeof(cell));
	model->cells[at] = cell;
	model->count++;
}

static void drop_cell(struct model *model, struct cell *cell)
{
	model->count--;
	memmove(cell, cell + 1, (model->count - (size_t)(cell - model->cells)) * sizeof(*cell));
}

/* Cuts cell to so many granules; what is left becomes free and merges with a free block behind. */
static void cut(struct model *model, struct cell *cell, size_t size)
{
	size_t rest = cell->size - size;
	struct cell *next = cell + 1;

	cell->size = size;
	if (rest == 0)
		return;
	if (next < model->cells + model->count && !next->live) {
		next->start -= rest;
		next->size += rest;
	} else {
		insert(model, next, (struct cell){ cell->start + size, rest, false });
	}
}

/* Whether this policy rather takes the first of two blocks that fit; the second lies higher. */
static bool takes_lower(const struct model *model, const struct cell *low, const struct cell *high)
{
	switch (model->policy) {
	case ACRE_BEST_FIT:
		return low->size <= high->size;
	case ACRE_WORST_FIT:
		return low->size >= high->size;
	case ACRE_NEXT_FIT:
		return low->start + low->size > model->place ||
		       high->start + high->size <= model->place;
	default:
		return true;
	}
}

static struct cell *choice(struct model *model, size_t size)
{
	struct cell *best = NULL;

	for (struct cell *cell = model->cells; cell < model->cells + model->count; cell++)
		if (!cell->live && cell->size >= size &&
		    (!best || !takes_lower(model, best, cell)))
			best = cell;
	return best;
}

static void *model_malloc(struct model *model, size_t bytes)
{
	struct cell *cell = choice(model, granules_for(bytes));
	void *payload;

	if (!cell)
		return NULL;
	payload = payload_of(model, cell);
	model->place = cell->start + granules_for(bytes);
	cell->live = true;
	cut(model, cell, granules_for(bytes));
	return payload;
}

static void model_free(struct model *model, const void *payload)
{
	struct cell *cell = cell_of(model, payload);

	must(cell->live, "%p", payload);
	cell->live = false;
	if (cell + 1 < model->cells + model->count && !cell[1].live) {
		cell->size += cell[1].size;
		drop_cell(model, cell + 1);
	}
	if (cell > model->cells && !cell[-1].live) {
		cell[-1].size += cell->size;
		drop_cell(model, cell);
	}
}

/* False where the block can't stay: then the model doesn't know what will happen. */
static bool model_resize(struct model *model, const void *payload, size_t bytes)
{
	struct cell *cell = cell_of(model, payload);
	size_t size = granules_for(bytes);
	struct cell *next = cell + 1;

	if (size > cell->size) {
		if (next == model->cells + model->count || next->live ||
		    cell->size + next->size < size)
			return false;
		cell->size += next->size;
		drop_cell(model, next);
	}
	cut(model, cell, size);
	return true;
}

/* Whether a block of bytes at a multiple of alignment lies in any free block. */
static bool model_can_align(const struct model *model, size_t alignment, size_t bytes)
{
	for (size_t i = 0; i < model->count; i++) {
		const struct cell *cell = &model->cells[i];
		uintptr_t low = (uintptr_t)payload_of(model, cell);
		uintptr_t at = (low + alignment - 1) & ~(uintptr_t)(alignment - 1);

		if (!cell->live && (at - low) / GRANULE + granules_for(bytes) <= cell->size)
			return true;
	}
	return false;
}

/*
 * The model beside the arena.
 */
struct pair {
	struct acre *arena;
	struct model model;
	struct image image;
};

static void compare(struct pair *pair)
{
	const struct model *model = &pair->model;

	look(pair->arena, &pair->image);
	must(pair->image.count == model->count, "%zu blocks, the model has %zu", pair->image.count,
	     model->count);
	for (size_t i = 0; i < model->count; i++) {
		const struct acre_block *block = &pair->image.blocks[i];
		const struct cell *cell = &model->cells[i];

		must(block->address == payload_of(model, cell), "block %zu at %p, not %p", i,
		     block->address, payload_of(model, cell));
		must(block->size == cell->size * GRANULE - TAG, "block %zu: %zu bytes, not %zu", i,
		     block->size, cell->size * GRANULE - TAG);
		must(block->state == (cell->live ? ACRE_LIVE : ACRE_FREE), "block %zu: state %u", i,
		     block->state);
	}
}

/* Takes the arena's state; the rules that hold for every placement are checked on the way. */
static void resync(struct pair *pair)
{
	struct model *model = &pair->model;
	size_t end = 0;

	look(pair->arena, &pair->image);
	model->count = 0;
	for (size_t i = 0; i < pair->image.count; i++) {
		const struct acre_block *block = &pair->image.blocks[i];
		struct cell cell = { (size_t)((const char *)block->address - TAG - model->origin),
				     (block->size + TAG) / GRANULE, block->state == ACRE_LIVE };

		must(cell.start % GRANULE == 0 && (block->size + TAG) % GRANULE == 0,
		     "block %zu of %zu bytes at %p", i, block->size, block->address);
		cell.start /= GRANULE;
		must(cell.start == end, "block %zu at %p: a gap before it", i, block->address);
		must(cell.live || i == 0 || model->cells[model->count - 1].live,
		     "blocks %zu and %zu are free neighbours", i - 1, i);
		insert(model, model->cells + model->count, cell);
		end += cell.size;
	}
	must(end == model->size, "%zu granules, not %zu: the sum of size + 8 changed", end,
	     model->size);
}

/* The same, after a block was allocated at a place of the library's choice. */
static void resync_with(struct pair *pair, const void *block)
{
	struct cell *cell;

	resync(pair);
	if (!block)
		return;
	cell = cell_of(&pair->model, block);
	must(cell->live, "%p", block);
	pair->model.place = cell->start + cell->size;
}

static void pair_up(struct pair *pair, struct acre *arena, enum acre_policy policy)
{
	*pair = (struct pair){ .arena = arena, .model.policy = policy };
	look(arena, &pair->image);
	must(pair->image.count == 1 && pair->image.blocks[0].state == ACRE_FREE,
	     "a new arena has %zu blocks", pair->image.count);
	pair->model.origin = (const char *)pair->image.blocks[0].address - TAG;
	pair->model.size = (pair->image.blocks[0].size + TAG) / GRANULE;
	resync(pair);
}

static void part(struct pair *pair)
{
	free(pair->model.cells);
	forget(&pair->image);
	end_arena(pair->arena);
}

/*
 * Random steps.
 */
enum mix {
	MIX_UNIFORM,	/* any size in the range alike */
	MIX_LOG,	/* each doubling alike */
	MIX_CLASSES,	/* one of five sizes */
	MIX_PAGES,	/* about multiples of a page */
	MIX_LONELY	/* small ones, seldom one of the largest */
};

static const struct scenario {
	const char *name;
	size_t arena;
	int offset; /* into a caller's buffer; below 0: from the system */
	enum mix mix;
	size_t low;
	size_t high;
	size_t slots; /* most live blocks */
	int steps;
} scenarios[] = {
	{ "tiny, least blocks", 64 * KIB, -1, MIX_UNIFORM, 0, 40, 4000, 500000 },
	{ "tiny, odd buffer", 64 * KIB + 1, 1, MIX_LOG, 1, 2000, 1000, 600000 },
	{ "tiny, full", 64 * KIB + 77, 13, MIX_UNIFORM, 100, 2000, 200, 800000 },
	{ "small, classes", 256 * KIB, -1, MIX_CLASSES, 24, 1500, 1500, 600000 },
	{ "odd buffer, lonely large", 300007, 37, MIX_LONELY, 1, 60000, 1500, 500000 },
	{ "a MiB of all sizes", MIB, -1, MIX_LOG, 1, 100000, 1000, 600000 },
	{ "a MiB, full", MIB, -1, MIX_UNIFORM, 500, 4000, 1200, 600000 },
	{ "pages", 8 * MIB, -1, MIX_PAGES, 4096, 40960, 600, 500000 },
	{ "pages, full, odd buffer", 2 * MIB + 4095, 63, MIX_PAGES, 4096, 32768, 300, 400000 },
	{ "64 MiB, many", 64 * MIB, -1, MIX_LOG, 1, 300000, 2000, 400000 },
	{ "a GiB, large", GIB, -1, MIX_LOG, 16, 128 * MIB, 400, 300000 },
	{ "64 GiB, huge", 64 * GIB, -1, MIX_LOG, 1, 16 * GIB, 300, 60000 },
};

static size_t choose_size(const struct scenario *scenario, struct dice *dice)
{
	size_t span = scenario->high - scenario->low;

	switch (scenario->mix) {
	case MIX_UNIFORM:
		return roll_between(dice, scenario->low, scenario->high);
	case MIX_LOG:
		return roll_log(dice, scenario->low ? scenario->low : 1, scenario->high);
	case MIX_CLASSES:
		return scenario->low + span / 5 * roll_between(dice, 0, 4);
	case MIX_PAGES:
		return roll_between(dice, scenario->low / 4096, scenario->high / 4096) * 4096 - 24 +
		       roll_between(dice, 0, 48);
	default:
		if (roll_between(dice, 0, 63) == 0)
			return roll_between(dice, scenario->high / 2, scenario->high);
		return roll_between(dice, scenario->low, scenario->low + 200);
	}
}

struct slot {
	char *block;
	size_t size;
	uint64_t key;
};

/* Large blocks are marked at both ends only, so that a step costs no page faults. */
#define MARK 256
static void mark(struct slot *slot, uint64_t key)
{
	size_t end = slot->size < MARK ? slot->size : MARK;

	slot->key = key;
	fill(slot->block, end, key);
	if (slot->size > 2 * MARK)
		fill(slot->block + slot->size - MARK, MARK, ~key);
}

static bool marked(const struct slot *slot, const char *block)
{
	size_t end = slot->size < MARK ? slot->size : MARK;

	return holds(block, end, slot->key) &&
	       (slot->size <= 2 * MARK || holds(block + slot->size - MARK, MARK, ~slot->key));
}

/* Larger blocks don't grow: moving one may copy gigabytes. */
#define MOVE_MOST (4 * MIB)

struct tally {
	int mallocs;
	int refusals;
	int resizes;
	int moves;
	int aligned;
};

static void step_malloc(struct pair *pair, struct slot *slot, size_t size, struct tally *tally)
{
	void *expected = model_malloc(&pair->model, size);

	errno = 0;
	slot->block = acre_malloc(pair->arena, size);
	must(slot->block == expected, "malloc(%zu) gave %p, not %p", size,
	     (void *)slot->block, expected);
	must(slot->block || errno == ENOMEM, "%s", strerror(errno));
	slot->size = size;
	tally->mallocs++;
	tally->refusals += !slot->block;
}

static void step_aligned(struct pair *pair, struct slot *slot, size_t size, size_t alignment,
			 struct tally *tally)
{
	bool can = model_can_align(&pair->model, alignment, size);

	slot->block = acre_aligned_alloc(pair->arena, alignment, size);
	must(can == !!slot->block, "%zu bytes at %zu: got %p", size, alignment,
	     (void *)slot->block);
	must((uintptr_t)slot->block % alignment == 0, "%p at %zu", (void *)slot->block, alignment);
	slot->size = size;
	resync_with(pair, slot->block);
	tally->aligned++;
}

static void step_realloc(struct pair *pair, struct slot *slot, size_t size, uint64_t key,
			 struct tally *tally)
{
	bool stays = model_resize(&pair->model, slot->block, size);
	bool fits = stays || choice(&pair->model, granules_for(size));
	char *block = acre_realloc(pair->arena, slot->block, size);

	tally->resizes++;
	if (stays)
		must(block == slot->block, "realloc(%zu to %zu) moved %p to %p", slot->size, size,
		     (void *)slot->block, (void *)block);
	must(block || !fits, "realloc(%zu to %zu) was refused", slot->size, size);
	if (!block) {
		compare(pair);
		must(marked(slot, slot->block), "after a refused realloc of %zu bytes", slot->size);
		return;
	}
	if (size >= slot->size)
		must(marked(slot, block), "realloc(%zu to %zu)", slot->size, size);
	else
		must(holds(block, size < MARK ? size : MARK, slot->key), "realloc(%zu to %zu)",
		     slot->size, size);
	slot->block = block;
	slot->size = size;
	mark(slot, key);
	if (!stays) {
		resync_with(pair, block);
		must(cell_of(&pair->model, block)->size == granules_for(size), "%zu bytes", size);
		tally->moves++;
	}
}

static const struct {
	const char *name;
	enum acre_policy policy;
	int part; /* of the steps */
} policies[] = {
	{ "first fit", ACRE_FIRST_FIT, 1 },
	{ "next fit", ACRE_NEXT_FIT, 4 },
	{ "best fit", ACRE_BEST_FIT, 4 },
	{ "worst fit", ACRE_WORST_FIT, 4 },
};

START_TEST(exact_addresses)
{
	static char buffer[3 * MIB];
	const size_t p = (size_t)_i / COUNT_OF(scenarios);
	const struct scenario *scenario = &scenarios[(size_t)_i % COUNT_OF(scenarios)];
	const struct acre_options options = { .policy = policies[p].policy,
					      .flags = ACRE_NO_CACHE };
	struct dice dice = dice_from(1000 + (uint64_t)_i);
	struct slot *slots = calloc(scenario->slots, sizeof(*slots));
	int steps = SCALE(scenario->steps, scenario->steps / 20) / policies[p].part;
	size_t most_live = scenario->slots;
	struct tally tally = { 0 };
	size_t live = 0;
	struct pair pair;

	ck_assert_ptr_nonnull(slots);
	if (scenario->arena > SCALE(SIZE_MAX, 64 * MIB)) {
		skip("a sanitizer's shadow of its blocks is larger than memory");
		return;
	}
	if (scenario->offset < 0)
		pair_up(&pair, new_arena(scenario->arena, &options), options.policy);
	else
		pair_up(&pair,
			acre_create_at(buffer + scenario->offset, scenario->arena, &options),
			options.policy);
	for (int step = 0; step < steps; step++) {
		size_t i = roll_between(&dice, 0, scenario->slots - 1);
		size_t size = choose_size(scenario, &dice);
		size_t what = roll_between(&dice, 0, 999);
		struct slot *slot = &slots[i];

		/* Now and then the live set shrinks to a part of what it was, and grows again. */
		if (step % 20000 == 0)
			most_live = roll_between(&dice, scenario->slots / 10, scenario->slots);
		if (slot->block && what < 200 && size > 0 &&
		    (size <= slot->size || size <= MOVE_MOST)) {
			step_realloc(&pair, slot, size, (uint64_t)step, &tally);
		} else if (slot->block) {
			must(marked(slot, slot->block), "%zu bytes at %p", slot->size,
			     (void *)slot->block);
			model_free(&pair.model, slot->block);
			acre_free(pair.arena, slot->block);
			slot->block = NULL;
			live--;
		} else if (live < most_live) {
			if (what < 2)
				step_aligned(&pair, slot, size,
					     (size_t)1 << roll_between(&dice, 0, 16), &tally);
			else
				step_malloc(&pair, slot, size, &tally);
			if (slot->block) {
				mark(slot, (uint64_t)step);
				live++;
			}
		}
		if (step % 1024 == 0)
			compare(&pair);
		if (step % 65536 == 0)
			must_be_sound(pair.arena);
	}
	compare(&pair);
	must_be_sound(pair.arena);
	must_be_honest(pair.arena);
	fprintf(stderr, "# %s, %s: %d mallocs, %d refused, %d reallocs, %d moved, %d aligned\n",
		policies[p].name, scenario->name, tally.mallocs, tally.refusals, tally.resizes, tally.moves,
		tally.aligned);
	for (size_t i = 0; i < scenario->slots; i++) {
		if (!slots[i].block)
			continue;
		model_free(&pair.model, slots[i].block);
		acre_free(pair.arena, slots[i].block);
		if (i % 64 == 0)
			compare(&pair);
	}
	compare(&pair);
	must_be_whole(pair.arena);
	ck_assert_int_gt(tally.mallocs, steps / 20);
	free(slots);
	part(&pair);
}
END_TEST

/* The rules one by one, small enough to read. */
START_TEST(the_lowest_that_fits)
{
	const struct acre_options options = { .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(MIB, &options);
	char *blocks[20];
	char *first;

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, 1000);
	for (size_t i = 1; i < COUNT_OF(blocks); i++)
		ck_assert_ptr_eq(blocks[i], blocks[i - 1] + 1008);

	/* Holes of 1000, 2008, 1000 and 3016 bytes, from low to high. */
	acre_free(arena, blocks[15]);
	acre_free(arena, blocks[2]);
	acre_free(arena, blocks[6]);
	acre_free(arena, blocks[5]);
	acre_free(arena, blocks[9]);
	acre_free(arena, blocks[14]);
	acre_free(arena, blocks[13]);
	ck_assert_ptr_eq(acre_malloc(arena, 3000), blocks[13]);
	ck_assert_ptr_eq(acre_malloc(arena, 1001), blocks[5]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[2]);
	first = acre_malloc(arena, 500);
	ck_assert_ptr_eq(first, blocks[5] + 1024);
	ck_assert_ptr_eq(acre_malloc(arena, 500), blocks[9]);
	ck_assert_ptr_eq(acre_malloc(arena, 8), first + 512);
	ck_assert_ptr_eq(acre_malloc(arena, 3017), blocks[19] + 1008);
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/*
 * The exercise of the operating systems courses (Silberschatz, Galvin and Gagne, Operating System
 * Concepts, on contiguous allocation): holes of 100, 500, 200, 300 and 600 KB, in this order, and
 * requests of 212, 417, 112 and 426 KB. Here a KB is 1,024 bytes with the tag: each request is for 8
 * bytes less than the exercise says. Blocks of the least size part the holes, and one takes all the
 * rest.
 */
#define HOLES 5
#define WAITS (-1) /* no hole has room */

static const struct {
	enum acre_policy policy;
	struct {
		int hole;
		size_t offset; /* in it, KB */
	} answers[4];
} exercise[] = {
	{ ACRE_FIRST_FIT, { { 1, 0 }, { 4, 0 }, { 1, 212 }, { WAITS, 0 } } },
	{ ACRE_BEST_FIT, { { 3, 0 }, { 1, 0 }, { 2, 0 }, { 4, 0 } } },
	{ ACRE_WORST_FIT, { { 4, 0 }, { 1, 0 }, { 4, 212 }, { WAITS, 0 } } },
	{ ACRE_NEXT_FIT, { { 1, 0 }, { 4, 0 }, { 4, 417 }, { WAITS, 0 } } },
};

START_TEST(the_exercise_of_the_courses)
{
	static const size_t sizes[HOLES] = { 100, 500, 200, 300, 600 };
	static const size_t requests[4] = { 212, 417, 112, 426 };
	const struct acre_options options = { .policy = exercise[_i].policy,
					      .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(4 * MIB, &options);
	char *holes[HOLES];

	for (int i = 0; i < HOLES; i++) {
		holes[i] = acre_malloc(arena, sizes[i] * KIB - TAG);
		ck_assert_ptr_nonnull(holes[i]);
		ck_assert_ptr_nonnull(acre_malloc(arena, 1));
	}
	ck_assert_ptr_nonnull(acre_malloc(arena, stats_of(arena).largest_free));
	for (int i = 0; i < HOLES; i++)
		acre_free(arena, holes[i]);
	for (int i = 0; i < 4; i++) {
		int hole = exercise[_i].answers[i].hole;
		char *block = acre_malloc(arena, requests[i] * KIB - TAG);

		if (hole == WAITS)
			ck_assert_ptr_null(block);
		else
			ck_assert_ptr_eq(block,
					 holes[hole] + exercise[_i].answers[i].offset * KIB);
	}
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/* Next fit's place, rule by rule: blocks of 1,000 bytes, side by side, and all the rest. */
START_TEST(where_next_fit_goes_on)
{
	const struct acre_options options = { .policy = ACRE_NEXT_FIT, .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(64 * KIB, &options);
	char *blocks[12];
	char *rest;

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, 1000);
	rest = acre_malloc(arena, stats_of(arena).largest_free);
	ck_assert_ptr_nonnull(rest);

	/* Behind the last block is nothing: from the start. */
	acre_free(arena, blocks[2]);
	acre_free(arena, blocks[8]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[2]);
	/* From there on, past a lower hole, and once around. */
	acre_free(arena, blocks[0]);
	acre_free(arena, blocks[4]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[4]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[8]);
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[0]);
	/* A refused call leaves the place, which is behind block 0. */
	acre_free(arena, blocks[6]);
	acre_free(arena, blocks[10]);
	ck_assert_ptr_null(acre_malloc(arena, 1009));
	ck_assert_ptr_eq(acre_malloc(arena, 1000), blocks[6]);
	/* So does a realloc in place: block 9 grows, block 10 follows what is left of it. */
	ck_assert_ptr_eq(acre_realloc(arena, blocks[9], 1100), blocks[9]);
	acre_free(arena, blocks[7]);
	ck_assert_ptr_eq(acre_malloc(arena, 800), blocks[7]);
	/* A free block that swallowed the place counts from its start; one that ends there doesn't. */
	acre_free(arena, blocks[3]);
	acre_free(arena, blocks[7]);
	ck_assert_ptr_eq(acre_malloc(arena, 500), blocks[7]);
	acre_free(arena, blocks[6]);
	acre_free(arena, blocks[7]);
	ck_assert_ptr_eq(acre_malloc(arena, 900), blocks[6]);
	acre_free(arena, blocks[5]);
	/* Behind the place: what is left of block 6 and 7. */
	ck_assert_ptr_eq(acre_malloc(arena, 900), blocks[6] + 912);
	must_be_sound(arena);
	end_arena(arena);
}
END_TEST

/* Of equals, the lowest. */
START_TEST(ties_go_to_the_lowest)
{
	const enum acre_policy policy = _i ? ACRE_WORST_FIT : ACRE_BEST_FIT;
	const struct acre_options options = { .policy = policy, .flags = ACRE_NO_CACHE };

	for (size_t size = 8; size <= 3000; size += 16) {
		struct acre *arena = new_arena(512 * KIB, &options);
		char *blocks[40];

		for (size_t i = 0; i < COUNT_OF(blocks); i++)
			blocks[i] = acre_malloc(arena, size);
		ck_assert_ptr_nonnull(acre_malloc(arena, stats_of(arena).largest_free));
		/* In an order that's neither up nor down. */
		for (size_t i = 0; i < 20; i++)
			acre_free(arena, blocks[i * 7 % 20 * 2]);
		for (size_t i = 0; i < 20; i++)
			must(acre_malloc(arena, size) == blocks[i * 2], "block %zu of %zu bytes",
			     i, size);
		end_arena(arena);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("placement");
	TCase *cases = tcase_create("placement");

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, the_lowest_that_fits);
	tcase_add_test(cases, where_next_fit_goes_on);
	tcase_add_loop_test(cases, ties_go_to_the_lowest, 0, 2);
	tcase_add_loop_test(cases, the_exercise_of_the_courses, 0, COUNT_OF(exercise));
	tcase_add_loop_test(cases, exact_addresses, 0, COUNT_OF(policies) * COUNT_OF(scenarios));
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
