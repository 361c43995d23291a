# shellcheck shell=bash
# What the tests of acre's recording and replay share; sourced by each. It sets up a folder that's gone
# at the end, and counts: a test ends with `done_testing`.
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the command acre lies}
# shellcheck disable=SC2034
source=${ACRE_SOURCE:?is the source directory}
acre=$build/acre
unset ACRE_ARENA ACRE_FAIL_AT ACRE_GUARDS ACRE_NO_PURGE ACRE_POLICY ACRE_RECORD ACRE_STATS LD_PRELOAD

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tests=0
failed=0
touch "$scratch/out" "$scratch/err"

# result NAME COMMAND...: passes where the command does; else shows what the last run wrote.
result() {
	local name=$1
	shift
	tests=$((tests + 1))
	if "$@" >"$scratch/verdict" 2>&1 </dev/null; then
		echo "ok $tests - $name"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $name"
	head -n 30 "$scratch/verdict" | sed 's/^/# /'
	head -n 20 "$scratch/out" | sed 's/^/# stdout: /'
	head -n 20 "$scratch/err" | sed 's/^/# stderr: /'
}

skip() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

# Runs acre with the arguments; its streams go to out and err, its status to $status.
run() {
	status=0
	timeout 120 "$acre" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
}

# One line on standard error, which the pattern matches, and the exit status 2.
refused() {
	[ "$status" = 2 ] && [ "$(wc -l <"$scratch/err")" = 1 ] &&
		grep -q -E -e "^acre: .*$1" "$scratch/err"
}

done_testing() {
	echo "1..$tests"
	[ "$failed" = 0 ]
}
