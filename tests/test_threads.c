/*
 * Threads side by side: blocks freed by others, thousands at once, what their plots and caches may
 * cost, walks and checks meanwhile (G4, G6, and the design's section 6, 'Exactly: Plots, Refusal').
 * Threads that end are test_exit.c; what no thread may hold back is test_hostage.c.
 */
#include "support.h"
#include "thread.h"

/*
 * Blocks freed by other threads.
 */
#define CIRCLE 4
#define SHARE SCALE(4000, 400)

static struct {
	struct acre *arena;
	pthread_barrier_t gate;
	struct piece *pieces[CIRCLE];
	int rounds;
} circle;

static void *in_the_circle(void *argument)
{
	size_t self = (size_t)(uintptr_t)argument;
	struct dice dice = dice_from(self);

	for (int round = 0; round < circle.rounds; round++) {
		struct piece *others =
			circle.pieces[(self + 1 + (size_t)round % (CIRCLE - 1)) % CIRCLE];

		for (size_t i = 0; i < SHARE; i++)
			take_piece(circle.arena, &circle.pieces[self][i], &dice);
		meet(&circle.gate);
		for (size_t i = 0; i < SHARE; i++)
			drop_piece(circle.arena, &others[i], &dice);
		meet(&circle.gate);
	}
	return NULL;
}

START_TEST(blocks_freed_by_other_threads)
{
	pthread_t threads[CIRCLE];

	circle.arena = new_arena(256 * MIB, &both[_i]);
	circle.rounds = SCALE(12, 4);
	pthread_barrier_init(&circle.gate, NULL, CIRCLE);
	for (size_t i = 0; i < CIRCLE; i++)
		circle.pieces[i] = calloc(SHARE, sizeof(struct piece));
	for (size_t i = 0; i < CIRCLE; i++)
		threads[i] = start(in_the_circle, (void *)(uintptr_t)i);
	for (size_t i = 0; i < CIRCLE; i++)
		finish(threads[i]);
	ck_assert_uint_eq(stats_of(circle.arena).live_blocks, 0);
	ck_assert_uint_eq(stats_of(circle.arena).plots, 0);
	must_be_honest(circle.arena);
	must_be_whole(circle.arena);
	end_arena(circle.arena);
}
END_TEST

/*
 * Threads that live at once.
 */
struct parked {
	struct acre *arena;
	struct acre *second;
	pthread_barrier_t gate;
	size_t blocks;
	size_t most;
	bool flush;
	bool may_fail;
};

static void *park(void *argument)
{
	struct parked *parked = argument;
	struct dice dice = dice_from(next_seed());
	char **blocks = calloc(parked->blocks, sizeof(*blocks));
	size_t *sizes = calloc(parked->blocks, sizeof(*sizes));

	must(blocks && sizes, "out of memory for %zu blocks", parked->blocks);
	for (size_t i = 0; i < parked->blocks; i++) {
		sizes[i] = roll_log(&dice, 1, parked->most);
		blocks[i] = acre_malloc(parked->arena, sizes[i]);
		must(blocks[i] || (parked->may_fail && errno == ENOMEM), "%zu bytes: %s", sizes[i],
		     strerror(errno));
		if (blocks[i])
			fill(blocks[i], sizes[i], i);
	}
	meet(&parked->gate);
	for (size_t i = 0; i < parked->blocks; i++) {
		must(!blocks[i] || holds(blocks[i], sizes[i], i), "%zu bytes", sizes[i]);
		acre_free(parked->arena, blocks[i]);
	}
	if (parked->flush)
		acre_flush(parked->arena);
	free(blocks);
	free(sizes);
	meet(&parked->gate);
	meet(&parked->gate);
	return NULL;
}

/* G6: 2,000 threads at once, in an arena with room for their plots, and in one without. */
static const struct {
	size_t threads;
	size_t sanitized;
	size_t arena;
	bool may_fail;
} crowds[] = {
	{ 2000, 50, 512 * MIB, false },
	{ 2000, 50, 16 * MIB, true },
	{ 2200, 60, 64 * MIB, true },
	{ 100, 20, 64 * KIB, true },
};

START_TEST(crowds_at_once)
{
	size_t count = SCALE(crowds[_i].threads, crowds[_i].sanitized);
	struct parked parked = { .arena = new_arena(crowds[_i].arena, NULL),
				 .blocks = 20,
				 .most = 1000,
				 .may_fail = crowds[_i].may_fail };
	pthread_t *threads = calloc(count, sizeof(*threads));

	pthread_barrier_init(&parked.gate, NULL, (unsigned)count + 1);
	for (size_t i = 0; i < count; i++)
		threads[i] = start_small(park, &parked);
	meet(&parked.gate);
	must_be_sound(parked.arena);
	meet(&parked.gate);
	ck_assert_uint_eq(stats_of(parked.arena).live_blocks, 0);
	must_be_honest(parked.arena);
	if (!crowds[_i].may_fail)
		ck_assert_uint_eq(stats_of(parked.arena).plots, count);
	meet(&parked.gate);
	for (size_t i = 0; i < count; i++)
		finish(threads[i]);
	ck_assert_uint_eq(stats_of(parked.arena).plots, 0);
	must_be_whole(parked.arena);
	free(threads);
	end_arena(parked.arena);
}
END_TEST

/* "at most 40 KB for a live thread, reused after its exit", "where it can't cut the free range". */
static const struct {
	size_t threads;
	size_t sanitized;
	size_t arena;
	int rounds;
} tenants[] = {
	{ 64, 16, 64 * MIB, 10 },
	{ 2000, 50, 512 * MIB, 2 },
};

START_TEST(a_plot_costs_40_kilobytes_at_most)
{
	size_t count = SCALE(tenants[_i].threads, tenants[_i].sanitized);
	struct parked parked = { .arena = new_arena(tenants[_i].arena, NULL),
				 .blocks = 100,
				 .most = 1000,
				 .flush = true };
	size_t whole = must_be_whole(parked.arena);
	pthread_t *threads = calloc(count, sizeof(*threads));

	pthread_barrier_init(&parked.gate, NULL, (unsigned)count + 1);
	for (int round = 0; round < tenants[_i].rounds; round++) {
		for (size_t i = 0; i < count; i++)
			threads[i] = start_small(park, &parked);
		meet(&parked.gate);
		ck_assert_uint_eq(stats_of(parked.arena).plots, count);
		meet(&parked.gate);
		/* Of the range, and of what was touched in it, all other pages having gone back. */
		ck_assert_uint_ge(must_be_whole(parked.arena) + (count + 1) * 40000, whole);
		acre_trim(parked.arena);
		ck_assert_uint_le(stats_of(parked.arena).resident_bytes, (count + 4) * 40000);
		meet(&parked.gate);
		for (size_t i = 0; i < count; i++)
			finish(threads[i]);
	}
	ck_assert_uint_ge(must_be_whole(parked.arena) + (count + 1) * 40000, whole);
	free(threads);
	end_arena(parked.arena);
}
END_TEST

/* "all threads' caches together at most an eighth of it"; each at most cache_bytes. */
static const struct {
	size_t arena;
	size_t cache_bytes;
	size_t threads;
} bounds[] = {
	{ MIB, 0, 8 },		 { 4 * MIB, 0, 40 },	   { 16 * MIB, 0, 16 }, { 256 * MIB, 0, 8 },
	{ 256 * MIB, 5000, 16 }, { 256 * MIB, 200000, 8 }, { 64 * MIB, 1, 8 },
};

START_TEST(caches_together_are_bounded)
{
	struct acre_options options = { .cache_bytes = bounds[_i].cache_bytes };
	struct parked parked = { .arena = new_arena(bounds[_i].arena, &options),
				 .blocks = 2000,
				 .may_fail = true };
	size_t bound = bounds[_i].cache_bytes ? bounds[_i].cache_bytes : MIB + 3 * MIB / 8;
	pthread_t threads[40];

	bound *= bounds[_i].threads;
	if (bounds[_i].cache_bytes == 0 && bound > bounds[_i].arena / 8)
		bound = bounds[_i].arena / 8;
	parked.most = bounds[_i].arena / bounds[_i].threads / 256;
	if (parked.most > 8000)
		parked.most = 8000;
	pthread_barrier_init(&parked.gate, NULL, (unsigned)bounds[_i].threads + 1);
	for (size_t i = 0; i < bounds[_i].threads; i++)
		threads[i] = start(park, &parked);
	meet(&parked.gate);
	must(stats_of(parked.arena).cached_bytes <= bound, "%zu bytes in caches, at most %zu",
	     stats_of(parked.arena).cached_bytes, bound);
	meet(&parked.gate);
	must(stats_of(parked.arena).cached_bytes <= bound, "%zu bytes in caches, at most %zu",
	     stats_of(parked.arena).cached_bytes, bound);
	meet(&parked.gate);
	for (size_t i = 0; i < bounds[_i].threads; i++)
		finish(threads[i]);
	must_be_whole(parked.arena);
	end_arena(parked.arena);
}
END_TEST

/* Look on, walk and check while others are at work: each heap is seen consistent. */
static void *watch(void *argument)
{
	struct parked *parked = argument;
	struct image image = { 0 };

	meet(&parked->gate);
	for (int i = 0; i < SCALE(200, 20); i++) {
		struct acre_stats stats = stats_of(parked->arena);

		must_be_sound(parked->arena);
		look(parked->arena, &image);
		must(stats.live_bytes <= stats.size && stats.free_bytes <= stats.size,
		     "%zu live, %zu free", stats.live_bytes, stats.free_bytes);
		acre_trim(parked->arena);
	}
	forget(&image);
	return NULL;
}

static void *toil(void *argument)
{
	struct parked *parked = argument;

	meet(&parked->gate);
	work_in(parked->arena, 20000, SCALE(100000, 5000), next_seed());
	return NULL;
}

START_TEST(checked_while_others_work)
{
	struct parked parked = { .arena = new_arena(16 * MIB, &both[_i]) };
	pthread_t threads[4];

	pthread_barrier_init(&parked.gate, NULL, COUNT_OF(threads));
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(i ? toil : watch, &parked);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	must_be_whole(parked.arena);
	end_arena(parked.arena);
}
END_TEST

static void *join_once(void *argument)
{
	struct parked *parked = argument;
	char *block;

	meet(&parked->gate);
	block = acre_malloc(parked->arena, 100);
	must(block, "100 bytes");
	acre_free(parked->arena, block);
	return NULL;
}

static void *glance(void *argument)
{
	struct parked *parked = argument;
	struct image image = { 0 };

	/*
	 * Four are live, and what a cache gives back to a plot that was counted already looks so: it
	 * has 8 at most, of its first row.
	 */
	const size_t most = 4 + 4 * 8;

	meet(&parked->gate);
	for (int i = 0; i < 20; i++) {
		struct acre_stats stats = stats_of(parked->arena);

		must(stats.live_blocks <= most, "%zu", stats.live_blocks);
		look(parked->arena, &image);
		must_be_sound(parked->arena);
	}
	forget(&image);
	return NULL;
}

/* A plot is sound from the moment that others can see it. */
START_TEST(looked_at_while_threads_join)
{
	for (int round = 0; round < SCALE(1000, 100); round++) {
		struct parked parked = { .arena = new_arena(2 * MIB, NULL) };
		pthread_t threads[5];

		pthread_barrier_init(&parked.gate, NULL, COUNT_OF(threads));
		for (size_t i = 0; i < COUNT_OF(threads); i++)
			threads[i] = start_small(i ? join_once : glance, &parked);
		for (size_t i = 0; i < COUNT_OF(threads); i++)
			finish(threads[i]);
		must_be_whole(parked.arena);
		end_arena(parked.arena);
	}
}
END_TEST

/*
 * A thread that begins by freeing what it was handed gets no plot for that, and isn't given that
 * block, which lies beside those of others, to write to. If it goes on so, it gets one.
 */
static struct {
	struct acre *arena;
	void *blocks[THREAD_FREES + 1];
	size_t frees;
	size_t plots;			/* held by threads after the frees, */
	size_t plots_then;		/* and after an allocation */
} handed;

static void *free_first(void *unused)
{
	void *fresh;

	(void)unused;
	for (size_t i = 0; i < handed.frees; i++)
		acre_free(handed.arena, handed.blocks[i]);
	handed.plots = stats_of(handed.arena).plots;
	fresh = acre_malloc(handed.arena, 8);
	handed.plots_then = stats_of(handed.arena).plots;
	for (size_t i = 0; i < THREAD_FREES; i++)
		must(fresh != handed.blocks[i], "it's given number %zu", i);
	acre_free(handed.arena, fresh);
	return NULL;
}

START_TEST(a_thread_that_frees_first)
{
	handed.arena = new_arena(16 * MIB, NULL);
	handed.frees = _i ? THREAD_FREES + 1 : THREAD_FREES;
	for (size_t i = 0; i < COUNT_OF(handed.blocks); i++)
		handed.blocks[i] = acre_malloc(handed.arena, 8);
	finish(start(free_first, NULL));
	ck_assert_uint_eq(handed.plots, _i ? 2 : 1);
	ck_assert_uint_eq(handed.plots_then, 2);
	for (size_t i = handed.frees; i < COUNT_OF(handed.blocks); i++)
		acre_free(handed.arena, handed.blocks[i]);
	must_be_whole(handed.arena);
	end_arena(handed.arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("threads");
	TCase *threads = tcase_create("threads");

	tcase_set_timeout(threads, 120);
	tcase_add_loop_test(threads, blocks_freed_by_other_threads, 0, 2);
	tcase_add_loop_test(threads, crowds_at_once, 0, COUNT_OF(crowds));
	tcase_add_loop_test(threads, a_plot_costs_40_kilobytes_at_most, 0, COUNT_OF(tenants));
	tcase_add_loop_test(threads, caches_together_are_bounded, 0, COUNT_OF(bounds));
	tcase_add_loop_test(threads, checked_while_others_work, 0, 2);
	tcase_add_test(threads, looked_at_while_threads_join);
	tcase_add_loop_test(threads, a_thread_that_frees_first, 0, 2);
	suite_add_tcase(suite, threads);

	return run_suite(suite);
}
