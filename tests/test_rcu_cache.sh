#!/bin/bash
# The cache of examples/ in each flavour of liburcu: in an arena that is always full, and in one with
# room. TAP.
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the programs lie}
# Of a writer, with 256 updates each; an entry lives for 40. ACRE_RCU_ROUNDS=30s is half a minute each.
rounds=${ACRE_RCU_ROUNDS-40}
tests=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for flavor in memb mb bp qsbr; do
	for mib in 1 16; do
		status=0
		timeout 300 "$build/examples/rcu_cache_$flavor" 3 2 "$rounds" "$mib" >"$log" 2>&1 </dev/null ||
			status=$?
		tests=$((tests + 1))
		# Readers must have found something, or nothing was verified.
		if [ "$status" = 0 ] && grep -q '^found [1-9].* stored [1-9]' "$log"; then
			echo "ok $tests - $flavor: an arena of $mib MiB"
		else
			failed=$((failed + 1))
			echo "not ok $tests - $flavor: an arena of $mib MiB: status $status"
		fi
		sed 's/^/# /' "$log"
	done
done
echo "1..$tests"
[ "$failed" = 0 ]
