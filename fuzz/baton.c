/*
 * Baton: see baton.h.
 */
#include "baton.h"

#include <acre/acre.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shadow.h"

#define STACK_BYTES ((size_t)512 << 10)

/* ThreadSanitizer forgets a thread in the last round. */
#ifdef ACRE_UNDER_TSAN
#define CAN_BE_LAST false
#else
#define CAN_BE_LAST true
#endif

static struct worker {
	pthread_t thread;
	sem_t go;
	sem_t back;
	baton_turn *turn;
	enum baton_end end;
	pid_t id;
	unsigned rounds;		/* of destructors, to let pass */
	bool alive;
	bool last;
} workers[PLAY_WORKERS];

static pthread_key_t late_key;

static void must_be_0(int error, const char *what)
{
	if (error) {
		fprintf(stderr, "fuzz: %s: %s\n", what, strerror(error));
		exit(1);
	}
}

static void await(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		;
}

/* Turn by turn, until one ends the thread, or this part of its life. */
static void serve(struct worker *worker)
{
	do {
		sem_post(&worker->back);
		await(&worker->go);
		worker->end = worker->turn((unsigned)(worker - workers));
	} while (worker->end == BATON_BACK);
}

static void ask_for_round(struct worker *worker)
{
	must_be_0(pthread_setspecific(late_key, worker), "pthread_setspecific");
}

static void serve_late(void *user)
{
	struct worker *worker = user;

	if (worker->rounds) {
		worker->rounds--;
		ask_for_round(worker);
		return;
	}
	serve(worker);
	worker->end = BATON_EXIT;
	sem_post(&worker->back);
}

static void *live(void *user)
{
	struct worker *worker = user;

	worker->id = (pid_t)syscall(SYS_gettid);
	serve(worker);
	if (worker->end == BATON_EXIT) {
		sem_post(&worker->back);
		return NULL;
	}
	worker->last = worker->end == BATON_LAST && CAN_BE_LAST;
	worker->rounds = worker->last ? PTHREAD_DESTRUCTOR_ITERATIONS - 1 : 0;
	ask_for_round(worker);
	return NULL;
}

static void begin(struct worker *worker)
{
	pthread_attr_t attributes;

	worker->alive = true;
	worker->last = false;
	sem_init(&worker->go, 0, 0);
	sem_init(&worker->back, 0, 0);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	must_be_0(pthread_create(&worker->thread, &attributes, live, worker), "pthread_create");
	pthread_attr_destroy(&attributes);
	await(&worker->back);
}

void baton_hand(unsigned number, baton_turn *turn)
{
	struct worker *worker = &workers[number];

	if (number == 0) {
		turn(0);
		return;
	}
	if (!worker->alive)
		begin(worker);
	worker->turn = turn;
	sem_post(&worker->go);
	await(&worker->back);
	if (worker->end != BATON_EXIT)
		return;
	must_be_0(pthread_join(worker->thread, NULL), "pthread_join");
	/* The library asks the kernel whether a thread is gone, which it is a moment later. */
	while (syscall(SYS_tgkill, getpid(), worker->id, 0) == 0)
		sched_yield();
	worker->alive = false;
}

bool baton_left_last(unsigned worker)
{
	return workers[worker].last;
}

bool baton_alive(unsigned worker)
{
	return worker == 0 || workers[worker].alive;
}

/* An arena first: destructors run in the order of their keys, and the library's comes first. */
void baton_setup(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	acre_destroy(acre_create((size_t)1 << 20, NULL));
	must_be_0(pthread_key_create(&late_key, serve_late), "pthread_key_create");
}
