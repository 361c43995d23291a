/*
 * Fork in a process whose threads allocate all the time: handlers of the program allocate at each
 * of their three moments; children allocate, free what the parent made, start threads, fork again,
 * and run another program.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int over;
static char *made[3];
static int calls[3];

static void moment(int which)
{
	free(made[which]);
	made[which] = malloc(1000);
	if (!made[which])
		abort();
	memset(made[which], which, 1000);
	for (size_t n = 1; n < 100000; n *= 3) {
		char *block = calloc(n, 3);

		if (!block || block[n] != 0)
			abort();
		block = realloc(block, n * 5);
		free(block);
	}
	calls[which]++;
}

static void before(void)
{
	moment(0);
}

static void in_parent(void)
{
	moment(1);
}

static void in_child(void)
{
	moment(2);
}

/* Of handlers.c, the library that this program is linked with. */
int handlers_called(void);

/* One set before main and one in main. */
__attribute__((constructor)) static void set_early(void)
{
	pthread_atfork(before, in_parent, in_child);
}

static void *churn(void *unused)
{
	unsigned state = (unsigned)(size_t)&unused;
	char *slots[64] = { NULL };

	while (!atomic_load(&over)) {
		unsigned i = (state = state * 1664525 + 1013904223) >> 26;

		free(slots[i]);
		slots[i] = malloc((state >> 8) % 3000);
		if (slots[i])
			slots[i][0] = 1;
	}
	for (int i = 0; i < 64; i++)
		free(slots[i]);
	return unused;
}

static void *work(void *unused)
{
	for (size_t i = 1; i < 3000; i++) {
		char *block = malloc(i);

		memset(block, 5, i);
		free(block);
	}
	return unused;
}

static void child(int depth, char *inherited)
{
	pthread_t threads[3];
	int status;
	pid_t pid;

	if (strcmp(inherited, "from the parent") != 0)
		_exit(3);
	free(inherited);
	for (int i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, work, NULL) != 0)
			_exit(4);
	work(NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	if (depth) {
		inherited = strdup("from the parent");
		pid = fork();
		if (pid == 0) {
			child(depth - 1, inherited);
			execl("/bin/sh", "sh", "-c", "x=$(echo 7); exit $x", (char *)NULL);
			_exit(5);
		}
		if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 7)
			_exit(6);
		free(inherited);
	}
}

int main(void)
{
	pthread_t threads[4];
	int good = 0;

	pthread_atfork(before, in_parent, in_child);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (int i = 0; i < 60; i++) {
		char *inherited = strdup("from the parent");
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			alarm(60);
			if (calls[2] != 2 || handlers_called() != 2 * i + 2)
				_exit(8);
			child(i % 5 == 0, inherited);
			_exit(0);
		}
		if (waitpid(pid, &status, 0) == pid && status == 0)
			good++;
		else
			printf("child %d: status %d\n", i, status);
		free(inherited);
	}
	atomic_store(&over, 1);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("%d children were well, %d %d %d %d calls of handlers\n", good, calls[0], calls[1],
	       calls[2], handlers_called());
	return 0;
}
