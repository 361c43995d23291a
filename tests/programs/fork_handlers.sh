#!/bin/bash
# A C program that forks while its threads allocate, with fork handlers that allocate.
. "$(dirname "$0")/common.sh"

compile handlers.c "$scratch/libhandlers.so" -shared -fPIC
compile fork_handlers.c "$scratch/program" -L"$scratch" -lhandlers -Wl,-rpath,"$scratch"
compare 1 "$scratch/program"
must_say '^60 children were well, 120 120 0 120 calls of handlers$'
