/*
 * Children that aren't fork's: posix_spawn, and vfork with an exec, from a process whose threads
 * allocate meanwhile. The child of a vfork uses its parent's memory, and allocates there before it
 * execs, as some programs do though no standard lets them: in a thread that hasn't allocated yet,
 * and in one that has.
 */
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define SPAWNERS 3
#define TIMES 40
#define MORE_THAN_ALL ((size_t)1 << 39)

static atomic_int over;
static char *const arguments[] = { "true", NULL };
extern char **environ;

static char *text_of(int number, size_t size)
{
	char *text = malloc(size);

	if (!text)
		abort();
	memset(text, 'a' + number % 26, size);
	return text;
}

static void drop(char *text, int number, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] != 'a' + number % 26)
			abort();
	free(text);
}

static void *churn(void *argument)
{
	int self = (int)(size_t)argument;
	char *texts[50];

	do {
		for (int i = 0; i < 50; i++)
			texts[i] = text_of(self + i, (size_t)(i * i + 1));
		for (int i = 0; i < 50; i++)
			drop(texts[i], self + i, (size_t)(i * i + 1));
	} while (!atomic_load_explicit(&over, memory_order_relaxed));
	return NULL;
}

static void must_end_well(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) != child)
		if (errno != EINTR)
			abort();
	if (status != 0)
		abort();
}

/* vfork's child ends here, or is another program. */
static void in_the_child(void)
{
	char *texts[100];

	for (int i = 0; i < 100; i++)
		texts[i] = text_of(i, (size_t)i * 30 + 1);
	/* Before it's refused, all that threads which are gone may hold is looked through. */
	if (malloc(MORE_THAN_ALL))
		_exit(2);
	for (int i = 0; i < 100; i++)
		drop(texts[i], i, (size_t)i * 30 + 1);
	execve("/bin/true", arguments, environ);
	_exit(1);
}

static __attribute__((noinline)) pid_t run_child(void)
{
	pid_t child = vfork();

	if (child == 0)
		in_the_child();
	if (child < 0)
		abort();
	return child;
}

static void *spawn_one(void *used)
{
	char *text = used ? text_of(1, 1000) : NULL;
	pid_t child = run_child();

	/* Its plot and its cache are as good as before, also where another looks for dead threads. */
	if (malloc(MORE_THAN_ALL))
		abort();
	for (int i = 0; i < 200; i++)
		drop(text_of(i, (size_t)i * 20), i, (size_t)i * 20);
	if (text)
		drop(text, 1, 1000);
	must_end_well(child);
	return NULL;
}

static void *spawn_often(void *unused)
{
	for (int i = 0; i < TIMES; i++) {
		pthread_t thread;
		pid_t child;

		if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) != 0)
			abort();
		must_end_well(child);
		if (pthread_create(&thread, NULL, spawn_one, i % 2 ? &over : NULL) != 0)
			abort();
		pthread_join(thread, NULL);
	}
	return unused;
}

int main(void)
{
	pthread_t threads[THREADS + SPAWNERS];

	for (int i = 0; i < THREADS + SPAWNERS; i++)
		if (pthread_create(&threads[i], NULL, i < THREADS ? churn : spawn_often,
				   (void *)(size_t)i) != 0)
			abort();
	for (int i = THREADS; i < THREADS + SPAWNERS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&over, 1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	puts("all children ended well");
	return 0;
}
