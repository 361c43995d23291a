#!/bin/bash
# A C program that allocates in destructors of thread-specific data, of threads joined and detached.
. "$(dirname "$0")/common.sh"

compile thread_end.c "$scratch/program"
compare 1 "$scratch/program"
must_say '^all threads ended'
