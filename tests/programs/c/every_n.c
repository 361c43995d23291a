/*
 * Runs a program again and again on the drop-in, with the n-th request for memory refused, for every
 * n from 1 until a run isn't hit any more; or for some of them.
 *
 *	every_n [--onward] [--step PERCENT] [--only STATUSES] PRELOAD PROGRAM [ARGUMENT]...
 *
 * --onward refuses all requests from the n-th on. --step has n grow by so many percent, and by one
 * at least. --only is a comma-separated list of exit statuses, and then any other end is a fault;
 * without it the program may end in any way of its own, a crash of its own included.
 *
 * A fault in any case: a run that doesn't end; a line on stderr that begins with "acre: ", but for
 * the one that tells of the refusal. The exit status is 1 then, and the last line says which n.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 120	/* only a hang lasts so long */
#define MEANT "since ACRE_FAIL_AT or acre run --fail-at says so"

static const char *preload, *only;
static int onward;
static char text[65536];

static _Noreturn void run(char **program, unsigned long n, int output)
{
	const struct rlimit none = { 0, 0 };
	int nothing = open("/dev/null", O_RDWR);
	char number[32];

	setpgid(0, 0);
	setrlimit(RLIMIT_CORE, &none);
	snprintf(number, sizeof(number), "%lu%s", n, onward ? "+" : "");
	setenv("ACRE_FAIL_AT", number, 1);
	setenv("LD_PRELOAD", preload, 1);
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	/* An alarm outlives the exec. */
	alarm(SECONDS);
	execvp(*program, program);
	_exit(125);
}

static _Noreturn void fault(unsigned long n, int status, const char *what)
{
	printf("%s\nn = %lu: wait status %#x: %s\n", text, n, (unsigned)status, what);
	exit(1);
}

/* Whether an exit status is one of the list. */
static int allowed(int status)
{
	char number[16], list[128];

	if (!only)
		return 1;
	if (!WIFEXITED(status))
		return 0;
	snprintf(number, sizeof(number), ",%d,", WEXITSTATUS(status));
	snprintf(list, sizeof(list), ",%s,", only);
	return strstr(list, number) != NULL;
}

/* One run; whether it was hit. */
static int try(char **program, unsigned long n, unsigned long *ends)
{
	int output = memfd_create("stderr", MFD_CLOEXEC);
	int hit = 0;
	int status;
	ssize_t length;
	pid_t child = fork();

	if (child == 0)
		run(program, n, output);
	if (output < 0 || child < 0 || waitpid(child, &status, 0) != child) {
		perror("every_n");
		exit(2);
	}
	/* Whatever it has left behind. */
	kill(-child, SIGKILL);
	length = pread(output, text, sizeof(text) - 1, 0);
	text[length < 0 ? 0 : length] = '\0';
	close(output);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "acre: ", 6) != 0)
			continue;
		if (!memmem(line, strcspn(line, "\n"), MEANT, strlen(MEANT)))
			fault(n, status, "acre complains");
		hit = 1;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		fault(n, status, "the run didn't end");
	if (!allowed(status))
		fault(n, status, "not an end that was allowed");
	ends[WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status)]++;
	return hit;
}

int main(int argc, char **argv)
{
	unsigned long ends[256 + 128] = { 0 };
	unsigned long step = 0;
	unsigned long n = 1;
	unsigned long runs = 0;
	int i = 1;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++)
		if (strcmp(argv[i], "--onward") == 0)
			onward = 1;
		else if (strcmp(argv[i], "--step") == 0 && i + 1 < argc)
			step = strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
			only = argv[++i];
		else
			argc = 0;
	if (i + 2 > argc) {
		fprintf(stderr, "every_n: bad arguments: see its source\n");
		return 2;
	}
	preload = argv[i];
	for (; try(argv + i + 1, n, ends); n += 1 + n * step / 100)
		runs++;
	printf("%lu runs, n up to %lu:", runs, n);
	for (int end = 0; end < 256 + 128; end++)
		if (ends[end])
			printf(" %lu with %s %d,", ends[end], end < 256 ? "status" : "signal",
			       end % 256);
	puts("");
	/* Less than this, and the program wasn't starved at all. */
	return runs < 5;
}
