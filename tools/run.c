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
#include <stdbool.h>
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

#define SEE_HELP	": see 'acre run --help'"

#define DROPIN		"libacre-malloc.so"
#define RECORDER	"libacre-record.so"

const char run_usage[] =
	"usage: acre run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
	"\n"
	"Runs PROGRAM with its memory in one fixed arena.\n"
	"\n"
	"  --arena SIZE   the arena's size: bytes, or a number with K, M, G or T, or N%\n"
	"                 of the memory the process may use; 64K to 1T. Default: all of\n"
	"                 that memory, reserved, not committed\n"
	"  --policy NAME  which free block serves a request: first (the default), next,\n"
	"                 best, worst, buddy or good\n"
	"  --stats        statistics on standard error when the program ends\n"
	"  --guards LIST  catch more misuse, at a price: canaries, fill, quarantine,\n"
	"                 random, pages, several of them with commas, or all. random,\n"
	"                 and so all, needs the policy first; pages any but buddy\n"
	"  --no-purge     keep free pages resident instead of giving them back to the\n"
	"                 system\n"
	"  --record FILE  record every call of the program's to malloc and its family in\n"
	"                 FILE, for 'acre replay'; of the files that are there, only a\n"
	"                 trace or an empty one is replaced\n"
	"  --fail-at N    for tests: refuse the request for memory of this number; N+\n"
	"                 refuses it and all after it\n"
	"\n"
	"Exit status: the program's; 2 for bad input, 126 if PROGRAM can't be run, 127\n"
	"if it isn't there.";

/* What the program's arena will be, as far as the options' texts say. */
static struct acre_options wanted;

/* Each reads an option's text. NULL; or what it is instead, and what it should be. */

static const char *read_arena(const char *text)
{
	uint64_t bytes;

	return budget_arena(text, budget_memory(), &bytes);
}

static const char *read_guards(const char *text)
{
	return words_guards(text, &wanted) ? NULL : WORDS_GUARDS;
}

static const char *read_fail_at(const char *text)
{
	return words_fail_at(text, &wanted) ? NULL : WORDS_FAIL_AT;
}

static const char *read_policy(const char *text)
{
	return words_policy(text, &wanted) ? NULL : WORDS_POLICY;
}

static const char *read_record(const char *text)
{
	return *text ? NULL : "no name; give a file for the trace";
}

enum option { ARENA, FAIL_AT, GUARDS, NO_PURGE, POLICY, RECORD, STATS, OPTIONS };

/* An option, and the variable in which the drop-in finds it; NULL: it isn't for the drop-in. */
static const struct setting {
	const char *option;
	const char *variable;
	const char *(*read)(const char *text);	/* NULL: the option takes no value */
} settings[OPTIONS] = {
	[ARENA] = { "--arena", "ACRE_ARENA", read_arena },
	[FAIL_AT] = { "--fail-at", "ACRE_FAIL_AT", read_fail_at },
	[GUARDS] = { "--guards", "ACRE_GUARDS", read_guards },
	[NO_PURGE] = { "--no-purge", "ACRE_NO_PURGE", NULL },
	[POLICY] = { "--policy", "ACRE_POLICY", read_policy },
	[RECORD] = { "--record", NULL, read_record },
	[STATS] = { "--stats", "ACRE_STATS", NULL },
};

static bool given[OPTIONS];		/* else the variable is the caller's, if there's one */
static const char *record_file;		/* NULL: nothing is recorded */

/* What the user has to look at: the option, or a variable of the environment. */
static const char *name_of(enum option option)
{
	return given[option] ? settings[option].option : settings[option].variable;
}

static void set(const char *variable, const char *value)
{
	if (setenv(variable, value, 1) != 0)
		complain(CANNOT_RUN, "cannot set %s: %s", variable, strerror(errno));
}

static void read_text(enum option option, const char *text)
{
	const char *wrong = settings[option].read ? settings[option].read(text) : NULL;

	if (wrong)
		complain(BAD_INPUT, "%s '%s' is %s" SEE_HELP, name_of(option), text, wrong);
}

/* The setting's text, if the argument is its option: "--name value" or "--name=value"; else NULL. */
static const char *option_text(const struct setting *setting, char ***argv)
{
	size_t length = strlen(setting->option);
	const char *argument = **argv;

	if (strncmp(argument, setting->option, length) != 0)
		return NULL;
	if (!setting->read)
		return argument[length] == '\0' ? "1" : NULL;
	if (argument[length] == '=')
		return argument + length + 1;
	if (argument[length] != '\0')
		return NULL;
	if (!(*argv)[1])
		complain(BAD_INPUT, "%s needs a value" SEE_HELP, setting->option);
	++*argv;
	return **argv;
}

static void take_option(char ***argv)
{
	for (enum option i = 0; i < OPTIONS; i++) {
		const char *text = option_text(&settings[i], argv);

		if (!text)
			continue;
		given[i] = true;
		read_text(i, text);
		if (settings[i].variable)
			set(settings[i].variable, text);
		else
			record_file = text;
		return;
	}
	complain(BAD_INPUT, "unknown option '%s'" SEE_HELP, **argv);
}

/* Takes the options into the environment; the program's argv remains. */
static char **take_options(char **argv)
{
	for (; *argv && (*argv)[0] == '-' && (*argv)[1]; argv++) {
		if (strcmp(*argv, "--") == 0) {
			argv++;
			break;
		}
		if (strcmp(*argv, "--help") == 0 || strcmp(*argv, "-h") == 0) {
			puts(run_usage);
			exit(EXIT_SUCCESS);
		}
		take_option(&argv);
	}
	if (!*argv || !**argv)
		complain(BAD_INPUT, "no program: give it after the options, as in 'acre run -- ls "
				    "-l'" SEE_HELP);
	return argv;
}

/* The environment is now what the program will have: the caller's variables, and the options. */
static void check_environment(void)
{
	const char *conflict;

	for (enum option i = 0; i < OPTIONS; i++) {
		const char *variable = settings[i].variable;
		const char *text = variable ? getenv(variable) : NULL;

		if (text)
			read_text(i, text);
	}
	conflict = words_conflict(&wanted);
	if (conflict)
		complain(BAD_INPUT, "%s '%s' can't go with %s '%s': %s" SEE_HELP, name_of(GUARDS),
			 getenv("ACRE_GUARDS"), name_of(POLICY), getenv("ACRE_POLICY"), conflict);
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

static bool wants_stats(void)
{
	const char *text = getenv("ACRE_STATS");

	return text && strcmp(text, "1") == 0;
}

int run(char **argv)
{
	struct program program = { .argv = take_options(argv) };
	const char *name = program.argv[0];
	char *path = program_find(name);
	const char *obstacle;

	check_environment();
	if (!path && errno == ENOENT)
		complain(NOT_FOUND, "%s: program not found: give a name on the PATH, or a path",
			 name);
	if (!path)
		complain(CANNOT_RUN, "%s: %s", name, strerror(errno));

	obstacle = program_obstacle(path);
	if (obstacle)
		fprintf(stderr, "acre: warning: %s %s: it will not run on acre%s\n", path,
			obstacle, wants_stats() ? ", and there will be no statistics" : "");
	program.path = path;
	preload(DROPIN);
	if (!record_file)
		become(&program);
	preload(RECORDER);
	record_prepare(record_file);
	return record(become, &program, command_line(program.argv));
}
