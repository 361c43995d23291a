/*
 * Objects that are read under RCU and freed after a grace period, in the arena under malloc; and the
 * same in a child of a fork.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define URCU_API_MAP
#include FLAVOR

#include <acre/rcu.h>

#define OBJECTS 500
#define ROUNDS 100000

struct object {
	struct rcu_head head;
	unsigned number;
	unsigned char content[60];
};

static struct object *objects[OBJECTS];
static atomic_int over;

static void free_object(struct rcu_head *head)
{
	free((char *)head - offsetof(struct object, head));
}

static void retire(struct object *object)
{
	if (acre_default())
		acre_free_rcu(acre_default(), object);
	else if (object)
		call_rcu(&object->head, free_object);
}

static struct object *new_object(unsigned number)
{
	struct object *object = malloc(sizeof(*object));

	if (!object)
		abort();
	object->number = number;
	memset(object->content, (int)(number % 251), sizeof(object->content));
	return object;
}

static void *read_objects(void *unused)
{
	rcu_register_thread();
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		rcu_read_lock();
		for (int i = 0; i < OBJECTS; i++) {
			struct object *object = rcu_dereference(objects[i]);

			for (size_t k = 0; object && k < sizeof(object->content); k++)
				if (object->content[k] != object->number % 251)
					abort();
		}
		rcu_read_unlock();
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return unused;
}

static void replace_objects(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++)
		retire(rcu_xchg_pointer(&objects[i * 7 % OBJECTS], new_object(i)));
}

static void retire_all(void)
{
	for (int i = 0; i < OBJECTS; i++)
		retire(rcu_xchg_pointer(&objects[i], NULL));
	if (acre_default())
		acre_rcu_barrier(acre_default());
}

static void show_state(void)
{
	struct acre_stats stats = { 0 };

	if (acre_default()) {
		acre_stats(acre_default(), &stats);
		if (acre_of(&stats) || acre_check(acre_default()))
			abort();
	}
	printf("%zu wait\n", stats.waiting_blocks);
	fflush(stdout);
}

int main(void)
{
	pthread_t readers[2];
	pid_t child;
	int status;

	for (int i = 0; i < 2; i++)
		pthread_create(&readers[i], NULL, read_objects, NULL);
	rcu_register_thread();
	replace_objects(ROUNDS);
	rcu_unregister_thread();
	atomic_store(&over, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	if (acre_default())
		acre_rcu_barrier(acre_default());
	show_state();
	child = fork();
	if (child == 0) {
		/* Without the drop-in, call_rcu would need more than this in a child. */
		if (acre_default()) {
			replace_objects(ROUNDS / 10);
			retire_all();
		}
		show_state();
		exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		abort();
	if (acre_default())
		retire_all();
	show_state();
	puts("all objects were sound, and are free");
	return 0;
}
