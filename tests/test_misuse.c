/*
 * G7, Misuse is caught: what isn't a live block of the arena ends the process by abort(), with one
 * line on stderr that names the address, before anything else is damaged. Each case is a row of a
 * table and runs in a child of its own.
 */
#include "support.h"

#include <sys/mman.h>
#include <unistd.h>

/* What a case is given: an arena in use, three blocks side by side, and another arena's block. */
struct scene {
	struct acre *arena;
	struct acre *other;
	char *before;
	char *block;
	char *after;
	char *large;
	char *foreign;
	char *sound; /* of glibc's malloc */
	size_t size;
};

/* A multiple of 16, and 8: nothing lies between a block and the next tag, under any policy. */
#define BLOCK_SIZE 248

static void set_scene(struct scene *scene, size_t kind)
{
	static char buffer[MIB];

	scene->arena = new_arena(8 * MIB, &both[kind]);
	scene->other = acre_create_at(buffer, sizeof(buffer), &both[kind]);
	scene->size = BLOCK_SIZE;
	/* Sooner or later three blocks lie side by side. */
	for (int i = 0; i < 200; i++) {
		scene->before = acre_malloc(scene->arena, scene->size);
		scene->block = acre_malloc(scene->arena, scene->size);
		scene->after = acre_malloc(scene->arena, scene->size);
		must(scene->before && scene->block && scene->after, "%zu bytes", scene->size);
		if (scene->block == scene->before + scene->size + 8 &&
		    scene->after == scene->block + scene->size + 8)
			break;
		must(i < 199, "no three blocks lie side by side");
	}
	scene->large = acre_malloc(scene->arena, MIB);
	scene->foreign = acre_malloc(scene->other, scene->size);
	scene->sound = malloc(scene->size);
	must(scene->large && scene->foreign && scene->sound, "blocks");
	memset(scene->block, 0x11, scene->size);
	memset(scene->large, 0x11, MIB);
	memset(scene->foreign, 0x11, scene->size);
	memset(scene->sound, 0x11, scene->size);
}

/*
 * Ways to hand over an address.
 */
static void by_free(struct acre *arena, void *address)
{
	acre_free(arena, address);
}

static void by_free_sized(struct acre *arena, void *address)
{
	acre_free_sized(arena, address, BLOCK_SIZE);
}

static void by_shrink(struct acre *arena, void *address)
{
	if (acre_realloc(arena, address, 50) == NULL)
		_exit(3);
}

static void by_growth(struct acre *arena, void *address)
{
	if (acre_realloc(arena, address, 3000) == NULL)
		_exit(3);
}

static void by_usable_size(struct acre *arena, void *address)
{
	_exit(acre_usable_size(arena, address) ? 4 : 5);
}

static void (*const ways[])(struct acre *, void *) = { by_free, by_free_sized, by_shrink, by_growth,
						       by_usable_size };

/*
 * Addresses that are no live block, and what makes them so.
 */
static void *freed(struct scene *scene)
{
	acre_free(scene->arena, scene->block);
	return scene->block;
}

static void *freed_before_another(struct scene *scene)
{
	acre_free(scene->arena, scene->block);
	acre_free(scene->arena, scene->before);
	return scene->block;
}

static void *freed_after_another(struct scene *scene)
{
	acre_free(scene->arena, scene->after);
	acre_free(scene->arena, scene->block);
	return scene->block;
}

static void *freed_and_flushed(struct scene *scene)
{
	acre_free(scene->arena, scene->block);
	acre_flush(scene->arena);
	return scene->block;
}

static void *freed_long_ago(struct scene *scene)
{
	struct dice dice = dice_from(71);
	char *blocks[100];

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(scene->arena, roll_log(&dice, 300, 3000));
	acre_free(scene->arena, scene->block);
	for (int i = 0; i < 10000; i++) {
		size_t k = roll_between(&dice, 0, COUNT_OF(blocks) - 1);

		/* Larger ones, so that the place isn't given out again. */
		acre_free(scene->arena, blocks[k]);
		blocks[k] = acre_malloc(scene->arena, roll_log(&dice, 300, 3000));
	}
	return scene->block;
}

static void *free_block(void *argument)
{
	struct scene *scene = argument;

	acre_free(scene->arena, scene->block);
	return NULL;
}

static void *freed_by_another_thread(struct scene *scene)
{
	finish(start(free_block, scene));
	return scene->block;
}

static void *freed_large(struct scene *scene)
{
	acre_free(scene->arena, scene->large);
	return scene->large;
}

static void *resized_away(struct scene *scene)
{
	char *old = scene->before;

	if (acre_realloc(scene->arena, old, 100000) == old)
		_exit(6);
	return old;
}

static void *inside(struct scene *scene)
{
	return scene->block + 16;
}

static void *far_inside(struct scene *scene)
{
	return scene->large + 512 * KIB;
}

static void *inside_zeros(struct scene *scene)
{
	memset(scene->block, 0, scene->size);
	return scene->block + 64;
}

static void *inside_a_copied_tag(struct scene *scene)
{
	memcpy(scene->block + 64 - 8, scene->block - 8, 8);
	return scene->block + 64;
}

static void *unaligned_by_one(struct scene *scene)
{
	return scene->block + 1;
}

static void *unaligned_by_eight(struct scene *scene)
{
	return scene->block + 8;
}

static void *on_the_stack(struct scene *scene)
{
	uintptr_t here = (uintptr_t)&scene;

	return (void *)((here - 256) & ~(uintptr_t)15);
}

static void *in_static_memory(struct scene *scene)
{
	static char memory[4096] __attribute__((aligned(64)));

	(void)scene;
	return memory + 256;
}

static void *of_another_allocator(struct scene *scene)
{
	return scene->sound;
}

static void *of_another_arena(struct scene *scene)
{
	return scene->foreign;
}

static void *not_mapped(struct scene *scene)
{
	(void)scene;
	return (void *)(uintptr_t)65536;
}

static void *wild(struct scene *scene)
{
	(void)scene;
	return (void *)(uintptr_t)0x4141414141414140;
}

static void *in_code(struct scene *scene)
{
	(void)scene;
	return (void *)((uintptr_t)in_code & ~(uintptr_t)15);
}

static void *of_another_mapping(struct scene *scene)
{
	char *pages = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)scene;
	must(pages != MAP_FAILED, "mmap: %s", strerror(errno));
	return pages + 4096;
}

static void *the_arena_itself(struct scene *scene)
{
	return scene->arena;
}

static void *in_the_metadata(struct scene *scene)
{
	return (char *)scene->arena + 64;
}

static void *the_arenas_end(struct scene *scene)
{
	return (char *)scene->arena + stats_of(scene->arena).size;
}

static void *a_free_block(struct scene *scene)
{
	struct image image = { 0 };
	const void *found = NULL;

	look(scene->arena, &image);
	for (size_t i = 0; i < image.count; i++)
		if (image.blocks[i].state == ACRE_FREE)
			found = image.blocks[i].address;
	must(found, "nothing is free");
	return (void *)(uintptr_t)found;
}

static void *overflowed_by_one_zero(struct scene *scene)
{
	scene->before[acre_usable_size(scene->arena, scene->before)] = 0;
	return scene->block;
}

static void *overflowed_by_many_zeros(struct scene *scene)
{
	memset(scene->before + acre_usable_size(scene->arena, scene->before), 0, 8);
	return scene->block;
}

static void *overflowed_by_text(struct scene *scene)
{
	strcpy(scene->before + acre_usable_size(scene->arena, scene->before) - 3, "text");
	return scene->block;
}

static void *underflowed(struct scene *scene)
{
	memset(scene->block - 8, 0, 1);
	return scene->block;
}

static void *large_underflowed(struct scene *scene)
{
	memset(scene->large - 8, 0, 8);
	return scene->large;
}

static const struct {
	const char *name;
	void *(*make)(struct scene *scene);
} addresses[] = {
	{ "freed", freed },
	{ "freed before another", freed_before_another },
	{ "freed after its neighbour", freed_after_another },
	{ "freed and flushed", freed_and_flushed },
	{ "freed 10,000 frees ago", freed_long_ago },
	{ "freed by another thread", freed_by_another_thread },
	{ "freed, large", freed_large },
	{ "moved by realloc", resized_away },
	{ "16 bytes inside", inside },
	{ "far inside", far_inside },
	{ "inside, zeros", inside_zeros },
	{ "inside, behind a copied tag", inside_a_copied_tag },
	{ "unaligned by 1", unaligned_by_one },
	{ "unaligned by 8", unaligned_by_eight },
	{ "on the stack", on_the_stack },
	{ "static", in_static_memory },
	{ "of another allocator", of_another_allocator },
	{ "of another arena", of_another_arena },
	{ "not mapped", not_mapped },
	{ "wild", wild },
	{ "code", in_code },
	{ "of another mapping", of_another_mapping },
	{ "the arena", the_arena_itself },
	{ "in the metadata", in_the_metadata },
	{ "the arena's end", the_arenas_end },
	{ "a free block", a_free_block },
	{ "a tag overwritten by one zero", overflowed_by_one_zero },
	{ "a tag overwritten by zeros", overflowed_by_many_zeros },
	{ "a tag overwritten by a string's end", overflowed_by_text },
	{ "a tag's first byte lost", underflowed },
	{ "a large block's tag lost", large_underflowed },
};

struct attempt {
	struct scene scene;
	void *address;
	size_t way;
};

static void attempt_it(void *argument)
{
	struct attempt *attempt = argument;

	ways[attempt->way](attempt->scene.arena, attempt->address);
}

/* The address is made in this process, so that the child can name it and be held to it. */
START_TEST(misuse_aborts)
{
	struct attempt attempt = { .way = (size_t)_i / 2 % COUNT_OF(ways) };
	size_t address = (size_t)_i / 2 / COUNT_OF(ways);
	struct outcome outcome;

	set_scene(&attempt.scene, (size_t)_i % 2);
	attempt.address = addresses[address].make(&attempt.scene);
	in_child(&outcome, attempt_it, &attempt, 20);
	must_abort(&outcome, attempt.address, addresses[address].name);
}
END_TEST

static void *attempt_there(void *argument)
{
	attempt_it(argument);
	return NULL;
}

static void attempt_in_a_thread(void *argument)
{
	finish(start(attempt_there, argument));
}

/* The same by a thread that never used the arena before. */
START_TEST(misuse_by_another_thread_aborts)
{
	struct attempt attempt = { .way = 0 };
	struct outcome outcome;

	set_scene(&attempt.scene, (size_t)_i % 2);
	attempt.address = addresses[_i / 2].make(&attempt.scene);
	in_child(&outcome, attempt_in_a_thread, &attempt, 20);
	must_abort(&outcome, attempt.address, addresses[_i / 2].name);
}
END_TEST

/*
 * A size that can't be, and arenas that are none.
 */
static void free_with_wrong_size(void *argument)
{
	struct scene *scene = argument;

	acre_free_sized(scene->arena, scene->block, scene->size);
}

START_TEST(a_size_that_cant_be_aborts)
{
	/* 200 bytes are usable: of what smaller requests get, at most a quarter is left over. */
	static const size_t beyond[] = { 1, 100, MIB, GIB, SIZE_MAX / 2, -(size_t)200, -(size_t)120 };
	/* Of a buddy that's aligned, nearly all may be. */
	size_t count = both[_i].policy == ACRE_BUDDY ? COUNT_OF(beyond) - 2 : COUNT_OF(beyond);

	for (size_t i = 0; i < count; i++) {
		struct scene scene;
		struct outcome outcome;

		set_scene(&scene, (size_t)_i);
		scene.size = acre_usable_size(scene.arena, scene.block) + beyond[i];
		in_child(&outcome, free_with_wrong_size, &scene, 20);
		must_abort(&outcome, scene.block, "a size that can't be");
		end_arena(scene.arena);
		end_arena(scene.other);
		free(scene.sound);
	}
}
END_TEST

/* As little as the library says of it: the process ends by abort() and says why on one line. */
static void use_a_non_arena(void *arena)
{
	if (!acre_malloc(arena, 100))
		_exit(3);
}

START_TEST(an_arena_that_is_none_aborts)
{
	static char zeros[MIB] __attribute__((aligned(4096)));
	static char text[MIB] __attribute__((aligned(4096)));
	static char buffer[MIB] __attribute__((aligned(4096)));
	struct acre *gone = acre_create_at(buffer, MIB, NULL);
	void *cases[] = { zeros, text, gone };

	memset(text, 'x', MIB);
	acre_free(gone, acre_malloc(gone, 100));
	end_arena(gone);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct outcome outcome;

		in_child(&outcome, use_a_non_arena, cases[i], 20);
		must_abort(&outcome, cases[i], "an arena that is none");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("misuse");
	TCase *cases = tcase_create("misuse");

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, misuse_aborts, 0, 2 * COUNT_OF(addresses) * COUNT_OF(ways));
	tcase_add_loop_test(cases, misuse_by_another_thread_aborts, 0, 2 * COUNT_OF(addresses));
	tcase_add_loop_test(cases, a_size_that_cant_be_aborts, 0, 2);
	tcase_add_test(cases, an_arena_that_is_none_aborts);
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
