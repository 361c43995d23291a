/*
 * How long single calls take: each malloc and each free of a random replacement is timed by itself,
 * after a warm-up. Prints percentiles in ns. The amount is in thousands of replacements.
 *
 * The times go to logarithmic histograms, exact to 3 %, which aren't malloc's memory. What reading
 * the clock costs is taken off. A block is written to after its malloc was timed, so the page
 * faults of its own pages aren't counted, those of the allocator's are.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kernel.h"

/* ---- The clock ---- */

static uint64_t nanoseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

#if defined(__x86_64__)
#include <x86intrin.h>

/* The fences keep the call between the two readings. */
static inline uint64_t ticks(void)
{
	uint64_t now;

	_mm_lfence();
	now = __rdtsc();
	_mm_lfence();
	return now;
}
#else
static inline uint64_t ticks(void)
{
	return nanoseconds();
}
#endif

static uint64_t clock_cost(void)
{
	uint64_t least = UINT64_MAX;

	for (int n = 0; n < 10000; n++) {
		uint64_t begin = ticks();
		uint64_t taken = ticks() - begin;

		if (taken < least)
			least = taken;
	}
	return least;
}

/* ---- Histograms: each power of two in 32 parts ---- */

enum { PARTS = 32, BUCKETS = 60 * PARTS };

struct histogram {
	uint64_t total, longest;
	uint64_t counts[BUCKETS];
};

static void record(struct histogram *histogram, uint64_t time)
{
	unsigned bucket = (unsigned)time;

	if (time >= 2 * PARTS) {
		unsigned shift = 58 - (unsigned)__builtin_clzll(time);

		bucket = shift * PARTS + (unsigned)(time >> shift);
	}
	histogram->counts[bucket]++;
	histogram->total++;
	if (time > histogram->longest)
		histogram->longest = time;
}

static double middle_of(unsigned bucket)
{
	unsigned shift;

	if (bucket < 2 * PARTS)
		return bucket;
	shift = bucket / PARTS - 1;
	return ((double)(bucket % PARTS + PARTS) + 0.5) * (double)(UINT64_C(1) << shift);
}

static double percentile(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)(share * (double)histogram->total), seen = 0;
	unsigned bucket = 0;

	while (bucket < BUCKETS - 1 && (seen += histogram->counts[bucket]) <= wanted)
		bucket++;
	return middle_of(bucket);
}

static void merge(struct histogram *into, const struct histogram *from)
{
	for (int k = 0; k < BUCKETS; k++)
		into->counts[k] += from->counts[k];
	into->total += from->total;
	if (from->longest > into->longest)
		into->longest = from->longest;
}

static void print(const char *call, const struct histogram *histogram, uint64_t cost, double ns)
{
	static const struct { const char *name; double share; } shares[] = {
		{ "p50", 0.5 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "p99.99", 0.9999 },
	};

	for (size_t k = 0; k < sizeof(shares) / sizeof(shares[0]); k++) {
		double time = percentile(histogram, shares[k].share) - (double)cost;

		printf("%s_%s %.1f\n", call, shares[k].name, time > 0 ? time * ns : 0.0);
	}
	printf("%s_max %.1f\n", call, ((double)histogram->longest - (double)cost) * ns);
}

/* ---- The replacement ---- */

struct player {
	unsigned number;
	size_t count;
	size_t (*size)(struct dice *);
	long steps;
	int shares;	/* every other block goes where any player may free it */
	void **own;
	struct histogram mallocs, frees;
};

enum { SHARED = 1024 };

static _Atomic(void *) shared[SHARED];

static void *timed_malloc(struct player *player, size_t size)
{
	uint64_t begin = ticks();
	void *block = malloc(size);

	record(&player->mallocs, ticks() - begin);
	if (!block)
		refused(size);
	touch(block, size);
	return block;
}

static void timed_free(struct player *player, void *block)
{
	uint64_t begin = ticks();

	free(block);
	record(&player->frees, ticks() - begin);
}

static void replace(struct player *player, struct dice *dice, long steps)
{
	for (long n = 0; n < steps; n++) {
		void *block = timed_malloc(player, player->size(dice));

		if (player->shares && n % 2) {
			block = atomic_exchange(&shared[below(dice, SHARED)], block);
		} else {
			size_t k = below(dice, (uint32_t)player->count);
			void *old = player->own[k];

			player->own[k] = block;
			block = old;
		}
		if (block)
			timed_free(player, block);
	}
}

static void *play(void *argument)
{
	struct player *player = argument;
	struct dice dice = dice_of(player->number);

	player->own = pages(player->count * sizeof(void *));
	replace(player, &dice, player->steps / 4 + 4 * (long)player->count);
	memset(&player->mallocs, 0, sizeof(player->mallocs));
	memset(&player->frees, 0, sizeof(player->frees));
	replace(player, &dice, player->steps);
	free_all(player->own, player->count);
	return NULL;
}

static void measure(int players, struct player like)
{
	struct player *all = pages((size_t)players * sizeof(*all));
	uint64_t cost = clock_cost();
	uint64_t first_tick = ticks(), first_ns = nanoseconds();
	double ns;

	for (int k = 0; k < players; k++) {
		all[k] = like;
		all[k].number = (unsigned)k;
	}
	if (players == 1)
		play(all);
	else
		run_threads(players, play, all, sizeof(*all));
	ns = (double)(nanoseconds() - first_ns) / (double)(ticks() - first_tick);
	for (int k = 1; k < players; k++) {
		merge(&all[0].mallocs, &all[k].mallocs);
		merge(&all[0].frees, &all[k].frees);
	}
	for (int k = 0; k < SHARED; k++)
		free(atomic_exchange(&shared[k], NULL));
	print("malloc", &all[0].mallocs, cost, ns);
	print("free", &all[0].frees, cost, ns);
}

static void latency_small(long amount)
{
	measure(1, (struct player){ .count = 1000, .size = small_size, .steps = amount * 1000 });
}

static void latency_mixed(long amount)
{
	measure(1, (struct player){ .count = 10000, .size = mixed_size, .steps = amount * 1000 });
}

static void latency_threads(long amount)
{
	measure(4, (struct player){ .count = 2000, .size = mixed_size, .steps = amount * 250,
				    .shares = 1 });
}

const struct kernel latency_kernels[] = {
	{ "latency-small", "each call timed: 1,000 blocks of 16 to 256 bytes", latency_small },
	{ "latency-mixed", "each call timed: 10,000 blocks of mixed sizes", latency_mixed },
	{ "latency-threads", "each call timed: 4 threads free each other's, too", latency_threads },
	{ NULL, NULL, NULL },
};
