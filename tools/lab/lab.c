/*
 * acre lab: a heap to play with. See lab.h for what it's made of.
 */
#include "lab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "complain.h"
#include "complete.h"
#include "line.h"
#include "screen.h"

const char lab_usage[] =
	"usage: acre lab [--script FILE] [--no-color]\n"
	"\n"
	"A heap to learn with: allocate, free, and see what the policies make of it.\n"
	"'help' there lists its commands. Without a terminal, they are read from\n"
	"standard input.\n"
	"\n"
	"  --script FILE  carry out the commands in FILE, and end\n"
	"  --no-color     no colours; nor are there where the variable NO_COLOR is set\n"
	"\n"
	"Exit status: 0; 1 if a line of a script couldn't be carried out; 2 for bad\n"
	"input.";

struct wishes {
	const char *script;
	bool plain;
};

static struct wishes take_options(char **argv)
{
	struct wishes wishes = { 0 };

	for (; *argv; argv++) {
		if (strcmp(*argv, "--help") == 0 || strcmp(*argv, "-h") == 0) {
			puts(lab_usage);
			exit(EXIT_SUCCESS);
		}
		if (strcmp(*argv, "--no-color") == 0) {
			wishes.plain = true;
		} else if (strncmp(*argv, "--script=", 9) == 0) {
			wishes.script = *argv + 9;
		} else if (strcmp(*argv, "--script") == 0) {
			wishes.script = *++argv;
			if (!wishes.script)
				complain(BAD_INPUT, "--script needs a file: see 'acre lab --help'");
		} else if (**argv == '-') {
			complain(BAD_INPUT, "unknown option '%s': see 'acre lab --help'", *argv);
		} else {
			complain(BAD_INPUT, "lab takes no '%s': a file of commands is given with "
					    "--script", *argv);
		}
	}
	return wishes;
}

static bool wants_colours(bool plain)
{
	const char *refused = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");

	return !plain && isatty(STDOUT_FILENO) && !(refused && *refused) && terminal &&
	       strcmp(terminal, "dumb") != 0;
}

static FILE *open_script(const char *path)
{
	FILE *file = fopen(path, "r");
	struct stat status;

	if (!file)
		complain(BAD_INPUT, "--script '%s' can't be read: %s", path, strerror(errno));
	if (fstat(fileno(file), &status) == 0 && S_ISDIR(status.st_mode))
		complain(BAD_INPUT, "--script '%s' is a folder: give a file of commands", path);
	return file;
}

static int run_script(struct lab *lab, FILE *file, const char *name)
{
	unsigned long lines, wrong;

	lab_perform_all(lab, file, name, false, &lines, &wrong);
	if (ferror(file))
		complain(BAD_INPUT, "%s can't be read: %s", name, strerror(errno));
	return wrong ? FAILED : EXIT_SUCCESS;
}

static void ask(struct lab *lab)
{
	enum lab_outcome outcome = LAB_DONE;
	enum lab_input input;
	const char *line;

	lab->asks = true;
	lab_screen_line("acre lab: an empty heap of %zu bytes, first fit. Type help, or quit.",
			lab->session.heap.size);
	lab_draw(lab, LAB_NOWHERE);
	lab_line_begin(lab_complete, &lab->session);
	while (outcome != LAB_QUIT && (input = lab_line_ask(&line)) != LAB_END)
		outcome = input == LAB_LINE ? lab_perform(lab, line) : LAB_DONE;
	lab_line_end();
}

int lab(char **argv)
{
	struct wishes wishes = take_options(argv);
	FILE *script = wishes.script ? open_script(wishes.script) : NULL;
	struct lab lab = { 0 };
	int status = EXIT_SUCCESS;

	if (!lab_session_begin(&lab.session, LAB_FIRST_SIZE, ACRE_FIRST_FIT))
		complain(FAILED, "the system refuses the memory of a heap: %s", strerror(errno));
	lab_screen_begin(wants_colours(wishes.plain));
	if (script) {
		status = run_script(&lab, script, wishes.script);
		fclose(script);
	} else if (isatty(STDIN_FILENO)) {
		ask(&lab);
	} else {
		status = run_script(&lab, stdin, "standard input");
	}
	lab_session_end(&lab.session);
	return status;
}
