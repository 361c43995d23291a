/*
 * G7, double frees that the table of test_misuse.c has no room for: by threads that are gone or in
 * turn, of aligned blocks and of large ones, in a forked child, and by two threads at the same instant.
 */
#include "scene.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void *free_the_scenes_block(void *argument)
{
	struct scene *scene = argument;

	acre_free(scene->arena, scene->block);
	return NULL;
}

/* The thread that freed it, whose cache has it, or that owned it, is gone. */
static void after_the_owner_left(void *argument)
{
	struct scene *scene = argument;

	finish(start(free_the_scenes_block, scene));
	acre_free(scene->arena, scene->block);
}

static void *allocate_for_another(void *argument)
{
	struct scene *scene = argument;

	scene->block = acre_malloc(scene->arena, scene->size);
	return NULL;
}

static void of_an_owner_that_left(void *argument)
{
	struct scene *scene = argument;

	finish(start(allocate_for_another, scene));
	acre_free(scene->arena, scene->block);
	acre_free(scene->arena, scene->block);
}

static void in_turn(void *argument)
{
	finish(start(free_the_scenes_block, argument));
	finish(start(free_the_scenes_block, argument));
}

static void by_a_realloc_to_nothing(void *argument)
{
	struct scene *scene = argument;

	if (acre_realloc(scene->arena, scene->block, 0))
		_exit(3);
	acre_free(scene->arena, scene->block);
}

static void of_an_aligned_block(void *argument)
{
	struct scene *scene = argument;
	void *block = acre_aligned_alloc(scene->arena, 4096, scene->size);

	acre_free(scene->arena, block);
	acre_free(scene->arena, block);
}

/* The parent freed it before the fork. */
static void in_a_child(void *argument)
{
	struct scene *scene = argument;
	pid_t child;
	int status;

	acre_free(scene->arena, scene->block);
	child = fork();
	if (child == 0)
		acre_free(scene->arena, scene->block);
	while (waitpid(child, &status, 0) < 0)
		;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
		signal(SIGABRT, SIG_DFL);
		raise(SIGABRT);
	}
}

static void (*const twice[])(void *) = { after_the_owner_left,	  of_an_owner_that_left,
					 in_turn,		  by_a_realloc_to_nothing,
					 of_an_aligned_block,	  in_a_child };
static const size_t twice_sizes[] = { 8, 24, 200, 2000, 100000, MIB };

START_TEST(a_double_free_is_found)
{
	for (size_t i = 0; i < COUNT_OF(twice_sizes); i++) {
		struct outcome outcome;
		struct scene scene;

		set_scene(&scene, (size_t)_i % 2, twice_sizes[i]);
		in_child(&outcome, twice[_i / 2], &scene, 20);
		must_abort(&outcome, NULL, "a double free");
		end_scene(&scene);
	}
}
END_TEST

static void of_64_mib(void *argument)
{
	struct acre *arena = new_arena(128 * MIB, &both[*(int *)argument]);
	char *block = acre_malloc(arena, 64 * MIB);

	if (!block)
		_exit(3);
	memset(block, 1, 64 * MIB);
	acre_free(arena, block);
	acre_trim(arena);
	acre_free(arena, block);
}

START_TEST(a_double_free_of_64_mib_is_found)
{
	struct outcome outcome;

	in_child(&outcome, of_64_mib, &_i, 20);
	must_abort(&outcome, NULL, "a double free of 64 MiB");
}
END_TEST

/*
 * Two threads free one block at the same instant. Neither may see the other's free, but before the
 * block is handed out twice, or its memory is used for two things, one of them is told.
 */
struct race {
	struct scene scene;
	pthread_barrier_t barrier;
	char *blocks[100];
};

static void *free_all_at_once(void *argument)
{
	struct race *race = argument;

	/* Both have their plots by then. */
	acre_free(race->scene.arena, acre_malloc(race->scene.arena, 24));
	meet(&race->barrier);
	for (size_t i = 0; i < COUNT_OF(race->blocks); i++)
		acre_free(race->scene.arena, race->blocks[i]);
	return NULL;
}

static void race_to_free(void *argument)
{
	struct race *race = argument;
	pthread_t threads[2];

	for (size_t i = 0; i < COUNT_OF(race->blocks); i++)
		race->blocks[i] = acre_malloc(race->scene.arena, race->scene.size);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(free_all_at_once, race);
	/* At the end of either its cache is flushed. */
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
}

START_TEST(a_racing_double_free_is_found)
{
	for (size_t i = 0; i < COUNT_OF(twice_sizes) - 1; i++) {
		struct outcome outcome;
		struct race race;

		set_scene(&race.scene, (size_t)_i, twice_sizes[i]);
		pthread_barrier_init(&race.barrier, NULL, 2);
		in_child(&outcome, race_to_free, &race, 20);
		must_abort(&outcome, NULL, "a racing double free");
		pthread_barrier_destroy(&race.barrier);
		end_scene(&race.scene);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("double-free");
	TCase *cases = tcase_create("double-free");

	tcase_set_timeout(cases, 300);
	tcase_add_loop_test(cases, a_double_free_is_found, 0, 2 * COUNT_OF(twice));
	tcase_add_loop_test(cases, a_double_free_of_64_mib_is_found, 0, 2);
	/* ThreadSanitizer is first to tell of this race. */
	if (!UNDER_TSAN)
		tcase_add_loop_test(cases, a_racing_double_free_is_found, 0, 2);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
