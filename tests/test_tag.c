/*
 * Tags, white box: every field survives the others' changes, and the check bits notice.
 */
#include "sizes.h"
#include "support.h"
#include "tag.h"

#define KEY 0x9e3779b1u

static char *base;

static void setup(void)
{
	base = aligned_alloc(64, 1 << 20);
	ck_assert_ptr_nonnull(base);
}

static void teardown(void)
{
	free(base);
}

/* Sizes at each edge of the two parts of the field, with every state, and owners to the last. */
START_TEST(fields_are_independent)
{
	static const uint64_t sizes[] = { 1, 2, 65, 66, 1000, (UINT64_C(1) << 31) - 1,
					  UINT64_C(1) << 31, (UINT64_C(1) << 36) - 1 };
	static const uint32_t plots[] = { 0, 1, 1024, PLOT_LAST };
	static const enum tag_state states[] = { TAG_LIVE, TAG_CACHED, TAG_FREE, TAG_LEASE,
						 TAG_END };
	const struct tag *tag = tag_at(base, 7);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t k = 0; k < sizeof(plots) / sizeof(*plots); k++)
			for (size_t s = 0; s < sizeof(states) / sizeof(*states); s++)
				for (int prev = 0; prev < 2; prev++) {
					tag_write(base, 7, sizes[i], states[s], plots[k], KEY,
						  prev);
					ck_assert(tag_size(tag) == sizes[i]);
					ck_assert(tag_plot(tag) == plots[k]);
					ck_assert(tag_state(tag) == states[s]);
					ck_assert(tag_prev_free(tag) == prev);
					ck_assert(tag_sound(base, 7, KEY));
				}
}
END_TEST

START_TEST(changes_leave_the_rest)
{
	struct tag *tag = tag_at(base, 3);

	tag_write(base, 3, (UINT64_C(5) << 31) + 9, TAG_LIVE, 77, KEY, false);
	tag_set_prev_free(tag, true);
	tag_set_state(tag, TAG_CACHED);
	ck_assert(tag_prev_free(tag));
	ck_assert(tag_state(tag) == TAG_CACHED);
	ck_assert(tag_size(tag) == (UINT64_C(5) << 31) + 9);
	ck_assert(tag_plot(tag) == 77);
	ck_assert(tag_sound(base, 3, KEY));
	tag_set_prev_free(tag, false);
	ck_assert(!tag_prev_free(tag));
	ck_assert(tag_sound(base, 3, KEY));
}
END_TEST

/* No state is zero or ASCII, and any two differ in four bits or more. */
START_TEST(states_lie_far_apart)
{
	static const unsigned states[] = { 0, TAG_LIVE, TAG_CACHED, TAG_FREE, TAG_LEASE, TAG_END };

	for (size_t i = 0; i < 6; i++)
		for (size_t k = 0; k < i; k++)
			ck_assert_int_ge(__builtin_popcount(states[i] ^ states[k]), 4);
	for (size_t i = 1; i < 6; i++)
		ck_assert_uint_gt(states[i], 127);
}
END_TEST

/* A tag copied to another place, or with another size, is mostly recognised: 255 of 256. */
START_TEST(check_bits_depend_on_place_and_size)
{
	unsigned passed_place = 0;
	unsigned passed_size = 0;

	for (uint64_t i = 1; i <= 4096; i++) {
		uint32_t face = face_of(100, 4, TAG_LIVE, 1, KEY);

		passed_place += face == face_of(100 + i, 4, TAG_LIVE, 1, KEY);
		passed_size += face == face_of(100, 4 + i, TAG_LIVE, 1, KEY);
	}
	ck_assert_uint_lt(passed_place, 64);
	ck_assert_uint_lt(passed_size, 64);
}
END_TEST

/* The fast path of free computes the hash its own way, and must never take a large block. */
START_TEST(small_hash_agrees_and_large_differs)
{
	for (uint64_t at = 1; at < 300; at += 7)
		for (uint64_t size = 1; size < 2000; size++) {
			uint32_t small = tag_hash_small((uint32_t)at * GRANULE,
							(uint32_t)size * 2, KEY);

			if (size < SMALL_GRANULES)
				ck_assert(small == tag_hash(at, size, KEY));
			else
				ck_assert(small != tag_hash(at, size, KEY));
		}
}
END_TEST

/*
 * What an underflow by one byte may leave: any value in the span's highest byte. Of a small block,
 * all are seen but 0x80, which release.c sees as a size that the arena hasn't.
 */
START_TEST(an_underflow_shows)
{
	for (uint64_t at = 1; at < 300; at += 7)
		for (uint64_t size = 1; size < SMALL_GRANULES; size++)
			for (uint32_t byte = 1; byte < 256; byte++) {
				tag_write(base, at, size, TAG_LIVE, 1, KEY, false);
				tag_set_span(tag_at(base, at),
					     tag_span(tag_at(base, at)) | byte << 24);
				ck_assert(tag_sound(base, at, KEY) == (byte == 0x80));
			}
}
END_TEST

START_TEST(footer_is_the_granule_of_the_next_tag)
{
	footer_write(base, 10, 6);
	tag_write(base, 16, 1, TAG_LIVE, 0, KEY, true);
	ck_assert(footer_before(base, 16) == 6);
	ck_assert_ptr_eq(payload_at(base, 10), base + 11 * GRANULE);
	ck_assert(place_of(base, payload_at(base, 10)) == 10);
	ck_assert(payload_bytes(1) == 8);
}
END_TEST

/* Every size has a class that's large enough, the next lower one isn't; waste is below 1 in 8. */
START_TEST(classes_cover_all_sizes)
{
	unsigned last = 0;

	for (uint64_t granules = 1; granules <= CLASSED_MOST; granules++) {
		unsigned class = class_of(granules);

		ck_assert_uint_lt(class, CLASSES);
		ck_assert(class == last || class == last + 1);
		ck_assert(class_granules(class) >= granules);
		ck_assert(class == 1 || class_granules(class - 1) < granules);
		ck_assert((class_granules(class) - granules) * 8 <= granules);
		last = class;
	}
	ck_assert_uint_eq(last, CLASSES - 1);
	ck_assert(class_granules(last) == CLASSED_MOST);
	ck_assert(class_granules(class_of(granules_for(1024))) == granules_for(1024));
	ck_assert(class_granules(class_of(granules_for(4096))) == granules_for(4096));
	ck_assert(granules_for(0) == 1 && granules_for(8) == 1 && granules_for(9) == 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tag");
	TCase *tags = tcase_create("tag");

	tcase_add_checked_fixture(tags, setup, teardown);
	tcase_add_test(tags, fields_are_independent);
	tcase_add_test(tags, changes_leave_the_rest);
	tcase_add_test(tags, states_lie_far_apart);
	tcase_add_test(tags, check_bits_depend_on_place_and_size);
	tcase_add_test(tags, small_hash_agrees_and_large_differs);
	tcase_add_test(tags, an_underflow_shows);
	tcase_add_test(tags, footer_is_the_granule_of_the_next_tag);
	tcase_add_test(tags, classes_cover_all_sizes);
	suite_add_tcase(suite, tags);
	return run_suite(suite);
}
