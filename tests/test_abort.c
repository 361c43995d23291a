/*
 * G7, how misuse is told: one line, with size and owner, that takes no lock; and the process ends by
 * abort() also where nobody hears it.
 */
#include "scene.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plot.h"
#include "report.h"

static void free_twice(void *argument)
{
	struct scene *scene = argument;

	acre_free(scene->arena, scene->block);
	acre_free(scene->arena, scene->block);
}

/* Nobody listens: the process ends by abort() all the same. */
static void free_twice_unheard(void *argument)
{
	close(STDIN_FILENO);
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	free_twice(argument);
}

START_TEST(a_closed_stderr_hides_nothing)
{
	struct outcome outcome;
	struct scene scene;

	set_scene(&scene, (size_t)_i, 200);
	in_child(&outcome, free_twice_unheard, &scene, 20);
	must(WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGABRT,
	     "status %x", (unsigned)outcome.status);
	ck_assert_uint_eq(outcome.lines, 0);
	end_scene(&scene);
}
END_TEST

/* Signals come while the line waits for a reader: not a byte of it is lost. */
static int ends[2];
static volatile sig_atomic_t ticks;
static char heard[1 << 17];
static size_t heard_bytes;

static void listen_late(int number)
{
	int saved = errno;
	ssize_t n;

	(void)number;
	if (++ticks < 3)
		return;
	while ((n = read(ends[0], heard + heard_bytes, sizeof(heard) - heard_bytes)) > 0)
		heard_bytes += (size_t)n;
	errno = saved;
}

static void report_among_signals(void *unused)
{
	struct itimerval interval = { { 0, 20000 }, { 0, 20000 } };
	struct sigaction action = { .sa_handler = listen_late };
	struct line line = { 0 };
	char filler[256];
	size_t before = 0;
	ssize_t n;

	(void)unused;
	memset(filler, '.', sizeof(filler));
	must(pipe2(ends, O_NONBLOCK) == 0, "%d", errno);
	while ((n = write(ends[1], filler, sizeof(filler))) > 0)
		before += (size_t)n;
	fcntl(ends[1], F_SETFL, 0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);
	line_text(&line, "to the last byte");
	report_to(ends[1], &line);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
	ticks = 3;
	listen_late(0);
	must(heard_bytes == before + strlen("acre: to the last byte\n") &&
	     !memcmp(heard + before, "acre: to the last byte\n", heard_bytes - before),
	     "%zu bytes behind %zu", heard_bytes - before, before);
}

START_TEST(signals_cut_no_line_short)
{
	struct outcome outcome;

	in_child(&outcome, report_among_signals, NULL, 60);
	must_succeed(&outcome, "a report among signals");
}
END_TEST

/* Another thread holds every lock that there is, for ever: a report needs none. */
static void *hold_all_locks(void *argument)
{
	struct scene *scene = argument;

	for (uint32_t id = 1; id <= plots_made(scene->arena); id++)
		lock_seize(&plot_at(scene->arena, id)->lock);
	lock_seize(&scene->arena->lock);
	return NULL;
}

static void free_twice_among_locks(void *argument)
{
	struct scene *scene = argument;

	acre_free(scene->arena, scene->block);
	finish(start(hold_all_locks, scene));
	acre_free(scene->arena, scene->block);
}

START_TEST(a_report_takes_no_lock)
{
	struct outcome outcome;
	struct scene scene;

	set_scene(&scene, (size_t)_i, 200);
	in_child(&outcome, free_twice_among_locks, &scene, 20);
	must_abort(&outcome, scene.block, "a double free among locks");
	end_scene(&scene);
}
END_TEST

/* Size and plot are told. */
START_TEST(a_report_tells_size_and_owner)
{
	struct outcome outcome;
	struct scene scene;
	char owner[32];

	set_scene(&scene, (size_t)_i, 200);
	snprintf(owner, sizeof(owner), _i ? "the commons" : "plot %u",
		 tag_plot(tag_of(scene.block)));
	in_child(&outcome, free_twice, &scene, 20);
	must_abort(&outcome, scene.block, "a double free");
	must(strstr(outcome.text, "200 bytes"), "no size: %s", outcome.text);
	must(strstr(outcome.text, owner), "not %s: %s", owner, outcome.text);
	end_scene(&scene);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("abort");
	TCase *cases = tcase_create("abort");

	tcase_set_timeout(cases, 300);
	tcase_add_loop_test(cases, a_closed_stderr_hides_nothing, 0, 2);
	tcase_add_test(cases, signals_cut_no_line_short);
	tcase_add_loop_test(cases, a_report_takes_no_lock, 0, 2);
	tcase_add_loop_test(cases, a_report_tells_size_and_owner, 0, 2);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
