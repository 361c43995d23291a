/*
 * A program that was started with its standard streams closed. What it opens takes their numbers; it
 * writes to all three and lets acre find much to say: a refusal, a misuse by a child, statistics.
 *
 *	closed FOLDER
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_as(const char *folder, int number)
{
	char name[4096];

	snprintf(name, sizeof(name), "%s/%d", folder, number);
	if (open(name, O_RDWR | O_CREAT | O_TRUNC, 0600) != number)
		_exit(10 + number);
	if (write(number, "mine\n", 5) != 5)
		_exit(20 + number);
}

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	char *volatile block = malloc(100);
	int status;
	pid_t child;

	if (argc != 2 || !block)
		return 9;
	for (int number = 0; number < 3; number++)
		open_as(argv[1], number);
	if (malloc((size_t)1 << 39) || errno != ENOMEM)
		return 30;
	setrlimit(RLIMIT_CORE, &none);
	child = fork();
	if (child == 0) {
		free(block);
		free(block);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
		return 31;
	free(block);
	return 0;
}
