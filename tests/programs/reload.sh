#!/bin/bash
# A C program that opens and closes libacre.so itself, and ends its threads afterwards.
. "$(dirname "$0")/common.sh"

compile reload.c "$scratch/program" -I "$here/../../include" -ldl
library=$("$ACRE" run -- env | sed -n 's/^LD_PRELOAD=//p')
library=${library%/*}/libacre.so.0
for way in '' on_acre; do
	$way "$scratch/program" "$library" >"$scratch/out" 2>"$scratch/err" ||
		fail "status $?: $(cat "$scratch/err")"
	grep -q -x 'opened and closed 300 times' "$scratch/out" || fail "$(cat "$scratch/out")"
done
was_used "$scratch/err"
