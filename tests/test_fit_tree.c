/*
 * The index of best and worst fit, white box: held to a naive model, and to its bound (G3).
 *
 * The fit is compiled into this program once more, with ACRE_COUNT_STEPS.
 */
#include <signal.h>
#include <sys/mman.h>

#include "fit.h"
#include "fit_bits.h"
#include "support.h"
#include "tag.h"

#define KEY 0x9e3779b1u
#define POLICIES 2

static char *base;
static size_t memory;		/* bytes at base */
static struct fit fit;
static enum fit_policy policy;

/* A looped test takes each of its cases under each policy: the number of the case. */
static int case_of(int i)
{
	policy = i % POLICIES ? FIT_WORST : FIT_BEST;
	return i / POLICIES;
}

/* An index of granules granules, from place `origin` on, behind them. */
static void make_index(uint64_t granules, uint64_t origin)
{
	size_t start = (origin + granules + 2) * GRANULE;

	memory = start + fit_bytes(policy, granules);
	base = mmap(NULL, memory, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(base, MAP_FAILED);
	fit_init(&fit, policy, start, origin, granules);
	/* No block is the top, which is in no index. */
	fit_lower_end(&fit, UINT64_MAX);
}

static void end_index(void)
{
	munmap(base, memory);
}

static void put(uint64_t at, uint64_t size)
{
	tag_write(base, at, size, TAG_FREE, 0, KEY, false);
	fit_insert(base, &fit, at, size);
}

/* A block may lie in each of these slots, anywhere in it; the model is its place, 0 = none. */
#define SLOTS 150

static struct {
	uint64_t origin;
	uint64_t room;		/* granules in each */
	uint64_t at[SLOTS];
	uint64_t count;
} model;

static uint64_t size_at(uint64_t at)
{
	return tag_size(tag_at(base, at));
}

/* Whether the policy puts block a before block b. */
static bool precedes(uint64_t a, uint64_t b)
{
	if (size_at(a) != size_at(b))
		return (size_at(a) < size_at(b)) == (policy == FIT_BEST);
	return a < b;
}

/* The first block of at least this size, behind another if there's one. */
static uint64_t model_next(uint64_t size, uint64_t after)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < SLOTS; i++)
		if (model.at[i] && size_at(model.at[i]) >= size &&
		    (!after || precedes(after, model.at[i])) &&
		    (!best || precedes(model.at[i], best)))
			best = model.at[i];
	return best;
}

static void take_out(unsigned i)
{
	fit_remove(base, &fit, model.at[i], size_at(model.at[i]));
	model.at[i] = 0;
	model.count--;
}

/* A random change: a block comes, goes, grows or is cut. */
static void change(struct dice *dice)
{
	unsigned i = (unsigned)(roll(dice) % SLOTS);
	uint64_t low = model.origin + i * model.room;
	uint64_t at = model.at[i];
	uint64_t had = at ? size_at(at) : 0;
	uint64_t size = roll_log(dice, 1, model.room);

	if (!at) {
		/* Often of a size that others have. */
		if (roll(dice) % 2 && model.room > 60)
			size = 1 + roll(dice) % 3 + roll(dice) % 2 * 50;
		at = low + roll(dice) % (model.room - size + 1);
		put(at, size);
		model.at[i] = at;
		model.count++;
	} else if (roll(dice) % 3 == 0) {
		take_out(i);
	} else if (roll(dice) % 2 && at + had < low + model.room) {
		size = roll_between(dice, had + 1, low + model.room - at);
		tag_write(base, at, size, TAG_FREE, 0, KEY, false);
		fit_grow(base, &fit, at, had, size);
	} else if (had > 1) {
		uint64_t to = roll_between(dice, 1, had - 1);

		fit_cut(base, &fit, at, had, at + to, had - to);
		tag_write(base, at + to, had - to, TAG_FREE, 0, KEY, false);
		model.at[i] = at + to;
	}
}

START_TEST(finds_what_a_naive_search_finds)
{
	static const uint64_t rooms[] = { 1, 2, 3, 5, 33, 64, 100, 1000, 50000 };
	struct dice dice = dice_from(next_seed());

	memset(&model, 0, sizeof(model));
	model.room = rooms[case_of(_i)];
	model.origin = 1 + (uint64_t)_i * 37;
	make_index(model.room * SLOTS, model.origin);
	for (int step = 0; step < SCALE(20000, 3000); step++) {
		uint64_t want = roll_log(&dice, 1, model.room + model.room / 8 + 1);
		uint64_t largest = 0, expected, found;

		change(&dice);
		expected = model_next(want, 0);
		found = fit_find(base, &fit, want);
		must(found == expected, "step %d: want %lu: %lu, not %lu", step,
		     (unsigned long)want, (unsigned long)found, (unsigned long)expected);
		for (unsigned i = 0; i < SLOTS; i++)
			if (model.at[i] && size_at(model.at[i]) > largest)
				largest = size_at(model.at[i]);
		must(fit_largest(base, &fit) == largest, "step %d: largest", step);
		if (step % 100)
			continue;
		must(fit_check(base, &fit, model.count) == 0, "step %d", step);
		/* All of them in order. */
		for (expected = model_next(want, 0), found = fit_next(base, &fit, want, 0);
		     expected || found; expected = model_next(want, expected),
		     found = fit_next(base, &fit, want, found))
			must(found == expected, "step %d: %lu, not %lu", step,
			     (unsigned long)found, (unsigned long)expected);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (model.at[i]) {
			uint64_t at = model.at[i];

			ck_assert(fit_has(base, &fit, at));
			take_out(i);
			/* No link is left behind in what may be handed out as zeros. */
			ck_assert(size_at(at) == 1 || (!link_of(base, at) && !back_of(base, at)));
		}
	ck_assert(fit_check(base, &fit, 0) == 0);
	end_index();
}
END_TEST

/* The largest range; blocks above 64 GiB are told apart, and the maximum saturates. */
START_TEST(sizes_beyond_saturation)
{
	const uint64_t G = UINT64_C(1) << 30;

	case_of(_i);
	if (SCALE(0, 1)) {
		skip("a sanitizer leaves no room for a range of 1 TiB");
		return;
	}
	make_index(64 * G - 1, 1);
	put(1, 8 * G);
	put(9 * G, 4 * G);
	put(14 * G, 32 * G);
	put(50 * G, 8 * G);
	put(60 * G, 2 * G + 1);
	put(64 * G - 2, 1);
	put(64 * G - 9, 5);
	ck_assert(fit_find(base, &fit, 8 * G) == (policy == FIT_BEST ? 1 : 14 * G));
	ck_assert(fit_find(base, &fit, 2) == (policy == FIT_BEST ? 64 * G - 9 : 14 * G));
	ck_assert(fit_find(base, &fit, 8 * G + 1) == 14 * G);
	ck_assert(fit_find(base, &fit, 32 * G + 1) == 0);
	ck_assert(fit_find(base, &fit, 64 * G) == 0);
	ck_assert(fit_largest(base, &fit) == UINT32_MAX);
	fit_remove(base, &fit, 14 * G, 32 * G);
	ck_assert(fit_find(base, &fit, 3 * G) == (policy == FIT_BEST ? 9 * G : 1));
	ck_assert(fit_next(base, &fit, 8 * G, 1) == 50 * G);
	ck_assert(fit_find(base, &fit, 8 * G + 1) == 0);
	ck_assert(fit_largest(base, &fit) == UINT32_MAX);
	fit_remove(base, &fit, 1, 8 * G);
	fit_remove(base, &fit, 50 * G, 8 * G);
	fit_remove(base, &fit, 9 * G, 4 * G);
	ck_assert(fit_largest(base, &fit) == 2 * G + 1);
	ck_assert(fit_check(base, &fit, 3) == 0);
	end_index();
}
END_TEST

/* The top takes part: it's the last by address, and in no tree. */
START_TEST(the_top_takes_part)
{
	case_of(_i);
	make_index(4096, 1);
	fit_lower_end(&fit, 4097);
	put(100, 50);
	put(4057, 40);
	ck_assert(fit.top == 4057);
	ck_assert(fit_check(base, &fit, 2) == 0);
	ck_assert(fit_find(base, &fit, 30) == (policy == FIT_BEST ? 4057 : 100));
	ck_assert(fit_find(base, &fit, 41) == 100);
	put(200, 40);
	ck_assert(fit_find(base, &fit, 30) == (policy == FIT_BEST ? 200 : 100));
	fit_remove(base, &fit, 100, 50);
	ck_assert(fit_find(base, &fit, 30) == 200);
	fit_cut(base, &fit, 200, 40, 201, 39);
	tag_write(base, 201, 39, TAG_FREE, 0, KEY, false);
	ck_assert(fit_find(base, &fit, 30) == (policy == FIT_BEST ? 201 : 4057));
	ck_assert(fit_find(base, &fit, 40) == 4057);
	ck_assert(fit_find(base, &fit, 41) == 0);
	ck_assert(fit_largest(base, &fit) == 40);
	end_index();
}
END_TEST

/* Another process may map the arena at another address: all of the index holds there. */
START_TEST(means_the_same_elsewhere)
{
	char *moved;

	case_of(_i);
	make_index(8192, 1);
	for (uint64_t i = 0; i < 400; i++)
		put(1 + i * 20, 1 + i % 17);
	moved = mmap(NULL, memory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(moved, MAP_FAILED);
	memcpy(moved, base, memory);
	munmap(base, memory);
	base = moved;
	ck_assert(fit_check(base, &fit, 400) == 0);
	for (uint64_t i = 0; i < 400; i++)
		fit_remove(base, &fit, 1 + i * 20, 1 + i % 17);
	ck_assert(fit_check(base, &fit, 0) == 0);
	end_index();
}
END_TEST

/*
 * G3: no call takes more steps than the range has bits, a few times over. The worst case: blocks of
 * one tree that differ in their lowest bits.
 */
static uint64_t most;

static void count_steps(void)
{
	most = fit_steps > most ? fit_steps : most;
	fit_steps = 0;
}

/* The most steps of a call, with so many blocks of a size, a power of two apart. */
static uint64_t steps_with(uint64_t blocks, uint64_t size, uint64_t apart)
{
	uint64_t last = 1 + blocks * apart;

	make_index(UINT64_C(1) << 22, 1);
	most = 0;
	fit_steps = 0;
	for (uint64_t i = 0; i < blocks; i++) {
		put(1 + i * apart, size);
		count_steps();
	}
	put(last, size + 1);
	for (uint64_t i = 0; i < blocks; i += 1 + blocks / 1000) {
		uint64_t at = 1 + i * apart;

		fit_steps = 0;
		fit_find(base, &fit, size);
		count_steps();
		fit_find(base, &fit, size + 1);
		count_steps();
		fit_largest(base, &fit);
		count_steps();
		fit_next(base, &fit, size, at);
		count_steps();
		fit_remove(base, &fit, at, size);
		count_steps();
		put(at, size);
		count_steps();
	}
	ck_assert(fit_find(base, &fit, size + 1) == last);
	ck_assert(fit_check(base, &fit, blocks + 1) == 0);
	end_index();
	return most;
}

START_TEST(steps_do_not_grow_with_blocks)
{
	/* A step is a link followed, or a word of the set; some follow a few more than one a level. */
	const uint64_t bound = 5 * 22;
	uint64_t steps;

	case_of(_i);
	for (uint64_t apart = 64; apart; apart /= 8)
		for (uint64_t size = 1; size < apart; size += 1 + apart / 8) {
			steps = steps_with((UINT64_C(1) << 22) / apart - 1, size, apart);
			must(steps <= bound, "%lu steps for %lu granules, %lu apart",
			     (unsigned long)steps, (unsigned long)size, (unsigned long)apart);
		}
	/* A single granule, far from the start. */
	make_index(UINT64_C(1) << 22, 1);
	put((UINT64_C(1) << 22) - 1, 1);
	fit_steps = 0;
	ck_assert(fit_find(base, &fit, 1) == (UINT64_C(1) << 22) - 1);
	must(fit_steps <= bound, "%lu steps to the only block", (unsigned long)fit_steps);
	end_index();
	steps = steps_with(60000, 34, 64);
	must(steps > 16, "%lu steps: they aren't counted", (unsigned long)steps);
}
END_TEST

/* The word with the link to the only block below this one, and the other word. */
static uint64_t *word_with_link(uint64_t at, bool other)
{
	uint64_t *words = payload_at(base, at);
	bool left = (words[0] & ((UINT64_C(1) << 36) - 1)) != 0;

	return words + (left == other);
}

/* fit_check() sees each kind of damage. */
START_TEST(check_finds_plants)
{
	int i = case_of(_i);
	uint64_t *wrong;

	make_index(8192, 1);
	put(1000, 100);
	put(2000, 100);
	put(500, 100);
	put(40, 1);
	put(41, 1);
	ck_assert(fit_check(base, &fit, 5) == 0);
	switch (i) {
	case 0:
		fit.tree.word[0] = 0;
		break;
	case 1:
		fit.tree.word[0] |= UINT64_C(1) << 50;
		break;
	case 2:
		*word_with_link(1000, false) ^= 1;
		break;
	case 3:
		*word_with_link(2000, true) = 500;
		break;
	case 4:
		*word_with_link(2000, false) = 0;
		break;
	case 5:
		tag_write(base, 500, 150, TAG_FREE, 0, KEY, false);
		break;
	case 6:
		tag_write(base, 2000, 100, TAG_LIVE, 0, KEY, false);
		break;
	case 7:
		tag_write(base, 41, 1, TAG_LIVE, 0, KEY, false);
		break;
	case 8:		/* The first word above level 0. */
		((uint64_t *)(base + fit.tree.singles))[-2] |= 2;
		break;
	case 9:
		((uint64_t *)(base + fit.tree.singles))[0] |= 1;
		break;
	case 10:	/* What's below the root is on its other side. */
		wrong = word_with_link(1000, true);
		*word_with_link(1000, false) = 0;
		*wrong = 2000;
		break;
	case 11:
		put(3000, 1);
		bits_clear((uint64_t *)(base + fit.tree.singles), 8192, 3000 - 1);
		bits_clear((uint64_t *)(base + fit.tree.singles), 8192, 40 - 1);
		break;
	case 12:	/* A root. */
		tag_write(base, 1000, 100, TAG_LIVE, 0, KEY, false);
		break;
	}
	must(fit_check(base, &fit, 5) > 0, "plant %d isn't seen", i);
	end_index();
}
END_TEST

/* No overwritten link is followed: each ends in one line and abort(), not in a crash. */
static const uint64_t wild[] = {
	UINT64_MAX, UINT64_C(1) << 40, UINT64_C(0x4141414141414141), 90, 500, 1001, 2000, 0
};

/* The root is 1000; 500, and below it 2000, hang on one side of it. */
static void plant(uint64_t at, uint64_t value, bool other)
{
	uint64_t *word;

	make_index(8192, 1);
	put(1000, 100);
	put(500, 100);
	put(2000, 100);
	put(300, 100);
	put(700, 100);
	word = word_with_link(at, other);
	*word = *word == value ? value + 1 : value;
	/* A link that's gone is missed by the block that it led to. */
	if (!value)
		fit_remove(base, &fit, at == 1000 ? 500 : 2000, 100);
}

START_TEST(overwritten_links_abort)
{
	int i = case_of(_i);
	uint64_t at = i % 2 ? 1000 : 500;

	plant(at, wild[i / 4], i / 2 % 2);
	fit_remove(base, &fit, at, 100);
}
END_TEST

START_TEST(overwritten_links_abort_a_search)
{
	int i = case_of(_i);

	plant(i % 2 ? 1000 : 500, wild[i / 4], i / 2 % 2);
	for (uint64_t at = fit_next(base, &fit, 1, 0); at; at = fit_next(base, &fit, 1, at))
		;
}
END_TEST

/* The set of bits, against an array. */
START_TEST(bits_against_an_array)
{
	static const uint64_t sizes[] = { 1, 2, 63, 64, 65, 4095, 4096, 4097, 300000 };
	struct dice dice = dice_from(next_seed());
	uint64_t n = sizes[_i];
	uint64_t upper = bits_upper_words(n);
	uint64_t *words = calloc(upper + bits_words(n) + 1, sizeof(*words));
	uint64_t *bits = words + upper;
	bool *member = calloc(n, sizeof(*member));
	uint64_t count = 0;

	for (int step = 0; step < SCALE(200000, 20000); step++) {
		uint64_t i = roll(&dice) % n;
		uint64_t from = roll(&dice) % n;
		uint64_t expected = from;

		if (!member[i]) {
			/* Mostly few, so that they lie far apart. */
			if (count > 20 && roll(&dice) % 4)
				i = bits_from(bits, n, 0);
		}
		if (member[i]) {
			count--;
			must(bits_clear(bits, n, i) == !count, "step %d", step);
		} else {
			count++;
			bits_set(bits, n, i);
		}
		member[i] = !member[i];
		if (n > 5000 && step % 50)
			continue;
		while (expected < n && !member[expected])
			expected++;
		must(bits_from(bits, n, from) == (expected < n ? expected : BITS_NONE),
		     "step %d: from %lu", step, (unsigned long)from);
		must(bits_has(bits, from) == member[from], "step %d", step);
		must(bits_sound(bits, n), "step %d", step);
	}
	must(!words[upper + bits_words(n)], "written behind the end");
	free(member);
	free(words);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trees");
	TCase *cases = tcase_create("trees");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, finds_what_a_naive_search_finds, 0, 9 * POLICIES);
	tcase_add_loop_test(cases, sizes_beyond_saturation, 0, POLICIES);
	tcase_add_loop_test(cases, the_top_takes_part, 0, POLICIES);
	tcase_add_loop_test(cases, means_the_same_elsewhere, 0, POLICIES);
	tcase_add_loop_test(cases, steps_do_not_grow_with_blocks, 0, POLICIES);
	tcase_add_loop_test(cases, check_finds_plants, 0, 13 * POLICIES);
	tcase_add_loop_test_raise_signal(cases, overwritten_links_abort, SIGABRT, 0,
					 4 * COUNT_OF(wild) * POLICIES);
	tcase_add_loop_test_raise_signal(cases, overwritten_links_abort_a_search, SIGABRT, 0,
					 4 * COUNT_OF(wild) * POLICIES);
	tcase_add_loop_test(cases, bits_against_an_array, 0, 9);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
