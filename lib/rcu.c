/*
 * RCU: blocks that are freed after a grace period of the user's flavour of liburcu.
 *
 * This is libacre-rcu, a library of its own. It calls liburcu by the table that the user hands over
 * (urcu/flavor.h), so it needs liburcu's headers, but links none of its libraries, and works with
 * any flavour, also with two at once. It's apart from libacre nevertheless: a program that doesn't
 * use it shall have no code of worker threads and fork handlers, libacre is built the same with and
 * without liburcu, and liburcu's licence stays with those who use it.
 *
 *	program:   acre_free_rcu(arena, block)          readers: rcu_read_lock() ...
 *	               |
 *	waiting.h:  ring -> queue ----------------------------------> cache, owners   (libacre)
 *	               |        begin: marks |      | end: what's marked is due
 *	rcu.c:       calls                   |      |
 *	               v                     |      |
 *	worker:     sleep ---> begin --> synchronize_rcu --> end --> sleep ...
 *	            (until called, or 10 ms, as long as anything waits)
 *
 * Why a worker and synchronize_rcu(), and not liburcu's polling of grace periods (0.14 and later):
 * that is driven by a callback of call_rcu, so it needs another thread just the same, which looks
 * for work each 10 ms, and callers that are registered readers; and somebody has to free what a
 * thread that fell asleep has handed in. The worker needs no registration with any flavour: it
 * reads nothing, and synchronize_rcu() may be called by any thread.
 *
 * The memory of what waits. The kernel's kvfree_rcu keeps pages of pointers, call_rcu 16 bytes in
 * the object. To chain the blocks themselves isn't possible while readers look at them: the payload
 * must stay as it is. The tag is ours, but of its 64 bits 36 are the size, which whoever walks the
 * heap needs, one is written by the neighbour, 8 are the state, 11 the owner; a link of the 8 check
 * bits that remain would reach 2 KiB. And who follows a list through blocks that have grown cold
 * waits for memory at each of them. So it's an array, of which the next ones can be fetched ahead:
 * places of 4 bytes, in chunks of at most 4 KiB, which come and go with what waits. A bit for each
 * granule of the arena would be 8 bytes for 1 KiB in use, and its words shared by threads. To find
 * blocks by their tags' state alone, with a walk through all heaps, costs nothing until then; it's
 * what's done when there's no room for a chunk (strays, waiting.h).
 *
 * Who waits for whom. An allocation that finds nothing, and a hand-in beyond rcu_bytes, wait for
 * the worker, and for a second at most: the caller may hold a lock that a reader waits for, and
 * then no grace period ends. While one goes on that somebody has waited for in vain, nobody else
 * does. In a read-side section they don't wait at all. With qsbr a thread that's online counts as
 * in one, since only it knows when it holds no reference. Barrier and destroy are asked to wait:
 * for them a thread that is online only goes offline.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <acre/rcu.h>

#include "arena.h"
#include "cache.h"
#include "gate.h"
#include "plot.h"
#include "private.h"
#include "report.h"
#include "thread.h"

#define PUBLIC		__attribute__((visibility("default")))
#define PERIOD_MS	10u	/* between grace periods, where nothing calls */
#define STACK_BYTES	((size_t)256 << 10)

/* grace.state */
enum { NO_WORKER, STARTING, WORKS, ENDS };

/* grace.wanted */
#define WANT_ROUND	1u	/* a grace period now */
#define WANT_FREE	2u	/* and what it makes due is to be free by its end */

typedef const struct rcu_flavor_struct *flavor;

extern const struct rcu_flavor_struct urcu_bp_flavor __attribute__((weak));

/* Each has a number, for good. */
static flavor _Atomic flavors[FLAVORS];

/* In here already: what liburcu calls may allocate, and find the arena full. */
static _Thread_local bool expediting;

static flavor flavor_at(unsigned number)
{
	/* Acquire, to the release in number_of(); the table itself is constant. */
	return atomic_load_explicit(&flavors[number], memory_order_acquire);
}

static uint32_t number_of(flavor wanted)
{
	for (uint32_t i = 0; i < FLAVORS; i++) {
		flavor found = NULL;

		if (atomic_compare_exchange_strong_explicit(&flavors[i], &found, wanted,
							    memory_order_release,
							    memory_order_acquire) ||
		    found == wanted)
			return i;
	}
	report_misuse("free_rcu", wanted, "it is the sixth flavour of RCU in this process; "
					  "was its address that of a copy?");
}

/*
 * Time and futexes.
 */
static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Sleeps while the word has this value, ms at most; 0 = for ever. May return for no reason. */
static void sleep_on(_Atomic uint32_t *word, uint32_t value, uint64_t ms)
{
	struct timespec limit = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, ms ? &limit : NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *word, int sleepers)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0);
}

/*
 * Grace periods.
 */
/* A grace period, and what it makes due is free by its end if that's wanted. */
static void pass_grace_period(struct acre *arena, uint32_t number, bool free)
{
	struct grace *grace = &arena->graces[number];
	flavor rcu = flavor_at(number);
	uint64_t begun;

	gate_enter();
	pthread_mutex_lock(&grace->turn);
	begun = acre_private_grace_begin(arena, number);
	rcu->update_synchronize_rcu();
	SHADOW_GRACE(rcu);
	acre_private_grace_end(arena, number, begun);
	/* Releases, to the acquire in wait_for_worker(): blocks are due, or free. */
	atomic_store_explicit(&grace->passed, (uint32_t)begun, memory_order_release);
	wake(&grace->passed, INT32_MAX);
	if (free) {
		acre_private_grace_free(arena, number);
		atomic_store_explicit(&grace->freed, (uint32_t)begun, memory_order_release);
		wake(&grace->freed, INT32_MAX);
	}
	pthread_mutex_unlock(&grace->turn);
	gate_leave();
}

/*
 * Readers.
 */

/* Whether the caller can't wait for a grace period even if it's offline, which it then is. */
static bool must_not_wait(flavor rcu, bool *online)
{
	*online = rcu->read_ongoing();
	if (!*online)
		return false;
	/* With qsbr this ends it; with the others, nothing happens. */
	rcu->thread_offline();
	return rcu->read_ongoing();
}

/* Undoes the other's going offline. */
static void come_back(flavor rcu, bool online)
{
	if (online)
		rcu->thread_online();
}

static bool is_used(struct acre *arena, unsigned number)
{
	/* Relaxed: the caller's own use of the arena, and what's ordered before it, is seen. */
	return flavor_at(number) &&
	       atomic_load_explicit(&arena->graces[number].used, memory_order_relaxed);
}

/* Whether the caller is in a read-side section of a flavour that the arena is used with. */
static bool is_reader(struct acre *arena)
{
	bool reader = false;

	for (unsigned f = 0; f < FLAVORS && !reader; f++)
		if (is_used(arena, f)) {
			bool online;

			reader = must_not_wait(flavor_at(f), &online);
			come_back(flavor_at(f), online);
		}
	return reader;
}

static bool all_signals_blocked(void)
{
	sigset_t blocked;

	if (pthread_sigmask(SIG_SETMASK, NULL, &blocked) != 0)
		return false;
	/* The C library leaves its own signals out, and SIGKILL and SIGSTOP can't be blocked. */
	for (int signal = 1; signal < 32; signal++)
		if (signal != SIGKILL && signal != SIGSTOP && !sigismember(&blocked, signal))
			return false;
	return true;
}

/* Whether the caller may be in liburcu-bp itself, which blocks all signals then. */
static bool may_be_in_bp(flavor rcu)
{
	return rcu == &urcu_bp_flavor && all_signals_blocked();
}

/*
 * The worker.
 */
static void call_worker(struct grace *grace, uint32_t wants)
{
	/*
	 * Release, to the acquire in work(): what was handed in. Whoever finds it zero wakes the
	 * worker; for the others that was done.
	 */
	if (!atomic_fetch_or_explicit(&grace->wanted, wants, memory_order_release))
		wake(&grace->wanted, 1);
}

/* Until called, or for a while if anything waits. What is wanted. */
static uint32_t rest(struct acre *arena, struct grace *grace, uint32_t number)
{
	bool settled = false;

	if (!acre_private_waiting_any(arena, number)) {
		/* Relaxed: who changes a plot's queue after settle() has seen it, sees this. */
		atomic_store_explicit(&grace->idle, true, memory_order_relaxed);
		settled = acre_private_waiting_settle(arena, number);
	}
	sleep_on(&grace->wanted, 0, settled ? 0 : PERIOD_MS);
	atomic_store_explicit(&grace->idle, false, memory_order_relaxed);
	/* Acquire, to the release in call_worker(). */
	return atomic_exchange_explicit(&grace->wanted, 0, memory_order_acquire);
}

static void *work(void *argument)
{
	struct grace *grace = argument;
	struct acre *arena = acre_of(grace);
	uint32_t number = (uint32_t)(grace - arena->graces);

	for (;;) {
		uint32_t wanted = rest(arena, grace, number);

		/* Acquire, to the release in end_worker(). */
		if (atomic_load_explicit(&grace->state, memory_order_acquire) == ENDS)
			return NULL;
		if (wanted || acre_private_waiting_any(arena, number))
			pass_grace_period(arena, number, wanted & WANT_FREE);
	}
}

/* Starts the worker if there's none. False if the system refuses a thread. */
static bool start_worker(struct grace *grace)
{
	uint32_t state = NO_WORKER;
	sigset_t all, before;
	pthread_attr_t attributes;
	bool started;

	/* Acquire, to the release below: there is one. */
	if (atomic_load_explicit(&grace->state, memory_order_acquire) == WORKS)
		return true;
	if (!atomic_compare_exchange_strong_explicit(&grace->state, &state, STARTING,
						     memory_order_acquire, memory_order_acquire))
		return state == WORKS;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	started = pthread_create(&grace->worker, &attributes, work, grace) == 0;
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	atomic_store_explicit(&grace->state, started ? WORKS : NO_WORKER, memory_order_release);
	return started;
}

static void end_worker(struct grace *grace)
{
	if (atomic_load_explicit(&grace->state, memory_order_acquire) != WORKS)
		return;
	atomic_store_explicit(&grace->state, ENDS, memory_order_release);
	call_worker(grace, WANT_ROUND);
	pthread_join(grace->worker, NULL);
	atomic_store_explicit(&grace->state, NO_WORKER, memory_order_relaxed);
}

/*
 * Waits until a grace period has passed that begins after the call, or nearly; if that's wanted, until
 * what it made due is free. False if that isn't so by the deadline; or if another has waited in vain
 * for the one that is in progress: a reader that stays makes each thread wait once, not each call.
 */
static bool wait_for_worker(struct grace *grace, uint32_t wants, uint64_t deadline)
{
	/* Relaxed: a number that's out of date makes for a shorter wait. */
	uint32_t begun = (uint32_t)atomic_load_explicit(&grace->begun, memory_order_relaxed);

	_Atomic uint32_t *word = wants & WANT_FREE ? &grace->freed : &grace->passed;

	call_worker(grace, wants);
	/* Relaxed, both: as above. */
	if (begun == atomic_load_explicit(&grace->given_up, memory_order_relaxed) &&
	    begun != (uint32_t)atomic_load_explicit(&grace->ended, memory_order_relaxed))
		return false;
	for (;;) {
		/* Acquire, to the release in pass_grace_period(). */
		uint32_t passed = atomic_load_explicit(word, memory_order_acquire);
		uint64_t now = now_ms();

		if ((int32_t)(passed - begun) > 0)
			return true;
		if (now >= deadline)
			break;
		sleep_on(word, passed, deadline - now);
	}
	atomic_store_explicit(&grace->given_up,
			      (uint32_t)atomic_load_explicit(&grace->begun, memory_order_relaxed),
			      memory_order_relaxed);
	return false;
}

/*
 * What libacre calls.
 */

/* For an allocation that found nothing. */
static bool expedite(struct acre *arena)
{
	uint64_t deadline = now_ms() + PATIENCE_MS;
	int saved = errno;
	bool freed = false;

	if (expediting)
		return false;
	expediting = true;
	for (unsigned f = 0; f < FLAVORS; f++)
		if (is_used(arena, f) && acre_private_waiting_any(arena, f) &&
		    !may_be_in_bp(flavor_at(f)) && !flavor_at(f)->read_ongoing() &&
		    start_worker(&arena->graces[f]))
			freed |= wait_for_worker(&arena->graces[f], WANT_FREE, deadline);
	expediting = false;
	errno = saved;
	return freed;
}

static bool end(struct acre *arena)
{
	if (is_reader(arena))
		return false;
	for (unsigned f = 0; f < FLAVORS; f++)
		if (is_used(arena, f)) {
			bool online;

			must_not_wait(flavor_at(f), &online);
			end_worker(&arena->graces[f]);
			come_back(flavor_at(f), online);
		}
	return true;
}

static const struct waiting_hooks hooks = { expedite, end };

/*
 * Fork.
 */

/* Whether grace periods can end while a thread that forks waits for them. */
static bool may_wait_at_fork(void)
{
	for (unsigned f = 0; f < FLAVORS; f++) {
		flavor rcu = flavor_at(f);

		if (rcu && (may_be_in_bp(rcu) || rcu->read_ongoing()))
			return false;
	}
	return true;
}

static void set_up(void)
{
	gate_set_up(may_wait_at_fork);
}

/* The first use of an arena with a flavour. */
static void begin_use(struct acre *arena, uint32_t number)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, set_up);
	atomic_store_explicit(&arena->graces[number].used, true, memory_order_relaxed);
	/* Release, to the acquire in hooks_of(). */
	atomic_store_explicit(&arena->waiting_hooks, &hooks, memory_order_release);
}

/*
 * The interface.
 */

static bool is_full(const struct acre *arena)
{
	return atomic_load_explicit(&arena->waiting_bytes, memory_order_relaxed) >
	       arena->rcu_bytes;
}

/* More waits than may: waits itself, if it can, until that's no longer so. */
static void wait_for_room(struct acre *arena, struct cache *cache, flavor rcu, uint32_t number)
{
	struct grace *grace = &arena->graces[number];
	uint64_t deadline = now_ms() + PATIENCE_MS;

	uint32_t wants = WANT_ROUND;

	if (may_be_in_bp(rcu) || rcu->read_ongoing()) {
		call_worker(grace, WANT_FREE);
		return;
	}
	while (is_full(arena) && wait_for_worker(grace, wants, deadline)) {
		/* The thread's own blocks first; if that isn't enough, all. */
		acre_private_waiting_add(arena, cache, NULL, rcu, number, true);
		wants = WANT_FREE;
	}
}

/* What a push has left to do; or the block that it couldn't take. */
static __attribute__((noinline)) void free_slowly(struct acre *arena, void *block, flavor rcu)
{
	uint32_t number = number_of(rcu);
	struct grace *grace = &arena->graces[number];
	struct cache *cache = acre_private_cache(arena);
	int saved = errno;
	unsigned wishes;

	if (!is_used(arena, number))
		begin_use(arena, number);
	wishes = acre_private_waiting_add(arena, cache, block, rcu, number, false);
	if (wishes && start_worker(grace)) {
		if (wishes & WAITING_FULL)
			wait_for_room(arena, cache, rcu, number);
		else
			call_worker(grace, WANT_ROUND);
	}
	errno = saved;
}

PUBLIC void acre_free_rcu_flavor(struct acre *arena, void *block, flavor rcu)
{
	const struct acre_thread *self = &acre_private_thread;
	unsigned i = (unsigned)arena->serial % THREAD_SLOTS;
	struct cache *cache = self->slots[i].cache;
	uint64_t face, place;
	uint32_t twice, count;
	struct ring *ring;

	if (RARELY(!block))
		return;
	/* All that isn't a push ends in a call, which needs no frame here. */
	if (RARELY(self->slots[i].serial != arena->serial || !cache_small(cache, block, &face, &twice))) {
		free_slowly(arena, block, rcu);
		return;
	}
	ring = &cache->plot->ring;
	place = ((uintptr_t)block - (uintptr_t)cache->first) / GRANULE;
	if (RARELY(ring->flavor != rcu || ring->high != place >> 32)) {
		free_slowly(arena, block, rcu);
		return;
	}
	count = atomic_load_explicit(&ring->count, memory_order_relaxed);
	tag_set_face(tag_of(block), face_turned((uint32_t)face, TAG_LIVE, TAG_WAITING));
	ring->places[count] = (uint32_t)place;
	ring->twice += twice;
	/* Release, to the acquires of count: the entry, and what the program did with the block. */
	atomic_store_explicit(&ring->count, count + 1, memory_order_release);
	/* In this order, for the sake of waiting_settle(). */
	atomic_signal_fence(memory_order_seq_cst);
	if (RARELY(count + 1 >= atomic_load_explicit(&ring->limit, memory_order_relaxed)))
		free_slowly(arena, NULL, rcu);
}

PUBLIC int acre_rcu_barrier(struct acre *arena)
{
	if (is_reader(arena)) {
		errno = EDEADLK;
		return -1;
	}
	do {
		for (unsigned f = 0; f < FLAVORS; f++)
			if (is_used(arena, f)) {
				bool online;

				must_not_wait(flavor_at(f), &online);
				pass_grace_period(arena, f, true);
				come_back(flavor_at(f), online);
			}
	} while (acre_private_grace_strays(arena));
	return 0;
}
