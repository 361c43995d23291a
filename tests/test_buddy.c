/*
 * The buddy system through the public API, held against a naive model over millions of random steps
 * (the design's section 6, 'Exactly: Buddy'), and its rules one by one.
 *
 * The model knows what the header and the design say and no more: a block is 2^k bytes with its tag,
 * and lies at a multiple of that from the origin, where the first block begins; the range is cut
 * into the largest that fit, from its start; a request takes one of the smallest sufficient free
 * blocks, whichever, and its low half at each split; two free buddies become one. It's two bytes for
 * each 16 of the range: which block begins there, and whether it's free.
 */
#include "slot.h"

#define LOGS 40

struct model {
	const char *origin; /* where the first tag lies */
	size_t granules;
	unsigned char *free; /* at each granule: 1 + k, where a free block of 2^k granules begins */
	unsigned char *live;
	size_t count[LOGS]; /* of the free ones */
};

static unsigned log_for(size_t bytes)
{
	unsigned k = 0;

	while (((size_t)GRANULE << k) - TAG < bytes)
		k++;
	return k;
}

static size_t place_of(const struct model *model, const void *payload)
{
	size_t offset = (size_t)((const char *)payload - TAG - model->origin);

	must(offset % GRANULE == 0 && offset / GRANULE < model->granules, "%p", payload);
	return offset / GRANULE;
}

static bool is_free(const struct model *model, size_t at, unsigned k)
{
	return at < model->granules && model->free[at] == 1 + k;
}

static void put(struct model *model, size_t at, unsigned k)
{
	model->free[at] = (unsigned char)(1 + k);
	model->count[k]++;
}

static void pull(struct model *model, size_t at, unsigned k)
{
	must(is_free(model, at, k), "no free block of 2^%u at %zu", k, at);
	model->free[at] = 0;
	model->count[k]--;
}

/* The size of the smallest free block that is sufficient; LOGS if none. */
static unsigned smallest(const struct model *model, unsigned k)
{
	while (k < LOGS && !model->count[k])
		k++;
	return k;
}

static void must_take(struct model *model, const void *block, unsigned k)
{
	unsigned from = smallest(model, k);
	size_t at;

	if (from == LOGS) {
		must(!block, "2^%u granules at %p where nothing is free", k, block);
		return;
	}
	must(block, "2^%u granules refused, 2^%u are free", k, from);
	at = place_of(model, block);
	pull(model, at, from);
	while (from > k) {
		from--;
		put(model, at + ((size_t)1 << from), from);
	}
	model->live[at] = (unsigned char)(1 + k);
}

static void give(struct model *model, const void *block)
{
	size_t at = place_of(model, block);
	unsigned k = model->live[at] - 1u;

	must(model->live[at], "%p isn't live", block);
	model->live[at] = 0;
	for (;; k++) {
		size_t buddy = at ^ (size_t)1 << k;

		if (!is_free(model, buddy, k))
			break;
		pull(model, buddy, k);
		at = at < buddy ? at : buddy;
	}
	put(model, at, k);
}

/* What realloc does in place; false where the block can't stay. */
static bool resize(struct model *model, const void *block, unsigned k)
{
	size_t at = place_of(model, block);
	unsigned had = model->live[at] - 1u;

	for (unsigned j = had; j < k; j++)
		if (at >> j & 1 || !is_free(model, at + ((size_t)1 << j), j))
			return false;
	for (unsigned j = had; j < k; j++)
		pull(model, at + ((size_t)1 << j), j);
	for (unsigned j = had; j > k; j--)
		put(model, at + ((size_t)1 << (j - 1)), j - 1);
	model->live[at] = (unsigned char)(1 + k);
	return true;
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
	size_t at = 0;

	look(pair->arena, &pair->image);
	for (size_t i = 0; i < pair->image.count; i++) {
		const struct acre_block *block = &pair->image.blocks[i];
		bool is_free = block->state == ACRE_FREE;
		unsigned k = (is_free ? model->free[at] : model->live[at]) - 1u;

		must(block->address == model->origin + at * GRANULE + TAG, "block %zu at %p", i,
		     block->address);
		must(k < LOGS && block->size == ((size_t)GRANULE << k) - TAG,
		     "block %zu of %zu bytes at %zu, state %u", i, block->size, at, block->state);
		at += (size_t)1 << k;
	}
	must(at == model->granules, "%zu granules, not %zu: the sum of size + 8 changed", at,
	     model->granules);
}

/* Cut into the largest that fit, from the start: what's left grows smaller. */
static void pair_up(struct pair *pair, struct acre *arena)
{
	struct model *model = &pair->model;
	size_t at = 0;

	*pair = (struct pair){ .arena = arena };
	look(arena, &pair->image);
	model->origin = (const char *)pair->image.blocks[0].address - TAG;
	for (size_t i = 0; i < pair->image.count; i++)
		model->granules += (pair->image.blocks[i].size + TAG) / GRANULE;
	model->free = calloc(2, model->granules);
	must(model->free, "no memory for a model of %zu granules", model->granules);
	model->live = model->free + model->granules;
	while (at < model->granules) {
		unsigned k = 0;

		while ((size_t)2 << k <= model->granules - at)
			k++;
		put(model, at, k);
		at += (size_t)1 << k;
	}
	compare(pair);
}

static void part(struct pair *pair)
{
	free(pair->model.free);
	forget(&pair->image);
	end_arena(pair->arena);
}

static const struct scenario {
	const char *name;
	size_t arena;
	int offset; /* into a caller's buffer; below 0: from the system */
	size_t most; /* bytes of a request */
	size_t slots; /* most live blocks */
	int steps;
} scenarios[] = {
	{ "tiny, least blocks", 64 * KIB, -1, 60, 3000, 500000 },
	{ "tiny, odd buffer", 64 * KIB + 1, 1, 2000, 500, 400000 },
	{ "odd buffer", 300007, 37, 20000, 500, 400000 },
	{ "a MiB", MIB, -1, 60000, 700, 500000 },
	{ "2 MiB and a bit, in a buffer", 2 * MIB + 4095, 63, 400000, 900, 300000 },
	{ "8 MiB", 8 * MIB, -1, 3000000, 900, 400000 },
	{ "64 MiB", 64 * MIB, -1, 20000000, 900, 200000 },
};

/* What the arena's first payload is aligned to. */
static size_t origin_alignment(const struct model *model)
{
	uintptr_t payload = (uintptr_t)model->origin + TAG;

	return payload & -payload;
}

static void step_take(struct pair *pair, struct slot *slot, size_t size, struct dice *dice)
{
	size_t alignment = 16;
	unsigned k = log_for(size);

	if (roll(dice) % 8 == 0) {
		alignment <<= roll(dice) % 10;
		if (alignment > origin_alignment(&pair->model))
			alignment = 16;
		/* An alignment above the block's size takes a larger block. */
		while ((size_t)GRANULE << k < alignment)
			k++;
		slot->block = acre_aligned_alloc(pair->arena, alignment, size);
		must((uintptr_t)slot->block % alignment == 0, "%p", (void *)slot->block);
	} else {
		slot->block = acre_malloc(pair->arena, size);
	}
	must_take(&pair->model, slot->block, k);
	slot->size = size;
	if (slot->block)
		must(acre_usable_size(pair->arena, slot->block) == ((size_t)GRANULE << k) - TAG,
		     "%zu bytes of 2^%u granules", acre_usable_size(pair->arena, slot->block), k);
}

static bool step_realloc(struct pair *pair, struct slot *slot, size_t size)
{
	struct model *model = &pair->model;
	unsigned k = log_for(size);
	bool stays = resize(model, slot->block, k);
	bool fits = stays || smallest(model, k) < LOGS;
	char *block = acre_realloc(pair->arena, slot->block, size);

	must(!!block == fits, "realloc(%zu to %zu) gave %p", slot->size, size, (void *)block);
	if (!block) {
		must(marked(slot), "after a refused realloc of %zu bytes", slot->size);
		return false;
	}
	must((block == slot->block) == stays, "realloc(%zu to %zu): %p to %p", slot->size, size,
	     (void *)slot->block, (void *)block);
	must_be_kept(slot, block, size);
	if (!stays) {
		must_take(model, block, k);
		give(model, slot->block);
	}
	slot->block = block;
	slot->size = size;
	return !stays;
}

START_TEST(valid_places)
{
	static char buffer[3 * MIB];
	const struct scenario *scenario = &scenarios[_i];
	const struct acre_options options = { .policy = ACRE_BUDDY, .flags = ACRE_NO_CACHE };
	struct dice dice = dice_from(2000 + (uint64_t)_i);
	struct slot *slots = calloc(scenario->slots, sizeof(*slots));
	int steps = SCALE(scenario->steps, scenario->steps / 20);
	size_t most_live = scenario->slots;
	size_t live = 0, refused = 0, moved = 0;
	struct pair pair;

	ck_assert_ptr_nonnull(slots);
	if (scenario->offset < 0)
		pair_up(&pair, new_arena(scenario->arena, &options));
	else
		pair_up(&pair,
			acre_create_at(buffer + scenario->offset, scenario->arena, &options));
	for (int step = 0; step < steps; step++) {
		struct slot *slot = &slots[roll(&dice) % scenario->slots];
		size_t size = roll_log(&dice, 1, scenario->most);

		/* Now and then the live set shrinks to a part of what it was, and grows again. */
		if (step % 20000 == 0)
			most_live = roll_between(&dice, scenario->slots / 10, scenario->slots);
		if (slot->block && roll(&dice) % 5 == 0) {
			moved += step_realloc(&pair, slot, size);
			mark(slot, (uint64_t)step);
		} else if (slot->block) {
			must(marked(slot), "%zu bytes", slot->size);
			give(&pair.model, slot->block);
			acre_free(pair.arena, slot->block);
			slot->block = NULL;
			live--;
		} else if (live < most_live) {
			step_take(&pair, slot, size, &dice);
			refused += !slot->block;
			live += slot->block != NULL;
			if (slot->block)
				mark(slot, (uint64_t)step);
		}
		if (step % 2048 == 0)
			compare(&pair);
		if (step % 32768 == 0) {
			must_be_sound(pair.arena);
			must_be_honest(pair.arena);
			if (roll(&dice) % 2)
				acre_trim(pair.arena);
		}
	}
	compare(&pair);
	fprintf(stderr, "# %s: %zu live, %zu refused, %zu reallocs moved\n", scenario->name, live,
		refused, moved);
	ck_assert_uint_gt(refused + moved, 0);
	for (size_t i = 0; i < scenario->slots; i++)
		if (slots[i].block) {
			give(&pair.model, slots[i].block);
			acre_free(pair.arena, slots[i].block);
		}
	compare(&pair);
	must_be_whole(pair.arena);
	free(slots);
	part(&pair);
}
END_TEST

/*
 * The example of the text books (Stallings, Operating Systems, on the buddy system): 1 MB, requests
 * of 100, 240, 64 and 256 KB, and so on. Here a KB is 1,024 bytes with the tag: each request is for 8
 * bytes less than the example says. Buddies smaller than the one of 1 MB, at the range's end, are
 * taken first.
 */
static char *megabyte;
static struct acre *example;

static void must_lie_at(const char *block, size_t kilobytes, size_t usable)
{
	must(block == megabyte + kilobytes * KIB, "%p, not %zu KB from %p", (void *)block,
	     kilobytes, (void *)megabyte);
	must(acre_usable_size(example, block) == usable * KIB - TAG, "%zu bytes",
	     acre_usable_size(example, block));
}

START_TEST(the_example_of_the_text_books)
{
	const struct acre_options options = { .policy = ACRE_BUDDY, .flags = ACRE_NO_CACHE };
	struct image image = { 0 };
	char *a, *b, *c, *d, *e;

	example = new_arena(MIB + MIB / 2, &options);
	look(example, &image);
	ck_assert_uint_eq(image.blocks[0].size, MIB - TAG);
	megabyte = (char *)(uintptr_t)image.blocks[0].address;
	for (size_t i = 1; i < image.count; i++)
		ck_assert_ptr_eq(acre_malloc(example, image.blocks[i].size),
				 image.blocks[i].address);
	forget(&image);

	a = acre_malloc(example, 100 * KIB - TAG);
	must_lie_at(a, 0, 128);
	b = acre_malloc(example, 240 * KIB - TAG);
	must_lie_at(b, 256, 256);
	c = acre_malloc(example, 64 * KIB - TAG);
	must_lie_at(c, 128, 64);
	d = acre_malloc(example, 256 * KIB - TAG);
	must_lie_at(d, 512, 256);
	acre_free(example, b);
	acre_free(example, a);
	e = acre_malloc(example, 75 * KIB - TAG);
	must_lie_at(e, 0, 128);
	acre_free(example, c);
	acre_free(example, e);
	/* The first half is whole again; the other isn't while D is there. */
	ck_assert_uint_eq(stats_of(example).largest_free, 512 * KIB - TAG);
	acre_free(example, d);
	ck_assert_uint_eq(stats_of(example).largest_free, MIB - TAG);
	must_be_sound(example);
	end_arena(example);
}
END_TEST

/* Every block has the alignment of its own size, however large; so any alignment can be had. */
START_TEST(alignments)
{
	const struct acre_options options = { .policy = ACRE_BUDDY,
					      .flags = _i ? ACRE_NO_CACHE : 0 };
	struct acre *arena = new_arena(256 * MIB, &options);

	for (size_t alignment = 16; alignment <= 64 * MIB; alignment *= 2)
		for (size_t size = 1; size <= 8 * MIB; size *= 64) {
			size_t needed = size + TAG > alignment ? size + TAG : alignment;
			char *block = acre_aligned_alloc(arena, alignment, size);
			size_t usable;

			must(block && (uintptr_t)block % alignment == 0, "%zu bytes at %zu: %p",
			     size, alignment, (void *)block);
			usable = acre_usable_size(arena, block) + TAG;
			must(usable >= needed && (usable & (usable - 1)) == 0,
			     "%zu bytes at %zu: %zu usable", size, alignment, usable - TAG);
			must(usable < 2 * needed || usable == 16, "%zu bytes at %zu: %zu usable",
			     size, alignment, usable - TAG);
			block[0] = block[size - 1] = 1;
			acre_free(arena, block);
			must_be_sound(arena);
		}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* In a caller's buffer, whatever its own alignment, a page's can be had. */
START_TEST(alignments_in_a_buffer)
{
	static char buffer[MIB + 200];
	const struct acre_options options = { .policy = ACRE_BUDDY };

	for (size_t offset = 0; offset < 200; offset += 13) {
		struct acre *arena = acre_create_at(buffer + offset, MIB, &options);

		ck_assert_ptr_nonnull(arena);
		for (size_t alignment = 32; alignment <= 4096; alignment *= 2) {
			char *block = acre_aligned_alloc(arena, alignment, 5000);

			must(block && (uintptr_t)block % alignment == 0, "%zu: %p", alignment,
			     (void *)block);
		}
		/* Beyond what the buffer has, a small block may still lie well. */
		ck_assert_ptr_nonnull(acre_aligned_alloc(arena, 128 * KIB, 100));
		must_be_sound(arena);
		end_arena(arena);
	}
}
END_TEST

/* Caches hold buddies of each size up to 32 KiB: freed there, had there again. */
START_TEST(caches_keep_buddies)
{
	const struct acre_options options = { .policy = ACRE_BUDDY };
	struct acre *arena = new_arena(256 * MIB, &options);

	for (size_t size = 1; size < 32 * KIB; size += 1 + size / 3) {
		char *first = acre_malloc(arena, size);
		struct acre_stats stats;

		acre_free(arena, first);
		stats = stats_of(arena);
		must(stats.cached_bytes > 0, "%zu bytes: not cached", size);
		must(acre_malloc(arena, size) == first, "%zu bytes: another block", size);
		must_be_sound(arena);
		must_be_honest(arena);
		acre_free(arena, first);
		acre_flush(arena);
		must(stats_of(arena).cached_bytes == 0, "%zu bytes", size);
	}
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/* Plots take the end of the range, buddy by buddy, and it's whole again without. */
#define CROWD 60

static struct {
	struct acre *arena;
	pthread_barrier_t gate;
} crowd;

static void *in_the_crowd(void *argument)
{
	char *block = acre_malloc(crowd.arena, 1000);

	must(block, "%s", strerror(errno));
	meet(&crowd.gate);
	work_in(crowd.arena, 3000, SCALE(3000, 300), (uintptr_t)argument);
	acre_free(crowd.arena, block);
	meet(&crowd.gate);
	return NULL;
}

START_TEST(many_plots)
{
	const struct acre_options options = { .policy = ACRE_BUDDY };
	pthread_t threads[CROWD];

	crowd.arena = new_arena(32 * MIB, &options);
	pthread_barrier_init(&crowd.gate, NULL, CROWD);
	for (size_t i = 0; i < CROWD; i++)
		threads[i] = start(in_the_crowd, (void *)(uintptr_t)(i + 1));
	for (size_t i = 0; i < CROWD; i++)
		finish(threads[i]);
	must_be_honest(crowd.arena);
	must_be_whole(crowd.arena);
	end_arena(crowd.arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buddy");
	TCase *cases = tcase_create("buddy");

	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, the_example_of_the_text_books);
	tcase_add_loop_test(cases, alignments, 0, 2);
	tcase_add_test(cases, alignments_in_a_buffer);
	tcase_add_test(cases, caches_keep_buddies);
	tcase_add_test(cases, many_plots);
	tcase_add_loop_test(cases, valid_places, 0, COUNT_OF(scenarios));
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
