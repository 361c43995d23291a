#!/bin/bash
# A C program that opens and closes a library which allocates.
. "$(dirname "$0")/common.sh"

compile plugin.c "$scratch/plugin.so" -shared -fPIC
compile plugins.c "$scratch/program" -ldl
compare 1 "$scratch/program" "$scratch/plugin.so"
must_say '^19, made by the constructor$'
must_say '^opened and closed 420 times$'
