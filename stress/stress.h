/*
 * acre-stress: what its scenarios share.
 *
 * A scenario is a function that works in arenas of its own, with threads of its own, until its time
 * is up. Each runs in a child process (main.c), so an abort or a hang of the allocator ends that
 * scenario alone. What a scenario has done so far stands on the board, a page shared with the
 * parent, which shows it as progress and in the report.
 *
 *	main.c		options, the parent of the scenarios, progress, report
 *	run.c		a run: arena, threads, gate, deadline, end
 *	block.c		content of blocks; allocate, resize and free with every check
 *	audit.c		the arena's own account of itself against the program's
 *	the rest	the scenarios
 *
 * Two rules make the scenarios good detectors. Every live block is filled with a pattern keyed by
 * its address, its size and a serial number, verified before it is freed: a block that overlaps
 * another, or that the allocator wrote into, shows. And threads are ordered by no more than they
 * must be (a block's hand-over is a release and an acquire, the way back is relaxed, counters are
 * each thread's own), so that ThreadSanitizer sees the order that the allocator itself makes, or
 * fails to make, between a free and the next use of that memory.
 */
#ifndef STRESS_H
#define STRESS_H

#include <acre/acre.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A plot may take this much of the range, for each thread alive at once; see acre.h. */
#define PLOT_BYTES	((size_t)40 << 10)

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN	1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN	1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN	0
#endif

#define KIB		((size_t)1 << 10)
#define MIB		((size_t)1 << 20)

struct options {
	unsigned threads;	/* 0: the scenario's own choice */
	unsigned seconds;
	uint64_t seed;
	size_t arena;		/* 0: the scenario's own choice */
	enum acre_policy policy;
};

/* The progress of a scenario. In memory shared with the parent process. */
struct board {
	_Atomic uint64_t operations;
	_Atomic uint64_t refusals;
	_Atomic uint64_t peak;		/* most live bytes in one arena */
	_Atomic unsigned threads;
	_Atomic unsigned processes;	/* forked, by fork-storm */
	_Atomic unsigned unswept;	/* of these: some blocks of lost threads stayed cached */
	_Atomic unsigned arenas;	/* created */
};

struct run;

struct scenario {
	const char *name;
	const char *summary;
	size_t arena;		/* its size where --arena gives none */
	unsigned threads;	/* their number where --threads gives none; 0: by the processors */
	unsigned least_threads;
	unsigned most_threads;	/* 0: any number */
	void (*work)(struct run *run);
};

extern const struct scenario scenario_mixed, scenario_no_cache, scenario_producer_consumer,
	scenario_ring, scenario_shared, scenario_larson, scenario_churn, scenario_crowd,
	scenario_exhaustion, scenario_fork_storm, scenario_realloc, scenario_arenas,
	scenario_newcomers;

/* A pseudo-random sequence (splitmix64): small, and any seed will do. */
struct random {
	uint64_t state;
};

static inline uint64_t scramble(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline uint64_t draw(struct random *random)
{
	return scramble(random->state += UINT64_C(0x9e3779b97f4a7c15));
}

/* A number from 0 to limit - 1. */
static inline size_t draw_below(struct random *random, size_t limit)
{
	return (size_t)(draw(random) % limit);
}

/* A number from least to most. */
static inline size_t draw_from(struct random *random, size_t least, size_t most)
{
	return least + draw_below(random, most - least + 1);
}

/* A size from 0 to most, small ones far more often: each power of two is equally likely. */
size_t draw_size(struct random *random, size_t most);

/* A block that the program holds. block is NULL where it holds none. */
struct slot {
	unsigned char *block;
	size_t size;		/* the bytes that carry the pattern */
	size_t asked;		/* what the allocator was asked for, at most size */
	uint64_t serial;
};

/* Where an arena's blocks lie: taken when it is new, and one free block; or buddies, ever smaller. */
struct range {
	const unsigned char *start;
	size_t size;
	bool buddies;
};

/*
 * A thread of a run, and what it counts. Others read the counts when it is parked at the gate or
 * joined.
 */
struct worker {
	struct run *run;
	struct acre *arena;	/* where it works; not always the run's */
	const struct range *range;	/* of that arena */
	unsigned index;
	pthread_t thread;
	struct random random;
	uint64_t serial;
	uint64_t operations;
	uint64_t published;	/* operations already on the board */
	uint64_t refusals;
	uint64_t taken, given;			/* blocks allocated, freed */
	uint64_t taken_bytes, given_bytes;	/* their usable sizes */
	struct slot *slots;
	size_t slot_count, slot_room;
	void *extra;		/* the scenario's own */
};

struct run {
	const struct scenario *scenario;
	const struct options *options;
	struct board *board;
	unsigned threads;
	uint64_t deadline;	/* nanoseconds, of the monotonic clock */

	struct acre *arena;
	size_t arena_size;
	unsigned flags;		/* of the arena */
	struct range range;
	size_t peak;		/* most live bytes, as acre_stats last told */
	unsigned most_alive;	/* threads that used the arena at once, at most, main included */

	struct worker main;	/* the scenario's first thread is a worker too */
	struct worker *workers;	/* threads of them */
	pthread_barrier_t gate;	/* workers and main */
	bool over;		/* written by main before the gate, read by workers behind it */
	_Atomic bool stop;	/* asks workers that pass no gate to end */
};

/* ---- run.c ---- */

/* Creates the run's arena (size and flags) and notes its range. */
void run_open(struct run *run, unsigned flags);

/* Starts run->threads workers; they share the gate with the caller. */
void run_start(struct run *run, void *(*work)(void *worker));

/* Waits for all workers to end. */
void run_join(struct run *run);

/* Makes worker number index; it holds nothing. */
void worker_init(struct worker *worker, struct run *run, unsigned index);

/* Ends a worker's own memory. Its counts stay. */
void worker_clear(struct worker *worker);

/* Everything was freed: flushes, checks that the arena is one free block again, and destroys it. */
void run_close(struct run *run);

/* Wait until all workers and main have come. */
void gate(struct run *run);

bool time_is_up(const struct run *run);

/* Sleeps until the run's time is up, then asks the workers to stop. */
void run_out_the_clock(struct run *run);

static inline bool asked_to_stop(struct run *run)
{
	return atomic_load_explicit(&run->stop, memory_order_relaxed);
}

/* Creates a thread or faults. stack 0 is the system's own size. */
pthread_t start_thread(void *(*work)(void *), void *argument, size_t stack);
void join_thread(pthread_t thread);

/* malloc() that never fails: of the system's memory, not of an arena. */
void *get_memory(size_t count, size_t size);

/* Notes an operation on the board, now and then. */
static inline void count_operation(struct worker *worker)
{
	if ((++worker->operations & 255) == 0) {
		atomic_fetch_add_explicit(&worker->run->board->operations,
					  worker->operations - worker->published,
					  memory_order_relaxed);
		worker->published = worker->operations;
	}
}

/* Puts all counts of the worker on the board. */
void publish(struct worker *worker);

/* One line on stderr about a fault. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* complain(), then ends the process with status 1: what comes after a fault means nothing. */
_Noreturn void fault(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- block.c ---- */

/* How slot_fill() may allocate. */
enum manner { ANY_MANNER, PLAIN_MALLOC };

/*
 * Allocates size bytes in an empty slot: by malloc, calloc (all zero?) or aligned_alloc (aligned?).
 * Returns false where the allocator refused, which is counted.
 */
bool slot_fill(struct worker *worker, struct slot *slot, size_t size, enum manner manner);

/* Verifies the content and frees. */
void slot_empty(struct worker *worker, struct slot *slot);

/* Reallocates a full slot to size > 0. False where refused: the content must be untouched. */
bool slot_resize(struct worker *worker, struct slot *slot, size_t size);

/* Verifies the content. */
void slot_verify(const struct slot *slot);

/*
 * A parcel is a block that goes from hand to hand as a bare pointer: it has 16 bytes at least and
 * holds its own size and serial. NULL where the allocator refused.
 */
#define PARCEL_LEAST	16
void *parcel_pack(struct worker *worker, size_t size);

/* Verifies and frees a parcel, from whomever it came. */
void parcel_open(struct worker *worker, void *parcel);

/* Reads a parcel into a slot, verified; nobody else may hold it. */
struct slot parcel_read(struct acre *arena, void *parcel);

/*
 * A place where one thread leaves a parcel and any thread takes it. Taking is an acquire alone,
 * putting a release alone: the hand-over orders the two threads in one direction only.
 */
typedef void *_Atomic mailbox;

/* Frees the parcel at the place, or leaves a new one there, of most bytes at most. */
void mailbox_exchange(struct worker *worker, mailbox *place, size_t most);

/* Frees what is in every step-th of count mailboxes, from the first on. */
void mailboxes_empty(struct worker *worker, mailbox *mailboxes, size_t count, size_t first,
		     size_t step);

/* A worker's own slots: as many as it needs. */
struct slot *slots_add(struct worker *worker);
void slots_remove(struct worker *worker, struct slot *slot);
/* Frees the blocks of all slots of from, as worker; from and worker may be the same. */
void slots_empty(struct worker *worker, struct worker *from);

/* ---- audit.c ---- */

/* The blocks that the program holds, as far as the scenario knows them. */
struct ledger {
	const void **blocks;
	size_t count, room;
};

void ledger_add(struct ledger *ledger, const void *block);
void ledger_add_slots(struct ledger *ledger, const struct worker *worker);
void ledger_clear(struct ledger *ledger);

/* The range of a new arena. Faults if it isn't one free block, or buddies. */
struct range range_of(struct acre *arena);

/* While others work: acre_check finds nothing, and blocks don't overlap in a walk. */
void inspect(struct acre *arena, const struct range *range);

/*
 * Nobody works: the structures are sound, the walk shows exactly the ledger's blocks as live, and
 * the statistics agree with the walk and with the counts of workers and main.
 */
void audit(struct run *run, const struct ledger *ledger);

/*
 * All was freed and flushed: one free block, or buddies, of the range's size but for the plots of
 * most_alive threads.
 */
void audit_whole(struct acre *arena, const struct range *range, unsigned most_alive);

/* After audit_whole(): the one free block, or the largest, can be had by one request. */
void audit_taken_whole(struct acre *arena);

#endif
