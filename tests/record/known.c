/*
 * Makes calls of malloc and its family that its test knows, between a malloc of BEGIN and one of END:
 * what the process does for itself lies outside.
 *
 *	known calls | refused | threads N | same N | fork | kill | run PROGRAM [ARGUMENT]... | many N
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BEGIN	11111
#define END	22222
#define ROUNDS	2000
#define LANES	4

/* A compiler must not know what they do. */
static void *(*volatile get)(size_t) = malloc;
static void (*volatile put)(void *) = free;

static void *must(void *block)
{
	if (!block)
		abort();
	return block;
}

static void mark(size_t size)
{
	put(must(get(size)));
}

static void calls(void)
{
	void *(*volatile again)(void *, size_t) = realloc;
	void *(*volatile clear)(size_t, size_t) = calloc;
	void *aligned = NULL;
	char *one = must(get(100));
	char *two = must(clear(3, 50));
	char *three = must(aligned_alloc(64, 192));
	char *four = must(again(NULL, 70000));

	if (posix_memalign(&aligned, 4096, 10) != 0 || posix_memalign(&aligned, 3, 10) != EINVAL)
		abort();
	one = must(again(one, 5000));
	two = must(reallocarray(two, 10, 20));
	must(memalign(100, 33));
	must(memalign(8, 34));
	must(valloc(35));
	must(pvalloc(36));
	put(NULL);
	put(three);
	put(again(two, 0));
	put(one);
	put(four);
	put(aligned);
	must(get(0));
	must(get(65534));
	must(get(65535));
}

static void refusals(void)
{
	void *(*volatile again)(void *, size_t) = realloc;
	void *(*volatile clear)(size_t, size_t) = calloc;
	void *(*volatile aligned)(size_t, size_t) = aligned_alloc;
	void *block = must(get(7));

	if (get((size_t)1 << 46) || clear(SIZE_MAX / 2, 4) || aligned(4096, (size_t)1 << 46) ||
	    aligned(3, 10) || again(block, (size_t)1 << 46))
		abort();
	put(block);
}

/* Each hands blocks to the next one, which frees them, and resizes some on the way. */
static _Atomic(char *) lanes[LANES];

static void *work(void *argument)
{
	size_t me = (size_t)argument;

	for (size_t i = 0; i < ROUNDS; i++) {
		char *block = must(get(1000 * (me + 1) + i % 100));
		char *other = NULL;

		memset(block, (int)me, 900);
		if (i % 3 == 0)
			block = must(realloc(block, 40000 + i));
		while (!__atomic_compare_exchange_n((char **)&lanes[me], &other, block, 0,
						    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			other = NULL, sched_yield();
		do {
			other = __atomic_exchange_n((char **)&lanes[(me + 1) % LANES], NULL,
						    __ATOMIC_ACQ_REL);
		} while (!other && (sched_yield(), 1));
		put(other);
	}
	return NULL;
}

static void together(void *(*body)(void *))
{
	pthread_t thread[LANES];

	for (size_t i = 0; i < LANES; i++)
		if (pthread_create(&thread[i], NULL, body, (void *)i) != 0)
			abort();
	for (size_t i = 0; i < LANES; i++)
		pthread_join(thread[i], NULL);
}

/* Blocks so large that no thread keeps them: what one frees is what the next one gets. */
static size_t same_rounds;

static void *work_same(void *unused)
{
	for (size_t i = 0; i < same_rounds; i++) {
		char *block = must(get(700001));

		if (i % 2)
			block = must(realloc(block, 1400001));
		put(block);
	}
	return unused;
}

static void children(void)
{
	int status;
	pid_t child;

	put(must(get(301)));
	child = fork();
	for (int i = 0; child == 0 && i < 100000; i++)
		put(must(get(302)));
	if (child == 0)
		_exit(0);
	if (waitpid(child, &status, 0) != child || status)
		abort();
	put(must(get(303)));
}

static void *few(void *unused)
{
	put(must(get(401)));
	return unused;
}

/* So many threads, one after the other. */
static void many(int count)
{
	pthread_t thread;

	while (count--)
		if (pthread_create(&thread, NULL, few, NULL) != 0 || pthread_join(thread, NULL) != 0)
			abort();
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	mark(BEGIN);
	if (strcmp(what, "calls") == 0)
		calls();
	else if (strcmp(what, "refused") == 0)
		refusals();
	else if (strcmp(what, "threads") == 0 && argc > 2)
		for (int i = 0; i < atoi(argv[2]); i++)
			together(work);
	else if (strcmp(what, "same") == 0 && argc > 2 && (same_rounds = (size_t)atoi(argv[2])))
		together(work_same);
	else if (strcmp(what, "fork") == 0)
		children();
	else if (strcmp(what, "many") == 0 && argc > 2)
		many(atoi(argv[2]));
	else if (strcmp(what, "kill") == 0 && must(get(501)))
		raise(SIGKILL);
	else if (strcmp(what, "run") == 0 && argc > 2 && must(get(601)))
		execvp(argv[2], argv + 2);
	else
		return 2;
	mark(END);
	return 7;
}
