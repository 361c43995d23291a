/*
 * Gather: makes a trace of what a program's threads have noted (lib/recording.h).
 */
#ifndef ACRE_GATHER_H
#define ACRE_GATHER_H

#include <stdint.h>

#include "recording.h"
#include "trace.h"

/*
 * Adds the calls that were recorded to a trace, in the order of their numbers. Returns how many made
 * no sense: a free of what wasn't allocated, or a block where another is.
 */
uint64_t gather(struct trace_writer *writer, const struct recording *recording);

#endif
