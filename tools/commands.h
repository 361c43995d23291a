/*
 * The subcommands of acre, a file each. argv begins behind the subcommand's name and ends with NULL;
 * what's returned is the exit status. Bad input ends the process with a line (complain.h).
 */
#ifndef ACRE_COMMANDS_H
#define ACRE_COMMANDS_H

/* Options of a subcommand, for its part of 'acre --help'. */
extern const char lab_usage[];
extern const char replay_usage[];
extern const char run_usage[];

int lab(char **argv);
int replay(char **argv);
int run(char **argv);

#endif
