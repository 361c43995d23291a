/*
 * acre: the command. It finds the subcommand; each has a file of its own (commands.h).
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "complain.h"

static const struct {
	const char *name;
	int (*perform)(char **argv);
	const char *usage;
} commands[] = {
	{ "replay", replay, replay_usage },
	{ "run", run, run_usage },
	{ "lab", lab, lab_usage },
};

#define COMMANDS	(sizeof(commands) / sizeof(commands[0]))

/* The number of the command of this name; one that there isn't ends the process with a line. */
static size_t find(const char *name)
{
	size_t i = 0;

	while (i < COMMANDS && strcmp(name, commands[i].name) != 0)
		i++;
	if (i == COMMANDS)
		complain(BAD_INPUT, "unknown command '%s': see 'acre --help'", name);
	return i;
}

/* Of one command, or, if it's NULL, of all. */
static void help(const char *command)
{
	if (command) {
		puts(commands[find(command)].usage);
		return;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		printf("%s%s\n", i ? "\n" : "", commands[i].usage);
	puts("\nacre help [COMMAND] | --help | --version");
}

static bool is_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0 ||
	       strcmp(argument, "help") == 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : NULL;
	int status = EXIT_SUCCESS;

	if (!command)
		complain(BAD_INPUT, "no command: see 'acre --help'");
	if (is_help(command))
		help(argv[2]);
	else if (strcmp(command, "--version") == 0)
		puts(PACKAGE_STRING);
	else
		status = commands[find(command)].perform(argv + 2);
	if (fflush(stdout) != 0)
		complain(FAILED, "standard output: %s", strerror(errno));
	return status;
}
