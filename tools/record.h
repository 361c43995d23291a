/*
 * Record: runs a program whose calls of its allocator become a trace, and stays to write that.
 */
#ifndef ACRE_RECORD_H
#define ACRE_RECORD_H

/*
 * Before anything else: whether a trace can be written to this path. What can't ends the process
 * with a line. The notes' file is made, and its number is in the environment for the library.
 */
void record_prepare(const char *path);

/*
 * Runs become(argument), which turns into the program or ends with a status, in a child process; when
 * that has ended, writes the trace. Returns the exit status of the program; where a signal killed it,
 * that kills this process too.
 */
int record(void (*become)(void *argument), void *argument, const char *program);

#endif
