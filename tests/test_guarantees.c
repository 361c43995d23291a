/*
 * The guarantees by name, G1 to G8 of the design's section 5, one short test each at least. The
 * suites beside this one hold them in depth: fixed (G1), hostage (G2), threads, exit and fork
 * (G4 to G6), misuse (G7).
 */
#include "support.h"

#include <limits.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* G1 Fixed: acre_create_at writes nowhere but in the caller's buffer, and maps nothing. */
START_TEST(g1_fixed)
{
	static unsigned char space[3 * MIB];
	unsigned char *buffer = space + MIB + 5;
	size_t size = MIB - 11;
	size_t before;
	struct acre *arena;

	memset(space, 0x5a, sizeof(space));
	mapped_bytes();
	before = mapped_bytes();
	arena = acre_create_at(buffer, size, &both[_i]);
	ck_assert_ptr_nonnull(arena);
	work_in(arena, 100000, 3000, 1);
	while (acre_calloc(arena, 1, 300))
		;
	if (!UNDER_TSAN && !UNDER_ASAN)
		ck_assert_uint_eq(mapped_bytes(), before);
	end_arena(arena);
	ck_assert(all_bytes(space, MIB + 5, 0x5a));
	ck_assert(all_bytes(buffer + size, MIB - 5 + 11, 0x5a));
}
END_TEST

/* G2 No hostage: a thread that sleeps with all the memory in its plot holds none of it back. */
struct pair {
	struct acre *arena;
	char *blocks[40000];
	size_t count;
	pthread_barrier_t gate;
};

static void *fill_all(void *argument)
{
	struct pair *pair = argument;

	while (pair->count < COUNT_OF(pair->blocks)) {
		char *block = acre_malloc(pair->arena, 100 + pair->count % 400);

		if (!block)
			break;
		pair->blocks[pair->count++] = block;
	}
	meet(&pair->gate);
	meet(&pair->gate);
	return NULL;
}

START_TEST(g2_no_hostage)
{
	static struct pair pair;
	pthread_t thread;
	size_t whole;
	char *block;

	pair.arena = new_arena(8 * MIB, NULL);
	whole = must_be_whole(pair.arena);
	pthread_barrier_init(&pair.gate, NULL, 2);
	thread = start(fill_all, &pair);
	meet(&pair.gate);
	ck_assert_uint_lt(pair.count, COUNT_OF(pair.blocks));
	for (size_t i = 0; i < pair.count; i++)
		acre_free(pair.arena, pair.blocks[i]);
	block = acre_malloc(pair.arena, whole / 8 * 7);
	ck_assert_ptr_nonnull(block);
	acre_free(pair.arena, block);
	meet(&pair.gate);
	finish(thread);
	must_be_whole(pair.arena);
	end_arena(pair.arena);
}
END_TEST

/*
 * G3 Bounded: the machine instructions of one call, counted by single-stepping a child, don't grow
 * with the number of blocks. Fit holes lie behind so many that are one granule too small.
 */
struct stepped {
	struct acre *arena;
	size_t request;
	char *block;
	enum { STEP_MALLOC, STEP_FREE, STEP_REFUSAL } what;
};

static void call(const struct stepped *stepped)
{
	switch (stepped->what) {
	case STEP_MALLOC:
		must(acre_malloc(stepped->arena, stepped->request), "%zu bytes", stepped->request);
		break;
	case STEP_FREE:
		acre_free(stepped->arena, stepped->block);
		break;
	default:
		must(!acre_malloc(stepped->arena, GIB), "a GiB");
	}
}

/* Counted up to most; 0 where a child can't be traced. */
static long steps_of(const struct stepped *stepped, long most)
{
	pid_t child = fork();
	long steps = 0;
	int status;

	must(child >= 0, "fork: %s", strerror(errno));
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(77);
		raise(SIGSTOP);
		raise(SIGSTOP);
		call(stepped);
		raise(SIGSTOP);
		_exit(0);
	}
	must(waitpid(child, &status, 0) == child, "waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return 0;
	ptrace(PTRACE_CONT, child, NULL, NULL);
	must(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "status %d", status);
	do {
		must(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0, "%s", strerror(errno));
		must(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "status %d",
		     status);
		steps++;
	} while (WSTOPSIG(status) != SIGSTOP && steps < most);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return steps;
}

/* An arena with so many holes too small for the request, in address order, then room. */
static struct acre *arena_with_holes(size_t kind, size_t request, size_t holes, char **between)
{
	size_t hole = (request + 8 + 15) / 16 * 16 - 8 - 16;
	struct acre *arena = new_arena(512 * MIB, &both[kind]);
	char **blocks = calloc(holes * 2, sizeof(*blocks));

	must(blocks, "out of memory for %zu blocks", holes * 2);
	for (size_t i = 0; i < holes * 2; i++) {
		blocks[i] = acre_malloc(arena, i % 2 ? 1 : hole);
		must(blocks[i], "block %zu of %zu bytes", i, hole);
	}
	for (size_t i = 0; i < holes * 2; i += 2)
		acre_free(arena, blocks[i]);
	acre_flush(arena);
	*between = blocks[holes | 1];
	free(blocks);
	return arena;
}

static const struct {
	size_t request;
	size_t few;
	size_t many;
} fields[] = {
	{ 40, 500, 100000 },  { 104, 500, 100000 }, { 1000, 500, 50000 },  { 1528, 500, 50000 },
	{ 4080, 200, 20000 }, { 4096, 200, 20000 }, { 10000, 100, 10000 }, { 70000, 50, 3000 },
};

START_TEST(g3_bounded)
{
	size_t kind = (size_t)_i % 2;
	size_t request = fields[_i / 2].request;

	if (UNDER_TSAN || UNDER_ASAN) {
		skip("a sanitizer's own steps would be counted");
		return;
	}
	for (int what = STEP_MALLOC; what <= STEP_REFUSAL; what++) {
		struct stepped few = { .request = request, .what = what };
		struct stepped many = { .request = request, .what = what };
		long few_steps;
		long many_steps;

		few.arena = arena_with_holes(kind, request, fields[_i / 2].few, &few.block);
		few_steps = steps_of(&few, LONG_MAX);
		end_arena(few.arena);
		if (few_steps == 0) {
			skip("a child can't be traced");
			return;
		}
		many.arena = arena_with_holes(kind, request, fields[_i / 2].many, &many.block);
		many_steps = steps_of(&many, 4 * few_steps + 1001);
		end_arena(many.arena);
		must(many_steps <= 4 * few_steps + 1000,
		     "%s: %ld steps or more among %zu holes, %ld among %zu",
		     what == STEP_MALLOC ? "malloc" :
		     what == STEP_FREE	 ? "free" :
					   "refused malloc",
		     many_steps, fields[_i / 2].many, few_steps, fields[_i / 2].few);
	}
}
END_TEST

/* G4 Whole again: whatever threads did in what order. G5 Race-free: with no word from TSan. */
static void *disorder(void *argument)
{
	struct pair *pair = argument;
	struct dice dice = dice_from(next_seed());

	for (int round = 0; round < SCALE(300, 40); round++) {
		meet(&pair->gate);
		for (size_t i = 0; i < 400; i++) {
			size_t slot = roll_between(&dice, 0, 1999);
			char *block =
				__atomic_exchange_n(&pair->blocks[slot], NULL, __ATOMIC_ACQ_REL);

			acre_free(pair->arena, block);
			block = acre_malloc(pair->arena, roll_log(&dice, 1, 3000));
			must(block, "round %d", round);
			block[0] = 'x';
			block = __atomic_exchange_n(&pair->blocks[slot], block, __ATOMIC_ACQ_REL);
			acre_free(pair->arena, block);
		}
	}
	return NULL;
}

START_TEST(g4_whole_again_and_g5_race_free)
{
	static struct pair pair;
	pthread_t threads[6];

	pair.arena = new_arena(32 * MIB, &both[_i]);
	pthread_barrier_init(&pair.gate, NULL, COUNT_OF(threads));
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(disorder, &pair);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	for (size_t i = 0; i < 2000; i++)
		acre_free(pair.arena, pair.blocks[i]);
	ck_assert_uint_eq(stats_of(pair.arena).live_blocks, 0);
	must_be_honest(pair.arena);
	must_be_whole(pair.arena);
	must_be_honest(pair.arena);
	end_arena(pair.arena);
}
END_TEST

/* G6 Survives: exhaustion at every call, in a child of a threaded process too. */
static void exhaust(void *argument)
{
	struct acre *arena = argument;
	static char *blocks[100000];
	size_t count = 0;

	for (size_t size = 100000; size > 0; size /= 2)
		while (count < COUNT_OF(blocks) && (blocks[count] = acre_malloc(arena, size)))
			count++;
	for (size_t i = 0; i < 100; i++) {
		must(!acre_malloc(arena, 5000) && errno == ENOMEM, "%s", strerror(errno));
		must(!acre_calloc(arena, 5000, 2) && errno == ENOMEM, "%s", strerror(errno));
		must(!acre_realloc(arena, NULL, 5000) && errno == ENOMEM, "%s", strerror(errno));
		must(!acre_aligned_alloc(arena, 64, 5000) && errno == ENOMEM, "%s",
		     strerror(errno));
		must(!acre_realloc(arena, blocks[i], MIB) && errno == ENOMEM, "%s",
		     strerror(errno));
	}
	must_be_sound(arena);
	for (size_t i = 0; i < count; i++)
		acre_free(arena, blocks[i]);
}

static void *linger(void *gate)
{
	meet(gate);
	return NULL;
}

START_TEST(g6_survives)
{
	struct acre *arena = new_arena(MIB, &both[_i]);
	pthread_barrier_t gate;
	struct outcome outcome;
	pthread_t thread;

	pthread_barrier_init(&gate, NULL, 2);
	thread = start(linger, &gate);
	in_child(&outcome, exhaust, arena, 20);
	must_succeed(&outcome, "exhaustion in a child");
	meet(&gate);
	finish(thread);
	exhaust(arena);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

/*
 * G8 Honest: the statistics are those of the structures, and acre_check finds what was planted.
 */
static void *use_and_wait(void *argument)
{
	struct pair *pair = argument;
	struct dice dice = dice_from(next_seed());
	char *mine[300];

	for (size_t i = 0; i < COUNT_OF(mine); i++)
		mine[i] = acre_malloc(pair->arena, roll_log(&dice, 1, 5000));
	for (size_t i = 0; i < COUNT_OF(mine); i += 2)
		acre_free(pair->arena, mine[i]);
	meet(&pair->gate);
	meet(&pair->gate);
	for (size_t i = 1; i < COUNT_OF(mine); i += 2)
		acre_free(pair->arena, mine[i]);
	return NULL;
}

START_TEST(g8_statistics_are_what_a_walk_sees)
{
	static struct pair pair;
	pthread_t threads[5];

	pair.arena = new_arena(16 * MIB, &both[_i]);
	pthread_barrier_init(&pair.gate, NULL, COUNT_OF(threads) + 1);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		threads[i] = start(use_and_wait, &pair);
	meet(&pair.gate);
	must_be_honest(pair.arena);
	ck_assert_uint_eq(stats_of(pair.arena).live_blocks, COUNT_OF(threads) * 150);
	ck_assert_uint_eq(stats_of(pair.arena).plots, _i ? 0 : COUNT_OF(threads));
	meet(&pair.gate);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		finish(threads[i]);
	must_be_honest(pair.arena);
	must_be_whole(pair.arena);
	must_be_honest(pair.arena);
	end_arena(pair.arena);
}
END_TEST

struct plant {
	struct acre *arena;
	char *tag;
	size_t bytes;
	int value;
};

static void check_after_planting(void *argument)
{
	struct plant *plant = argument;
	int faults;

	memset(plant->tag, plant->value, plant->bytes);
	faults = acre_check(plant->arena);
	_exit(faults > 0 && faults < 100 ? faults + 100 : 1);
}

/* A tag that lost its first byte, and one that was overwritten by zeros, or by text. */
START_TEST(g8_check_finds_a_planted_fault)
{
	static const struct plant plants[] = { { .bytes = 1, .value = 0 },
					       { .bytes = 8, .value = 0 },
					       { .bytes = 8, .value = 'A' } };
	struct acre *arena = new_arena(MIB, &both[_i]);
	struct image image = { 0 };
	size_t seen[ACRE_FREE + 1] = { 0 };
	char *blocks[600];

	for (size_t i = 0; i < COUNT_OF(blocks); i++)
		blocks[i] = acre_malloc(arena, i);
	for (size_t i = 0; i < COUNT_OF(blocks); i += 3)
		acre_free(arena, blocks[i]);
	must_be_sound(arena);
	look(arena, &image);
	for (size_t i = 0; i < image.count; i++) {
		const struct acre_block *block = &image.blocks[i];
		struct plant plant = plants[seen[block->state] % COUNT_OF(plants)];
		struct outcome outcome;

		if (seen[block->state]++ >= 3 * COUNT_OF(plants))
			continue;
		plant.arena = arena;
		plant.tag = (char *)(uintptr_t)block->address - 8;
		in_child(&outcome, check_after_planting, &plant, 20);
		must(WIFEXITED(outcome.status) && WEXITSTATUS(outcome.status) > 100,
		     "not found at %p, state %u: status %d: %s", block->address, block->state,
		     outcome.status, outcome.text);
		must(outcome.lines == (size_t)WEXITSTATUS(outcome.status) - 100,
		     "%zu lines for %d faults: %s", outcome.lines,
		     WEXITSTATUS(outcome.status) - 100, outcome.text);
	}
	ck_assert_uint_gt(seen[ACRE_LIVE], 0);
	ck_assert_uint_gt(seen[ACRE_FREE], 0);
	ck_assert_uint_eq(seen[ACRE_CACHED] > 0, _i == 0);
	forget(&image);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("guarantees");
	TCase *cases = tcase_create("guarantees");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, g1_fixed, 0, 2);
	tcase_add_test(cases, g2_no_hostage);
	tcase_add_loop_test(cases, g3_bounded, 0, 2 * COUNT_OF(fields));
	tcase_add_loop_test(cases, g4_whole_again_and_g5_race_free, 0, 2);
	tcase_add_loop_test(cases, g6_survives, 0, 2);
	tcase_add_loop_test(cases, g8_statistics_are_what_a_walk_sees, 0, 2);
	tcase_add_loop_test(cases, g8_check_finds_a_planted_fault, 0, 2);
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
