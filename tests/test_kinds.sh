#!/bin/bash
# The suites of the guarantees under the policies that aren't the default; TAP, a line for each.
#
# Each policy runs some, most those that have a heap of their own; ACRE_KINDS has those that make check
# adds in some trees. A suite under any policy by hand:
# ACRE_TEST_POLICY=buddy tests/test_fork
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the suites lie}
runs=(
	next:realloc
	best:guarantees best:misuse
	worst:views
	buddy:guarantees buddy:misuse buddy:refusal buddy:threads buddy:fork
	${ACRE_KINDS-}
)

log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "1..${#runs[@]}"
failed=0
for i in "${!runs[@]}"; do
	policy=${runs[$i]%:*}
	suite=${runs[$i]#*:}
	if ACRE_TEST_POLICY=$policy "$build/tests/test_$suite" >"$log" 2>&1 </dev/null; then
		echo "ok $((i + 1)) - $suite under $policy"
	else
		echo "not ok $((i + 1)) - $suite under $policy: status $?"
		grep '^not ok' "$log" | sed 's/^/# /' || true
		failed=1
	fi
done
exit "$failed"
