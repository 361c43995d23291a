/*
 * Linked into each image of the tree that `make coverage` builds: the names of gcc's run-time
 * library are an image's own, so that each has to hand on its own (counts.c).
 */
#include <gcov.h>

#include "counts.h"

static __attribute__((constructor)) void join(void)
{
	counts_join(__gcov_dump, __gcov_reset);
}
