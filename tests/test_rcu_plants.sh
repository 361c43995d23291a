#!/bin/bash
# ThreadSanitizer tells what's wrong in the use of acre_free_rcu(), in each flavour of liburcu, and says
# nothing where all is right: tests/rcu_plants.c has the ways. TAP.
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the programs lie}
tests=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

told() {
	tests=$((tests + 1))
	if [ "$1" = yes ]; then
		echo "ok $tests - $2"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $2"
	sed 's/^/# /' "$log"
}

for flavor in memb mb bp qsbr; do
	for way in sound missing late changed; do
		status=0
		timeout 120 "$build/tests/rcu_plants_$flavor" "$way" >"$log" 2>&1 </dev/null || status=$?
		if [ "$way" = sound ]; then
			right=no
			[ "$status" != 0 ] || grep -q WARNING "$log" || right=yes
			told "$right" "$flavor: all is right, and nothing is reported"
		else
			right=no
			# The program's own lines must be in it, or a suppression hides them.
			[ "$status" != 66 ] || ! grep -q 'WARNING: ThreadSanitizer: data race' "$log" ||
				! grep -q 'read_it' "$log" || right=yes
			told "$right" "$flavor: $way is reported"
		fi
	done
done
echo "1..$tests"
[ "$failed" = 0 ]
