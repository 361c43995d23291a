/*
 * Gate: see gate.h.
 */
#include "gate.h"

#include <pthread.h>
#include <time.h>

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned inside;	/* threads in a grace period */
	unsigned forks;		/* threads that are about to fork: nobody comes in */
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0 };

static bool (*may_wait_at_fork)(void);

void gate_enter(void)
{
	pthread_mutex_lock(&gate.mutex);
	while (gate.forks)
		pthread_cond_wait(&gate.changed, &gate.mutex);
	gate.inside++;
	pthread_mutex_unlock(&gate.mutex);
}

void gate_leave(void)
{
	pthread_mutex_lock(&gate.mutex);
	gate.inside--;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.mutex);
}

static void before_fork(void)
{
	struct timespec deadline;
	int status = 0;
	bool wait;

	pthread_mutex_lock(&gate.mutex);
	gate.forks++;
	wait = gate.inside != 0;
	pthread_mutex_unlock(&gate.mutex);
	wait = wait && may_wait_at_fork();
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_MS / 1000;
	pthread_mutex_lock(&gate.mutex);
	while (wait && gate.inside && !status)
		status = pthread_cond_timedwait(&gate.changed, &gate.mutex, &deadline);
	/* The mutex stays with this thread until the fork is over. */
}

static void after_fork_parent(void)
{
	gate.forks--;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.mutex);
}

static void after_fork_child(void)
{
	gate.inside = 0;
	gate.forks = 0;
	pthread_mutex_init(&gate.mutex, NULL);
	pthread_cond_init(&gate.changed, NULL);
}

void gate_set_up(bool (*may_wait)(void))
{
	may_wait_at_fork = may_wait;
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}
