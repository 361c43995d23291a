/*
 * G7, the last look: a block that waited in a cache or an inbox is held against its tag once more as
 * it goes back to a heap. Caches look at stamps before, and only what hurts tag and stamp alike gets
 * by them: a free of two threads at once, or a write that came later. So these tags are forged from
 * within.
 *
 *	block --free--> cache --flush--> its plot, another plot's inbox, or the commons
 *	                forged here                 noticed here
 */
#include "support.h"

#include <regex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cache.h"
#include "plot.h"
#include "thread.h"

struct scene {
	struct acre *arena;
	char *block;
	uint64_t at;
	uint64_t granules;
	void (*hurt)(struct scene *scene);
};

/* A tag whose check bits are right, and the stamp that goes with it. */
static void forge(struct scene *scene, enum tag_state state, uint32_t owner)
{
	char *base = arena_base(scene->arena);

	tag_write(base, scene->at, scene->granules, state, owner, scene->arena->key, false);
	stamp(scene->block, stamp_of(tag_face(tag_of(scene->block)), TAG_CACHED));
}

static uint32_t own_plot(struct scene *scene)
{
	return tag_plot(tag_of(scene->block));
}

static void *allocate_elsewhere(void *argument)
{
	struct scene *scene = argument;

	acre_free(scene->arena, acre_malloc(scene->arena, 200));
	return NULL;
}

static void free_it(struct scene *scene)
{
	acre_free(scene->arena, scene->block);
}

static void tag_while_cached(struct scene *scene)
{
	free_it(scene);
	memset(tag_of(scene->block), 0x41, sizeof(struct tag));
	for (int i = 0; i < 1000; i++)
		acre_malloc(scene->arena, 200);
}

static void tag_and_stamp(struct scene *scene)
{
	struct tag *tag = tag_of(scene->block);

	free_it(scene);
	tag_set_face(tag, (uint32_t)tag_face(tag) ^ UINT32_C(1) << 30);
	stamp(scene->block, stamp_of(tag_face(tag), TAG_CACHED));
	acre_flush(scene->arena);
}

static void free_already(struct scene *scene)
{
	free_it(scene);
	forge(scene, TAG_FREE, own_plot(scene));
	acre_flush(scene->arena);
}

static void free_already_in_the_commons(struct scene *scene)
{
	free_it(scene);
	forge(scene, TAG_FREE, 0);
	acre_flush(scene->arena);
}

static void of_no_plot(struct scene *scene)
{
	free_it(scene);
	forge(scene, TAG_CACHED, 500);
	acre_flush(scene->arena);
}

static void of_another_plot(struct scene *scene)
{
	finish(start(allocate_elsewhere, scene));
	free_it(scene);
	forge(scene, TAG_CACHED, own_plot(scene) == 1 ? 2 : 1);
	acre_flush(scene->arena);
}

static void tag_in_an_inbox(struct scene *scene)
{
	struct acre *arena = scene->arena;
	struct plot *plot = plot_at(arena, own_plot(scene));

	tag_set_state(tag_of(scene->block), TAG_CACHED);
	plot_post(arena, plot, scene->at, scene->at, 1, 200);
	memset(tag_of(scene->block), 0x41, sizeof(struct tag));
	acre_flush(arena);
}

static sem_t freed;

static void *free_and_sleep(void *argument)
{
	struct scene *scene = argument;

	/* So that it has a cache. */
	thread_cache(scene->arena);
	free_it(scene);
	sem_post(&freed);
	for (;;)
		pause();
	return NULL;
}

/* As by a caller, but AddressSanitizer, which would see it first, doesn't look at this function. */
UNSHADOWED static void write_to(char *byte)
{
	*byte ^= 1;
}

/* The block is in the cache of a thread that the child doesn't have. */
static void in_an_orphans_cache(struct scene *scene)
{
	int status;
	pid_t child;

	sem_init(&freed, 0, 0);
	start(free_and_sleep, scene);
	await(&freed);
	write_to(scene->block + 3);
	child = fork();
	if (!child) {
		acre_flush(scene->arena);
		_exit(0);
	}
	if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
		abort();
}

/* As by an overflow into the tag: the face of the same block, of another plot. */
static void another_plots_on_resize(struct scene *scene)
{
	finish(start(allocate_elsewhere, scene));
	forge(scene, TAG_LIVE, own_plot(scene) == 1 ? 2 : 1);
	acre_realloc(scene->arena, scene->block, 8);
}

static const struct {
	const char *name;
	void (*hurt)(struct scene *scene);
	const char *says;
} cases[] = {
	{ "tag while cached", tag_while_cached, "malloc: .*tag was overwritten while it was free" },
	{ "tag and stamp", tag_and_stamp, "free: .*its tag was overwritten; look for" },
	{ "free already", free_already, "free: .*plot 1: it was freed twice" },
	{ "free already, the commons'", free_already_in_the_commons,
	  "free: .*the commons: it was freed twice" },
	{ "of no plot", of_no_plot, "free: .*plot 500: it was freed twice" },
	{ "of another plot", of_another_plot, "free: .*plot 2: it was freed twice" },
	{ "in an orphan's cache", in_an_orphans_cache,
	  "malloc: .*it was written to after it was freed" },
	{ "of another plot, resized", another_plots_on_resize, "free: .*it was freed twice, by two" },
	{ "tag in an inbox", tag_in_an_inbox, "free: .*its tag was overwritten; look for" },
};

static void hurt_it(void *argument)
{
	struct scene *scene = argument;

	scene->hurt(scene);
}

START_TEST(a_block_on_its_way_back_is_looked_at)
{
	struct scene scene = { .arena = new_arena(32 * MIB, &both[0]), .hurt = cases[_i].hurt };
	struct outcome outcome;
	regex_t pattern;

	scene.block = acre_malloc(scene.arena, 200);
	scene.at = place_of(arena_base(scene.arena), scene.block);
	scene.granules = tag_size(tag_of(scene.block));
	ck_assert_uint_eq(own_plot(&scene), 1);
	in_child(&outcome, hurt_it, &scene, 20);
	must_abort(&outcome, scene.block, cases[_i].name);
	must(regcomp(&pattern, cases[_i].says, REG_NOSUB) == 0, "%s", cases[_i].says);
	must(regexec(&pattern, outcome.text, 0, NULL, 0) == 0, "%s: '%s' isn't in: %s",
	     cases[_i].name, cases[_i].says, outcome.text);
	regfree(&pattern);
	end_arena(scene.arena);
}
END_TEST

/*
 * The thread that the child doesn't have was about to hand a block out, or had just freed one: it's in
 * its cache, and in use.
 */
static void flush_around_a_live_one(void *argument)
{
	struct scene *scene = argument;
	pid_t child;
	int status;

	sem_init(&freed, 0, 0);
	start(free_and_sleep, scene);
	await(&freed);
	tag_set_state(tag_of(scene->block), TAG_LIVE);
	child = fork();
	if (!child) {
		acre_flush(scene->arena);
		must_be_sound(scene->arena);
		must(tag_state(tag_of(scene->block)) == TAG_LIVE, "the block was freed");
		acre_free(scene->arena, scene->block);
		must_be_sound(scene->arena);
		_exit(0);
	}
	must(waitpid(child, &status, 0) == child && status == 0, "%x", (unsigned)status);
}

START_TEST(a_block_in_use_is_left_in_use)
{
	struct scene scene = { .arena = new_arena(32 * MIB, &both[0]) };
	struct outcome outcome;

	scene.block = acre_malloc(scene.arena, 200);
	in_child(&outcome, flush_around_a_live_one, &scene, 20);
	must_succeed(&outcome, "a child that salvages");
	end_arena(scene.arena);
}
END_TEST

static void *free_first(void *scene)
{
	free_it(scene);
	return NULL;
}

/* A thread without a plot frees a block while somebody is in the block's: it doesn't wait. */
START_TEST(a_plot_that_is_taken_is_not_waited_for)
{
	static const size_t sizes[] = { 8, 2000, 40000 };
	struct scene scene = { .arena = new_arena(64 * MIB, &both[0]) };
	struct plot *plot;

	scene.block = acre_malloc(scene.arena, sizes[_i]);
	ck_assert_uint_ne(own_plot(&scene), 0);
	plot = plot_at(scene.arena, own_plot(&scene));
	lock_take(&plot->lock);
	finish(start(free_first, &scene));
	lock_drop(&plot->lock);
	ck_assert_uint_eq(stats_of(scene.arena).live_blocks, 0);
	must_be_whole(scene.arena);
	end_arena(scene.arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("return");
	TCase *tests = tcase_create("return");

	tcase_add_loop_test(tests, a_block_on_its_way_back_is_looked_at, 0, COUNT_OF(cases));
	tcase_add_test(tests, a_block_in_use_is_left_in_use);
	tcase_add_loop_test(tests, a_plot_that_is_taken_is_not_waited_for, 0, 3);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
