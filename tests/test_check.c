/*
 * G8, acre_check() compares what the structures count with what they hold: each count is falsified
 * here in turn, from within, and the check says so, a line for each place that it's seen at.
 */
#include "support.h"

#include <unistd.h>

#include "plot.h"
#include "thread.h"

static struct plot *first_plot(struct acre *arena)
{
	return plot_at(arena, 1);
}

static void leases_of_the_commons(struct acre *arena)
{
	arena->leases++;
}

static void granules_of_leases(struct acre *arena)
{
	arena->lease_granules++;
}

static void granules_of_a_plot(struct acre *arena)
{
	first_plot(arena)->used++;
}

static void blocks_of_a_plot(struct acre *arena)
{
	first_plot(arena)->blocks++;
}

static void room_of_a_lease(struct acre *arena)
{
	first_plot(arena)->room[0]++;
}

static void end_of_a_lease(struct acre *arena)
{
	struct plot *plot = first_plot(arena);
	struct heap *heap = &plot_lease(arena, plot, 0)->heap;

	tag_set_state(tag_at(arena_base(arena), heap->end), TAG_LIVE);
}

static void granules_of_the_commons(struct acre *arena)
{
	arena->commons.used++;
}

static void last_free_block(struct acre *arena)
{
	tag_set_state(tag_at(arena_base(arena), arena->commons.fit.top), TAG_LEASE);
}

static void state_of_a_block(struct acre *arena)
{
	tag_set_state(tag_at(arena_base(arena), plot_lease(arena, first_plot(arena), 0)->heap.start),
		      TAG_END);
}

static void blocks_in_quarantine(struct acre *arena)
{
	arena->guard.blocks++;
}

static const struct {
	void (*falsify)(struct acre *arena);
	const char *says;
	unsigned guards;
	int faults;			/* that this is */
} cases[] = {
	{ leases_of_the_commons, "the commons count", 0, 1 },
	{ granules_of_leases, "the commons count", 0, 1 },
	{ granules_of_a_plot, "plot 1 counts other blocks", 0, 1 },
	{ blocks_of_a_plot, "plot 1 counts other blocks", 0, 1 },
	{ room_of_a_lease, "plot 1: lease 0", 0, 1 },
	{ end_of_a_lease, "the end of a heap isn't marked", 0, 1 },
	{ granules_of_the_commons, "its heap counts other blocks", 0, 1 },
	{ last_free_block, "a last block that isn't free", 0, 4 },
	{ state_of_a_block, "its state is none", 0, 1 },
	{ blocks_in_quarantine, "the quarantine", ACRE_QUARANTINE, 1 },
};

struct plant {
	struct acre *arena;
	void (*falsify)(struct acre *arena);
	int faults;
};

static void check(void *argument)
{
	struct plant *plant = argument;

	plant->falsify(plant->arena);
	_exit(acre_check(plant->arena) == plant->faults ? 0 : 3);
}

START_TEST(a_false_count_is_told)
{
	struct acre_options options = { .guards = cases[_i].guards };
	struct plant plant = { new_arena(8 * MIB, &options), cases[_i].falsify, cases[_i].faults };
	struct outcome outcome;

	acre_free(plant.arena, acre_malloc(plant.arena, 100));
	ck_assert_ptr_nonnull(acre_malloc(plant.arena, 100));
	must_be_sound(plant.arena);
	in_child(&outcome, check, &plant, 20);
	must_succeed(&outcome, cases[_i].says);
	ck_assert_uint_eq(outcome.lines, cases[_i].faults);
	must(strstr(outcome.text, cases[_i].says), "'%s' isn't in: %s", cases[_i].says,
	     outcome.text);
	end_arena(plant.arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("check");
	TCase *tests = tcase_create("check");

	tcase_add_loop_test(tests, a_false_count_is_told, 0, COUNT_OF(cases));
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
