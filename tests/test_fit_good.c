/*
 * The good-fit index, white box: held to a naive model of its classes, and to its bound (G3).
 */
#include <signal.h>

#include "fit.h"
#include "support.h"
#include "tag.h"

#define KEY 0x9e3779b1u
#define BOUND 64u	/* steps of any one call */
#define TRIES 16u	/* blocks of its own class that a request may look at */

static char *base;
static size_t memory;		/* bytes at base */
static struct fit fit;

/* An index of granules granules, from place `origin` on; blocks lie in the first `used` of them. */
static void make_index(uint64_t granules, uint64_t origin, uint64_t used)
{
	size_t start = (origin + used + 2) * GRANULE;

	memory = start + fit_bytes(FIT_GOOD, granules);
	base = calloc(1, memory);
	ck_assert_ptr_nonnull(base);
	fit_init(&fit, FIT_GOOD, start, origin, granules);
	/* No block is the top, which is in no policy's index; these blocks overlap. */
	fit_lower_end(&fit, UINT64_MAX);
}

static void put(uint64_t at, uint64_t size)
{
	tag_write(base, at, size, TAG_FREE, 0, KEY, false);
	fit_insert(base, &fit, at, size);
}

/* The least size of each class, as the picture in fit_good.c has it, and how many there are. */
static uint64_t lows[2000];
static unsigned classes;

static void make_classes(uint64_t granules)
{
	uint64_t low = 1;

	classes = 0;
	for (uint64_t step = 1; low <= granules; step *= 2)
		for (unsigned k = 0; k < (step == 1 ? 64 : 32); k++, low += step)
			lows[classes++] = low;
	lows[classes] = low;
	for (unsigned k = 0; k < classes; k++)
		must(k < 64 ? lows[k] == k + 1 : (lows[k + 1] - lows[k]) * 32 < lows[k],
		     "class %u", k);
}

static unsigned class_with(uint64_t size)
{
	unsigned k = 0;

	while (k < classes && lows[k + 1] <= size)
		k++;
	return k;
}

/* The blocks of a test: number i at place + 2 * i; the model is each one's size, 0 = none. */
struct model {
	uint64_t origin;
	uint64_t slots;
	uint64_t *sizes;
	uint64_t count;
};

static uint64_t place(const struct model *model, uint64_t slot)
{
	return model->origin + slot * 2;
}

/* Whether this answer to a request is right. */
static void must_be_good(const struct model *model, uint64_t want, uint64_t found, int step)
{
	unsigned best = classes;
	unsigned own = class_with(want);
	uint64_t larger = 0, smaller = 0;
	uint64_t size = 0;

	if (found) {
		must((found - model->origin) % 2 == 0 && found < place(model, model->slots),
		     "step %d: no block is at %lu", step, (unsigned long)found);
		size = model->sizes[(found - model->origin) / 2];
		must(size >= want, "step %d: %lu granules for %lu", step, (unsigned long)size,
		     (unsigned long)want);
	}
	for (uint64_t i = 0; i < model->slots; i++) {
		uint64_t other = model->sizes[i];
		unsigned class = other > 1 ? class_with(other) : classes;

		if (class < best && lows[class] >= want)
			best = class;
		if (class == own && other >= want)
			larger++;
		if (class == own && other < want)
			smaller++;
	}
	if (best < classes)
		must(found && class_with(size) == best, "step %d: %lu granules, its class isn't %u",
		     step, (unsigned long)size, best);
	else if (larger && smaller < TRIES)
		must(found, "step %d: %lu granules refused", step, (unsigned long)want);
	else
		must(!found || class_with(size) == own, "step %d: another class", step);
}

/* All blocks of at least this size, each once. */
static void must_visit_all(const struct model *model, uint64_t least, int step)
{
	unsigned char *seen = calloc(model->slots, 1);
	uint64_t count = 0;

	for (uint64_t at = fit_next(base, &fit, least, 0); at;
	     at = fit_next(base, &fit, least, at)) {
		uint64_t i = (at - model->origin) / 2;

		must(model->sizes[i] >= least && model->sizes[i] > 1 && !seen[i]++,
		     "step %d: place %lu", step, (unsigned long)at);
	}
	for (uint64_t i = 0; i < model->slots; i++)
		count += model->sizes[i] >= least && model->sizes[i] > 1 && !seen[i];
	must(count == 0, "step %d: %lu blocks are left out", step, (unsigned long)count);
	free(seen);
}

/* A random change: a block comes, goes, grows or is cut. */
static void change(struct model *model, struct dice *dice, uint64_t most)
{
	uint64_t i = roll(dice) % model->slots;
	uint64_t to = (i + 1 + roll(dice) % 5) % model->slots;
	uint64_t had = model->sizes[i];
	uint64_t size = roll_log(dice, 1, most);

	if (!had) {
		put(place(model, i), size);
		model->sizes[i] = size;
		model->count++;
	} else if (roll(dice) % 4 == 0) {
		fit_remove(base, &fit, place(model, i), had);
		model->sizes[i] = 0;
		model->count--;
	} else if (roll(dice) % 2 && had < most) {
		model->sizes[i] = size = roll_between(dice, had + 1, most);
		tag_write(base, place(model, i), size, TAG_FREE, 0, KEY, false);
		fit_grow(base, &fit, place(model, i), had, size);
	} else if (!model->sizes[to]) {
		model->sizes[to] = size = roll_between(dice, 1, had);
		model->sizes[i] = 0;
		fit_cut(base, &fit, place(model, i), had, place(model, to), size);
		tag_write(base, place(model, to), size, TAG_FREE, 0, KEY, false);
	}
}

START_TEST(finds_what_its_classes_say)
{
	static const uint64_t ranges[] = { 1,    2,     64, 65, 128,
					   1000, 70000, (UINT64_C(1) << 36) - 1 };
	uint64_t granules = ranges[_i];
	struct model model = { .origin = 1 + (uint64_t)_i * 37, .slots = 200 };
	struct dice dice = dice_from(next_seed());

	model.sizes = calloc(model.slots, sizeof(*model.sizes));
	make_index(granules, model.origin, model.slots * 2);
	make_classes(granules);
	for (int step = 0; step < SCALE(20000, 3000); step++) {
		uint64_t want = roll_log(&dice, 1, granules + granules / 8 + 1);
		uint64_t largest;

		change(&model, &dice, granules);
		must_be_good(&model, want, fit_find(base, &fit, want), step);
		largest = fit_largest(base, &fit);
		if (largest) {
			must(fit_find(base, &fit, largest), "step %d: largest", step);
			want = 1 + roll(&dice) % largest;
			must(fit_find(base, &fit, want), "step %d: less than largest", step);
		} else {
			must(model.count == fit_unlisted(&fit), "step %d: largest is 0", step);
		}
		if (step % 100 == 0) {
			must(fit_check(base, &fit, model.count) == 0, "step %d", step);
			must_visit_all(&model, roll_log(&dice, 1, granules), step);
		}
	}
	for (uint64_t i = 0; i < model.slots; i++)
		if (model.sizes[i]) {
			ck_assert(fit_has(base, &fit, place(&model, i)));
			fit_remove(base, &fit, place(&model, i), model.sizes[i]);
		}
	ck_assert(fit_check(base, &fit, 0) == 0);
	/* No link is left behind in what may be handed out as zeros. */
	for (uint64_t i = 0; i < model.slots; i++)
		ck_assert(link_of(base, place(&model, i)) == 0 &&
			  back_of(base, place(&model, i)) == 0);
	free(model.sizes);
	free(base);
}
END_TEST

/* Blocks above 64 GiB are told apart, and the maximum saturates. */
START_TEST(sizes_beyond_saturation)
{
	make_index(UINT64_C(1) << 36, 1, 100);
	put(1, UINT64_C(1) << 33);
	put(10, UINT64_C(1) << 32);
	put(20, UINT64_C(1) << 35);
	ck_assert(fit_find(base, &fit, (UINT64_C(1) << 32) - (UINT64_C(1) << 27)) == 10);
	ck_assert(fit_find(base, &fit, UINT64_C(1) << 32) == 1);
	ck_assert(fit_find(base, &fit, UINT64_C(1) << 33) == 20);
	ck_assert(fit_find(base, &fit, (UINT64_C(1) << 35) + 1) == 0);
	ck_assert(fit_find(base, &fit, UINT64_C(1) << 36) == 0);
	ck_assert(fit_find(base, &fit, (UINT64_C(1) << 36) + 1) == 0);
	ck_assert(fit_largest(base, &fit) == UINT32_MAX);
	fit_remove(base, &fit, 20, UINT64_C(1) << 35);
	ck_assert(fit_find(base, &fit, (UINT64_C(1) << 33) + 1) == 0);
	ck_assert(fit_check(base, &fit, 2) == 0);
	free(base);
}
END_TEST

/* The newest of a class is taken, so that memory in use lately is used again. */
START_TEST(the_newest_first)
{
	make_index(4096, 1, 100);
	put(10, 100);
	put(20, 99);
	put(30, 100);
	ck_assert(fit_find(base, &fit, 99) == 30);
	fit_remove(base, &fit, 30, 100);
	ck_assert(fit_find(base, &fit, 99) == 20);
	ck_assert(fit_next(base, &fit, 100, 0) == 10);
	ck_assert(fit_next(base, &fit, 100, 10) == 0);
	free(base);
}
END_TEST

/* A block that grows within its class stays where it is in the list. */
START_TEST(grows_within_a_class)
{
	make_index(4096, 1, 100);
	put(10, 1000);
	put(2000, 1000);
	tag_write(base, 10, 1001, TAG_FREE, 0, KEY, false);
	fit_grow(base, &fit, 10, 1000, 1001);
	ck_assert(fit_check(base, &fit, 2) == 0);
	ck_assert_uint_eq(fit_find(base, &fit, 500), 2000);
	fit_remove(base, &fit, 10, 1001);
	ck_assert(fit_check(base, &fit, 1) == 0);
	free(base);
}
END_TEST

/* Another process may map the arena at another address: all of the index holds there. */
START_TEST(means_the_same_elsewhere)
{
	char *moved;

	make_index(4096, 1, 1000);
	for (uint64_t i = 0; i < 400; i++)
		put(1 + i * 2, 2 + i % 7);
	moved = malloc(memory);
	ck_assert_ptr_nonnull(moved);
	memcpy(moved, base, memory);
	memset(base, 0xff, memory);
	free(base);
	base = moved;
	ck_assert(fit_check(base, &fit, 400) == 0);
	for (uint64_t i = 0; i < 400; i++)
		fit_remove(base, &fit, 1 + i * 2, 2 + i % 7);
	ck_assert(fit_check(base, &fit, 0) == 0);
	free(base);
}
END_TEST

static uint64_t most;

static void count_steps(void)
{
	most = fit_steps > most ? fit_steps : most;
	fit_steps = 0;
}

/* The most steps of any call, with so many free blocks of one class, all of them too small. */
static uint64_t steps_with(uint64_t blocks)
{
	uint64_t small = 129, want = 132, large = 133;		/* the first two are of one class */
	uint64_t last = 1 + blocks * 2;

	make_index(UINT64_C(1) << 24, 1, blocks * 2 + 4);
	for (uint64_t i = 0; i < blocks; i++)
		put(1 + i * 2, small);
	most = 0;
	fit_steps = 0;
	ck_assert(fit_find(base, &fit, want) == 0);
	count_steps();
	fit_largest(base, &fit);
	count_steps();
	put(last, large);
	count_steps();
	ck_assert(fit_find(base, &fit, want) == last);
	count_steps();
	for (uint64_t i = 0; i < blocks; i += 7) {
		uint64_t at = 1 + i * 2;

		fit_remove(base, &fit, at, small);
		count_steps();
		put(at, small);
		count_steps();
		tag_write(base, at, large + i, TAG_FREE, 0, KEY, false);
		fit_grow(base, &fit, at, small, large + i);
		count_steps();
		fit_cut(base, &fit, at, large + i, at, small);
		tag_write(base, at, small, TAG_FREE, 0, KEY, false);
		count_steps();
	}
	ck_assert(fit_check(base, &fit, blocks + 1) == 0);
	free(base);
	return most;
}

START_TEST(steps_do_not_grow_with_blocks)
{
	uint64_t few = steps_with(100);
	uint64_t many = steps_with(300000);

	must(many <= few && many <= BOUND, "%lu steps with many blocks, %lu with few",
	     (unsigned long)many, (unsigned long)few);
	must(many >= TRIES, "%lu steps: they aren't counted", (unsigned long)many);
}
END_TEST

/* fit_check() sees each kind of damage. */
START_TEST(check_finds_plants)
{
	make_index(4096, 1, 100);
	put(10, 100);
	put(20, 100);
	put(30, 100);
	put(40, 1);
	ck_assert(fit_check(base, &fit, 4) == 0);
	switch (_i) {
	case 0:
		fit.good.word[1] = 0;
		break;
	case 1:
		fit.good.words = 0;
		break;
	case 2:
		fit.good.word[0] |= 1;
		break;
	case 3:
		link_write(base, 20, 30);
		break;
	case 4:
		back_write(base, 10, 30);
		break;
	case 5:
		back_write(base, 30, 20);
		break;
	case 6:
		tag_write(base, 20, 200, TAG_FREE, 0, KEY, false);
		break;
	case 7:
		tag_write(base, 20, 100, TAG_LIVE, 0, KEY, false);
		break;
	case 8:
		link_write(base, 20, 0);
		break;
	case 9:
		fit.good.singles++;
		break;
	case 10:
		link_write(base, 10, UINT64_MAX / 2);
		break;
	}
	must(fit_check(base, &fit, 4) > 0, "plant %d isn't seen", _i);
	free(base);
}
END_TEST

/* No overwritten link is followed: each ends in one line and abort(), not in a crash. */
static const uint64_t wild[] = {
	UINT64_MAX, UINT64_C(1) << 40, UINT64_C(0x4141414141414141), 90, 10, 20, 11, 0
};

START_TEST(overwritten_next_aborts)
{
	make_index(4096, 1, 100);
	put(10, 100);
	put(20, 100);
	put(30, 100);
	link_write(base, 20, wild[_i] == 10 ? 50 : wild[_i]);
	/* As if it ended there: the one behind is found out instead. */
	fit_remove(base, &fit, wild[_i] ? 20 : 10, 100);
}
END_TEST

START_TEST(overwritten_back_aborts)
{
	make_index(4096, 1, 100);
	put(10, 100);
	put(20, 100);
	put(30, 100);
	back_write(base, 20, wild[_i]);
	fit_remove(base, &fit, 20, 100);
}
END_TEST

START_TEST(overwritten_link_aborts_a_walk)
{
	uint64_t at;

	make_index(4096, 1, 100);
	put(10, 100);
	put(20, 100);
	put(30, 100);
	link_write(base, 20, wild[_i] && wild[_i] != 10 ? wild[_i] : 30);
	for (at = fit_next(base, &fit, 1, 0); at; at = fit_next(base, &fit, 1, at))
		;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("good fit");
	TCase *cases = tcase_create("good fit");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, finds_what_its_classes_say, 0, 8);
	tcase_add_test(cases, sizes_beyond_saturation);
	tcase_add_test(cases, the_newest_first);
	tcase_add_test(cases, grows_within_a_class);
	tcase_add_test(cases, means_the_same_elsewhere);
	tcase_add_test(cases, steps_do_not_grow_with_blocks);
	tcase_add_loop_test(cases, check_finds_plants, 0, 11);
	tcase_add_loop_test_raise_signal(cases, overwritten_next_aborts, SIGABRT, 0,
					 COUNT_OF(wild));
	tcase_add_loop_test_raise_signal(cases, overwritten_back_aborts, SIGABRT, 0,
					 COUNT_OF(wild));
	tcase_add_loop_test_raise_signal(cases, overwritten_link_aborts_a_walk, SIGABRT, 0,
					 COUNT_OF(wild));
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
