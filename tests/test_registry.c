/*
 * The registry, white box: acre_of() finds the arena of any address, from any thread, while arenas
 * come and go; and who frees a block into the wrong arena is told which one it lies in.
 */
#include "support.h"

#include <stdatomic.h>

/* Before each load of the registry, this may interfere: as another thread could. */
static void interfere(const volatile void *at);
static const volatile void *interfere_at;

#ifdef __clang__
#define LOAD __c11_atomic_load
#else
#define LOAD __atomic_load_n
#endif
#undef atomic_load_explicit
#define atomic_load_explicit(at, order) __extension__({ interfere(at); LOAD(at, order); })
#include "registry.c"

#include <unistd.h>

START_TEST(addresses_have_their_arena)
{
	static char buffer[MIB + 100];
	struct acre *many[] = { new_arena(MIB, &both[_i]), new_arena(64 * KIB, &both[_i]),
				  acre_create_at(buffer + 33, MIB, &both[_i]) };
	char here;

	for (size_t i = 0; i < COUNT_OF(many); i++) {
		struct acre *arena = many[i];
		char *base = (char *)arena;
		size_t size = stats_of(arena).size;
		char *small = acre_malloc(arena, 1);
		char *large = acre_malloc(arena, 20000);

		ck_assert_ptr_eq(acre_of(small), arena);
		ck_assert_ptr_eq(acre_of(large), arena);
		ck_assert_ptr_eq(acre_of(large + 19999), arena);
		ck_assert_ptr_eq(acre_of(base), arena);
		ck_assert_ptr_eq(acre_of(base + size - 1), arena);
		ck_assert_ptr_ne(acre_of(base - 1), arena);
		ck_assert_ptr_ne(acre_of(base + size), arena);
	}
	ck_assert_ptr_null(acre_of(NULL));
	ck_assert_ptr_null(acre_of(&here));
	ck_assert_ptr_null(acre_of(buffer));
	ck_assert_ptr_null(acre_of((void *)UINTPTR_MAX));
	for (size_t i = 0; i < COUNT_OF(many); i++) {
		ck_assert_int_eq(acre_destroy(many[i]), 0);
		ck_assert_ptr_null(acre_of(many[i]));
		for (size_t k = i + 1; k < COUNT_OF(many); k++)
			ck_assert_ptr_eq(acre_of(many[k]), many[k]);
	}
}
END_TEST

/* More arenas than one slab of the registry has ranges for; they go in another order. */
START_TEST(thousands_of_arenas)
{
	static struct acre *many[2500];
	size_t count = SCALE(COUNT_OF(many), SLAB_RANGES + 100);

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < count; i++)
			many[i] = new_arena(64 * KIB, &both[1]);
		for (size_t i = 0; i < count; i++)
			must(acre_of((char *)many[i] + 5000) == many[i], "arena %zu", i);
		for (size_t i = 0; i < count; i += 2)
			end_arena(many[i]);
		for (size_t i = 0; i < count; i++)
			must(acre_of((char *)many[i] + 5000) == (i % 2 ? many[i] : NULL),
			     "arena %zu", i);
		for (size_t i = 1; i < count; i += 2)
			end_arena(many[i]);
	}
}
END_TEST

/*
 * Arenas come and go, at places where others were, while every thread looks up its own.
 */
#define COMERS 3u

static char places[COMERS][2 * MIB];
static atomic_uint coming;

static void *come_and_go(void *argument)
{
	unsigned self = atomic_fetch_add(&coming, 1);
	struct dice dice = dice_from(self);
	struct acre *mapped = new_arena(MIB, NULL);
	char *block = acre_malloc(mapped, 100);

	(void)argument;
	for (int i = 0; i < SCALE(20000, 1000); i++) {
		size_t from = roll_between(&dice, 0, MIB);
		size_t size = roll_between(&dice, 64 * KIB, MIB);
		char *place = places[self] + from;
		struct acre *arena = acre_create_at(place, size, &both[i % 2]);
		char *mine = arena ? acre_malloc(arena, 50) : NULL;
		struct acre *other = acre_of(places[(self + 1) % COMERS] + MIB);

		must(mine, "an arena of %zu bytes", size);
		must(acre_of(mine) == arena, "%p is in %p", (void *)mine, (void *)acre_of(mine));
		must(acre_of(block) == mapped, "%p", (void *)acre_of(block));
		must(acre_of(places[self] + from + size) != arena, "behind the end");
		/* What there is in another's place may be gone already, but was there. */
		must(!other || ((char *)other >= places[(self + 1) % COMERS] &&
				(char *)other <= places[(self + 1) % COMERS] + MIB + 64),
		     "%p", (void *)other);
		end_arena(arena);
		must(!acre_of(mine), "%p after the end", (void *)acre_of(mine));
	}
	end_arena(mapped);
	return NULL;
}

START_TEST(readers_see_their_own_while_others_change)
{
	pthread_t threads[COMERS];

	for (size_t i = 0; i < COMERS; i++)
		threads[i] = start(come_and_go, NULL);
	for (size_t i = 0; i < COMERS; i++)
		finish(threads[i]);
}
END_TEST

/* What becomes of a range while it's read: between any two of its words. */
static struct range changing;
static char row[3 * MIB];

static void interfere(const volatile void *at)
{
	if (!interfere_at || at != interfere_at)
		return;
	interfere_at = NULL;
	set_range(&changing, 0, 0);
	set_range(&changing, (uintptr_t)row + 2 * MIB, MIB);
}

/*
 * The start of an arena on the left and the size of one on the right, taken for one range, would
 * hold what lies between them.
 */
START_TEST(no_range_is_made_of_two)
{
	uintptr_t start = (uintptr_t)row;

	set_range(&changing, start, 64 * KIB);
	ck_assert_ptr_eq(arena_in(&changing, start + 999), row);
	ck_assert_ptr_null(arena_in(&changing, start + 64 * KIB));
	ck_assert_ptr_null(arena_in(&changing, start - 1));
	interfere_at = &changing.size;
	ck_assert_ptr_null(arena_in(&changing, start + MIB - 1));
	must(!interfere_at, "nobody looked at the size");
	ck_assert_ptr_eq(arena_in(&changing, start + 2 * MIB), row + 2 * MIB);

	/* In the midst of a change. */
	atomic_fetch_add(&changing.version, 1);
	ck_assert_ptr_null(arena_in(&changing, start + 2 * MIB));
	set_range(&changing, 0, 0);
	ck_assert_ptr_null(arena_in(&changing, 0));
}
END_TEST

struct pair {
	struct acre *arena, *other;
	void *block;
};

static void free_into_the_other(void *argument)
{
	struct pair *pair = argument;

	acre_free(pair->other, pair->block);
}

START_TEST(a_foreign_block_is_named)
{
	struct pair pair = { .arena = new_arena(MIB, &both[_i]) };
	struct outcome outcome;
	unsigned long home, given;
	const char *text;

	pair.other = new_arena(MIB, &both[_i]);
	pair.block = acre_malloc(pair.arena, 100);
	in_child(&outcome, free_into_the_other, &pair, 20);
	must_abort(&outcome, pair.block, "a block of another arena");
	text = strstr(outcome.text, "arena ");
	must(text && sscanf(text, "arena %lu freed into arena %lu", &home, &given) == 2,
	     "%s", outcome.text);
	/* Arenas are numbered as they are created. */
	ck_assert_uint_eq(given, home + 1);
	end_arena(pair.arena);
	end_arena(pair.other);
}
END_TEST

static void look_up(void *argument)
{
	struct pair *pair = argument;

	must(acre_of(pair->block) == pair->arena, "%p", (void *)acre_of(pair->block));
	end_arena(pair->arena);
	must(!acre_of(pair->block), "after its end");
	pair->arena = new_arena(MIB, NULL);
	must(acre_of(acre_malloc(pair->arena, 10)) == pair->arena, "a new one");
}

static atomic_bool finished;

static void *keep_coming(void *argument)
{
	(void)argument;
	while (!atomic_load(&finished))
		end_arena(new_arena(64 * KIB, NULL));
	return NULL;
}

/* A child finds arenas, whatever other threads were about to enter. */
START_TEST(a_child_finds_them)
{
	struct pair pair = { .arena = new_arena(MIB, NULL) };
	pthread_t thread = start(keep_coming, NULL);
	struct outcome outcome;

	pair.block = acre_malloc(pair.arena, 100);
	for (int i = 0; i < SCALE(50, 5); i++) {
		in_child(&outcome, look_up, &pair, 20);
		must_succeed(&outcome, "the child");
	}
	atomic_store(&finished, true);
	finish(thread);
	end_arena(pair.arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registry");
	TCase *cases = tcase_create("registry");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, addresses_have_their_arena, 0, 2);
	tcase_add_test(cases, thousands_of_arenas);
	tcase_add_test(cases, readers_see_their_own_while_others_change);
	tcase_add_test(cases, no_range_is_made_of_two);
	tcase_add_loop_test(cases, a_foreign_block_is_named, 0, 2);
	tcase_add_test(cases, a_child_finds_them);
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
