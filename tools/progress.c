/*
 * Progress: see progress.h.
 */
#include "progress.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define WIDTH		30
#define FIRST_AFTER	1.0		/* seconds */
#define NEXT_AFTER	0.1

static _Atomic bool interrupted;

static struct {
	bool terminal;
	bool drawn;
	const char *name;
	unsigned parts, part;		/* in all, and begun so far */
	unsigned passes, expected;	/* of the part: begun, and still to come behind these */
	uint64_t steps;			/* of the pass */
	double began, next;
} now;

static void interrupt(int signal)
{
	(void)signal;
	/* Relaxed: nothing else is told by it. */
	atomic_store_explicit(&interrupted, true, memory_order_relaxed);
}

bool progress_interrupted(void)
{
	return atomic_load_explicit(&interrupted, memory_order_relaxed);
}

static double seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void progress_begin(unsigned parts)
{
	const struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };
	struct sigaction before;

	atomic_store_explicit(&interrupted, false, memory_order_relaxed);
	now.parts = parts;
	now.part = 0;
	now.terminal = isatty(STDERR_FILENO);
	now.began = seconds();
	now.next = now.began + FIRST_AFTER;
	if (sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(SIGINT, &action, NULL);
}

void progress_part(const char *name)
{
	now.name = name;
	now.part++;
	now.passes = 0;
	now.expected = 0;
}

void progress_expect(unsigned passes)
{
	now.expected = passes;
}

void progress_pass(uint64_t steps)
{
	now.steps = steps;
	now.passes++;
	if (now.expected)
		now.expected--;
}

/* The share of the work that's done. */
static double share(uint64_t step)
{
	double pass = now.steps ? (double)step / (double)now.steps : 1;
	double part = ((double)now.passes - 1 + pass) / (double)(now.passes + now.expected);

	return ((double)now.part - 1 + part) / (double)now.parts;
}

static void draw(double time, double done)
{
	double left = done > 0 ? (time - now.began) * (1 - done) / done : 0;
	int filled = (int)(done * WIDTH);

	now.drawn = true;
	now.next = time + NEXT_AFTER;
	fprintf(stderr, "\r\033[K%-6s [", now.name);
	for (int i = 0; i < WIDTH; i++)
		fputc(i < filled ? '#' : '.', stderr);
	fprintf(stderr, "] %3.0f %%, %.0f s to go (Ctrl-C ends it)", done * 100, left);
	fflush(stderr);
}

bool progress_at(uint64_t step)
{
	double time;

	if (progress_interrupted())
		return false;
	if (!now.terminal || !now.part)
		return true;
	time = seconds();
	if (time >= now.next)
		draw(time, share(step));
	return true;
}

void progress_end(void)
{
	if (now.drawn)
		fputs("\r\033[K", stderr);
	now.drawn = false;
}
