/*
 * rcu_cache: a cache whose readers never wait, in memory that never grows.
 *
 * Entries are found by key in a hash table of liburcu (cds_lfht), live for a while, and lie in a fixed
 * arena. A writer replaces an entry by a new one, never changes one, and gives the old one to
 * acre_free_rcu(): it's free once all readers are through that may still look at it. When the arena
 * is full, entries are thrown out, as a server sheds load.
 *
 *	reader: lock, look up, read, unlock          writer: malloc, fill, replace, acre_free_rcu
 *	             |                                                |
 *	             v                                                v
 *	+---+---+---+---+---+   entry: link | key | end | version | content, a function of the rest
 *	| buckets           |-> entry, entry ...
 *	+---+---+---+---+---+
 *
 *	rcu_cache [READERS [WRITERS [ROUNDS [MIB]]]]
 *
 * ROUNDS are those of each writer, with 256 updates; or, with an s behind it, seconds. It's a stress
 * as well: every reader verifies all of an entry's content twice, with other work in between; at the
 * end everything must be free again. Exit status 1 if anything is wrong. Time is counted in rounds, so
 * that entries end however slow the machine is.
 *
 * Built with ThreadSanitizer, rcu_order.h tells it the order that liburcu makes.
 */
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef RCU_CACHE_FLAVOR
#define RCU_CACHE_FLAVOR <urcu/urcu-memb.h>
#endif
#define URCU_API_MAP
#include RCU_CACHE_FLAVOR
#include <urcu/rculfhash.h>

#include <acre/rcu.h>

#include "rcu_order.h"

#define KEYS		20000u
#define BUCKETS		16384u
#define WORDS		6u
#define TTL		40u		/* rounds that an entry lives */
#define ROUND		256u		/* updates in a writer's round */
#define THROWN_OUT	256u		/* keys whose entries go where there's no room */
#define LOOKS		2000u		/* a reader's, when the writers are through */
#define MOST_THREADS	64u

struct entry {
	struct cds_lfht_node link;
	uint64_t key;
	uint64_t end;			/* the round after which it's no longer valid */
	uint64_t version;
	uint64_t content[WORDS];
};

struct counts {
	uint64_t found, missed, expired;	/* by readers */
	uint64_t stored, thrown_out;		/* by writers */
};

struct worker {
	pthread_t thread;
	uint64_t dice;
	struct counts counts;
};

static struct acre *arena;
static struct cds_lfht *table;
static _Atomic uint64_t rounds;
static atomic_bool over;
static unsigned long rounds_each = ULONG_MAX;

static uint64_t mix(uint64_t n)
{
	n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
	return n ^ n >> 31;
}

static uint64_t roll(struct worker *worker)
{
	return mix(worker->dice += UINT64_C(0x9e3779b97f4a7c15));
}

static _Noreturn void fault(const char *what, const struct entry *entry)
{
	fprintf(stderr, "rcu_cache: %s: key %" PRIu64 ", version %" PRIu64 "\n", what, entry->key,
		entry->version);
	exit(1);
}

static int matches(struct cds_lfht_node *link, const void *key)
{
	const struct entry *entry = caa_container_of(link, struct entry, link);

	rcu_container_pop(link);
	return entry->key == *(const uint64_t *)key;
}

static uint64_t word_of(const struct entry *entry, unsigned i)
{
	return mix(entry->key ^ entry->version << 20 ^ (uint64_t)i << 60);
}

/* Whether the entry is as it was stored. */
static void verify(const struct entry *entry, uint64_t key)
{
	if (entry->key != key)
		fault("an entry of another key", entry);
	for (unsigned i = 0; i < WORDS; i++)
		if (entry->content[i] != word_of(entry, i))
			fault("an entry changed while it was read", entry);
}

/* The entry of a key, in a read-side section; NULL if there's none. */
static struct entry *look_up(uint64_t key)
{
	struct cds_lfht_iter iterator;
	struct cds_lfht_node *link;

	cds_lfht_lookup(table, mix(key), matches, &key, &iterator);
	link = cds_lfht_iter_get_node(&iterator);
	return link ? caa_container_of(link, struct entry, link) : NULL;
}

static void *read_entries(void *argument)
{
	struct worker *worker = argument;

	rcu_register_thread();
	for (unsigned left = LOOKS; left;
	     left -= atomic_load_explicit(&over, memory_order_relaxed)) {
		uint64_t key = roll(worker) % KEYS;
		const struct entry *entry;

		rcu_read_lock();
		entry = look_up(key);
		if (!entry) {
			worker->counts.missed++;
		} else {
			uint64_t version = entry->version;

			verify(entry, key);
			/* What a server would do with it. */
			for (unsigned i = roll(worker) % 200; i; i--)
				worker->dice++;
			verify(entry, key);
			if (entry->version != version)
				fault("an entry became another", entry);
			if (entry->end < atomic_load_explicit(&rounds, memory_order_relaxed))
				worker->counts.expired++;
			else
				worker->counts.found++;
		}
		rcu_read_unlock();
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

/* Takes the entry of a key out, if it's to end by this round. */
static bool take_out(uint64_t key, uint64_t round)
{
	struct entry *entry;
	bool done = false;

	rcu_read_lock();
	entry = look_up(key);
	/* Another writer may have been first: then it's his to free. */
	if (entry && entry->end < round && cds_lfht_del(table, &entry->link) == 0) {
		acre_free_rcu(arena, entry);
		done = true;
	}
	rcu_read_unlock();
	return done;
}

/*
 * Memory for an entry. Where there's none, a number of others go at once: what they leave is free only
 * after a grace period, which one alone wouldn't be worth.
 */
static struct entry *make_room(struct worker *worker)
{
	struct entry *entry = acre_malloc(arena, sizeof(*entry));

	for (unsigned i = 0; !entry && i < 4; i++) {
		for (unsigned k = 0; k < THROWN_OUT; k++)
			worker->counts.thrown_out += take_out(roll(worker) % KEYS, UINT64_MAX);
		entry = acre_malloc(arena, sizeof(*entry));
	}
	return entry;
}

static void store(struct worker *worker, uint64_t round)
{
	struct entry *entry = make_room(worker);
	struct cds_lfht_node *old;

	if (!entry)
		return;
	cds_lfht_node_init(&entry->link);
	entry->key = roll(worker) % KEYS;
	entry->end = round + TTL;
	entry->version = roll(worker);
	for (unsigned i = 0; i < WORDS; i++)
		entry->content[i] = word_of(entry, i);
	rcu_container_push(&entry->link);
	rcu_read_lock();
	old = cds_lfht_add_replace(table, mix(entry->key), matches, &entry->key, &entry->link);
	rcu_read_unlock();
	worker->counts.stored++;
	if (old) {
		rcu_container_pop(old);
		acre_free_rcu(arena, caa_container_of(old, struct entry, link));
	}
}

static void *write_entries(void *argument)
{
	struct worker *worker = argument;

	rcu_register_thread();
	for (unsigned long left = rounds_each;
	     left && !atomic_load_explicit(&over, memory_order_relaxed); left--) {
		uint64_t round = atomic_fetch_add_explicit(&rounds, 1, memory_order_relaxed);

		for (unsigned i = 0; i < ROUND; i++) {
			store(worker, round);
			take_out(roll(worker) % KEYS, round);
			rcu_quiescent_state();
		}
	}
	rcu_unregister_thread();
	return NULL;
}

/* All entries go, and all memory must be free. */
static int end(void)
{
	struct acre_stats stats;
	int faults;

	rcu_register_thread();
	for (uint64_t key = 0; key < KEYS; key++)
		take_out(key, UINT64_MAX);
	if (acre_rcu_barrier(arena) != 0)
		perror("rcu_cache: acre_rcu_barrier");
	rcu_unregister_thread();
	acre_flush(arena);
	acre_stats(arena, &stats);
	faults = acre_check(arena);
	if (stats.waiting_blocks || stats.live_blocks || faults) {
		fprintf(stderr, "rcu_cache: %zu blocks wait, %zu live, %d faults\n",
			stats.waiting_blocks, stats.live_blocks, faults);
		return 1;
	}
	printf("refused %zu of the arena's %zu bytes; all is free again\n", stats.refusals,
	       stats.size);
	if (cds_lfht_destroy(table, NULL) != 0) {
		fprintf(stderr, "rcu_cache: the table isn't empty\n");
		return 1;
	}
	return acre_destroy(arena) != 0;
}

static _Noreturn void bad_call(const char *argument)
{
	fprintf(stderr, "rcu_cache: '%s': give numbers of readers and writers (up to %u), rounds (or "
			"seconds, as 10s) and MiB\n", argument, MOST_THREADS);
	exit(2);
}

/* Argument i; if *seconds is wanted, it may end in an s, and that is told there. */
static unsigned long number(int count, char **arguments, int i, unsigned long otherwise,
			    unsigned long most, bool *seconds)
{
	char *rest;
	unsigned long n;

	if (i >= count)
		return otherwise;
	n = strtoul(arguments[i], &rest, 10);
	if (seconds && *rest == 's') {
		*seconds = true;
		rest++;
	}
	if (*rest || !n || n > most)
		bad_call(arguments[i]);
	return n;
}

static void begin(struct worker *workers, unsigned long from, unsigned long to,
		  void *(*body)(void *))
{
	for (unsigned long i = from; i < to; i++) {
		workers[i].dice = i;
		if (pthread_create(&workers[i].thread, NULL, body, &workers[i]) != 0) {
			perror("rcu_cache: no thread");
			exit(1);
		}
	}
}

static void join(struct worker *workers, unsigned long from, unsigned long to, struct counts *sum)
{
	for (unsigned long i = from; i < to; i++) {
		pthread_join(workers[i].thread, NULL);
		sum->found += workers[i].counts.found;
		sum->missed += workers[i].counts.missed;
		sum->expired += workers[i].counts.expired;
		sum->stored += workers[i].counts.stored;
		sum->thrown_out += workers[i].counts.thrown_out;
	}
}

int main(int count, char **arguments)
{
	static struct worker workers[2 * MOST_THREADS];
	bool by_time = false;
	unsigned long readers = number(count, arguments, 1, 4, MOST_THREADS, NULL);
	unsigned long writers = number(count, arguments, 2, 4, MOST_THREADS, NULL);
	unsigned long rounds_or_seconds = number(count, arguments, 3, 2000, 1000000, &by_time);
	unsigned long mib = number(count, arguments, 4, 2, 1000000, NULL);
	struct counts sum = { 0 };

	arena = acre_create((size_t)mib << 20, NULL);
	/* The table is of a size of its own: it needs no thread that would resize it. */
	table = cds_lfht_new(BUCKETS, BUCKETS, BUCKETS, 0, NULL);
	if (!arena || !table) {
		perror("rcu_cache: no memory");
		return 1;
	}
	if (!by_time)
		rounds_each = rounds_or_seconds;
	begin(workers, 0, readers, read_entries);
	begin(workers, readers, readers + writers, write_entries);
	if (by_time) {
		nanosleep(&(struct timespec){ .tv_sec = (time_t)rounds_or_seconds }, NULL);
		atomic_store(&over, true);
	}
	join(workers, readers, readers + writers, &sum);
	atomic_store(&over, true);
	join(workers, 0, readers, &sum);
	printf("found %" PRIu64 ", missed %" PRIu64 ", too old %" PRIu64 "; stored %" PRIu64
	       ", thrown out %" PRIu64 "\n",
	       sum.found, sum.missed, sum.expired, sum.stored, sum.thrown_out);
	return end();
}
