/*
 * Record: see record.h.
 *
 *	acre run --record FILE -- PROGRAM
 *	   |
 *	   +-- the child becomes PROGRAM, with libacre-record.so before the drop-in; that notes each
 *	   |   call in a file without a name, which both have mapped (lib/recording.h)
 *	   |
 *	   +-- waits, passes signals on, then makes the trace of the notes (gather.c)
 *
 * FILE is a whole trace or as it was before, however the program ends (target.h).
 */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "complain.h"
#include "gather.h"
#include "recording.h"
#include "target.h"

#define NOTES_MOST	((uint64_t)1 << 36)	/* 4,000 million calls; no more is used than is noted */
#define NOTES_LEAST	((uint64_t)1 << 20)
#define NUMBER_LEAST	100			/* of the file: programs use low ones */

static const struct target_kind trace_kind = { "trace of acre's", TRACE_MAGIC,
					       sizeof(TRACE_MAGIC) - 1 };

static const char *path;
static struct recording *notes;

/* As large as the file system, and the caller's limits, let it be. */
static uint64_t make_large(int file)
{
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
	uint64_t size = NOTES_MOST;
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		while (size > NOTES_LEAST && size > limit.rlim_cur / 4)
			size /= 2;
	size += RECORDING_HEAD;
	while (ftruncate(file, (off_t)size) != 0) {
		if (size / 2 < NOTES_LEAST)
			complain(FAILED, "%s: no room for what is recorded: %s", path,
				 strerror(errno));
		size = size / 2 + RECORDING_HEAD / 2;
	}
	signal(SIGXFSZ, before);
	return size;
}

/* The notes' file, without a name. */
static int make_notes(void)
{
	char *name;
	int file = target_beside(path, &name);

	if (file < 0)
		complain(BAD_INPUT, "--record '%s' can't be written: %s", path, strerror(errno));
	unlink(name);
	free(name);
	return file;
}

void record_prepare(const char *to)
{
	const char *wrong = target_check(to, &trace_kind);
	char number[24];
	uint64_t size;
	int file, kept;

	if (wrong)
		complain(BAD_INPUT, "--record '%s' %s", to, wrong);
	path = to;
	file = make_notes();
	size = make_large(file);
	notes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
	if (notes == MAP_FAILED)
		complain(FAILED, "--record: %llu bytes can't be mapped: %s",
			 (unsigned long long)size, strerror(errno));
	notes->mark = RECORDING_MARK;
	notes->size = size;
	atomic_store(&notes->taken, RECORDING_HEAD);
	kept = fcntl(file, F_DUPFD, NUMBER_LEAST);
	if (kept < 0) {
		kept = file;
		fcntl(kept, F_SETFD, 0);
	} else {
		close(file);
	}
	snprintf(number, sizeof(number), "%d", kept);
	if (setenv(RECORDING_VARIABLE, number, 1) != 0)
		complain(FAILED, "cannot set %s: %s", RECORDING_VARIABLE, strerror(errno));
}

/* The program, when there is one. */
static volatile pid_t child;

static const int passed_on[] = { SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGINT, SIGQUIT };

/* What the terminal sends reaches the program by itself; an order to this process is for it. */
static void pass_on(int signal, siginfo_t *info, void *unused)
{
	(void)unused;
	if (child > 0 && info->si_code <= 0)
		kill(child, signal);
}

static void catch_signals(sigset_t *before)
{
	struct sigaction action = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction was;
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, before);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		if (sigaction(passed_on[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			sigaction(passed_on[i], &action, NULL);
}

static void be_unable(void)
{
	atomic_store(&notes->unable, 1);
}

static _Noreturn void be_program(void (*become)(void *), void *argument, const sigset_t *mask)
{
	struct sigaction was;

	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		if (sigaction(passed_on[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			signal(passed_on[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	/* Where it can't become the program, that has been said, by who ends it. */
	atexit(be_unable);
	become(argument);
	_exit(FAILED);
}

/* Whoever reads from a pipe may go away before the end. */
static void write_trace(int status, const char *program)
{
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);
	struct trace_writer *writer = malloc(sizeof(*writer));
	struct target target;
	const char *wrong;
	uint64_t strange;
	int error;

	if (!writer)
		complain(FAILED, "out of memory");
	wrong = target_open(&target, path, &trace_kind);
	if (wrong)
		complain(FAILED, "%s %s", path, wrong);
	trace_write(writer, target.file, program);
	strange = gather(writer, notes);
	if (atomic_load(&notes->full))
		error = trace_end(writer, TRACE_CUT, 0);
	else if (WIFSIGNALED(status))
		error = trace_end(writer, TRACE_KILLED, (uint64_t)WTERMSIG(status));
	else
		error = trace_end(writer, TRACE_EXITED, (uint64_t)WEXITSTATUS(status));
	if (error) {
		target_abandon(&target);
		complain(FAILED, "%s: %s: there is no trace", path, strerror(error));
	}
	wrong = target_close(&target);
	if (wrong)
		complain(FAILED, "%s %s", path, wrong);
	if (atomic_load(&notes->full))
		fprintf(stderr, "acre: %s: the recording ended after %llu calls, before the "
				"program did, for want of room\n", path,
			(unsigned long long)writer->events);
	if (strange)
		fprintf(stderr, "acre: %s: left out: %llu call%s about blocks that weren't recorded, or "
				"were free already\n", path, (unsigned long long)strange,
			strange == 1 ? "" : "s");
	free(writer);
	signal(SIGPIPE, before);
}

/* Ends as the program did. */
static int end_as(int status)
{
	const struct rlimit none = { 0, 0 };

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	setrlimit(RLIMIT_CORE, &none);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

int record(void (*become)(void *), void *argument, const char *program)
{
	sigset_t mask;
	int status;

	fflush(NULL);
	catch_signals(&mask);
	child = fork();
	if (child == 0)
		be_program(become, argument, &mask);
	if (child < 0)
		complain(FAILED, "fork: %s", strerror(errno));
	sigprocmask(SIG_SETMASK, &mask, NULL);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			complain(FAILED, "wait: %s", strerror(errno));
	child = 0;
	if (atomic_load(&notes->begun))
		write_trace(status, program);
	else if (!atomic_load(&notes->unable))
		fprintf(stderr, "acre: %s: nothing was recorded, since the program didn't load "
				"libacre-record.so\n", path);
	return end_as(status);
}
