#!/bin/bash
# A C program with threads that starts others, by posix_spawn and by vfork, where the child of a vfork
# allocates in its parent's memory.
. "$(dirname "$0")/common.sh"

compile spawns.c "$scratch/program"
compile watch.c "$scratch/watch.so" -shared -fPIC -I "$here/../../include"
LD_PRELOAD=$scratch/watch.so ARENA=64M on_acre "$scratch/program" >"$scratch/out" 2>"$scratch/err" ||
	fail "status $?: $(tail -n 20 "$scratch/err")"
grep -q -x 'all children ended well' "$scratch/out" || fail "said: $(cat "$scratch/out")"
if grep -E '^acre: (watch|check)' "$scratch/err" >&2; then
	exit 1
fi
MAY_REFUSE=yes was_used "$scratch/err"
