/*
 * rcu_plants: a reader and a writer that go step by step, in one of these ways; ThreadSanitizer must
 * say nothing of the first and report the others. tests/test_rcu_plants.sh runs it.
 *
 *	sound		the block is handed in, and read until the end of the section
 *	missing		it's freed at once: the grace period is missing
 *	late		the reader looks at it after rcu_read_unlock() (with qsbr, its quiescent state)
 *	changed		the writer writes to it after it was handed in
 *
 * Steps are told by relaxed atomics, which order nothing else.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <pthread.h>

#include "flavor.h"

struct object {
	uint64_t value[4];
};

static struct acre *arena;
static struct object *shared;
static atomic_int step;
static const char *way;
static uint64_t seen;

static int is(const char *name)
{
	return strcmp(way, name) == 0;
}

static void reach(int number)
{
	atomic_store_explicit(&step, number, memory_order_relaxed);
}

static void wait_for(int number)
{
	struct timespec pause = { 0, 100000 };

	while (atomic_load_explicit(&step, memory_order_relaxed) < number)
		nanosleep(&pause, NULL);
}

static void leave(void)
{
	rcu_read_unlock();
	rcu_quiescent_state();
}

static void *read_it(void *unused)
{
	const struct object *object;

	(void)unused;
	rcu_register_thread();
	rcu_read_lock();
	object = rcu_dereference(shared);
	if (is("late")) {
		leave();
		rcu_thread_offline();
	}
	reach(1);
	wait_for(2);
	seen = object->value[1];
	if (!is("late"))
		leave();
	else
		rcu_thread_online();
	rcu_unregister_thread();
	return NULL;
}

static void replace_it(void)
{
	struct object *object = acre_calloc(arena, 1, sizeof(*object));
	struct object *old;

	wait_for(1);
	old = rcu_xchg_pointer(&shared, object);
	if (is("missing"))
		acre_free(arena, old);
	else
		acre_free_rcu(arena, old);
	if (is("changed"))
		old->value[1] = 7;
	if (is("late") && acre_rcu_barrier(arena) != 0)
		perror("acre_rcu_barrier");
	reach(2);
}

int main(int count, char **arguments)
{
	struct object *first;
	pthread_t reader;

	if (count != 2) {
		fprintf(stderr, "rcu_plants: give one of sound, missing, late, changed\n");
		return 2;
	}
	way = arguments[1];
	arena = acre_create((size_t)4 << 20, NULL);
	if (!arena) {
		perror("rcu_plants: acre_create");
		return 1;
	}
	first = acre_calloc(arena, 1, sizeof(*first));
	first->value[1] = 5;
	rcu_assign_pointer(shared, first);
	pthread_create(&reader, NULL, read_it, NULL);
	replace_it();
	pthread_join(reader, NULL);
	if (is("sound")) {
		/* The memory is used again, and that's no race either. */
		if (acre_rcu_barrier(arena) != 0)
			perror("acre_rcu_barrier");
		for (int i = 0; i < 1000; i++)
			memset(acre_malloc(arena, sizeof(*first)), i, sizeof(*first));
	}
	printf("read %llu\n", (unsigned long long)seen);
	return acre_destroy(arena);
}
