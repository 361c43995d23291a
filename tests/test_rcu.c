/*
 * acre_free_rcu(), for one flavour of liburcu: a block is free after a grace period, and not before;
 * nobody has to be awake for it; the backlog, a full arena, fork, threads that end, and the arena's
 * end; misuse. The tests are in rcu/; here is what they share. White box only where it looks whether
 * blocks have become strays, and holds the worker still.
 */
#include "rcu/rcu.h"

size_t strays_of(const struct acre *arena)
{
	size_t strays = 0;

	for (unsigned f = 0; f < FLAVORS; f++)
		strays += arena->graces[f].strays;
	return strays;
}

unsigned state_of(struct acre *arena, const void *block)
{
	struct image image = { 0 };
	const struct acre_block *found;
	unsigned state;

	look(arena, &image);
	found = find_block(&image, block);
	state = found ? found->state : ACRE_FREE;
	forget(&image);
	return state;
}

void barrier_of(struct acre *arena)
{
	must(acre_rcu_barrier(arena) == 0, "acre_rcu_barrier: %s", strerror(errno));
}

void must_be_done(struct acre *arena)
{
	barrier_of(arena);
	must(stats_of(arena).waiting_blocks == 0, "%zu wait", stats_of(arena).waiting_blocks);
	must_be_whole(arena);
}

static void *read_one(void *argument)
{
	struct reader *reader = argument;

	rcu_register_thread();
	rcu_read_lock();
	meet(&reader->gate);
	meet(&reader->gate);
	must(holds(reader->block, reader->size, reader->key), "changed while it was read");
	rcu_read_unlock();
	rcu_unregister_thread();
	return NULL;
}

void begin_reading(struct reader *reader, const void *block, size_t size, uint64_t key)
{
	*reader = (struct reader){ .block = block, .size = size, .key = key };
	pthread_barrier_init(&reader->gate, NULL, 2);
	reader->thread = start(read_one, reader);
	meet(&reader->gate);
}

void end_reading(struct reader *reader)
{
	meet(&reader->gate);
	finish(reader->thread);
}

void hold_worker(struct acre *arena)
{
	pthread_mutex_lock(&arena->graces[0].turn);
}

void let_worker_go(struct acre *arena)
{
	pthread_mutex_unlock(&arena->graces[0].turn);
}

int main(void)
{
	Suite *suite = suite_create("rcu-" FLAVOR_NAME);
	TCase *cases = tcase_create("rcu-" FLAVOR_NAME);

	tcase_set_timeout(cases, 300);
	add_waits(cases);
	add_bounds(cases);
	add_process(cases);
	add_misuse(cases);
	suite_add_tcase(suite, cases);

	return run_suite(suite);
}
