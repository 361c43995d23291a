/*
 * acre_free_rcu() and the process around it: signals, and fork while grace periods pass.
 */
#include "rcu.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* A signal for the process isn't taken by the worker. */
static void on_signal(int number)
{
	(void)number;
	fail_at(__FILE__, __LINE__, "the signal is blocked", "it was delivered");
}

START_TEST(the_worker_takes_no_signals)
{
	struct acre *arena = new_arena(MIB, NULL);
	sigset_t set, pending;

	for (int i = 0; i < 200; i++)
		acre_free_rcu(arena, acre_malloc(arena, 100));
	signal(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 200; i++)
		acre_free_rcu(arena, acre_malloc(arena, 100));
	must_be_done(arena);
	sigpending(&pending);
	ck_assert_int_eq(sigismember(&pending, SIGUSR1), 1);
	end_arena(arena);
}
END_TEST

/*
 * Fork.
 */
static void live_on(void *argument)
{
	struct acre *arena = argument;

	must_be_sound(arena);
	/* TSan doesn't bear the threads of a child, nor gcc 12's ASan. */
	if (!UNDER_TSAN && !UNDER_ASAN) {
		struct timespec pause = { 0, 1000000 };

		for (int i = 0; i < 500; i++)
			acre_free_rcu(arena, acre_malloc(arena, 100));
		must_be_done(arena);
		for (int i = 0; i < 100; i++)
			acre_free_rcu(arena, acre_malloc(arena, 100));
		while (stats_of(arena).waiting_blocks)
			nanosleep(&pause, NULL);
	}
	must_be_done(arena);
	end_arena(arena);
}

#ifdef FLAVOR_BP
static void watch_bp(void)
{
	pthread_atfork(urcu_bp_before_fork, urcu_bp_after_fork_parent, urcu_bp_after_fork_child);
}
#else
static void watch_bp(void)
{
}
#endif

/*
 * With bp: without its handlers, with them registered before the first use of acre_free_rcu(), and
 * after; so that they are called behind and in front of the library's.
 */
static void fork_while_grace_periods_pass(void *argument)
{
	int kind = *(const int *)argument;
	struct acre *arena = new_arena(4 * MIB, &both[kind % 2]);
	struct outcome outcome;

	if (kind / 2 == 1)
		watch_bp();
	acre_free_rcu(arena, acre_malloc(arena, 100));
	if (kind / 2 == 2)
		watch_bp();
	for (int i = 0; i < SCALE(20, 4); i++) {
		for (int k = 0; k < 100 * (i % 7); k++)
			acre_free_rcu(arena, acre_malloc(arena, 100 + 200 * (k % 9)));
		in_child(&outcome, live_on, arena, CHILD_SECONDS);
		must_succeed(&outcome, "the child");
	}
	must_be_done(arena);
	end_arena(arena);
}

START_TEST(fork_in_the_midst)
{
	struct outcome outcome;

	in_child(&outcome, fork_while_grace_periods_pass, &_i, 2 * CHILD_SECONDS);
	must_succeed(&outcome, "forks");
}
END_TEST

void add_process(TCase *cases)
{
	tcase_add_test(cases, the_worker_takes_no_signals);
	tcase_add_loop_test(cases, fork_in_the_midst, 0, IS_BP ? 6 : 2);
}
