/*
 * How the command acre ends when it can't do what it was asked: one line on standard error, "acre: "
 * before it, and an exit status that tells whose fault it was.
 */
#ifndef ACRE_COMPLAIN_H
#define ACRE_COMPLAIN_H

#define FAILED		1	/* the work itself went wrong */
#define BAD_INPUT	2	/* what the user gave can't be used */

_Noreturn __attribute__((format(printf, 2, 3))) void complain(int status, const char *format, ...);

#endif
