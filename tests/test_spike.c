/*
 * A spike of 1 GiB, in blocks of all sizes, by threads that live on and one that's gone: three
 * seconds later less than 25 MB of the arena are resident, though only every tenth call that could
 * purge comes at its time. White box, since the clock is the test's own; stress/spike.c goes by the
 * machine's.
 */
#include "arena.h"
#include "purge.h"
#include "support.h"

#define SPIKE SCALE(GIB, 64 * MIB)
#define SPIKE_LEFT SCALE((size_t)25000000, 12 * MIB)
#define SPIKE_THREADS 4

static struct {
	struct acre *arena;
	pthread_barrier_t full;		/* of all and main */
	pthread_barrier_t empty;	/* of those that live on, and main */
} spike;

static void *make_a_spike(void *lives_on)
{
	struct dice dice = dice_from(next_seed());
	size_t room = SPIKE / SPIKE_THREADS / 256;
	char **blocks = calloc(room, sizeof(*blocks));
	size_t count = 0;

	must(blocks, "out of memory for %zu blocks", room);
	for (size_t sum = 0; sum < SPIKE / SPIKE_THREADS && count < room; count++) {
		size_t size = roll_log(&dice, 256, 200 * KIB);

		blocks[count] = acre_malloc(spike.arena, size);
		must(blocks[count], "%zu bytes", size);
		memset(blocks[count], 1, size);
		sum += size;
	}
	meet(&spike.full);
	while (count)
		acre_free(spike.arena, blocks[--count]);
	free(blocks);
	if (lives_on) {
		meet(&spike.empty);
		meet(&spike.empty);
	}
	return NULL;
}

START_TEST(a_spike_is_given_back)
{
	const uint64_t begin = 1000000;
	struct acre_options options = { .policy = _i ? ACRE_GOOD_FIT : ACRE_FIRST_FIT };
	struct acre *arena = spike.arena = new_arena(2 * SPIKE, &options);
	pthread_t threads[SPIKE_THREADS];
	uint64_t now;

	/* No thread purges by itself, on the machine's own clock. */
	arena->purge_at = PURGE_BUSY;
	pthread_barrier_init(&spike.full, NULL, SPIKE_THREADS + 1);
	pthread_barrier_init(&spike.empty, NULL, SPIKE_THREADS);
	for (size_t i = 0; i < SPIKE_THREADS; i++)
		threads[i] = start(make_a_spike, i ? &spike : NULL);
	meet(&spike.full);
	finish(threads[0]);
	meet(&spike.empty);
	ck_assert_uint_ge(stats_of(arena).resident_bytes, SPIKE / 10 * 9);
	arena->purge_at = 0;
	for (now = begin; now < begin + 3000; now += 40)
		purge_at_ms(arena, now);
	must(stats_of(arena).resident_bytes < SPIKE_LEFT, "%zu bytes are resident",
	     stats_of(arena).resident_bytes);
	meet(&spike.empty);
	for (size_t i = 1; i < SPIKE_THREADS; i++)
		finish(threads[i]);
	must_be_whole(arena);
	end_arena(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spike");
	TCase *cases = tcase_create("spike");

	tcase_set_timeout(cases, 120);
	tcase_add_loop_test(cases, a_spike_is_given_back, 0, 2);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
