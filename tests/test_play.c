/*
 * Traces played on arenas (tools/play.h): the five that the tree has, under every policy, in one
 * sequence and by threads; and what is found out about them, held to what a walk after each event sees.
 */
#include "support.h"

#include "play.h"
#include "trace.h"

#define POLICIES	(ACRE_GOOD_FIT + 1)
#define AMPLE		(64 * MIB)

static const char *const names[] = { "gcc", "memcached", "python3", "redis", "sqlite3" };

static void load(struct trace *trace, const char *name)
{
	const char *source = getenv("ACRE_SOURCE");
	char path[4096];

	must(source, "ACRE_SOURCE must name the directory of the sources");
	snprintf(path, sizeof(path), "%s/traces/%s.acretrace", source, name);
	trace_load(trace, path);
}

/* Test number n is of a trace and a policy. */
static enum acre_policy choose(int n, struct trace *trace)
{
	load(trace, names[n / POLICIES]);
	return (enum acre_policy)(n % POLICIES);
}

static struct play_result played(const struct play_plan *plan)
{
	struct play_result result;

	must(play(plan, &result), "an arena of %zu bytes", plan->arena);
	return result;
}

static void same_result(const struct play_result *one, const struct play_result *other)
{
	ck_assert_uint_eq(one->events, other->events);
	ck_assert_uint_eq(one->refusals, other->refusals);
	ck_assert_uint_eq(one->extent, other->extent);
	ck_assert_uint_eq(one->live, other->live);
	ck_assert_uint_eq(one->peak_free, other->peak_free);
	ck_assert_uint_eq(one->peak_largest, other->peak_largest);
	ck_assert_uint_eq(one->steps, other->steps);
}

/* In room enough nothing is refused, and a second time is as the first. */
START_TEST(in_one_sequence)
{
	struct trace trace;
	struct play_plan plan = { .policy = choose(_i, &trace), .arena = AMPLE, .measured = true };
	struct play_result once, again;

	plan.trace = &trace;
	once = played(&plan);
	ck_assert(once.complete);
	ck_assert_uint_eq(once.events, trace.events);
	ck_assert_uint_eq(once.refusals, 0);
	ck_assert_uint_ge(once.live, trace.peak_bytes);
	ck_assert_uint_ge(once.extent, trace.peak_bytes);
	ck_assert_uint_le(once.extent, AMPLE);
	ck_assert_uint_le(once.peak_largest, once.peak_free);
	ck_assert_uint_gt(once.steps, 0);
	if (!UNDER_TSAN) {
		again = played(&plan);
		same_result(&once, &again);
	}
	trace_free(&trace);
}
END_TEST

/* Whatever order the threads come to, each call is made. */
START_TEST(by_threads)
{
	struct trace trace;
	struct play_plan plan = { .policy = choose(_i, &trace),
				  .arena = AMPLE,
				  .threads = true,
				  .measured = true };
	struct play_result result;

	plan.trace = &trace;
	result = played(&plan);
	ck_assert(result.complete);
	ck_assert_uint_eq(result.events, trace.events);
	ck_assert_uint_eq(result.refusals, 0);
	ck_assert_uint_ge(result.extent, trace.peak_bytes);
	ck_assert_uint_ge(result.live, trace.peak_bytes);
	trace_free(&trace);
}
END_TEST

/* The arena found refuses nothing, and one of a page less does. */
START_TEST(the_smallest)
{
	struct trace trace;
	struct play_plan plan = { .policy = choose(_i, &trace) };
	struct play_bounds bounds;
	struct play_result result;

	plan.trace = &trace;
	ck_assert(play_smallest(&trace, plan.policy, false, &bounds));
	ck_assert_uint_ge(bounds.serves, trace.peak_bytes);
	ck_assert_uint_eq(bounds.serves - bounds.refuses, 4096);
	plan.arena = bounds.serves;
	ck_assert_uint_eq(played(&plan).refusals, 0);
	plan.arena = bounds.refuses;
	ck_assert_uint_gt(played(&plan).refusals, 0);
	plan.until_refused = true;
	result = played(&plan);
	ck_assert(!result.complete);
	ck_assert_uint_eq(result.refusals, 1);
	ck_assert_uint_eq(result.events, result.first_refused);
	trace_free(&trace);
}
END_TEST

/* By threads the answer is looser, but there is one. */
START_TEST(the_smallest_by_threads)
{
	struct play_bounds bounds;
	struct trace trace;

	load(&trace, "memcached");
	ck_assert(play_smallest(&trace, (enum acre_policy)_i, true, &bounds));
	ck_assert_uint_ge(bounds.serves, trace.peak_bytes);
	ck_assert_uint_lt(bounds.refuses, bounds.serves);
	trace_free(&trace);
}
END_TEST

/* A trace of random calls by a few threads; every block that isn't freed stays. */
static void make_random(struct trace *trace, size_t calls, uint32_t threads, int number)
{
	struct dice dice = dice_from(next_seed() + (uint64_t)number);
	struct trace_writer *writer = malloc(sizeof(*writer));
	uint64_t *live = calloc(calls, sizeof(*live));
	struct trace_fault fault;
	uint64_t blocks = 0;
	size_t count = 0;
	size_t size;
	char *bytes;
	FILE *file = open_memstream(&bytes, &size);

	must(writer && live && file, "%zu calls", calls);
	trace_write(writer, file, "random");
	for (size_t i = 0; i < calls; i++) {
		struct trace_event event = { .kind = (enum trace_kind)(roll(&dice) % 6),
					     .thread = (uint32_t)(i < threads ? i : roll(&dice) % threads),
					     .size = roll_log(&dice, 1, 20000),
					     .alignment = 1 };
		size_t which = count ? roll(&dice) % count : 0;

		if (event.kind == TRACE_FREE && (!count || roll(&dice) % 8 == 0))
			event.kind = TRACE_REFUSED;
		if (event.kind == TRACE_REALLOC && !count)
			event.kind = TRACE_MALLOC;
		if (event.kind == TRACE_ALIGNED || event.kind == TRACE_REFUSED)
			event.alignment = UINT64_C(32) << roll(&dice) % 8;
		if (event.kind <= TRACE_ALIGNED)
			live[count++] = event.block = blocks++;
		else if (event.kind != TRACE_REFUSED)
			event.block = live[which];
		if (event.kind == TRACE_FREE)
			live[which] = live[--count];
		trace_add(writer, &event);
	}
	must(trace_end(writer, TRACE_EXITED, 0) == 0 && fclose(file) == 0, "%zu calls", calls);
	must(trace_parse(trace, (unsigned char *)bytes, size, &fault), "%s", fault.text);
	free(writer);
	free(live);
}

/* The same, worked out with a walk after each event. */
struct model {
	uint64_t extent, refusals, first_refused, peak_free, peak_largest, looks;
	uint64_t end, free, largest;	/* of one walk */
	const char *origin;
};

static int visit(const struct acre_block *block, void *user)
{
	struct model *model = user;

	if (block->state == ACRE_FREE) {
		model->free += block->size;
		model->largest = block->size > model->largest ? block->size : model->largest;
	} else {
		model->end = (uint64_t)((const char *)block->address - model->origin) + block->size;
	}
	return 0;
}

static void walk(struct acre *arena, struct model *model)
{
	model->end = model->free = model->largest = 0;
	acre_walk(arena, visit, model);
}

static void work_out(const struct play_plan *plan, struct model *model)
{
	const struct acre_options options = { .policy = plan->policy, .flags = ACRE_NO_CACHE };
	struct acre *arena = new_arena(plan->arena, &options);
	void **blocks = calloc(plan->trace->blocks + 1, sizeof(*blocks));
	struct trace_event event;
	struct trace_walk place;
	struct image image = { 0 };

	look(arena, &image);
	*model = (struct model){ .origin = (const char *)image.blocks[0].address - 8 };
	forget(&image);
	trace_begin(plan->trace, &place);
	for (uint64_t i = 0; trace_next(&place, &event); i++) {
		if (!play_event(arena, &blocks[event.block], &event) && !model->refusals++)
			model->first_refused = i;
		walk(arena, model);
		if (model->end > model->extent)
			model->extent = model->end;
		if (i == plan->trace->peak_event) {
			model->peak_free = model->free;
			model->peak_largest = model->largest;
		}
		model->looks += i % 100 == 0 || i == plan->trace->peak_event ||
				i + 1 == plan->trace->events;
	}
	free(blocks);
	end_arena(arena);
}

static void count_look(const struct play *play, void *user)
{
	must(play->event < play->plan->trace->events, "%lu", (unsigned long)play->event);
	++*(uint64_t *)user;
}

/* What play() finds out is so; with much room, and with too little. */
START_TEST(figures_are_right)
{
	static const size_t arenas[] = { 16 * MIB, MIB };
	uint64_t looks = 0;
	struct trace trace;
	struct play_plan plan = { .policy = (enum acre_policy)(_i / 2),
				  .trace = &trace,
				  .arena = arenas[_i % 2],
				  .measured = true,
				  .every = 100,
				  .look = count_look,
				  .user = &looks };
	struct play_result result;
	struct model model;

	make_random(&trace, SCALE(2000, 700), 3, _i);
	work_out(&plan, &model);
	result = played(&plan);
	ck_assert(result.complete);
	ck_assert_uint_eq(result.refusals, model.refusals);
	ck_assert_uint_eq(result.first_refused, model.first_refused);
	if (_i % 2 && !UNDER_TSAN)
		ck_assert_uint_gt(result.refusals, 0);
	ck_assert_uint_eq(result.peak_free, model.peak_free);
	ck_assert_uint_eq(result.peak_largest, model.peak_largest);
	ck_assert_uint_eq(looks, model.looks);
	ck_assert_uint_eq(result.extent, model.extent);
	trace_free(&trace);
}
END_TEST

/* Threads that hand each other every block, in a random order, with and without room. */
START_TEST(random_calls_by_threads)
{
	struct trace trace;
	struct play_plan plan = { .policy = (enum acre_policy)(_i / 2),
				  .trace = &trace,
				  .arena = _i % 2 ? MIB : 64 * MIB,
				  .threads = true,
				  .measured = true };
	struct play_result result;

	make_random(&trace, SCALE(20000, 2000), SCALE(100, 12), _i);
	result = played(&plan);
	ck_assert(result.complete);
	ck_assert_uint_eq(result.events, trace.events);
	if (_i % 2 && !UNDER_TSAN)
		ck_assert_uint_gt(result.refusals, 0);
	if (_i % 2 == 0)
		ck_assert_uint_eq(result.refusals, 0);
	plan.until_refused = true;
	result = played(&plan);
	ck_assert(result.complete == !result.refusals);
	trace_free(&trace);
}
END_TEST

START_TEST(nothing_can_be_played)
{
	struct trace trace;
	struct play_plan plan = { .trace = &trace, .arena = 64 * KIB, .measured = true };
	struct play_bounds bounds;
	struct play_result result;

	make_random(&trace, 0, 1, _i);
	plan.threads = _i;
	result = played(&plan);
	ck_assert(result.complete);
	ck_assert_uint_eq(result.extent, 0);
	ck_assert(play_fragmentation(&result) == 0);
	ck_assert(play_smallest(&trace, ACRE_FIRST_FIT, _i, &bounds));
	ck_assert_uint_eq(bounds.serves, 64 * KIB);
	plan.arena = 1;
	ck_assert(!play(&plan, &result));
	trace_free(&trace);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("play");
	TCase *playing = tcase_create("playing");
	int all = COUNT_OF(names) * POLICIES;
	/* A dozen plays each: of sqlite3; of memcached, which does least, where all is slow. */
	int bisected = SCALE(4, 1) * POLICIES;

	tcase_add_loop_test(playing, in_one_sequence, 0, all);
	tcase_add_loop_test(playing, by_threads, 0, all);
	tcase_add_loop_test(playing, the_smallest, bisected, bisected + POLICIES);
	tcase_add_loop_test(playing, the_smallest_by_threads, 0, POLICIES);
	tcase_add_loop_test(playing, figures_are_right, 0, 2 * POLICIES);
	tcase_add_loop_test(playing, random_calls_by_threads, 0, 2 * POLICIES);
	tcase_add_loop_test(playing, nothing_can_be_played, 0, 2);
	suite_add_tcase(suite, playing);
	return run_suite(suite);
}
