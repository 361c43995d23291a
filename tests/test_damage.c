/*
 * G7, damage is found: what a program wrote before, behind or into a block that isn't its own ends
 * the process before the memory is handed out again, or at the latest when the block or its
 * neighbour is freed. Each case is a kind of damage and a way to come upon it, in a child.
 */
#include "support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plot.h"
#include "thread.h"

/* Three blocks side by side, of which the middle one is damaged or damages. */
struct scene {
	struct acre *arena;
	size_t size;	/* usable, of each */
	char *before;
	char *block;
	char *behind;
};

static void set_scene(struct scene *scene, size_t kind, size_t size)
{
	scene->arena = new_arena(32 * MIB, &both[kind]);
	scene->size = size;
	for (int i = 0; i < 200; i++) {
		scene->before = acre_malloc(scene->arena, size);
		scene->block = acre_malloc(scene->arena, size);
		scene->behind = acre_malloc(scene->arena, size);
		must(scene->before && scene->block && scene->behind, "%zu bytes", size);
		scene->size = acre_usable_size(scene->arena, scene->block);
		/* The last, too, must have a neighbour that isn't free. */
		must(acre_malloc(scene->arena, size) != NULL, "%zu bytes", size);
		if (scene->block == scene->before + scene->size + 8 &&
		    scene->behind == scene->block + scene->size + 8)
			break;
		must(i < 199, "no three blocks lie side by side");
	}
	memset(scene->before, 0x11, scene->size);
	memset(scene->block, 0x22, scene->size);
	memset(scene->behind, 0x33, scene->size);
}

static void end_scene(struct scene *scene)
{
	end_arena(scene->arena);
}

/*
 * Writes that hurt a tag.
 */
static void overflow_by_a_zero(struct scene *scene)
{
	scene->block[scene->size] = 0;
}

static void overflow_by_a_letter(struct scene *scene)
{
	scene->block[scene->size] = 'A';
}

static void overflow_by_a_bit(struct scene *scene)
{
	scene->block[scene->size] ^= 1;
}

static void overflow_by_eight(struct scene *scene)
{
	memset(scene->block + scene->size, 0xff, 8);
}

static void underflow_by_a_letter(struct scene *scene)
{
	scene->block[-1] = 'A';
}

static void underflow_by_the_highest_bit(struct scene *scene)
{
	scene->block[-1] = (char)0x80;
}

static void underflow_by_sixteen(struct scene *scene)
{
	memset(scene->block - 16, 'A', 16);
}

/*
 * Ways to come upon it.
 */
static void free_the_block(struct scene *scene)
{
	acre_free(scene->arena, scene->block);
	acre_flush(scene->arena);
}

static void free_the_one_behind(struct scene *scene)
{
	acre_free(scene->arena, scene->behind);
}

static void resize_the_block(struct scene *scene)
{
	if (!acre_realloc(scene->arena, scene->block, scene->size + 5000))
		_exit(3);
}

static void resize_the_one_behind(struct scene *scene)
{
	if (!acre_realloc(scene->arena, scene->behind, scene->size / 2))
		_exit(3);
}

/* Until the memory at this address comes again, and no further. */
static void allocate_at(struct scene *scene, const char *address)
{
	for (;;) {
		char *fresh = acre_malloc(scene->arena, scene->size);

		if (!fresh)
			_exit(4);
		if (fresh <= address && address < fresh + scene->size)
			_exit(5);
	}
}

static void allocate(struct scene *scene)
{
	allocate_at(scene, scene->block);
}

static void allocate_behind(struct scene *scene)
{
	allocate_at(scene, scene->behind);
}

static const struct {
	const char *name;
	void (*hurt)(struct scene *scene);
	void (*find)(struct scene *scene);
} tag_cases[] = {
	{ "overflow by a zero, free", overflow_by_a_zero, free_the_block },
	{ "overflow by a zero, neighbour's free", overflow_by_a_zero, free_the_one_behind },
	{ "overflow by a zero, neighbour's realloc", overflow_by_a_zero, resize_the_one_behind },
	{ "overflow by a letter, free", overflow_by_a_letter, free_the_block },
	{ "overflow by a letter, neighbour's free", overflow_by_a_letter, free_the_one_behind },
	{ "overflow by a bit, free", overflow_by_a_bit, free_the_block },
	{ "overflow by a bit, neighbour's free", overflow_by_a_bit, free_the_one_behind },
	{ "overflow by eight, free", overflow_by_eight, free_the_block },
	{ "overflow by eight, neighbour's free", overflow_by_eight, free_the_one_behind },
	{ "underflow by a letter, free", underflow_by_a_letter, free_the_block },
	{ "underflow by a letter, realloc", underflow_by_a_letter, resize_the_block },
	{ "underflow by the highest bit, free", underflow_by_the_highest_bit, free_the_block },
	{ "underflow by sixteen, free", underflow_by_sixteen, free_the_block },
	{ "underflow by sixteen, realloc", underflow_by_sixteen, resize_the_block },
};

static const size_t sizes[] = { 8, 24, 200, 2000, 30000, 100000 };

struct attempt {
	struct scene scene;
	void (*hurt)(struct scene *scene);
	void (*find)(struct scene *scene);
};

static void attempt_it(void *argument)
{
	struct attempt *attempt = argument;

	attempt->hurt(&attempt->scene);
	attempt->find(&attempt->scene);
}

static void must_be_found(struct attempt *attempt, const char *name)
{
	struct outcome outcome;

	in_child(&outcome, attempt_it, attempt, 20);
	must_abort(&outcome, NULL, name);
}

START_TEST(a_hurt_tag_is_found)
{
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct attempt attempt = { .hurt = tag_cases[_i / 2].hurt,
					   .find = tag_cases[_i / 2].find };

		set_scene(&attempt.scene, (size_t)_i % 2, sizes[i]);
		must_be_found(&attempt, tag_cases[_i / 2].name);
		end_scene(&attempt.scene);
	}
}
END_TEST

/* The size of this request is all that its block has: there's no slack to overflow into. */
START_TEST(a_request_of_24_has_24)
{
	struct acre *arena = new_arena(MIB, &both[_i]);
	char *block = acre_malloc(arena, 24);

	ck_assert_uint_eq(acre_usable_size(arena, block), 24);
	end_arena(arena);
}
END_TEST

/*
 * The same to the tag of a block that is free already, which is found when the block before it is
 * freed, or before it's handed out again.
 */
static void (*const free_hurts[])(struct scene *) = { overflow_by_a_zero, overflow_by_a_letter,
						      overflow_by_a_bit, overflow_by_eight };
static void (*const free_finds[])(struct scene *) = { free_the_block, allocate_behind };

static void hurt_a_free_neighbour(void *argument)
{
	struct attempt *attempt = argument;

	acre_free(attempt->scene.arena, attempt->scene.behind);
	acre_flush(attempt->scene.arena);
	attempt_it(argument);
}

START_TEST(a_free_neighbours_tag_is_found)
{
	struct attempt attempt = { .hurt = free_hurts[_i / 2 / 2], .find = free_finds[_i / 2 % 2] };

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct outcome outcome;

		set_scene(&attempt.scene, (size_t)_i % 2, sizes[i]);
		in_child(&outcome, hurt_a_free_neighbour, &attempt, 20);
		must_abort(&outcome, NULL, "a free neighbour's tag");
		end_scene(&attempt.scene);
	}
}
END_TEST

/*
 * Writes after free.
 */
static void write_garbage(struct scene *scene)
{
	memset(scene->block, 0x5a, scene->size);
}

static void write_zeros(struct scene *scene)
{
	memset(scene->block, 0, scene->size);
}

/* As somebody who cleared too much before it: the tag says what the payload says. */
static void clear_with_the_tag(struct scene *scene)
{
	memset(scene->block - 8, 0, scene->size + 8);
}

static void forge_a_link(struct scene *scene)
{
	char *target = scene->behind;

	memcpy(scene->block, &target, sizeof(target));
}

static void forge_a_place(struct scene *scene)
{
	uint64_t place = place_of(arena_base(scene->arena), scene->behind);

	memcpy(scene->block, &place, sizeof(place));
}

static void count_up(struct scene *scene)
{
	uint32_t count;

	memcpy(&count, scene->block, sizeof(count));
	count++;
	memcpy(scene->block, &count, sizeof(count));
}

static void flush(struct scene *scene)
{
	acre_flush(scene->arena);
	/* Where there's no cache, a flush has nothing to look at. */
	allocate(scene);
}

static void free_neighbours(struct scene *scene)
{
	acre_free(scene->arena, scene->before);
	acre_free(scene->arena, scene->behind);
	acre_flush(scene->arena);
}

static void trim(struct scene *scene)
{
	acre_trim(scene->arena);
	allocate(scene);
}

static void (*const writes[])(struct scene *) = { write_garbage, write_zeros, clear_with_the_tag,
						  forge_a_link, forge_a_place, count_up };
static const char *const write_names[] = { "garbage", "zeros", "zeros from the tag on",
					   "a forged link", "a forged place", "a count" };
static void (*const meetings[])(struct scene *) = { allocate, flush, free_neighbours, trim };

static void write_late(void *argument)
{
	struct attempt *attempt = argument;

	acre_free(attempt->scene.arena, attempt->scene.block);
	attempt_it(argument);
}

static void write_late_and_flushed(void *argument)
{
	struct attempt *attempt = argument;

	acre_free(attempt->scene.arena, attempt->scene.block);
	acre_flush(attempt->scene.arena);
	attempt_it(argument);
}

START_TEST(a_write_after_free_is_found)
{
	static void (*const frees[])(void *) = { write_late, write_late_and_flushed };
	struct attempt attempt = { .hurt = writes[(size_t)_i / 2 % COUNT_OF(writes)],
				   .find = meetings[(size_t)_i / 2 / COUNT_OF(writes)] };

	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (size_t k = 0; k < COUNT_OF(frees); k++) {
			struct outcome outcome;

			set_scene(&attempt.scene, (size_t)_i % 2, sizes[i]);
			in_child(&outcome, frees[k], &attempt, 20);
			must_abort(&outcome, NULL, write_names[(size_t)_i / 2 % COUNT_OF(writes)]);
			end_scene(&attempt.scene);
		}
}
END_TEST

/* A block that waits in its owner's inbox bears no stamp, but a post. */
static void *post_one(void *argument)
{
	struct scene *scene = argument;
	struct acre *arena = scene->arena;
	char *base = arena_base(arena);
	uint64_t at = place_of(base, scene->block);
	uint32_t owner = tag_plot(tag_of(scene->block));

	tag_set_state(tag_of(scene->block), TAG_CACHED);
	plot_post(arena, plot_at(arena, owner), at, at, 1, scene->size);
	return NULL;
}

static void write_to_a_post(void *argument)
{
	struct attempt *attempt = argument;

	finish(start(post_one, &attempt->scene));
	attempt_it(argument);
}

START_TEST(a_write_to_a_posted_block_is_found)
{
	struct attempt attempt = { .hurt = writes[_i], .find = flush };
	struct outcome outcome;

	set_scene(&attempt.scene, 0, 200);
	in_child(&outcome, write_to_a_post, &attempt, 20);
	must_abort(&outcome, attempt.scene.block, write_names[_i]);
	end_scene(&attempt.scene);
}
END_TEST

/*
 * How it's said.
 */
static void free_twice(void *argument)
{
	struct scene *scene = argument;

	acre_free(scene->arena, scene->block);
	acre_free(scene->arena, scene->block);
}

/* Nobody listens: the process ends by abort() all the same. */
static void free_twice_unheard(void *argument)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	free_twice(argument);
}

START_TEST(a_closed_stderr_hides_nothing)
{
	struct outcome outcome;
	struct scene scene;

	set_scene(&scene, (size_t)_i, 200);
	in_child(&outcome, free_twice_unheard, &scene, 20);
	must(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT,
	     "status %x", (unsigned)outcome.status);
	ck_assert_uint_eq(outcome.lines, 0);
	end_scene(&scene);
}
END_TEST

/* Another thread holds every lock that there is, for ever: a report needs none. */
static void *hold_all_locks(void *argument)
{
	struct scene *scene = argument;

	for (uint32_t id = 1; id <= plots_made(scene->arena); id++)
		lock_seize(&plot_at(scene->arena, id)->lock);
	lock_seize(&scene->arena->lock);
	return NULL;
}

static void free_twice_among_locks(void *argument)
{
	struct scene *scene = argument;

	acre_free(scene->arena, scene->block);
	finish(start(hold_all_locks, scene));
	acre_free(scene->arena, scene->block);
}

START_TEST(a_report_takes_no_lock)
{
	struct outcome outcome;
	struct scene scene;

	set_scene(&scene, (size_t)_i, 200);
	in_child(&outcome, free_twice_among_locks, &scene, 20);
	must_abort(&outcome, scene.block, "a double free among locks");
	end_scene(&scene);
}
END_TEST

/* Size and plot are told. */
START_TEST(a_report_tells_size_and_owner)
{
	struct outcome outcome;
	struct scene scene;
	char owner[32];

	set_scene(&scene, (size_t)_i, 200);
	snprintf(owner, sizeof(owner), _i ? "the commons" : "plot %u",
		 tag_plot(tag_of(scene.block)));
	in_child(&outcome, free_twice, &scene, 20);
	must_abort(&outcome, scene.block, "a double free");
	must(strstr(outcome.text, "200 bytes"), "no size: %s", outcome.text);
	must(strstr(outcome.text, owner), "not %s: %s", owner, outcome.text);
	end_scene(&scene);
}
END_TEST

/*
 * Double frees that the table of test_misuse.c has no room for.
 */
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
	Suite *suite = suite_create("damage");
	TCase *cases = tcase_create("damage");

	tcase_set_timeout(cases, 300);
	tcase_add_loop_test(cases, a_hurt_tag_is_found, 0, 2 * COUNT_OF(tag_cases));
	tcase_add_loop_test(cases, a_request_of_24_has_24, 0, 2);
	tcase_add_loop_test(cases, a_free_neighbours_tag_is_found, 0,
			    2 * COUNT_OF(free_hurts) * COUNT_OF(free_finds));
	/* AddressSanitizer is first to tell of these writes. */
	if (!UNDER_ASAN)
		tcase_add_loop_test(cases, a_write_after_free_is_found, 0,
				    2 * COUNT_OF(writes) * COUNT_OF(meetings));
	tcase_add_loop_test(cases, a_write_to_a_posted_block_is_found, 0, COUNT_OF(writes));
	tcase_add_loop_test(cases, a_closed_stderr_hides_nothing, 0, 2);
	tcase_add_loop_test(cases, a_report_takes_no_lock, 0, 2);
	tcase_add_loop_test(cases, a_report_tells_size_and_owner, 0, 2);
	tcase_add_loop_test(cases, a_double_free_is_found, 0, 2 * COUNT_OF(twice));
	tcase_add_loop_test(cases, a_double_free_of_64_mib_is_found, 0, 2);
	/* ThreadSanitizer is first to tell of this race. */
	if (!UNDER_TSAN)
		tcase_add_loop_test(cases, a_racing_double_free_is_found, 0, 2);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
