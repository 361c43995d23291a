#!/bin/bash
# A full arena: a program that handles NULL lives on in it; one that can't even start in it says so.
. "$(dirname "$0")/common.sh"

compile full.c "$scratch/program"
ARENA=16M on_acre "$scratch/program" >"$scratch/acre.out" 2>"$scratch/acre.err" ||
	fail "status $?: $(cat "$scratch/acre.out" "$scratch/acre.err")"
for line in 'full: 1' 'full again: 1' 'whole again: 1'; do
	grep -q -x "$line" "$scratch/acre.out" || fail "not '$line': $(cat "$scratch/acre.out")"
done
grep -q '^acre: refusals *[1-9]' "$scratch/acre.err" || fail "nothing was refused"
[ "$(grep -c '^acre: the arena .* is full' "$scratch/acre.err")" = 1 ] || fail "not said once"

# bash gives up when it gets no memory; what matters is that someone says why, on stderr.
need bash
status=0
"$ACRE" run --arena 64K -- bash -c 'printf -v x "%200000s" y' \
	>"$scratch/out" 2>"$scratch/err" || status=$?
[ "$status" != 0 ] || fail "200,000 bytes fit into an arena of 64K"
grep -q '^acre: the arena .* is full' "$scratch/err" || fail "said: $(cat "$scratch/err")"
