/*
 * Interleavings: the library under a schedule that a seed chooses (interleavings/schedule.h), a
 * scenario and a few hundred seeds at a time, each seed in a process of its own.
 *
 *	ACRE_SEEDS=N		so many seeds of each scenario, instead of SEEDS
 *	ACRE_SEED=n		this one alone, of ACRE_SCENARIO, in this process, as for a debugger
 *	ACRE_TRACE=1		with ACRE_SEED: each change of threads on stderr; addr2line -e knows
 *				the places
 *
 * A seed that fails is told with the command that runs it again. It's the same run then: what a
 * run's threads do follows from the seed alone, which is tested too.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stage.h"

#define SEEDS		400u
#define SECONDS_MOST	60u	/* of a seed that takes a few milliseconds: it hangs */

static const struct scenario *scenarios[COUNT_OF(tenancy_scenarios) + COUNT_OF(memory_scenarios) +
					COUNT_OF(view_scenarios) + GRACE_SCENARIOS];

/* What a child says of its run. */
static struct {
	struct schedule_result result;
	uint64_t seen;
} *told;

static void list_scenarios(void)
{
	size_t n = 0;

	for (size_t i = 0; i < COUNT_OF(tenancy_scenarios); i++)
		scenarios[n++] = &tenancy_scenarios[i];
	for (size_t i = 0; i < COUNT_OF(memory_scenarios); i++)
		scenarios[n++] = &memory_scenarios[i];
	for (size_t i = 0; i < COUNT_OF(view_scenarios); i++)
		scenarios[n++] = &view_scenarios[i];
#ifdef ACRE_RCU
	for (size_t i = 0; i < COUNT_OF(grace_scenarios); i++)
		scenarios[n++] = &grace_scenarios[i];
#endif
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(told != MAP_FAILED, "mmap: %s", strerror(errno));
}

/* How a process ended that played a scenario; what it says on stderr is to be read or not. */
static int play_in_child(const struct scenario *scenario, uint64_t seed, bool aloud)
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	must(child >= 0, "fork: %s", strerror(errno));
	if (!child) {
		signal(SIGALRM, SIG_DFL);
		alarm(SECONDS_MOST);
		if (!aloud)
			must(freopen("/dev/null", "w", stderr), "/dev/null: %s", strerror(errno));
		stage_play(scenario, seed, false);
		told->result = stage.result;
		told->seen = stage.seen;
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0)
		must(errno == EINTR, "waitpid: %s", strerror(errno));
	return status;
}

/* Says how to have it again, and has it again, to be read. */
static void tell(const struct scenario *scenario, uint64_t seed, const char *end, int code)
{
	const char *base = getenv("ACRE_TEST_SEED");

	fprintf(stderr, "%s %d: %s%s%sACRE_SCENARIO=%s ACRE_SEED=%lu tests/test_interleavings\n", end,
		code, base ? "ACRE_TEST_SEED=" : "", base ? base : "", base ? " " : "",
		scenario->name, (unsigned long)seed);
	play_in_child(scenario, seed, true);
}

static unsigned long number_from(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);
	char *end;
	unsigned long value;

	if (!text)
		return otherwise;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-') {
		fprintf(stderr, "test_interleavings: %s=%s: give a number\n", name, text);
		exit(2);
	}
	return value;
}

/* Each of them has an end, and is whole after it. */
START_TEST(no_seed_fails)
{
	const struct scenario *scenario = scenarios[_i];
	unsigned long seeds = number_from("ACRE_SEEDS", SEEDS);
	struct schedule_result all = { 0 };
	uint64_t seen = 0;

	for (unsigned long seed = 1; seed <= seeds; seed++) {
		int status = play_in_child(scenario, seed, false);

		if (WIFSIGNALED(status))
			tell(scenario, seed, "signal", WTERMSIG(status));
		else if (WEXITSTATUS(status))
			tell(scenario, seed, "exit status", WEXITSTATUS(status));
		must(!status, "%s with seed %lu: see above", scenario->name, seed);
		seen += told->seen;
		all.points += told->result.points;
		all.switches += told->result.switches;
		all.waits += told->result.waits;
		all.busy += told->result.busy;
		all.lost += told->result.lost;
	}
	fprintf(stderr, "# %s: %lu seeds, %lu points, %lu switches, %lu waits, %lu busy, %lu lost, "
		"%lu seen\n", scenario->name, seeds, all.points, all.switches, all.waits, all.busy,
		all.lost, seen);
	/* It does meet what it's there for, once in forty seeds at least. */
	must(all.switches >= 10 * seeds, "%lu changes of threads", all.switches);
	must(seen >= seeds / 40, "only %lu of what it's for", seen);
}
END_TEST

/* The hash of a run by itself, in a process that was started as one would to look at it. */
static uint64_t trace_of_replay(const struct scenario *scenario, uint64_t seed)
{
	char command[256];
	unsigned long trace = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "ACRE_SCENARIO=%s ACRE_SEED=%lu /proc/%d/exe",
		 scenario->name, (unsigned long)seed, getpid());
	pipe = popen(command, "r");
	must(pipe, "popen: %s", strerror(errno));
	must(fscanf(pipe, "%*s %*s trace %lx", &trace) == 1, "%s: no trace", command);
	must(pclose(pipe) == 0, "%s: failed", command);
	return trace;
}

START_TEST(a_seed_is_one_run)
{
	const struct scenario *scenario = scenarios[_i];
	uint64_t other = 0;

	for (uint64_t seed = 1; seed <= 8; seed++) {
		uint64_t trace;

		must(play_in_child(scenario, seed, true) == 0, "seed %lu", (unsigned long)seed);
		trace = told->result.trace;
		must(trace != other, "seed %lu has the trace of the one before",
		     (unsigned long)seed);
		must(play_in_child(scenario, seed, true) == 0, "seed %lu", (unsigned long)seed);
		must(told->result.trace == trace, "seed %lu: %lx, and %lx", (unsigned long)seed,
		     trace, told->result.trace);
		if (seed <= 2)
			must(trace_of_replay(scenario, seed) == trace, "seed %lu replayed",
			     (unsigned long)seed);
		other = trace;
	}
}
END_TEST

/*
 * The schedule itself finds what is wrong with these.
 */
static pthread_mutex_t locks[2] = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER };
static unsigned counter;

static void count(struct actor *actor)
{
	unsigned had;

	(void)actor;
	schedule_point(POINT_ATOMIC, NULL);
	had = counter;
	schedule_point(POINT_ATOMIC, NULL);
	counter = had + 1;
}

static void play_lost_update(void)
{
	enter(count);
	enter(count);
	run_all();
	must(counter == 2, "%u", counter);
}

static void take_both(struct actor *actor)
{
	schedule_lock(&locks[actor->number]);
	schedule_lock(&locks[!actor->number]);
	schedule_unlock(&locks[!actor->number]);
	schedule_unlock(&locks[actor->number]);
}

static void play_circle(void)
{
	enter(take_both);
	enter(take_both);
	run_all();
}

static void wait_for_ever(struct actor *actor)
{
	(void)actor;
	for (;;)
		schedule_pause();
}

static void play_endless(void)
{
	enter(wait_for_ever);
	run_all();
}

static const struct scenario broken[] = {
	{ "lost update", play_lost_update },
	{ "circle", play_circle },
	{ "endless", play_endless },
};

START_TEST(what_is_broken_fails)
{
	unsigned failed = 0;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		int status = play_in_child(&broken[_i], seed, false);

		must(!WIFSIGNALED(status), "%s: signal %d", broken[_i].name, WTERMSIG(status));
		failed += WEXITSTATUS(status) == 1;
		if (failed == 3)
			return;
	}
	must(false, "%s: %u of 200 seeds fail", broken[_i].name, failed);
}
END_TEST

/* One seed, here. */
static int replay(uint64_t seed)
{
	const char *name = getenv("ACRE_SCENARIO");

	for (size_t i = 0; name && i < COUNT_OF(scenarios); i++)
		if (!strcmp(scenarios[i]->name, name)) {
			stage_play(scenarios[i], seed, getenv("ACRE_TRACE") != NULL);
			printf("%s %lu: trace %lx, %lu points, %lu switches\n", name,
			       (unsigned long)seed, stage.result.trace, stage.result.points,
			       stage.result.switches);
			return 0;
		}
	fprintf(stderr, "test_interleavings: ACRE_SCENARIO=%s: give one of", name ? name : "");
	for (size_t i = 0; i < COUNT_OF(scenarios); i++)
		fprintf(stderr, " %s", scenarios[i]->name);
	fprintf(stderr, "\n");
	return 2;
}

int main(void)
{
	Suite *suite = suite_create("interleavings");
	TCase *cases = tcase_create("interleavings");

	list_scenarios();
	if (getenv("ACRE_SEED"))
		return replay(number_from("ACRE_SEED", 0));
	number_from("ACRE_SEEDS", SEEDS);
	tcase_set_timeout(cases, 0);
	tcase_add_loop_test(cases, no_seed_fails, 0, (int)COUNT_OF(scenarios));
	tcase_add_loop_test(cases, a_seed_is_one_run, 0, (int)COUNT_OF(scenarios));
	tcase_add_loop_test(cases, what_is_broken_fails, 0, (int)COUNT_OF(broken));
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
