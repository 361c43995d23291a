/*
 * acre: the command.
 *
 * `acre run` starts a program on the drop-in: it puts libacre-malloc.so into LD_PRELOAD and the
 * program's options for it into ACRE_* variables, and becomes the program. All that can be said
 * about bad input is said here, in one line and with exit status 2, before anything runs: the
 * dynamic linker itself ignores a preload that it can't honour.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "budget.h"
#include "fail_at.h"
#include "names.h"
#include "policies.h"
#include "program.h"

#define BAD_INPUT	2	/* exit status, as are the shell's two below */
#define CANNOT_RUN	126
#define NOT_FOUND	127

#define ARENA_LEAST	((uint64_t)64 << 10)
#define ARENA_MOST	((uint64_t)1 << 40)

#define DROPIN		"libacre-malloc.so"

static const char usage[] =
	"usage: acre run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
	"       acre --help | --version\n"
	"\n"
	"Runs PROGRAM with its memory in one fixed arena.\n"
	"\n"
	"  --arena SIZE   the arena's size: bytes, or a number with K, M, G or T, or N% of the\n"
	"                 memory the process may use; 64K to 1T. Default: all of that memory,\n"
	"                 reserved, not committed\n"
	"  --policy NAME  which free block serves a request: first (the default), next, best,\n"
	"                 worst, buddy or good\n"
	"  --stats        statistics on standard error when the program ends\n"
	"  --guards LIST  catch more misuse, at a price: canaries, fill, quarantine, random,\n"
	"                 pages, several of them with commas, or all\n"
	"  --no-purge     keep free pages resident instead of giving them back to the system\n"
	"  --fail-at N    for tests: refuse the request for memory of this number; N+ refuses it\n"
	"                 and all after it\n"
	"\n"
	"Exit status: the program's; 2 for bad input, 126 if PROGRAM can't be run, 127 if it\n"
	"isn't there.\n";

/* What `acre run` was asked for. */
struct request {
	const char *arena;	/* NULL: the drop-in's default */
	const char *guards;	/* NULL: none */
	const char *policy;	/* the same */
	bool stats;
	bool no_purge;
	const char *fail_at;	/* NULL: none is refused on purpose */
	char **program;		/* its argv */
};

static _Noreturn __attribute__((format(printf, 2, 3))) void fail(int status,
								  const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("acre: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(status);
}

/* name is where the text came from, for the message. */
static void check_arena(const char *name, const char *text)
{
	uint64_t bytes;

	if (budget_parse(text, budget_memory(), &bytes) != 0)
		fail(BAD_INPUT, "%s '%s' is not a size: give bytes, a number with K, M, G or T, or "
		     "N%% of memory, such as 512M or 50%%", name, text);
	if (bytes < ARENA_LEAST)
		fail(BAD_INPUT, "%s '%s' is too small: an arena has at least 64K", name, text);
	if (bytes > ARENA_MOST)
		fail(BAD_INPUT, "%s '%s' is too large: an arena has at most 1T", name, text);
}

static void check_guards(const char *name, const char *text)
{
	unsigned guards;

	if (!names_guards(text, &guards))
		fail(BAD_INPUT, "%s '%s': %s", name, text, NAMES_GUARDS_ADVICE);
}

static void check_fail_at(const char *name, const char *text)
{
	struct acre_options unused;

	if (fail_at_parse(text, &unused) != 0)
		fail(BAD_INPUT, "%s '%s' is " FAIL_AT_ADVICE, name, text);
}

static void check_policy(const char *name, const char *text)
{
	if (policy_named(text) < 0)
		fail(BAD_INPUT, "%s '%s' is not a policy: give " POLICY_NAMES, name, text);
}

/* The value of an option that needs one, as "--name value" or "--name=value"; else NULL. */
static const char *option_value(const char *name, char ***argv)
{
	size_t length = strlen(name);
	const char *argument = **argv;

	if (strncmp(argument, name, length) != 0)
		return NULL;
	if (argument[length] == '=')
		return argument + length + 1;
	if (argument[length] != '\0')
		return NULL;
	if (!(*argv)[1])
		fail(BAD_INPUT, "%s needs a value: see 'acre --help'", name);
	++*argv;
	return **argv;
}

static struct request parse_run(char **argv)
{
	struct request request = { 0 };
	const char *value;

	for (; *argv && (*argv)[0] == '-' && (*argv)[1]; argv++) {
		if (strcmp(*argv, "--") == 0) {
			argv++;
			break;
		}
		if ((value = option_value("--arena", &argv))) {
			check_arena("--arena", value);
			request.arena = value;
		} else if ((value = option_value("--guards", &argv))) {
			check_guards("--guards", value);
			request.guards = value;
		} else if ((value = option_value("--fail-at", &argv))) {
			check_fail_at("--fail-at", value);
			request.fail_at = value;
		} else if ((value = option_value("--policy", &argv))) {
			check_policy("--policy", value);
			request.policy = value;
		} else if (strcmp(*argv, "--stats") == 0) {
			request.stats = true;
		} else if (strcmp(*argv, "--no-purge") == 0) {
			request.no_purge = true;
		} else if (strcmp(*argv, "--help") == 0) {
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		} else {
			fail(BAD_INPUT, "unknown option '%s': see 'acre --help'", *argv);
		}
	}
	if (!*argv || !**argv)
		fail(BAD_INPUT, "no program: give it after the options, as in 'acre run -- ls -l'");
	request.program = argv;

	if (!request.arena && getenv("ACRE_ARENA"))
		check_arena("ACRE_ARENA", getenv("ACRE_ARENA"));
	if (!request.guards && getenv("ACRE_GUARDS"))
		check_guards("ACRE_GUARDS", getenv("ACRE_GUARDS"));
	if (!request.fail_at && getenv("ACRE_FAIL_AT"))
		check_fail_at("ACRE_FAIL_AT", getenv("ACRE_FAIL_AT"));
	if (!request.policy && getenv("ACRE_POLICY"))
		check_policy("ACRE_POLICY", getenv("ACRE_POLICY"));
	return request;
}

/* "start" + "end" as a new string. */
static char *join(const char *start, const char *end)
{
	size_t size = strlen(start) + strlen(end) + 1;
	char *text = malloc(size);

	if (!text)
		fail(CANNOT_RUN, "out of memory");
	snprintf(text, size, "%s%s", start, end);
	return text;
}

/*
 * The drop-in: in a build tree it lies beside this executable in .libs; where acre was installed,
 * also when the whole of it was moved since, in ../lib or the configured directory.
 */
static char *find_dropin(void)
{
	static const char *const places[] = { "/.libs/" DROPIN, "/../lib/" DROPIN };
	char here[4096];
	ssize_t length = readlink("/proc/self/exe", here, sizeof(here) - 1);
	char *path;

	if (length > 0) {
		here[length] = '\0';
		*strrchr(here, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			path = join(here, places[i]);
			if (access(path, R_OK) == 0)
				return path;
			free(path);
		}
	}
	path = join(ACRE_LIBDIR "/", DROPIN);
	if (access(path, R_OK) != 0)
		fail(CANNOT_RUN, "%s: %s: run 'make install', or acre from its build tree", path,
		     strerror(errno));
	return path;
}

static void set(const char *name, const char *value)
{
	if (setenv(name, value, 1) != 0)
		fail(CANNOT_RUN, "cannot set %s: %s", name, strerror(errno));
}

static void set_environment(const struct request *request)
{
	const char *others = getenv("LD_PRELOAD");
	char *preload = find_dropin();

	if (strpbrk(preload, " :$"))
		fail(CANNOT_RUN, "%s: LD_PRELOAD can't name a path with a space, ':' or '$': "
				 "move acre", preload);
	if (others && *others) {
		char *head = join(preload, ":");

		free(preload);
		preload = join(head, others);
		free(head);
	}
	set("LD_PRELOAD", preload);
	free(preload);
	if (request->arena)
		set("ACRE_ARENA", request->arena);
	if (request->guards)
		set("ACRE_GUARDS", request->guards);
	if (request->policy)
		set("ACRE_POLICY", request->policy);
	if (request->stats)
		set("ACRE_STATS", "1");
	if (request->no_purge)
		set("ACRE_NO_PURGE", "1");
	if (request->fail_at)
		set("ACRE_FAIL_AT", request->fail_at);
}

static _Noreturn void run(char **argv)
{
	struct request request = parse_run(argv);
	const char *name = request.program[0];
	char *path = program_find(name);
	const char *obstacle;

	if (!path && errno == ENOENT)
		fail(NOT_FOUND, "%s: program not found", name);
	if (!path)
		fail(CANNOT_RUN, "%s: %s", name, strerror(errno));

	obstacle = program_obstacle(path);
	if (obstacle)
		fprintf(stderr, "acre: warning: %s %s: it will not run on acre\n", path, obstacle);
	set_environment(&request);
	execv(path, request.program);
	if (errno == ENOEXEC)	/* a script without a first line that says so: the shell's */
		execvp(path, request.program);
	if (errno == ENOENT)
		fail(NOT_FOUND, "%s: its interpreter is not there", path);
	fail(CANNOT_RUN, "%s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : NULL;

	if (!command)
		fail(BAD_INPUT, "no command: see 'acre --help'");
	if (strcmp(command, "run") == 0)
		run(argv + 2);
	if (strcmp(command, "--help") == 0)
		fputs(usage, stdout);
	else if (strcmp(command, "--version") == 0)
		puts(PACKAGE_STRING);
	else
		fail(BAD_INPUT, "unknown command '%s': see 'acre --help'", command);
	if (fflush(stdout) != 0)
		fail(1, "standard output: %s", strerror(errno));
	return EXIT_SUCCESS;
}
