#!/bin/bash
# The clauses that tests/standard/ has of malloc's family and of C++'s operators, on the drop-in and
# on the C library's allocator: the first must conform, and the second differ just where the table
# says so. TAP.
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the command acre lies}
source=${ACRE_SOURCE:?is the source directory}
clauses=$build/tests/standard/clauses
tests=0
failed=0

# What would change either allocator's behaviour.
unset GLIBC_TUNABLES LD_PRELOAD "${!MALLOC_@}" "${!ACRE_@}"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

tell() {
	tests=$((tests + 1))
	case $1 in
	'not ok'*)	failed=$((failed + 1));;
	esac
	echo "${1%% - *} $tests - ${1#* - }"
}

# hold WHERE COMMAND...: the command's tests, each with a number and with WHERE before its name; and
# one more, that it made as many as it planned and ended well.
hold() {
	local where=$1 status=0 planned=none seen=0 bad=0 line
	shift
	"$@" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
	while IFS= read -r line; do
		case $line in
		1..*)	planned=${line#1..};;
		'ok - '* | 'not ok - '*)
			seen=$((seen + 1))
			case $line in
			'not ok'*)	bad=1;;
			esac
			tell "${line%% - *} - $where: ${line#* - }"
			;;
		*)	echo "# $line";;
		esac
	done <"$scratch/out"
	if [ "$seen" = "$planned" ] && [ "$status" = "$bad" ]; then
		tell "ok - $where: all clauses were looked at"
	else
		tell "not ok - $where: $seen clauses of $planned were looked at, status $status"
		tail -n 20 "$scratch/err" | sed 's/^/# /'
	fi
}

# on_acre WHERE ARENA COMMAND...: the same on the drop-in, which must have been in use.
on_acre() {
	local where=$1 arena=$2
	shift 2
	hold "$where" "$build/acre" run --arena "$arena" --stats -- "$@"
	if grep -q '^acre: peak live bytes  *[1-9]' "$scratch/err"; then
		tell "ok - $where: the drop-in was in use"
	else
		tell "not ok - $where: the drop-in was not in use"
	fi
}

hold glibc "$clauses" glibc
on_acre acre 256M "$clauses" acre
# Another policy, and an arena whose size is beyond an int.
ACRE_POLICY=good on_acre "acre, good fit" 3G "$clauses" acre

# C++: CXX is what configure found.
CXX=${CXX:-no}
names=("the library's operators" "own plain operators" "all operators own")
for own in 0 1 2; do
	name=${names[own]}
	# Word splitting is meant: CXX may hold options.
	# shellcheck disable=SC2086
	if [ "$CXX" = no ]; then
		tell "ok - $name # SKIP there is no C++ compiler"
	elif ! echo '#include <memory>' |
		$CXX -std=c++17 -x c++ -fsyntax-only - >/dev/null 2>&1; then
		tell "ok - $name # SKIP $CXX compiles no C++17"
	elif ! $CXX -std=c++17 -O1 -Wall -Wextra -fno-builtin -DOWN="$own" \
		"$source/tests/standard/operators.cc" -o "$scratch/operators" \
		>"$scratch/err" 2>&1; then
		tell "not ok - $name: $CXX doesn't compile operators.cc"
		sed 's/^/# /' "$scratch/err"
	else
		hold "glibc, $name" "$scratch/operators"
		on_acre "acre, $name" 256M "$scratch/operators"
	fi
done

echo "1..$tests"
[ "$failed" = 0 ]
