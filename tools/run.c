/*
 * acre run: starts a program on the drop-in.
 *
 * It puts libacre-malloc.so into LD_PRELOAD and the program's options for it into ACRE_* variables,
 * and becomes the program. All that can be said about bad input is said here, in one line and with
 * exit status 2, before anything runs: the dynamic linker itself ignores a preload that it can't
 * honour. A variable that the caller's environment has is looked at as an option would be.
 *
 * With --record it remains instead, beside the program, until that has ended (record.h).
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "budget.h"
#include "commands.h"
#include "complain.h"
#include "program.h"
#include "record.h"
#include "words.h"

#define CANNOT_RUN	126	/* exit status, as of a shell */
#define NOT_FOUND	127

#define ARENA_LEAST	((uint64_t)64 << 10)
#define ARENA_MOST	((uint64_t)1 << 40)

#define DROPIN		"libacre-malloc.so"
#define RECORDER	"libacre-record.so"

const char run_usage[] =
	"usage: acre run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
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
	"  --record FILE  record every call of the program's to malloc and its family in FILE,\n"
	"                 for 'acre replay'\n"
	"  --fail-at N    for tests: refuse the request for memory of this number; N+ refuses it\n"
	"                 and all after it\n"
	"\n"
	"Exit status: the program's; 2 for bad input, 126 if PROGRAM can't be run, 127 if it\n"
	"isn't there.";

/* name is where the text came from, for the message. */
static void check_arena(const char *name, const char *text)
{
	uint64_t bytes;

	if (budget_parse(text, budget_memory(), &bytes) != 0)
		complain(BAD_INPUT, "%s '%s' is not a size: give bytes, a number with K, M, G or T, "
				    "or N%% of memory, such as 512M or 50%%", name, text);
	if (bytes < ARENA_LEAST)
		complain(BAD_INPUT, "%s '%s' is too small: an arena has at least 64K", name, text);
	if (bytes > ARENA_MOST)
		complain(BAD_INPUT, "%s '%s' is too large: an arena has at most 1T", name, text);
}

static void check_guards(const char *name, const char *text)
{
	struct acre_options unused;

	if (!words_guards(text, &unused))
		complain(BAD_INPUT, "%s '%s' is " WORDS_GUARDS, name, text);
}

static void check_fail_at(const char *name, const char *text)
{
	struct acre_options unused;

	if (!words_fail_at(text, &unused))
		complain(BAD_INPUT, "%s '%s' is " WORDS_FAIL_AT, name, text);
}

static void check_policy(const char *name, const char *text)
{
	struct acre_options unused;

	if (!words_policy(text, &unused))
		complain(BAD_INPUT, "%s '%s' is " WORDS_POLICY, name, text);
}

static void check_record(const char *name, const char *text)
{
	if (!*text)
		complain(BAD_INPUT, "%s: give a file for the trace", name);
}

/* An option, and the variable in which the drop-in finds it; NULL: it isn't for the drop-in. */
static const struct setting {
	const char *option;
	const char *variable;
	void (*check)(const char *name, const char *text);	/* NULL: the option takes no value */
} settings[] = {
	{ "--arena", "ACRE_ARENA", check_arena },
	{ "--fail-at", "ACRE_FAIL_AT", check_fail_at },
	{ "--guards", "ACRE_GUARDS", check_guards },
	{ "--no-purge", "ACRE_NO_PURGE", NULL },
	{ "--policy", "ACRE_POLICY", check_policy },
	{ "--record", NULL, check_record },
	{ "--stats", "ACRE_STATS", NULL },
};

#define SETTINGS	(sizeof(settings) / sizeof(settings[0]))

static const char *record_file;		/* NULL: nothing is recorded */

static void set(const char *variable, const char *value)
{
	if (setenv(variable, value, 1) != 0)
		complain(CANNOT_RUN, "cannot set %s: %s", variable, strerror(errno));
}

/* The setting's text, if the argument is its option: "--name value" or "--name=value"; else NULL. */
static const char *option_text(const struct setting *setting, char ***argv)
{
	size_t length = strlen(setting->option);
	const char *argument = **argv;

	if (strncmp(argument, setting->option, length) != 0)
		return NULL;
	if (!setting->check)
		return argument[length] == '\0' ? "1" : NULL;
	if (argument[length] == '=')
		return argument + length + 1;
	if (argument[length] != '\0')
		return NULL;
	if (!(*argv)[1])
		complain(BAD_INPUT, "%s needs a value: see 'acre --help'", setting->option);
	++*argv;
	return **argv;
}

static void take_option(char ***argv)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const char *text = option_text(&settings[i], argv);

		if (!text)
			continue;
		if (settings[i].check)
			settings[i].check(settings[i].option, text);
		if (settings[i].variable)
			set(settings[i].variable, text);
		else
			record_file = text;
		return;
	}
	complain(BAD_INPUT, "unknown option '%s': see 'acre --help'", **argv);
}

/* Takes the options into the environment; the program's argv remains. */
static char **take_options(char **argv)
{
	for (; *argv && (*argv)[0] == '-' && (*argv)[1]; argv++) {
		if (strcmp(*argv, "--") == 0) {
			argv++;
			break;
		}
		if (strcmp(*argv, "--help") == 0) {
			puts(run_usage);
			exit(EXIT_SUCCESS);
		}
		take_option(&argv);
	}
	if (!*argv || !**argv)
		complain(BAD_INPUT,
			 "no program: give it after the options, as in 'acre run -- ls -l'");
	return argv;
}

static void check_environment(void)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const char *variable = settings[i].variable;
		const char *text = variable ? getenv(variable) : NULL;

		if (text && settings[i].check)
			settings[i].check(variable, text);
	}
}

/* "start" + "end" as a new string. */
static char *join(const char *start, const char *end)
{
	size_t size = strlen(start) + strlen(end) + 1;
	char *text = malloc(size);

	if (!text)
		complain(CANNOT_RUN, "out of memory");
	snprintf(text, size, "%s%s", start, end);
	return text;
}

/*
 * A library to preload: in a build tree it lies beside this executable in .libs; where acre was
 * installed, also when the whole of it was moved since, in ../lib or the configured directory.
 */
static char *find_library(const char *name)
{
	static const char *const places[] = { "/.libs/", "/../lib/" };
	char here[4096];
	ssize_t length = readlink("/proc/self/exe", here, sizeof(here) - 1);
	char *path;

	if (length > 0) {
		here[length] = '\0';
		*strrchr(here, '/') = '\0';
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			char *folder = join(here, places[i]);

			path = join(folder, name);
			free(folder);
			if (access(path, R_OK) == 0)
				return path;
			free(path);
		}
	}
	path = join(ACRE_LIBDIR "/", name);
	if (access(path, R_OK) != 0)
		complain(CANNOT_RUN, "%s: %s: run 'make install', or acre from its build tree",
			 path, strerror(errno));
	return path;
}

/* Puts a library before what LD_PRELOAD has. */
static void preload(const char *name)
{
	const char *others = getenv("LD_PRELOAD");
	char *list = find_library(name);

	if (strpbrk(list, " :$"))
		complain(CANNOT_RUN, "%s: LD_PRELOAD can't name a path with a space, ':' or '$': "
				     "move acre", list);
	if (others && *others) {
		char *head = join(list, ":");

		free(list);
		list = join(head, others);
		free(head);
	}
	set("LD_PRELOAD", list);
	free(list);
}

/* What this process, or its child, is to become. */
struct program {
	const char *path;
	char **argv;
};

static void become(void *argument)
{
	const struct program *program = argument;

	execv(program->path, program->argv);
	if (errno == ENOEXEC)	/* a script without a first line that says so: the shell's */
		execvp(program->path, program->argv);
	if (errno == ENOENT)
		complain(NOT_FOUND, "%s: its interpreter is not there", program->path);
	complain(CANNOT_RUN, "%s: %s", program->path, strerror(errno));
}

/* The program's name and arguments, for the trace. */
static char *command_line(char **argv)
{
	char *line = join("", *argv);

	while (*++argv) {
		char *longer = join(line, " ");

		free(line);
		line = join(longer, *argv);
		free(longer);
	}
	return line;
}

int run(char **argv)
{
	struct program program = { .argv = take_options(argv) };
	const char *name = program.argv[0];
	char *path = program_find(name);
	const char *obstacle;

	check_environment();
	if (!path && errno == ENOENT)
		complain(NOT_FOUND, "%s: program not found", name);
	if (!path)
		complain(CANNOT_RUN, "%s: %s", name, strerror(errno));

	obstacle = program_obstacle(path);
	if (obstacle)
		fprintf(stderr, "acre: warning: %s %s: it will not run on acre\n", path, obstacle);
	program.path = path;
	preload(DROPIN);
	if (!record_file)
		become(&program);
	preload(RECORDER);
	record_prepare(record_file);
	return record(become, &program, command_line(program.argv));
}
