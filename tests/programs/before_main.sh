#!/bin/bash
# A C program that allocates before main, in constructors, in atexit handlers and in destructors.
. "$(dirname "$0")/common.sh"

compile before_main.c "$scratch/program"
compare 1 "$scratch/program"
must_say '^destructor: preinit early late main exit1 exit2 destructor$'
must_say '^end$'
