/*
 * acre: the command. It finds the subcommand; each has a file of its own (commands.h).
 */
#include <errno.h>
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

static void help(void)
{
	for (size_t i = 0; i < COMMANDS; i++)
		printf("%s%s\n", i ? "\n" : "", commands[i].usage);
	puts("acre --help | --version");
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : NULL;
	int status = EXIT_SUCCESS;

	if (!command)
		complain(BAD_INPUT, "no command: see 'acre --help'");
	if (strcmp(command, "--help") == 0) {
		help();
	} else if (strcmp(command, "--version") == 0) {
		puts(PACKAGE_STRING);
	} else {
		size_t i = 0;

		while (i < COMMANDS && strcmp(command, commands[i].name) != 0)
			i++;
		if (i == COMMANDS)
			complain(BAD_INPUT, "unknown command '%s': see 'acre --help'", command);
		status = commands[i].perform(argv + 2);
	}
	if (fflush(stdout) != 0)
		complain(FAILED, "standard output: %s", strerror(errno));
	return status;
}
