/*
 * Schedule: see schedule.h.
 *
 * All of `plan` belongs to the thread whose turn it is; a semaphore passes the turn on, and with it
 * everything that was written.
 */
#include "schedule.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

#define POINTS_MOST	UINT64_C(20000000)
#define WHERE()		__builtin_return_address(0)

struct runner {
	sem_t turn;
	pthread_t thread;
	int tid;
	bool over;
	const pthread_mutex_t *wanted;	/* waits for this lock; NULL = may go on */
	const void *where;		/* the last point */
	int64_t priority;
	unsigned rounds;
	void (*body)(void *);
	void *argument;
};

static struct {
	struct runner runners[SCHEDULE_THREADS];
	unsigned count;
	struct runner *gone;		/* has ended, but may still be known to the kernel */
	sem_t done;
	pthread_key_t key;
	struct dice dice;
	enum schedule_kind finest;
	bool by_priority;
	int64_t lowest;
	uint64_t stride;
	uint64_t left;			/* points to pass until the next change */
	uint64_t now;			/* ms */
	bool held;			/* no points now */
	bool trace;
	struct schedule_result result;
} plan;

static _Thread_local struct runner *self;

extern const char __executable_start[];

/* A place in the program as addr2line knows it. */
static uint64_t offset_of(const void *where)
{
	return where ? (uintptr_t)where - (uintptr_t)__executable_start : 0;
}

static unsigned number_of(const struct runner *runner)
{
	return (unsigned)(runner - plan.runners) + 1;
}

static uint64_t gap(void)
{
	return roll_between(&plan.dice, 1, 2 * plan.stride);
}

void schedule_begin(uint64_t seed, bool trace)
{
	/* A change at each access would only be slow; one in a few thousand is two in a run. */
	static const struct {
		uint64_t least, most;
	} strides[] = {
		[POINT_UPDATE] = { 1, 64 },
		[POINT_ATOMIC] = { 2, 1024 },
		[POINT_ACCESS] = { 16, 4096 },
	};

	memset(&plan, 0, sizeof(plan));
	sem_init(&plan.done, 0, 0);
	plan.dice = dice_from(seed);
	plan.finest = (enum schedule_kind)roll_between(&plan.dice, POINT_UPDATE, POINT_ACCESS);
	plan.by_priority = roll_between(&plan.dice, 0, 1);
	plan.stride = roll_log(&plan.dice, strides[plan.finest].least, strides[plan.finest].most);
	plan.left = gap();
	plan.now = 1000;
	plan.trace = trace;
}

/* The one that goes on now; NULL if none can. */
static struct runner *choose(bool another)
{
	struct runner *ready[SCHEDULE_THREADS];
	unsigned count = 0;

	for (unsigned i = 0; i < plan.count; i++) {
		struct runner *runner = &plan.runners[i];

		if (runner->over || runner->wanted || (another && runner == self))
			continue;
		if (plan.by_priority && count) {
			if (runner->priority > ready[0]->priority)
				ready[0] = runner;
		} else {
			ready[count++] = runner;
		}
	}
	return count ? ready[roll_between(&plan.dice, 0, count - 1)] : NULL;
}

static _Noreturn void stuck(const char *how)
{
	dprintf(STDERR_FILENO, "schedule: %s:", how);
	for (unsigned i = 0; i < plan.count; i++)
		if (!plan.runners[i].over)
			dprintf(STDERR_FILENO, " thread %u %s 0x%lx", i + 1,
				plan.runners[i].wanted ? "wants a lock at" : "was last at",
				offset_of(plan.runners[i].where));
	dprintf(STDERR_FILENO, "\n");
	_exit(1);
}

/* The library asks the kernel whether a thread lives: it gets one answer only. */
static void bury(void)
{
	struct runner *gone = plan.gone;

	if (!gone)
		return;
	plan.gone = NULL;
	pthread_join(gone->thread, NULL);
	while (syscall(SYS_tgkill, getpid(), gone->tid, 0) == 0)
		sched_yield();
}

static void await_turn(struct runner *runner)
{
	await(&runner->turn);
	bury();
}

/* The turn goes from this thread to another, or stays. */
static void pass_to(struct runner *next)
{
	struct runner *me = self;
	int saved = errno;

	if (!next)
		stuck("deadlock");
	if (next == me)
		return;
	plan.result.switches++;
	if (plan.trace)
		dprintf(STDERR_FILENO, "%lu: thread %u at 0x%lx, now thread %u\n",
			plan.result.points, number_of(me), offset_of(me->where), number_of(next));
	sem_post(&next->turn);
	await_turn(me);
	errno = saved;
}

void schedule_point(enum schedule_kind kind, const void *where)
{
	if (!self || plan.held)
		return;
	if (++plan.result.points > POINTS_MOST)
		stuck("livelock");
	if (kind > plan.finest)
		return;
	self->where = where;
	plan.result.trace = (plan.result.trace ^ offset_of(where) ^ (uint64_t)number_of(self) << 48) *
			    UINT64_C(0x9e3779b97f4a7c15);
	plan.result.trace ^= plan.result.trace >> 32;
	if (--plan.left)
		return;
	plan.left = gap();
	schedule_pause();
}

void schedule_pause(void)
{
	struct runner *next;

	self->priority = --plan.lowest;
	if (++plan.result.points > POINTS_MOST)
		stuck("livelock");
	next = choose(true);
	pass_to(next ? next : self);
}

void schedule_hold(bool hold)
{
	plan.held = hold;
}

bool schedule_lets_weak_fail(void)
{
	return self && roll_between(&plan.dice, 0, 15) == 0;
}

void schedule_lost(void)
{
	if (self)
		plan.result.lost++;
}

int schedule_lock(pthread_mutex_t *mutex)
{
	int error;

	if (!self)
		return pthread_mutex_lock(mutex);
	schedule_point(POINT_UPDATE, WHERE());
	while ((error = pthread_mutex_trylock(mutex)) == EBUSY) {
		plan.result.waits++;
		self->wanted = mutex;
		self->where = WHERE();
		pass_to(choose(true));
	}
	return error;
}

int schedule_trylock(pthread_mutex_t *mutex)
{
	int error;

	schedule_point(POINT_UPDATE, WHERE());
	error = pthread_mutex_trylock(mutex);
	if (self && error)
		plan.result.busy++;
	return error;
}

int schedule_unlock(pthread_mutex_t *mutex)
{
	int error;

	schedule_point(POINT_UPDATE, WHERE());
	error = pthread_mutex_unlock(mutex);
	if (!self)
		return error;
	for (unsigned i = 0; i < plan.count; i++)
		if (plan.runners[i].wanted == mutex)
			plan.runners[i].wanted = NULL;
	if (plan.by_priority)
		pass_to(choose(false));
	return error;
}

int schedule_clock(clockid_t clock, struct timespec *now)
{
	if (!self)
		return clock_gettime(clock, now);
	plan.now += roll_between(&plan.dice, 0, 600);
	now->tv_sec = (time_t)(plan.now / 1000);
	now->tv_nsec = (long)(plan.now % 1000) * 1000000;
	return 0;
}

/* The last destructor of the last round, if its key is the last that was made. */
static void end(void *value)
{
	struct runner *me = value;
	struct runner *next;

	if (++me->rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(plan.key, me);
		return;
	}
	me->over = true;
	plan.gone = me;
	next = choose(true);
	if (!next)
		for (unsigned i = 0; i < plan.count; i++)
			if (!plan.runners[i].over)
				stuck("deadlock");
	self = NULL;
	sem_post(next ? &next->turn : &plan.done);
}

static void *begin(void *argument)
{
	struct runner *me = argument;

	me->tid = (int)syscall(SYS_gettid);
	pthread_setspecific(plan.key, me);
	await_turn(me);
	self = me;
	me->body(me->argument);
	return NULL;
}

void schedule_start(void (*body)(void *), void *argument)
{
	struct runner *runner = &plan.runners[plan.count];

	must(plan.count < SCHEDULE_THREADS, "%u threads", plan.count);
	/* After the library and the scenario have made theirs. */
	if (!plan.count)
		must(pthread_key_create(&plan.key, end) == 0, "no key");
	sem_init(&runner->turn, 0, 0);
	runner->body = body;
	runner->argument = argument;
	runner->priority = (int64_t)roll_between(&plan.dice, 1, UINT32_MAX);
	must(pthread_create(&runner->thread, NULL, begin, runner) == 0, "no thread");
	/* From here on it may be chosen. */
	plan.count++;
}

struct schedule_result schedule_run(void)
{
	sem_post(&choose(false)->turn);
	await(&plan.done);
	bury();
	pthread_key_delete(plan.key);
	return plan.result;
}
