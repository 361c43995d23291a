#!/bin/bash
# acre replay: what it prints of the traces that the tree has, what it says to bad input, and how it ends
# when it's interrupted. TAP.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/command.sh"

traces=$source/traces

# refuses PATTERN ARGUMENT...: status 2, and one line that the pattern matches.
refuses() {
	local pattern=$1
	shift
	run replay "$@"
	refused "$pattern" && [ ! -s "$scratch/out" ]
}

# The rows of the table, without the time, which differs from run to run.
rows() {
	sed '1,/^policy/d; /^$/,$d' "$scratch/out" | sed -E 's/ +[0-9.]+ m?s$//' | grep .
}

# In 79 columns, but for the first line, which is the program's.
fits() {
	! sed 1d "$scratch/out" | grep -n '.\{80\}'
}

# A row for each policy, the same at the second time; the smallest arena is at least what was live.
compares() {
	run replay "$traces/$1.acretrace"
	[ "$status" = 0 ] && [ ! -s "$scratch/err" ] && fits || return
	rows >"$scratch/once"
	[ "$(awk '{ printf "%s ", $1 }' "$scratch/once")" = "first next best worst buddy good " ] || return
	live=$(sed -n 's/.*at most \([0-9,]*\) bytes live.*/\1/p' "$scratch/out" | tr -d ,)
	tr -d , <"$scratch/once" | awk -v live="$live" '
		{ bad += !($2 >= live && $2 >= $3 && $3 >= live && $4 >= live && $7 == 0 && $8 > 0) }
		END { exit bad }' || return
	run replay "$traces/$1.acretrace"
	rows | diff "$scratch/once" -
}

# keeps PATTERN PAGE TRACE: no page is written, since there's something else, which stays.
keeps() {
	[ -e "$2" ] || cp "$traces/memcached.acretrace" "$2"
	refuses "--report '$2' $1" --report "$2" "$3" && cmp "$2" "$traces/memcached.acretrace"
}

goes_to_a_device() {
	run replay --policy first --arena 64M --report /dev/null "$trace"
	[ "$status" = 0 ] && [ -c /dev/null ]
}

# In an arena of this size there's a policy that refuses, and one that doesn't.
counts_refusals() {
	run replay --arena 2560K --policy first,worst "$traces/python3.acretrace"
	[ "$status" = 0 ] && rows | awk '
		{ refusals[$1] = $7 }
		END { exit !(refusals["worst"] > 0 && NR == 2) }'
}

# Where the arena is larger than it must be, the figures of buddies are explained.
explains_buddies() {
	run replay --arena 70% "$traces/memcached.acretrace"
	[ "$status" = 0 ] && fits && [ "$(rows | wc -l)" = 6 ] &&
		grep -q '^buddy: the arena is cut into powers of two' "$scratch/out" || return
	run replay --arena 70% --policy first,good "$traces/memcached.acretrace"
	[ "$status" = 0 ] && [ "$(rows | wc -l)" = 2 ] && ! grep -q '^buddy:' "$scratch/out"
}

by_threads() {
	run replay --threads --policy first,buddy "$traces/redis.acretrace"
	[ "$status" = 0 ] && [ ! -s "$scratch/err" ] && [ "$(rows | wc -l)" = 2 ] &&
		grep -q 'played by its threads, with caches' "$scratch/out"
}

lists() {
	run replay --list "$traces/sqlite3.acretrace"
	[ "$status" = 0 ] || return
	awk '
		$2 == "free" || $2 == "realloc" { bad += !($3 in live) }
		$2 == "free" { delete live[$3]; next }
		$2 != "refused" { live[$3] }
		END { exit bad || NR < 1000 }' "$scratch/out" || return
	calls=$(wc -l <"$scratch/out")
	run replay --arena 64M --policy first "$traces/sqlite3.acretrace"
	[ "$(sed -n '2s/ calls.*//p' "$scratch/out" | tr -d ,)" = "$calls" ]
}

from_a_pipe() {
	run replay --arena 64M --policy first <(cat "$traces/sqlite3.acretrace")
	[ "$status" = 0 ] && [ "$(rows | wc -l)" = 1 ]
}

# The offset is that of the chunk which isn't whole.
tells_the_offset() {
	local size
	size=$(stat -c %s "$traces/gcc.acretrace")
	head -c $((size - 1)) "$traces/gcc.acretrace" >"$scratch/cut"
	refuses "$scratch/cut: damaged at offset [0-9]+: a chunk that isn't all there" "$scratch/cut" &&
		cp "$traces/gcc.acretrace" "$scratch/flipped" &&
		printf '\377' | dd of="$scratch/flipped" bs=1 seek=20000 conv=notrunc 2>/dev/null &&
		refuses "$scratch/flipped: damaged at offset [0-9]+: a chunk whose checksum is wrong" \
			"$scratch/flipped"
}

another_version() {
	cp "$traces/memcached.acretrace" "$scratch/version" &&
		printf '\002' | dd of="$scratch/version" bs=1 seek=8 conv=notrunc 2>/dev/null &&
		refuses 'version: version 2, and this acre reads version 1' "$scratch/version"
}

# A replay of minutes, in a job of its own, which a shell else starts deaf to the signal; once it says
# that it has begun, SIGINT ends it with what's known. It comes to timeout, which passes it on: a second
# one would end acre at once.
start_long() {
	set -m
	timeout --foreground 300 "$acre" replay "$@" "$scratch/long" >"$scratch/out" 2>"$scratch/err" </dev/null &
	job=$!
	set +m
	for _ in {1..600}; do
		! grep -q '^policy' "$scratch/out" || break
		sleep 0.1
	done
	grep -q '^policy' "$scratch/out"
}

interrupted() {
	local status=0
	start_long || return
	kill -INT "$job"
	wait "$job" || status=$?
	[ "$status" = 130 ] && grep -q '^[a-z]* *interrupted' "$scratch/out" && [ ! -s "$scratch/err" ]
}

no_page_then() {
	local status=0
	start_long --report "$scratch/pages/page.html" || return
	kill -INT "$job"
	wait "$job" || status=$?
	[ "$status" = 130 ] && grep -q 'no page is written' "$scratch/out" &&
		[ -z "$(ls -A "$scratch/pages")" ]
}

# On a terminal there's a bar, and it's gone at the end.
shows_a_bar() {
	set -m
	timeout 300 script -q -e -c "exec '$acre' replay '$scratch/long'" /dev/null >"$scratch/out" \
		2>"$scratch/err" </dev/null &
	job=$!
	set +m
	for _ in {1..1200}; do
		! grep -q 'to go (Ctrl-C ends it)' "$scratch/out" || break
		sleep 0.1
	done
	kill -TERM -- "-$job" 2>/dev/null || true
	wait "$job" || true
	grep -q -E '(first|next|best|worst|buddy|good) *\[[#.]{30}\] +[0-9]+ %, [0-9]+ s to go' "$scratch/out"
}

for name in gcc memcached python3 redis sqlite3; do
	result "$name: all policies, twice" compares "$name"
done
result "refusals are counted" counts_refusals
result "buddies in a large arena" explains_buddies
result "by threads" by_threads
result "--list" lists
result "from a pipe" from_a_pipe

result "damage, with its offset" tells_the_offset
result "another version" another_version
trace=$traces/memcached.acretrace
: >"$scratch/empty"
result "no trace" refuses 'no trace: give a file'
result "an empty name" refuses 'no trace: give a file' ''
result "an empty file" refuses "not a trace of acre's" "$scratch/empty"
result "another kind of file" refuses "not a trace of acre's" "$acre"
result "a file that isn't there" refuses 'nowhere: No such file' "$scratch/nowhere"
result "a folder" refuses 'Is a directory' "$scratch"
result "two traces" refuses 'one trace too many' "$trace" "$trace"
result "an unknown option" refuses "unknown option '--frob'" --frob "$trace"
for policies in '' tight 'first,' ',first' first,tight 'first best' all,first; do
	result "--policy '$policies'" refuses "--policy '$policies' is not a list of policies; give first" \
		--policy "$policies" "$trace"
done
result "--policy alone" refuses '--policy needs a value' "$trace" --policy
for size in lots 1X '' -1 Auto; do
	result "--arena '$size'" refuses "--arena '$size' is not a size" --arena "$size" "$trace"
done
result "--arena 63K" refuses "--arena '63K' is too small; an arena has" --arena 63K "$trace"
result "--arena 2T" refuses "--arena '2T' is too large" --arena 2T "$trace"
result "--arena beyond 64 bits" refuses "is too large; an arena has at most 1T" \
	--arena 99999999999999999999 "$trace"
result "--arena 101%" refuses "'101%' is more than all memory; give at most 100%" --arena 101% "$trace"
if ${CC:-cc} -O0 "$source/tests/record/first.c" -o "$scratch/first" 2>"$scratch/err" &&
	"$acre" run --record "$scratch/first.acretrace" -- "$scratch/first"; then
	result "too small for the first call" refuses \
		"--arena '64K' is too small for the trace's first call, for 100000 bytes, under the policy first" \
		--arena 64K "$scratch/first.acretrace"
else
	skip "too small for the first call" "no compiler"
fi
result "--report and --threads" refuses 'leave out --threads' --report "$scratch/x" --threads "$trace"
result "--report ''" refuses '--report: give a file' --report '' "$trace"
result "--report, a folder" refuses 'is a folder: give a name' --report "$scratch" "$trace"
result "--report, the trace" keeps "is the trace itself" "$scratch/kept" "$scratch/kept"
ln "$scratch/kept" "$scratch/other name"
result "--report, the trace by another name" keeps "is the trace itself" "$scratch/other name" "$scratch/kept"
result "--report, another trace" keeps "is there already, and is no page of acre's" "$scratch/kept" "$trace"
result "--report, a device" goes_to_a_device
result "--report, no such folder" refuses "can't be written: No such file" \
	--report "$scratch/nowhere/page" "$trace"
result "which leaves nothing" [ ! -e "$scratch/x" ]

mkdir "$scratch/pages"
if ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -fno-builtin -pthread "$source/tests/record/known.c" \
	-o "$scratch/known" 2>"$scratch/err"; then
	"$acre" run --record "$scratch/long" -- "$scratch/known" threads 60 || true
	result "interrupted" interrupted
	result "interrupted, there's no page" no_page_then
	if command -v script >/dev/null; then
		result "a bar on a terminal" shows_a_bar
	else
		skip "a bar on a terminal" "no script (Debian: bsdutils)"
	fi
else
	skip "interrupted" "no compiler"
fi

done_testing
