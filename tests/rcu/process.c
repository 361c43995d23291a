/*
 * acre_free_rcu() and the process around it: signals, and fork while grace periods pass.
 */
#include "rcu.h"

#include <signal.h>
#include <sys/resource.h>
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
static void look_once(void *arena)
{
	must_be_sound(arena);
}

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

/*
 * A fork in a read-side section, while a grace period waits for just that section: it isn't waited for.
 */
static void fork_as_reader(void *argument)
{
	struct acre *arena = new_arena(4 * MIB, argument);
	struct grace *grace = &arena->graces[0];
	struct timespec pause = { 0, 1000000 };
	struct outcome outcome;

	rcu_register_thread();
	for (int round = 0; round < 3; round++) {
		rcu_read_lock();
		acre_free_rcu(arena, acre_malloc(arena, 100));
		while (atomic_load(&grace->begun) == atomic_load(&grace->ended)) {
			acre_free_rcu(arena, acre_malloc(arena, 100));
			nanosleep(&pause, NULL);
		}
		in_child(&outcome, look_once, arena, CHILD_SECONDS);
		must_succeed(&outcome, "the child of a reader");
		rcu_read_unlock();
		barrier_of(arena);
	}
	rcu_unregister_thread();
	must_be_done(arena);
	end_arena(arena);
}

START_TEST(a_reader_forks)
{
	struct outcome outcome;

	in_child(&outcome, fork_as_reader, (void *)(uintptr_t)&both[_i], 2 * CHILD_SECONDS);
	must_succeed(&outcome, "forks of a reader");
}
END_TEST

/*
 * No thread is to be had for the worker: what is handed in waits for a barrier, which needs none, an
 * allocation is refused, and not put off; and the next call tries again. The same where another thread
 * is about to start the worker.
 */
static void hand_in_without_worker(void *argument)
{
	static void *blocks[20000];
	const bool starting = *(const int *)argument;
	struct acre *arena = new_arena(2 * MIB, NULL);
	struct rlimit limit, before;
	size_t count = 0;

	/* What liburcu maps for a thread, it has then. */
	rcu_register_thread();
	must(getrlimit(RLIMIT_AS, &before) == 0, "%s", strerror(errno));
	limit = (struct rlimit){ mapped_bytes(), before.rlim_max };
	if (starting)
		atomic_store(&arena->graces[0].state, 1);	/* STARTING, in rcu.c */
	else
		must(setrlimit(RLIMIT_AS, &limit) == 0, "%s", strerror(errno));
	while (count < COUNT_OF(blocks) && (blocks[count] = acre_malloc(arena, 500)))
		count++;
	must(count > 1000 && errno == ENOMEM, "%zu blocks, then %s", count, strerror(errno));
	errno = 77;
	for (size_t i = 0; i < count; i++)
		acre_free_rcu(arena, blocks[i]);
	must(errno == 77, "errno became %d", errno);
	must(!acre_malloc(arena, 500) && errno == ENOMEM, "memory without a grace period");
	must_be_sound(arena);
	barrier_of(arena);
	must(stats_of(arena).waiting_blocks == 0, "%zu wait", stats_of(arena).waiting_blocks);
	if (starting)
		atomic_store(&arena->graces[0].state, 0);
	must(setrlimit(RLIMIT_AS, &before) == 0, "%s", strerror(errno));
	must(!atomic_load(&arena->graces[0].state), "there is a worker");
	for (int i = 0; i < 1000; i++)
		acre_free_rcu(arena, acre_malloc(arena, 500));
	must(atomic_load(&arena->graces[0].state), "there is no worker");
	rcu_unregister_thread();
	must_be_done(arena);
	end_arena(arena);
}

START_TEST(no_worker)
{
	struct outcome outcome;

	in_child(&outcome, hand_in_without_worker, &_i, CHILD_SECONDS);
	must_succeed(&outcome, "without a worker");
}
END_TEST

void add_process(TCase *cases)
{
	/* qsbr has no read-side sections; and TSan and ASan map what they like. */
	if (!IS_QSBR)
		tcase_add_loop_test(cases, a_reader_forks, 0, 2);
	if (!UNDER_TSAN && !UNDER_ASAN)
		tcase_add_loop_test(cases, no_worker, 0, 2);
	tcase_add_test(cases, the_worker_takes_no_signals);
	tcase_add_loop_test(cases, fork_in_the_midst, 0, IS_BP ? 6 : 2);
}
