#!/bin/bash
# The benchmarks: every kernel with next to no work, and what bench/run says and writes. TAP.
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where bench/kernel lies}
source=${ACRE_SOURCE:?is the directory of the sources, where bench/run lies}
kernel=$build/bench/kernel
unset LD_PRELOAD

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tests=0
failed=0

# result NAME COMMAND...: passes where the command does; else shows what it wrote.
result() {
	local name=$1
	shift
	tests=$((tests + 1))
	if "$@" >"$scratch/out" 2>"$scratch/err" </dev/null; then
		echo "ok $tests - $name"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $name"
	sed 's/^/# stdout: /' "$scratch/out"
	sed 's/^/# stderr: /' "$scratch/err"
}

skip() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

# figures COUNT KERNEL LIBRARY: it runs, and prints so many figures.
figures() {
	LD_PRELOAD=$3 timeout 60 "$kernel" "$2" 1 >"$scratch/figures"
	cat "$scratch/figures"
	[ "$(grep -c -E '^[a-z_0-9.]+ -?[0-9]+(\.[0-9]+)?$' "$scratch/figures")" = "$1" ] &&
		[ "$(wc -l <"$scratch/figures")" = "$1" ]
}

# bench ARGUMENT...: bench/run on this build.
bench() {
	BUILD=$build timeout 120 python3 "$source/bench/run" "$@"
}

# refuses PATTERN ARGUMENT...: status 2, and one line that the pattern matches.
refuses() {
	local status=0 pattern=$1
	shift
	bench "$@" 2>"$scratch/refusal" || status=$?
	cat "$scratch/refusal"
	[ "$status" = 2 ] && [ "$(wc -l <"$scratch/refusal")" = 1 ] &&
		grep -q -e "^bench/run: .*$pattern" "$scratch/refusal"
}

# That bench/run knows the kernels that there are.
listed() {
	"$kernel" --list | cut -d ' ' -f 1 | sort >"$scratch/there"
	bench --list | awk '/^(kernel|latency|memory) / { print $2 }' | sort >"$scratch/known"
	diff "$scratch/there" "$scratch/known"
}

written() {
	bench --only pairs,latency-small,trivial --peers glibc,acre --rounds 1 --scale 0.01 \
		--csv "$scratch/runs.csv" --svg "$scratch/chart.svg" | tee "$scratch/report"
}

summarized() {
	cat "$scratch/report"
	grep -q '^summary: geometric means of the ratios to glibc$' "$scratch/report" &&
		grep -E -q '^acre to glibc, CPU time: kernels [0-9.]+$' "$scratch/report" &&
		grep -E -q '^ +highest: pairs [0-9.]+$' "$scratch/report"
}

csv_is_whole() {
	python3 - "$scratch/runs.csv" <<'END'
import csv, sys
with open(sys.argv[1], newline="") as file:
    runs = list(csv.DictReader(file))
seen = sorted((run["benchmark"], run["allocator"], run["round"]) for run in runs)
names = ("latency-small", "pairs", "trivial")
assert seen == [(name, peer, "1") for name in names for peer in ("acre", "glibc")], seen
for run in runs:
    assert float(run["cpu_seconds"]) >= 0 and float(run["wall_seconds"]) > 0, run
    assert int(run["peak_kib"]) > 100, run
    assert (run["figures"] != "") == (run["benchmark"] != "pairs"), run
END
}

svg_is_whole() {
	python3 - "$scratch/chart.svg" <<'END'
import sys, xml.etree.ElementTree as xml
root = xml.parse(sys.argv[1]).getroot()
space = "{http://www.w3.org/2000/svg}"
assert root.tag == space + "svg"
assert [title.text for title in root.iter(space + "title")][0].startswith("pairs, acre: ")
END
}

# ends SIGNAL STATUS: the kernel ends with bench/run, and its folder goes but by SIGKILL.
ends() {
	local status=0 pid
	mkdir -p "$scratch/tmp"
	BUILD=$build TMPDIR=$scratch/tmp python3 "$source/bench/run" --only pairs --peers glibc \
		--scale 77 &
	pid=$!
	for _ in {1..300}; do
		! runs || break
		sleep 0.1
	done
	runs || return
	kill "-$1" "$pid"
	wait "$pid" || status=$?
	for _ in {1..50}; do
		runs || break
		sleep 0.1
	done
	! runs && [ "$status" = "$2" ] && { [ "$1" = KILL ] || [ -z "$(ls -A "$scratch/tmp")" ]; }
}

# Whether there is a kernel of that scale; the brackets keep grep from finding itself.
runs() {
	grep -q -s -z -x '385000[0]' /proc/[0-9]*/cmdline
}

for name in $("$kernel" --list | cut -d ' ' -f 1); do
	case $name in
	latency-*)	count=10;;
	idle-threads | trivial)	count=1;;
	*)	count=0;;
	esac
	result "$name" figures "$count" "$name" ""
	result "$name on the drop-in" figures "$count" "$name" "$build/.libs/libacre-malloc.so"
done
for module in limit shim; do
	result "vectors on $module" figures 0 vectors "$build/bench/.libs/$module.so"
	result "handover on $module" figures 0 handover "$build/bench/.libs/$module.so"
	result "sort on $module" \
		env LD_PRELOAD="$build/bench/.libs/$module.so" sort "$source/bootstrap"
done

if command -v python3 >/dev/null; then
	result "bench/run knows the kernels" listed
	result "bench/run compares" written
	result "its summary" summarized
	result "its CSV" csv_is_whole
	result "its chart" svg_is_whole
	result "SIGTERM ends all" ends TERM 143
	result "SIGKILL ends what is measured" ends KILL 137
	result "an unknown benchmark" refuses "there is no benchmark 'nope'" --only pairs,nope
	result "an unknown peer" refuses "there is no peer 'nope'" --peers nope
	result "no rounds" refuses "'0' is no number of at least 1" --rounds 0
	result "a library that isn't there" refuses "there is no file /nope" --library x=/nope
	result "a library without a name" refuses "is not NAME=PATH" --library /nope
	result "an unknown option" refuses "--frob" --frob
else
	skip "bench/run" "no python3"
fi

echo "1..$tests"
[ "$failed" = 0 ]
