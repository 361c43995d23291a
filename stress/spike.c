/*
 * How long a spike of 1 GiB stays resident: a program of its own, since it goes by the machine's
 * clock, and so isn't one of the scenarios; part of `make soak`.
 *
 * Four threads allocate 1 GiB in blocks of all sizes, touch it, and free it. Then they allocate and
 * free a little, a few hundred times a second, as a server does that has gone quiet: purges need
 * someone who calls. The status is 1 if the arena has 25 MB resident after three seconds of that.
 */
#include <acre/acre.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS		4
#define SPIKE		((size_t)1 << 30)
#define MOST		((size_t)256 << 10)
#define BLOCKS		(SPIKE / THREADS / 256)
#define LEFT		25000000
#define SECONDS		3

static struct acre *arena;
static pthread_barrier_t full;
static pthread_barrier_t empty;
static atomic_bool over;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static size_t resident(void)
{
	struct acre_stats stats;

	acre_stats(arena, &stats);
	return stats.resident_bytes;
}

static void *work(void *argument)
{
	static char *slots[THREADS][BLOCKS];
	const struct timespec nap = { .tv_nsec = 4000000 };
	uint64_t state = (uint64_t)(uintptr_t)argument + 1;
	char **blocks = slots[(uintptr_t)argument];
	size_t count = 0;

	for (size_t sum = 0; sum < SPIKE / THREADS && count < BLOCKS; count++) {
		size_t size;

		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		size = (MOST >> (state >> 60) % 11) * (state >> 33 & 1023) / 1024 + 16;
		blocks[count] = acre_malloc(arena, size);
		if (!blocks[count]) {
			fputs("spike: the arena is full\n", stderr);
			exit(1);
		}
		memset(blocks[count], 1, size);
		sum += size;
	}
	pthread_barrier_wait(&full);
	while (count)
		acre_free(arena, blocks[--count]);
	pthread_barrier_wait(&empty);
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		acre_free(arena, acre_malloc(arena, 100000));
		nanosleep(&nap, NULL);
	}
	return NULL;
}

int main(void)
{
	const struct timespec nap = { .tv_nsec = 20000000 };
	pthread_t threads[THREADS];
	size_t peak, left;
	double begin;

	arena = acre_create((size_t)4 << 30, NULL);
	if (!arena) {
		perror("spike: acre_create");
		return 1;
	}
	pthread_barrier_init(&full, NULL, THREADS + 1);
	pthread_barrier_init(&empty, NULL, THREADS + 1);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) != 0) {
			fputs("spike: no thread can be started\n", stderr);
			return 1;
		}
	pthread_barrier_wait(&full);
	peak = resident();
	pthread_barrier_wait(&empty);
	begin = now();
	while ((left = resident()) >= LEFT && now() < begin + SECONDS)
		nanosleep(&nap, NULL);
	printf("spike: %zu bytes were resident, %zu are %.1f s after all was freed\n", peak, left,
	       now() - begin);
	atomic_store_explicit(&over, true, memory_order_relaxed);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return left >= LEFT;
}
