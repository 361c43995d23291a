/*
 * What it costs to free an object after a grace period, the malloc included: one flavour of liburcu,
 * one way of doing it, and the program prints CPU nanoseconds for each object.
 *
 *	bench/rcu_FLAVOR WAY [PRODUCERS [READERS [OBJECTS [SLOTS [KIB]]]]]
 *
 *	plain		acre_malloc and acre_free, at once: what no program may do, but the least there is
 *	acre		acre_malloc and acre_free_rcu
 *	call		malloc, and call_rcu with free; an object has an rcu_head more
 *	defer		malloc, and defer_rcu with free
 *
 * KIB are acre_options.rcu_bytes. A producer puts a new object in the place of an old one, in a table
 * of its own with SLOTS of them, and retires the old one. Readers look at objects of all tables
 * meanwhile, in read-side sections. In the end all must be free. The CPU time is that of the whole
 * process, less the readers': so the threads that wait for grace periods and free are in it.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../tests/flavor.h"

#define CONTENT		48	/* bytes of an object, without the rcu_head */
#define MOST_THREADS	64
#define ARENA		((size_t)1 << 30)

struct object {
	uint64_t content[CONTENT / 8];
};

struct headed {
	struct object object;
	struct rcu_head head;
};

struct way {
	const char *name;
	struct object *(*make)(void);
	void (*retire)(struct object *object);
	void (*finish)(void);
};

static struct acre *arena;
static const struct way *way;
static size_t objects = 1000000;
static size_t slots = 1024;
static unsigned producers = 1;
static unsigned readers = 2;
static struct object **tables[MOST_THREADS];
static atomic_bool over;
static pthread_barrier_t gate;

static struct object *acre_make(void)
{
	return acre_malloc(arena, sizeof(struct object));
}

static void acre_retire_now(struct object *object)
{
	acre_free(arena, object);
}

static void acre_retire(struct object *object)
{
	acre_free_rcu(arena, object);
}

static void acre_finish(void)
{
	acre_rcu_barrier(arena);
}

static struct object *plain_make(void)
{
	return malloc(sizeof(struct object));
}

static struct object *headed_make(void)
{
	struct headed *headed = malloc(sizeof(*headed));

	return &headed->object;
}

static void free_headed(struct rcu_head *head)
{
	free((char *)head - offsetof(struct headed, head));
}

static void call_retire(struct object *object)
{
	call_rcu(&((struct headed *)object)->head, free_headed);
}

static void call_finish(void)
{
	rcu_barrier();
}

static void defer_retire(struct object *object)
{
	defer_rcu(free, object);
}

static void nothing(void)
{
}

static const struct way ways[] = {
	{ "plain", acre_make, acre_retire_now, nothing },
	{ "acre", acre_make, acre_retire, acre_finish },
	{ "call", headed_make, call_retire, call_finish },
	{ "defer", plain_make, defer_retire, nothing },
};

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static void *produce(void *argument)
{
	unsigned self = (unsigned)(uintptr_t)argument;
	struct object **table = tables[self];
	bool defers = strcmp(way->name, "defer") == 0;
	uint64_t dice = self + 1;

	rcu_register_thread();
	if (defers && rcu_defer_register_thread() != 0)
		abort();
	rcu_thread_offline();
	pthread_barrier_wait(&gate);
	/*
	 * With qsbr, call_rcu wants a thread that is online; and defer_rcu, which takes a lock that
	 * another thread holds in a grace period, one that isn't.
	 */
	if (!defers)
		rcu_thread_online();
	for (size_t i = 0; i < objects; i++) {
		struct object *object = way->make();
		struct object *old;

		if (!object) {
			fprintf(stderr, "bench/rcu: no memory\n");
			exit(1);
		}
		object->content[0] = i;
		object->content[CONTENT / 8 - 1] = i;
		old = rcu_xchg_pointer(&table[next(&dice) % slots], object);
		if (old)
			way->retire(old);
		if (!defers && i % 64 == 0)
			rcu_quiescent_state();
	}
	if (!defers)
		rcu_thread_offline();
	if (defers) {
		rcu_defer_barrier_thread();
		rcu_defer_unregister_thread();
	}
	rcu_unregister_thread();
	return NULL;
}

static void *read_tables(void *argument)
{
	uint64_t dice = (uintptr_t)argument + 100;
	uint64_t sum = 0;

	rcu_register_thread();
	rcu_thread_offline();
	pthread_barrier_wait(&gate);
	rcu_thread_online();
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		rcu_read_lock();
		for (unsigned i = 0; i < 8; i++) {
			uint64_t drawn = next(&dice);
			struct object *object =
				rcu_dereference(tables[drawn % producers][(drawn >> 20) % slots]);

			if (object)
				sum += object->content[CONTENT / 8 - 1];
		}
		rcu_read_unlock();
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return (void *)(uintptr_t)sum;
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds_of(const pthread_t *threads, unsigned count)
{
	double sum = 0;

	for (unsigned i = 0; i < count; i++) {
		clockid_t clock;

		pthread_getcpuclockid(threads[i], &clock);
		sum += seconds(clock);
	}
	return sum;
}

static _Noreturn void bad_call(const char *what)
{
	fprintf(stderr, "bench/rcu: %s: give plain, acre, call or defer, then up to %d producers, up "
			"to %d readers, objects and slots\n", what, MOST_THREADS, MOST_THREADS);
	exit(2);
}

static size_t number(int count, char **arguments, int i, size_t otherwise, size_t most)
{
	char *end;
	unsigned long long n;

	if (i >= count)
		return otherwise;
	n = strtoull(arguments[i], &end, 10);
	if (*end || !n || n > most)
		bad_call(arguments[i]);
	return (size_t)n;
}

int main(int count, char **arguments)
{
	pthread_t writing[MOST_THREADS], reading[MOST_THREADS];
	struct acre_options options = { .rcu_bytes = 0 };
	double used;

	for (size_t i = 0; count > 1 && i < sizeof(ways) / sizeof(*ways); i++)
		if (strcmp(arguments[1], ways[i].name) == 0)
			way = &ways[i];
	if (!way)
		bad_call(count > 1 ? arguments[1] : "no way");
	producers = (unsigned)number(count, arguments, 2, producers, MOST_THREADS);
	readers = (unsigned)number(count, arguments, 3, readers, MOST_THREADS);
	objects = number(count, arguments, 4, objects, SIZE_MAX) / producers;
	slots = number(count, arguments, 5, slots, (size_t)1 << 24);
	options.rcu_bytes = number(count, arguments, 6, 0, SIZE_MAX >> 10) << 10;
	arena = acre_create(ARENA, &options);
	if (!arena) {
		perror("bench/rcu: acre_create");
		return 1;
	}
	for (unsigned i = 0; i < producers; i++)
		tables[i] = calloc(slots, sizeof(*tables[i]));
	pthread_barrier_init(&gate, NULL, producers + readers + 1);
	for (unsigned i = 0; i < readers; i++)
		pthread_create(&reading[i], NULL, read_tables, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < producers; i++)
		pthread_create(&writing[i], NULL, produce, (void *)(uintptr_t)i);
	used = seconds_of(reading, readers) - seconds(CLOCK_PROCESS_CPUTIME_ID);
	pthread_barrier_wait(&gate);
	for (unsigned i = 0; i < producers; i++)
		pthread_join(writing[i], NULL);
	way->finish();
	used += seconds(CLOCK_PROCESS_CPUTIME_ID) - seconds_of(reading, readers);
	atomic_store(&over, true);
	for (unsigned i = 0; i < readers; i++)
		pthread_join(reading[i], NULL);
	printf("%.1f\n", used * 1e9 / (double)(objects * producers));
	fflush(stdout);
	/* The threads of call_rcu are still there: no destructors. */
	_exit(0);
}
