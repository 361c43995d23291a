/*
 * A program that is about to be run: where it is, and whether a preloaded library would reach it.
 */
#ifndef ACRE_PROGRAM_H
#define ACRE_PROGRAM_H

/*
 * The file that execvp would run for name: a new string, or NULL with errno ENOENT (not there), or
 * what keeps it from being run (EACCES, EISDIR).
 */
char *program_find(const char *name);

/* Why the dynamic linker would ignore LD_PRELOAD for the program at path; NULL if it wouldn't. */
const char *program_obstacle(const char *path);

#endif
