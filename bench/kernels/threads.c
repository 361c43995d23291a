/*
 * Many threads, which come and go. The amount is in thousands of replacements, for churn in tens of
 * threads.
 */
#include "kernel.h"

/* ---- threads-8: random replacement, each thread in a set of its own ---- */

enum { CROWD = 8, OWN = 2000 };

struct worker {
	unsigned number;
	long steps;
	void *blocks[OWN];
};

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct dice dice = dice_of(worker->number);

	for (long left = worker->steps; left > 0; left--) {
		uint32_t k = below(&dice, OWN);

		free(worker->blocks[k]);
		worker->blocks[k] = allocate(mixed_size(&dice));
	}
	free_all(worker->blocks, OWN);
	return NULL;
}

static void threads_8(long amount)
{
	struct worker *workers = pages(CROWD * sizeof(*workers));

	for (unsigned k = 0; k < CROWD; k++) {
		workers[k].number = k;
		workers[k].steps = amount * 1000 / CROWD;
	}
	run_threads(CROWD, work, workers, sizeof(*workers));
}

/* ---- larson: a thread replaces blocks in an array, ends, and the next inherits the array ---- */

enum { LINES = 4, HERITAGE = 1000, LIFE = 20000 };

struct line {
	unsigned number;
	long generations;
	struct dice dice;
	void *blocks[HERITAGE];
};

static void *live(void *argument)
{
	struct line *line = argument;

	for (int left = LIFE; left > 0; left--) {
		uint32_t k = below(&line->dice, HERITAGE);

		free(line->blocks[k]);
		line->blocks[k] = allocate(between(&line->dice, 16, 512));
	}
	return NULL;
}

/* Each line has a thread that waits for one generation and starts the next. */
static void *descend(void *argument)
{
	struct line *line = argument;

	line->dice = dice_of(line->number);
	while (line->generations--)
		end(start(live, line));
	free_all(line->blocks, HERITAGE);
	return NULL;
}

static void larson(long amount)
{
	struct line *lines = pages(LINES * sizeof(*lines));

	for (unsigned k = 0; k < LINES; k++) {
		lines[k].number = k;
		lines[k].generations = (amount * 1000 + LIFE * LINES - 1) / (LIFE * LINES);
	}
	run_threads(LINES, descend, lines, sizeof(*lines));
}

/* ---- churn: short threads ---- */

static void *flare(void *argument)
{
	enum { COUNT = 200 };
	struct dice dice = dice_of(*(unsigned *)argument);
	void *blocks[COUNT];

	for (int k = 0; k < COUNT; k++)
		blocks[k] = allocate(small_size(&dice));
	free_all(blocks, COUNT);
	return NULL;
}

static void churn(long amount)
{
	unsigned numbers[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

	while (amount--)
		run_threads(10, flare, numbers, sizeof(numbers[0]));
}

const struct kernel thread_kernels[] = {
	{ "threads-8", "8 threads, each replaces among 2,000 blocks of its own", threads_8 },
	{ "larson", "4 lines of threads: each replaces blocks that it inherits", larson },
	{ "churn", "short threads, 10 at a time: each allocates 200 blocks and frees them", churn },
	{ NULL, NULL, NULL },
};
