/*
 * Runs a program under a preloaded library and says what it used: what bench/measure.py starts.
 *
 *	launch FD LIBRARY PROGRAM [ARGUMENT]...		an empty LIBRARY preloads nothing
 *
 * Writes to FD a line with the program's process id, and at its end a line with its wait status,
 * its user, system and wall time in microseconds and its peak resident memory in KiB. All of it
 * counts the program with the children that it waited for; the peak is the largest of them.
 *
 * The peak comes from wait4. Linux lets it begin at the resident memory that the parent had when
 * it forked, tens of MiB in Python's case: so the parent is this small program, which is below any
 * other.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long microseconds(struct timeval time)
{
	return (long long)time.tv_sec * 1000000 + time.tv_usec;
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (long long)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* Whether nobody reads from a pipe any more. */
static int abandoned(int fd)
{
	struct pollfd pipe = { .fd = fd };

	return poll(&pipe, 1, 0) > 0 && (pipe.revents & (POLLERR | POLLNVAL));
}

static void become(char **argv, pid_t launcher)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != launcher)
		_exit(1);
	/* Set here, not in the launcher: it would be under the library, too. */
	if (argv[2][0])
		setenv("LD_PRELOAD", argv[2], 1);
	else
		unsetenv("LD_PRELOAD");
	execvp(argv[3], argv + 3);
	fprintf(stderr, "launch: %s: %s\n", argv[3], strerror(errno));
	_exit(127);
}

int main(int argc, char **argv)
{
	struct rusage used;
	pid_t self, child;
	long long begin;
	int status, fd;

	if (argc < 4) {
		fprintf(stderr, "usage: %s FD LIBRARY PROGRAM [ARGUMENT]...\n", argv[0]);
		return 2;
	}
	fd = atoi(argv[1]);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	/*
	 * bench/run ends what it has started, unless it is killed itself: then a server would live
	 * on. So we end with it, and the program with us. A parent that has died before the signal
	 * is asked for sends none: hence a look at the pipe here, and at the parent in become().
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (abandoned(fd)) {
		fprintf(stderr, "launch: nobody reads from %d\n", fd);
		return 1;
	}
	self = getpid();
	begin = now();
	child = fork();
	if (child == 0)
		become(argv, self);
	if (child < 0) {
		perror("launch: fork");
		return 1;
	}
	dprintf(fd, "%d\n", (int)child);
	while (wait4(child, &status, 0, &used) < 0)
		if (errno != EINTR) {
			perror("launch: wait4");
			return 1;
		}
	dprintf(fd, "%d %lld %lld %lld %ld\n", status, microseconds(used.ru_utime),
		microseconds(used.ru_stime), now() - begin, used.ru_maxrss);
	return 0;
}
