/*
 * acre-stress: the command. Reads the options, runs each scenario in a child process, shows its
 * progress and tells how it ended.
 *
 * The parent has one thread and uses no arena, so whatever the allocator does to a scenario, the
 * parent lives to report it: a fault the scenario found (status 1), an abort by the allocator or a
 * bad access (a signal), a report by a sanitizer (any other status), or a hang: no operation ended
 * for PATIENCE seconds.
 */
#include "stress.h"

#include "words.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE	100
#define MOST_THREADS	4000
#define MOST_SECONDS	1000000
#define TICK		100000000	/* nanoseconds between two looks at the child */

static const struct scenario *const scenarios[] = {
	&scenario_mixed, &scenario_no_cache, &scenario_producer_consumer, &scenario_ring,
	&scenario_shared, &scenario_larson, &scenario_churn, &scenario_crowd, &scenario_exhaustion,
	&scenario_fork_storm, &scenario_realloc, &scenario_arenas, &scenario_newcomers,
};

#define SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

struct outcome {
	bool chosen;
	bool sound;
	char how[64];
	double seconds;
	struct board *board;
};

#if UNDER_TSAN
const char *__tsan_default_options(void);

/* What the environment's TSAN_OPTIONS doesn't say. The first report ends the scenario. */
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:second_deadlock_stack=1:history_size=4";
}
#endif

static void usage(FILE *stream)
{
	fprintf(stream,
		"Usage: acre-stress [OPTION]...\n"
		"Works on arenas of libacre from many threads and checks all that comes back.\n\n"
		"  --list           list the scenarios\n"
		"  --scenario NAME  run this one; may be repeated; all (the default) is all\n"
		"  --threads N      threads at work, 1 to %d (default: the scenario's choice)\n"
		"  --seconds S      the time for each scenario, from 1 (default 5)\n"
		"  --seed N         where the random sequences begin (default 1)\n"
		"  --arena SIZE     bytes, with K, M or G (default: the scenario's choice)\n"
		"  --policy NAME    the arenas' policy: " WORDS_POLICIES "\n"
		"                   (default first)\n"
		"  --help           this text\n\n"
		"Exit status: 0 all sound, 1 a fault was found, 2 wrong usage.\n", MOST_THREADS);
}

static _Noreturn void misused(const char *what, const char *value, const char *wanted)
{
	fprintf(stderr, "acre-stress: %s '%s': %s\n", what, value, wanted);
	exit(2);
}

static uint64_t read_number(const char *option, const char *text, uint64_t least, uint64_t most,
			    bool is_size)
{
	const char *wanted = is_size ? "give bytes from 64K to 1024G, with K, M or G" :
				       "give a whole number in the range that --help names";
	char *end;
	uintmax_t value;
	unsigned shift = 0;

	errno = 0;
	value = strtoumax(text, &end, 10);
	if (*text < '0' || *text > '9' || errno != 0)
		misused(option, text, wanted);
	if (is_size && *end != '\0') {
		const char *units = "KMG", *unit = strchr(units, *end);

		if (unit == NULL)
			misused(option, text, wanted);
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (*end != '\0' || value > most >> shift || value << shift < least)
		misused(option, text, wanted);
	return value << shift;
}

static enum acre_policy read_policy(const char *name)
{
	struct acre_options options;

	if (!words_policy(name, &options))
		misused("--policy", name, "there is none of this name; give " WORDS_POLICIES);
	return options.policy;
}

static void choose(struct outcome *outcomes, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < SCENARIOS; i++)
		if (strcmp(name, "all") == 0 || strcmp(name, scenarios[i]->name) == 0)
			found = outcomes[i].chosen = true;
	if (!found)
		misused("--scenario", name, "there is none of this name; --list names them");
}

static void list(void)
{
	for (size_t i = 0; i < SCENARIOS; i++)
		printf("%-18s %s\n", scenarios[i]->name, scenarios[i]->summary);
}

/* Returns false where there is nothing to run. */
static bool read_options(int count, char **arguments, struct options *options,
			 struct outcome *outcomes)
{
	static const struct option known[] = {
		{ "list", no_argument, NULL, 'l' },
		{ "scenario", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 'S' },
		{ "seed", required_argument, NULL, 'r' },
		{ "arena", required_argument, NULL, 'a' },
		{ "policy", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool any = false;
	int option;

	/* The messages are our own, a line each. */
	opterr = 0;
	while ((option = getopt_long(count, arguments, ":", known, NULL)) != -1) {
		switch (option) {
		case 'l':
			list();
			return false;
		case 'h':
			usage(stdout);
			return false;
		case 's':
			choose(outcomes, optarg);
			any = true;
			break;
		case 't':
			options->threads = (unsigned)read_number("--threads", optarg, 1,
								 MOST_THREADS, false);
			break;
		case 'S':
			options->seconds = (unsigned)read_number("--seconds", optarg, 1,
								 MOST_SECONDS, false);
			break;
		case 'r':
			options->seed = read_number("--seed", optarg, 0, UINT64_MAX, false);
			break;
		case 'a':
			options->arena = (size_t)read_number("--arena", optarg, 64 * KIB,
							     (uint64_t)1 << 40, true);
			break;
		case 'p':
			options->policy = read_policy(optarg);
			break;
		case ':':
			misused("option", arguments[optind - 1], "it needs a value; see --help");
		default:
			misused("option", strncmp(arguments[optind - 1], "--", 2) == 0 ?
				arguments[optind - 1] : (char[]){ '-', (char)optopt, '\0' },
				"there is none like this; see --help");
		}
	}
	if (optind != count)
		misused("argument", arguments[optind], "only options are taken; see --help");
	if (!any)
		choose(outcomes, "all");
	return true;
}

static unsigned count_threads(const struct scenario *scenario, const struct options *options)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned threads = options->threads;

	if (threads == 0)
		threads = scenario->threads;
	if (threads == 0)
		threads = processors < 2 ? 4 : processors > 16 ? 32 : 2 * (unsigned)processors;
	if (threads < scenario->least_threads)
		threads = scenario->least_threads;
	if (scenario->most_threads != 0 && threads > scenario->most_threads)
		threads = scenario->most_threads;
	return threads;
}

static _Noreturn void become(const struct scenario *scenario, const struct options *options,
			     struct board *board, pid_t parent)
{
	struct run run = {
		.scenario = scenario, .options = options, .board = board,
		.threads = count_threads(scenario, options),
		.arena_size = options->arena != 0 ? options->arena : scenario->arena,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	atomic_store_explicit(&board->threads, run.threads, memory_order_relaxed);
	scenario->work(&run);
	exit(0);
}

static uint64_t operations_of(const struct outcome *outcome)
{
	return atomic_load_explicit(&outcome->board->operations, memory_order_relaxed);
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

/* Looks at the child until it ends, and ends it where it hangs. Returns its wait status. */
static int watch(const struct scenario *scenario, struct outcome *outcome, pid_t child)
{
	const struct timespec tick = { .tv_nsec = TICK };
	struct timespec start, moved;
	uint64_t before = 0;
	bool terminal = isatty(STDERR_FILENO);
	int status;

	clock_gettime(CLOCK_MONOTONIC, &start);
	moved = start;
	snprintf(outcome->how, sizeof(outcome->how), "sound");
	if (!terminal)
		fprintf(stderr, "acre-stress: %s ...\n", scenario->name);
	while (waitpid(child, &status, WNOHANG) == 0) {
		uint64_t operations = operations_of(outcome);

		if (terminal)
			fprintf(stderr, "\r%-18s %6.1f s %14" PRIu64 " operations ", scenario->name,
				seconds_since(&start), operations);
		if (operations != before) {
			before = operations;
			clock_gettime(CLOCK_MONOTONIC, &moved);
		}
		if (seconds_since(&moved) > PATIENCE) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			snprintf(outcome->how, sizeof(outcome->how),
				 "HANGS, killed after %d s idle", PATIENCE);
			break;
		}
		nanosleep(&tick, NULL);
	}
	if (terminal)
		fprintf(stderr, "\r%60s\r", "");
	outcome->seconds = seconds_since(&start);
	return status;
}

static void run_scenario(const struct scenario *scenario, const struct options *options,
			 struct outcome *outcome)
{
	pid_t parent = getpid(), child;
	int status;

	outcome->board = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcome->board == MAP_FAILED) {
		fprintf(stderr, "acre-stress: mmap: %s\n", strerror(errno));
		exit(1);
	}
	fflush(NULL);
	child = fork();
	if (child < 0) {
		fprintf(stderr, "acre-stress: fork: %s\n", strerror(errno));
		exit(1);
	}
	if (child == 0)
		become(scenario, options, outcome->board, parent);
	status = watch(scenario, outcome, child);
	outcome->sound = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		snprintf(outcome->how, sizeof(outcome->how), "FAULT");
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		snprintf(outcome->how, sizeof(outcome->how), "FAULT, status %d%s",
			 WEXITSTATUS(status), WEXITSTATUS(status) == 66 ? " (sanitizer)" : "");
	else if (WIFSIGNALED(status) && strcmp(outcome->how, "sound") == 0)
		snprintf(outcome->how, sizeof(outcome->how), "DIED of signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
}

static bool report(const struct options *options, const struct outcome *outcomes)
{
	bool sound = true;

	printf("%-18s %7s %8s %14s %12s %10s  %s\n", "scenario", "threads", "seconds",
	       "operations", "refusals", "peak KiB", "verdict");
	for (size_t i = 0; i < SCENARIOS; i++) {
		const struct outcome *outcome = &outcomes[i];
		struct board *board = outcome->board;

		if (!outcome->chosen)
			continue;
		printf("%-18s %7u %8.1f %14" PRIu64 " %12" PRIu64 " %10" PRIu64 "  %s",
		       scenarios[i]->name, atomic_load(&board->threads), outcome->seconds,
		       operations_of(outcome), atomic_load(&board->refusals),
		       atomic_load(&board->peak) / KIB, outcome->how);
		if (atomic_load(&board->processes) != 0)
			printf(", %u processes", atomic_load(&board->processes));
		if (atomic_load(&board->arenas) > 1)
			printf(", %u arenas", atomic_load(&board->arenas));
		putchar('\n');
		sound = sound && outcome->sound;
	}
	printf("seed %" PRIu64 ": %s\n", options->seed,
	       sound ? "all sound" : "a fault was found; the lines on stderr say which");
	return sound;
}

int main(int count, char **arguments)
{
	static struct outcome outcomes[SCENARIOS];
	struct options options = { .seconds = 5, .seed = 1 };

	if (!read_options(count, arguments, &options, outcomes))
		return 0;
	for (size_t i = 0; i < SCENARIOS; i++)
		if (outcomes[i].chosen)
			run_scenario(scenarios[i], &options, &outcomes[i]);
	return report(&options, outcomes) ? 0 : 1;
}
