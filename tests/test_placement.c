/*
 * Where blocks are placed: the exact addresses of an ACRE_NO_CACHE arena under first, next, best and
 * worst fit, held against a naive model (model.h) over millions of random steps.
 *
 * Where realloc must move a block, and where an alignment is asked for, the place is the library's
 * choice. There the model checks that nothing else changed, and takes the new state from a walk.
 */
#include "model.h"

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

		must(block->address == model_payload(model, cell), "block %zu at %p, not %p", i,
		     block->address, model_payload(model, cell));
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
		model_insert(model, model->cells + model->count, cell);
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
	cell = model_cell(&pair->model, block);
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
	bool fits = stays || model_choice(&pair->model, model_granules(size));
	char *block = acre_realloc(pair->arena, slot->block, size);

	tally->resizes++;
	if (stays)
		must(block == slot->block, "realloc(%zu to %zu) moved %p to %p", slot->size, size,
		     (void *)slot->block, (void *)block);
	must(block || !fits, "realloc(%zu to %zu) was refused", slot->size, size);
	if (!block) {
		compare(pair);
		must(marked(slot), "after a refused realloc of %zu bytes", slot->size);
		return;
	}
	must_be_kept(slot, block, size);
	slot->block = block;
	slot->size = size;
	mark(slot, key);
	if (!stays) {
		resync_with(pair, block);
		must(model_cell(&pair->model, block)->size == model_granules(size), "%zu bytes", size);
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
			must(marked(slot), "%zu bytes at %p", slot->size,
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

int main(void)
{
	Suite *suite = suite_create("placement");
	TCase *cases = tcase_create("placement");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, exact_addresses, 0, COUNT_OF(policies) * COUNT_OF(scenarios));
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
