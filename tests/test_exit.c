/*
 * Threads that end: their plots pass to the next, destructors allocate at any depth, blocks outlive
 * them, and arenas end before they do (G4, G6, and the design's section 4).
 */
#include "support.h"

#include <limits.h>

/*
 * Plots that pass on.
 */
struct heritage {
	struct acre *arena;
	struct piece pieces[8];	/* of the last thread */
	size_t count;
	uint64_t seed;
};

static void *leave_some(void *argument)
{
	struct heritage *heritage = argument;
	struct dice dice = dice_from(heritage->seed++);
	size_t leaks = roll_between(&dice, 1, COUNT_OF(heritage->pieces));

	heritage->count = 0;
	for (size_t i = 0; i < 40; i++) {
		struct piece piece;

		take_piece(heritage->arena, &piece, &dice);
		if (i % 5 == 0 && i / 5 < leaks)
			heritage->pieces[heritage->count++] = piece;
		else
			acre_free(heritage->arena, piece.block);
	}
	return NULL;
}

/*
 * "10,000 short threads need as many plots as ran at once": one, and the main thread's. What each
 * leaves live the main thread frees, two threads later. Memory is flat: with no purge to hide it,
 * all that 10,000 threads ever touch is what the first tenth of them touch, give or take some leases.
 */
START_TEST(ten_thousand_threads_one_by_one)
{
	struct acre_options options = { .flags = ACRE_NO_PURGE };
	int threads = SCALE(10000, 300);
	struct heritage heritage[3] = { { .arena = new_arena(512 * MIB, &options), .seed = 1 } };
	struct acre *arena = heritage[0].arena;
	struct acre_stats early = { 0 };
	struct dice dice = dice_from(21);
	struct image image = { 0 };

	for (size_t i = 1; i < COUNT_OF(heritage); i++)
		heritage[i] = (struct heritage){ .arena = arena, .seed = i << 32 };
	acre_free(arena, acre_malloc(arena, 1));
	for (int i = 0; i < threads + 2; i++) {
		struct heritage *old = &heritage[(i + 1) % 3];

		heritage[i % 3].count = 0;
		if (i < threads)
			finish(start(leave_some, &heritage[i % 3]));
		for (size_t k = 0; k < old->count; k++)
			drop_piece(arena, &old->pieces[k], &dice);
		old->count = 0;
		must(stats_of(arena).plots <= 1, "%zu plots are held after thread %d",
		     stats_of(arena).plots, i);
		if (i == threads / 10)
			early = stats_of(arena);
		if (i != threads - 1)
			continue;
		look(arena, &image);
		for (size_t k = 0; k < image.count; k++)
			must(image.blocks[k].plot <= 3, "%p in plot %u", image.blocks[k].address,
			     image.blocks[k].plot);
		must_be_honest(arena);
	}
	must(stats_of(arena).resident_bytes <= early.resident_bytes + SCALE(512 * KIB, MIB),
	     "%zu bytes were touched, %zu by the first tenth of the threads",
	     stats_of(arena).resident_bytes, early.resident_bytes);
	ck_assert_uint_eq(stats_of(arena).live_blocks, 0);
	must_be_whole(arena);
	forget(&image);
	end_arena(arena);
}
END_TEST

struct wave {
	struct acre *arena;
	pthread_barrier_t gate;
	unsigned highest;
};

static int highest_plot(const struct acre_block *block, void *user)
{
	unsigned *highest = user;

	if (block->plot > *highest)
		*highest = block->plot;
	return 0;
}

static void *ride(void *argument)
{
	struct wave *wave = argument;
	char *blocks[50];

	for (size_t i = 0; i < COUNT_OF(blocks); i++) {
		blocks[i] = acre_malloc(wave->arena, i * 20);
		must(blocks[i], "%zu bytes", i * 20);
	}
	meet(&wave->gate);
	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		acre_free(wave->arena, blocks[i]);
	return NULL;
}

/* Waves of threads that all live at once use the plots of the wave before. */
START_TEST(waves_of_threads)
{
	size_t width = SCALE(60, 12);
	struct wave wave = { .arena = new_arena(64 * MIB, NULL) };
	pthread_t threads[60];

	pthread_barrier_init(&wave.gate, NULL, (unsigned)width);
	for (int i = 0; i < SCALE(60, 8); i++) {
		for (size_t k = 0; k < width; k++)
			threads[k] = start_small(ride, &wave);
		for (size_t k = 0; k < width; k++)
			finish(threads[k]);
		wave.highest = 0;
		acre_walk(wave.arena, highest_plot, &wave.highest);
		must(wave.highest <= width, "plot %u after wave %d of %zu threads", wave.highest, i,
		     width);
	}
	must_be_whole(wave.arena);
	end_arena(wave.arena);
}
END_TEST

/*
 * A thread's end.
 */
/* TSan ends its own part of a thread in the last round: our code can't run in it after that. */
#define ROUNDS (PTHREAD_DESTRUCTOR_ITERATIONS - UNDER_TSAN)
#define KEYS 40 /* above 32 keys glibc allocates for a thread's values */
static pthread_key_t keys[KEYS];

struct farewell {
	struct acre *arena;
	size_t rounds[KEYS];
	struct piece left[KEYS];
	bool late; /* the first allocation is a destructor's */
	bool unwound;
};

/* Allocates, frees what the round before left, and asks for one more round while there is one. */
static void say_goodbye(size_t key, void *value)
{
	struct farewell *farewell = value;
	struct piece *left = &farewell->left[key];
	struct dice dice = dice_from(key * 16 + farewell->rounds[key]);
	struct piece others[20];

	farewell->rounds[key]++;
	if (left->block)
		drop_piece(farewell->arena, left, &dice);
	take_piece(farewell->arena, left, &dice);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		take_piece(farewell->arena, &others[i], &dice);
	for (size_t i = 0; i < COUNT_OF(others); i++)
		drop_piece(farewell->arena, &others[i], &dice);
	if (farewell->rounds[key] < ROUNDS)
		pthread_setspecific(keys[key], farewell);
}

/* The lowest key there is, and the highest: made before the library's own and after it. */
static void goodbye_first(void *value)
{
	say_goodbye(0, value);
}

static void goodbye_last(void *value)
{
	say_goodbye(KEYS - 1, value);
}

#ifdef __GLIBC__
extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;

/* What a C++ thread_local's destructor does. */
static void goodbye_object(void *value)
{
	struct farewell *farewell = value;
	struct dice dice = dice_from(99);
	struct piece pieces[30];

	for (size_t i = 0; i < COUNT_OF(pieces); i++)
		take_piece(farewell->arena, &pieces[i], &dice);
	for (size_t i = 0; i < COUNT_OF(pieces); i++)
		drop_piece(farewell->arena, &pieces[i], &dice);
	farewell->unwound = true;
}
#endif

static void *live_and_leave(void *argument)
{
	struct farewell *farewell = argument;
	struct dice dice = dice_from(98);
	struct piece piece;

	pthread_setspecific(keys[0], farewell);
	pthread_setspecific(keys[KEYS - 1], farewell);
#ifdef __GLIBC__
	__cxa_thread_atexit_impl(goodbye_object, farewell, &__dso_handle);
#endif
	for (int i = 0; i < 100 && !farewell->late; i++) {
		take_piece(farewell->arena, &piece, &dice);
		drop_piece(farewell->arena, &piece, &dice);
	}
	return NULL;
}

/*
 * G6: destructors that allocate and free at every round; afterwards nothing is held, G4, and 3,000
 * threads touch no more memory than the first tenth of them, and what may be cached for the one
 * thread that stays.
 */
START_TEST(destructors_at_any_depth)
{
	struct acre_options options = { .flags = ACRE_NO_PURGE };
	struct acre *first;
	int threads = SCALE(3000, 40);
	size_t early = 0;

	pthread_key_create(&keys[0], goodbye_first);
	first = new_arena(64 * MIB, &options);
	acre_free(first, acre_malloc(first, 1));
	for (size_t i = 1; i < KEYS - 1; i++)
		pthread_key_create(&keys[i], NULL);
	pthread_key_create(&keys[KEYS - 1], goodbye_last);
	for (int i = 0; i < threads; i++) {
		struct farewell farewell = { .arena = first, .late = i % 2 };

		finish(start(live_and_leave, &farewell));
		must(farewell.rounds[0] == ROUNDS, "%zu rounds", farewell.rounds[0]);
		must(farewell.rounds[KEYS - 1] == ROUNDS, "%zu rounds", farewell.rounds[KEYS - 1]);
#ifdef __GLIBC__
		must(farewell.unwound, "thread %d", i);
#endif
		must(stats_of(first).live_blocks == 2, "%zu", stats_of(first).live_blocks);
		must(stats_of(first).plots <= 1, "%zu plots are held after thread %d",
		     stats_of(first).plots, i);
		acre_free(first, farewell.left[0].block);
		acre_free(first, farewell.left[KEYS - 1].block);
		if (i == threads / 10)
			early = stats_of(first).resident_bytes;
	}
	must(stats_of(first).resident_bytes <= early + MIB + 256 * KIB,
	     "%zu bytes were touched, %zu by the first tenth of the threads",
	     stats_of(first).resident_bytes, early);
	must_be_whole(first);
	end_arena(first);
}
END_TEST

/*
 * Arenas that end while the threads that used them live.
 */
struct stage {
	struct acre *arenas[6];
	pthread_barrier_t gate;
	bool over;
};

static void *act(void *argument)
{
	struct stage *stage = argument;
	struct dice dice = dice_from(next_seed());

	for (;;) {
		meet(&stage->gate);
		if (stage->over)
			return NULL;
		for (int i = 0; i < 300; i++) {
			struct acre *arena =
				stage->arenas[roll_between(&dice, 0, COUNT_OF(stage->arenas) - 1)];
			struct piece piece;

			take_piece(arena, &piece, &dice);
			must(holds(piece.block, piece.size, piece.key), "%zu bytes", piece.size);
			acre_free(arena, piece.block);
		}
		meet(&stage->gate);
	}
}

static void *destroy_there(void *argument)
{
	end_arena(argument);
	return NULL;
}

/*
 * "No thread ever uses a stale cache": arenas are replaced, at the same address too, between two
 * uses by the same threads, with their caches full. At last all end before the threads do.
 */
START_TEST(arenas_replaced_under_their_threads)
{
	static char buffers[2][4 * MIB];
	struct stage stage = { .over = false };
	pthread_t threads[4];

	pthread_barrier_init(&stage.gate, NULL, COUNT_OF(threads) + 1);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(act, &stage);
	for (int round = 0; round < SCALE(200, 30); round++) {
		for (size_t i = 0; i < COUNT_OF(stage.arenas); i++) {
			const struct acre_options *options = &both[i == 5];

			if (round > 0 && (round + (int)i) % 3 == 0)
				continue;
			if (round > 0 && i % 2)
				end_arena(stage.arenas[i]);
			else if (round > 0)
				finish(start(destroy_there, stage.arenas[i]));
			stage.arenas[i] =
				i < 2 ? acre_create_at(buffers[i], sizeof(buffers[i]), options) :
					new_arena((4 + i) * MIB, options);
			must(stage.arenas[i], "arena %zu: %s", i, strerror(errno));
		}
		meet(&stage.gate);
		meet(&stage.gate);
		for (size_t i = 0; i < COUNT_OF(stage.arenas); i++) {
			must_be_sound(stage.arenas[i]);
			must_be_honest(stage.arenas[i]);
			must(stats_of(stage.arenas[i]).live_blocks == 0, "arena %zu", i);
		}
	}
	for (size_t i = 0; i < COUNT_OF(stage.arenas); i++)
		end_arena(stage.arenas[i]);
	stage.over = true;
	meet(&stage.gate);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exit");
	TCase *threads = tcase_create("threads");

	tcase_set_timeout(threads, 120);
	tcase_add_test(threads, ten_thousand_threads_one_by_one);
	tcase_add_test(threads, waves_of_threads);
	tcase_add_test(threads, destructors_at_any_depth);
	tcase_add_test(threads, arenas_replaced_under_their_threads);
	suite_add_tcase(suite, threads);

	return run_suite(suite);
}
