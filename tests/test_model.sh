#!/bin/bash
# Has spin verify the model of the hand-over protocol, and find every bug that can be planted in it
# (see model/handover.pml). TAP.
set -euo pipefail

source=${ACRE_SOURCE:?is the source directory}
model=$source/model/handover.pml
compiler=${CC:-cc}
tests=0
failed=0

if ! command -v spin >/dev/null; then
	echo "1..0 # SKIP spin isn't installed (Debian: spin)"
	exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# explore SCENARIO [PLANT]: what spin's verifier says is in the file `said` afterwards. An error it
# finds is no failure of its own; all that keeps it from looking at everything is.
explore() {
	local flags=(-DSAFETY)
	# Spin's partial order reduction doesn't go with processes that may cease to be.
	[ "$1" != FORK ] || flags+=(-DNOREDUCE)
	rm -f pan said ./*.trail
	# The compiler's name may come with switches:
	# shellcheck disable=SC2086
	spin "-P$compiler -E -x c" -D"$1" ${2+-D"$2"} -a "$model" >said 2>&1 &&
		$compiler "${flags[@]}" -w -o pan pan.c >>said 2>&1 &&
		./pan -E -m10000 >>said 2>&1 &&
		grep -q 'errors: [01]$' said && ! grep -q 'too small' said
}

# tell NAME: a test of its name passed if the status says so.
tell() {
	local status=$?
	tests=$((tests + 1))
	if [ $status = 0 ]; then
		echo "ok $tests - $1"
	else
		failed=$((failed + 1))
		echo "not ok $tests - $1"
	fi
	# What it was found by, and how much was looked at.
	sed -n '/^pan:1: /p; s/^ *\([0-9]* states, stored\).*/\1/p; /rror/p' said | sort -u |
		head -n 8 | sed 's/^/# /'
}

for scenario in POST TENANCY FORK; do
	{ explore $scenario && grep -q 'errors: 0$' said && ! grep -q 'not completed' said; } && true
	tell "$scenario: no interleaving breaks a property"
done

# found SCENARIO PLANT: spin finds it there.
found() {
	plants+=("$2")
	{ explore "$1" "$2" && grep -q '^pan:1: assertion violated' said; } && true
	tell "$1: $2 is found"
}

plants=()
found POST PLANT_PUSH_BY_STORE
found POST PLANT_DRAIN_BY_STORE
found POST PLANT_NO_SECOND_LOOK
found POST PLANT_NO_LOOK_AFTER_DROP
found POST PLANT_POST_COUNTS_AS_FREE
found TENANCY PLANT_LEAVE_WITHOUT_DRAIN
found TENANCY PLANT_REAP_WITHOUT_LOCK
found TENANCY PLANT_NO_SALVAGE
found TENANCY PLANT_ONE_PASS
found TENANCY PLANT_TWO_ORDERS
found FORK PLANT_NO_ORPHANS

all=$(grep -o '^#if.*PLANT_[A-Z_]*' "$model" | grep -o 'PLANT_.*' | LC_ALL=C sort -u)
: >said
[ "$all" = "$(printf '%s\n' "${plants[@]}" | LC_ALL=C sort)" ] && true
tell "every plant of the model is looked for"

echo "1..$tests"
[ "$failed" = 0 ]
