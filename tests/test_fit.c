/*
 * The index of first and next fit, white box: held to a naive model, and to its bound (G3).
 */
#include "fit.h"
#include "support.h"
#include "tag.h"

#define KEY 0x9e3779b1u

static char *base;
static struct fit fit;
static enum fit_policy policy = FIT_FIRST;

/* An index of granules granules, from place `origin` on, whose memory lies at the start. */
static void make_index(uint64_t granules, uint64_t origin)
{
	size_t bytes = fit_bytes(policy, granules);

	base = calloc(1, (origin + granules + 2) * GRANULE + bytes);
	ck_assert_ptr_nonnull(base);
	fit_init(&fit, policy, (origin + granules + 2) * GRANULE, origin, granules);
	/* No block is the top, which is in no policy's index; these blocks overlap. */
	fit_lower_end(&fit, UINT64_MAX);
}

static void put(uint64_t at, uint64_t size)
{
	tag_write(base, at, size, TAG_FREE, 0, KEY, false);
	fit_insert(base, &fit, at, size);
}

/* A model: the size of the free block at each place, 0 = none. */
static uint64_t model_find(const uint32_t *model, uint64_t granules, uint64_t size, uint64_t from)
{
	for (uint64_t i = from; i < granules; i++)
		if (model[i] && model[i] >= size)
			return i;
	return UINT64_MAX;
}

/*
 * Random blocks come, go, grow and are cut; after each change the index finds what the model finds,
 * for sizes around those that are there and from any place.
 */
START_TEST(finds_what_a_naive_search_finds)
{
	static const uint64_t ranges[] = { 1, 63, 64, 65, 512, 4096, 5000, 70000 };
	uint64_t granules = ranges[_i];
	uint64_t origin = 1 + (uint64_t)_i * 37;
	uint32_t *model = calloc(granules, sizeof(*model));
	struct dice dice = dice_from(next_seed());
	uint64_t count = 0;

	make_index(granules, origin);
	for (int step = 0; step < SCALE(30000, 5000); step++) {
		uint64_t i = roll(&dice) % granules;
		uint64_t size = 1 + roll(&dice) % (roll(&dice) % 8 ? 40 : 100000);
		uint64_t from = roll(&dice) % 2 ? 0 : roll(&dice) % granules;
		uint64_t want = 1 + roll(&dice) % 50;
		uint64_t expected, found;

		if (!model[i]) {
			put(origin + i, size);
			model[i] = (uint32_t)size;
			count++;
		} else if (roll(&dice) % 3) {
			fit_remove(base, &fit, origin + i, model[i]);
			model[i] = 0;
			count--;
		} else if (roll(&dice) % 2) {
			uint32_t had = model[i];

			model[i] += (uint32_t)size;
			tag_write(base, origin + i, model[i], TAG_FREE, 0, KEY, false);
			fit_grow(base, &fit, origin + i, had, model[i]);
		} else {
			uint64_t to = i + 1 + roll(&dice) % 100;
			uint64_t rest = 1 + roll(&dice) % model[i];

			if (to >= granules || model[to])
				continue;
			fit_cut(base, &fit, origin + i, model[i], origin + to, rest);
			tag_write(base, origin + to, rest, TAG_FREE, 0, KEY, false);
			model[to] = (uint32_t)rest;
			model[i] = 0;
		}
		expected = model_find(model, granules, want, from);
		found = from ? fit_next(base, &fit, want, origin + from - 1) :
			       fit_find(base, &fit, want);
		must(found == (expected == UINT64_MAX ? 0 : origin + expected),
		     "step %d: want %lu from %lu: found %lu", step, (unsigned long)want,
		     (unsigned long)from, (unsigned long)found);
		if (step % 1000 == 0)
			must(fit_check(base, &fit, count) == 0, "step %d", step);
	}
	free(model);
	free(base);
}
END_TEST

/* Blocks above 64 GiB saturate the maxima, and are still told apart. */
START_TEST(sizes_beyond_saturation)
{
	make_index(4096, 1);
	put(1, UINT64_C(1) << 33);
	put(100, UINT64_C(1) << 32);
	put(2000, UINT64_C(1) << 35);
	ck_assert(fit_find(base, &fit, (UINT64_C(1) << 32) - 1) == 1);
	ck_assert(fit_find(base, &fit, (UINT64_C(1) << 33) + 1) == 2000);
	ck_assert(fit_find(base, &fit, (UINT64_C(1) << 35) + 1) == 0);
	ck_assert(fit_largest(base, &fit) == UINT32_MAX);
	fit_remove(base, &fit, 2000, UINT64_C(1) << 35);
	ck_assert(fit_find(base, &fit, (UINT64_C(1) << 33) + 1) == 0);
	ck_assert(fit_check(base, &fit, 2) == 0);
	free(base);
}
END_TEST

/* The block that ends the range serves when no lower one does, whatever came before. */
START_TEST(the_top_comes_last)
{
	make_index(4096, 1);
	fit_lower_end(&fit, 4097);
	put(4000, 97);
	put(100, 50);
	ck_assert(fit.top == 4000);
	ck_assert(fit_check(base, &fit, 2) == 0);
	ck_assert(fit_find(base, &fit, 50) == 100);
	ck_assert(fit_find(base, &fit, 51) == 4000);
	ck_assert(fit_find(base, &fit, 98) == 0);
	ck_assert(fit_largest(base, &fit) == 97);
	ck_assert(fit_next(base, &fit, 1, 100) == 4000);
	ck_assert(fit_next(base, &fit, 1, 4000) == 0);
	ck_assert(fit_has(base, &fit, 4000));

	fit_cut(base, &fit, 4000, 97, 4010, 87);
	tag_write(base, 4010, 87, TAG_FREE, 0, KEY, false);
	ck_assert(fit_find(base, &fit, 87) == 4010);
	ck_assert(fit_find(base, &fit, 88) == 0);

	/* A block from the index grows up to the end, and is the top then. */
	fit_remove(base, &fit, 4010, 87);
	ck_assert(fit_find(base, &fit, 51) == 0);
	tag_write(base, 100, 3997, TAG_FREE, 0, KEY, false);
	fit_grow(base, &fit, 100, 50, 3997);
	ck_assert(fit.top == 100 && fit_find(base, &fit, 3997) == 100);
	ck_assert(fit_check(base, &fit, 1) == 0);
	ck_assert(fit_check(base, &fit, 2) != 0);
	tag_write(base, 100, 3996, TAG_FREE, 0, KEY, false);
	ck_assert(fit_check(base, &fit, 1) != 0);
	free(base);
}
END_TEST

/*
 * G3: the steps of a search and of a change are bounded by the depth, not by the number of blocks.
 * The worst case: each second granule is free and too small, so every maximum is tied.
 */
START_TEST(steps_do_not_grow_with_blocks)
{
	uint64_t granules = UINT64_C(1) << 22;		/* 64 MiB: 9 levels, two million blocks */
	uint64_t bound = _i ? 64 + 4 * (FIT_UPPERS + 3) : 64 + FIT_UPPERS + 3;
	uint64_t most = 0;
	uint64_t last = granules - 1;

	policy = _i ? FIT_NEXT : FIT_FIRST;
	make_index(granules, 1);
	for (uint64_t i = 0; i < granules; i += 2)
		put(1 + i, 1);
	put(1 + last, 2);
	for (uint64_t i = 0; i < granules; i += 1022) {
		/* From here on, with next fit; and once around where that is the very end. */
		fit_took(&fit, i < granules / 2 ? 1 + i : granules + 1);
		fit_steps = 0;
		ck_assert(fit_find(base, &fit, 2) == 1 + last);
		most = fit_steps > most ? fit_steps : most;
		fit_steps = 0;
		fit_remove(base, &fit, 1 + i, 1);
		most = fit_steps > most ? fit_steps : most;
		fit_steps = 0;
		fit_insert(base, &fit, 1 + i, 1);
		most = fit_steps > most ? fit_steps : most;
	}
	fit_steps = 0;
	ck_assert(fit_find(base, &fit, 3) == 0);
	ck_assert_uint_le(fit_steps, _i ? bound : 1);
	fit_steps = 0;
	fit_remove(base, &fit, 1 + last, 2);
	most = fit_steps > most ? fit_steps : most;
	must(most <= bound, "%lu steps, the bound is %lu", (unsigned long)most,
	     (unsigned long)bound);
	must(most > 8, "%lu steps: they aren't counted", (unsigned long)most);
	free(base);
}
END_TEST

/* fit_check() sees a wrong maximum, a lost block, and one that isn't free. */
START_TEST(check_finds_plants)
{
	uint32_t *maxima;
	unsigned levels = 0;

	make_index(4096, 1);
	put(1, 5);
	put(500, 9);
	ck_assert(fit_check(base, &fit, 2) == 0);
	ck_assert(fit_check(base, &fit, 3) > 0);
	tag_write(base, 500, 8, TAG_FREE, 0, KEY, false);
	ck_assert(fit_check(base, &fit, 2) > 0);
	tag_write(base, 500, 9, TAG_LIVE, 0, KEY, false);
	ck_assert(fit_check(base, &fit, 2) > 0);
	tag_write(base, 500, 9, TAG_FREE, 0, KEY, false);
	ck_assert(fit_check(base, &fit, 2) == 0);
	/* A maximum stands once on each level, and each is looked at. */
	put(2000, 3001);
	maxima = (uint32_t *)(void *)(base + fit.memory);
	for (size_t i = 0; i < fit_bytes(fit.policy, 4096) / sizeof(*maxima); i++)
		if (maxima[i] == 3001) {
			maxima[i]++;
			ck_assert(fit_check(base, &fit, 3) > 0);
			maxima[i]--;
			levels++;
		}
	must(levels >= 3, "the maximum stands in %u places", levels);
	ck_assert(fit_check(base, &fit, 3) == 0);
	free(base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fit");
	TCase *cases = tcase_create("first fit");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, finds_what_a_naive_search_finds, 0, 8);
	tcase_add_test(cases, sizes_beyond_saturation);
	tcase_add_test(cases, the_top_comes_last);
	tcase_add_loop_test(cases, steps_do_not_grow_with_blocks, 0, 2);
	tcase_add_test(cases, check_finds_plants);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
