/*
 * The text of ACRE_FAIL_AT and `acre run --fail-at`: which requests are to be refused for a test's
 * sake.
 */
#ifndef ACRE_FAIL_AT_H
#define ACRE_FAIL_AT_H

#include <acre/acre.h>

#define FAIL_AT_ADVICE "not a number of a request; give N from 1 on, or N+ for it and all after it"

/* Reads N or N+ into the options. 0, or -1 if the text is neither. */
int fail_at_parse(const char *text, struct acre_options *options);

#endif
