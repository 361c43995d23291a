#!/bin/bash
# acre run --record: what a trace holds of a program whose calls are known, and what becomes of it when
# the program forks, executes another, is killed, or can't be recorded. TAP.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/command.sh"

mkdir "$scratch/traces"
trace=$scratch/traces/trace
known=$scratch/known

# ended STATUS PROGRAM...: recorded, it ends so, with nothing to say, and the trace is whole.
ended() {
	local wanted=$1
	shift
	run run --record "$trace" -- "$@"
	[ "$status" = "$wanted" ] && [ ! -s "$scratch/err" ] && list
}

# All calls go to the file calls; those between the marks to the file known.calls.
list() {
	"$acre" replay --list "$trace" >"$scratch/calls" &&
		sed -n '/^[0-9]* malloc #[0-9]* 11111$/,/^[0-9]* malloc #[0-9]* 22222$/p' \
			"$scratch/calls" >"$scratch/known.calls"
}

# are CALL...: the calls between the marks, with blocks counted from the first.
are() {
	local first
	first=$(sed -n '1s/.*#\([0-9]*\) .*/\1/p' "$scratch/known.calls")
	awk -v first="$first" '{
		for (i = 1; i <= NF; i++)
			if ($i ~ /^#/)
				$i = "#" (substr($i, 2) - first)
		print
	}' "$scratch/known.calls" | sed '1,2d;$d' | diff - <(printf '%s\n' "$@")
}

# count PATTERN: so many calls match.
count() {
	grep -c -E -e "$1" "$scratch/calls" || true
}

says() {
	grep -q -E -e "$1" "$scratch/err"
}

one_line() {
	[ "$(wc -l <"$scratch/err")" = 1 ]
}

# refuses STATUS PATTERN ARGUMENT...: one line that the pattern matches, and no trace.
refuses() {
	local wanted=$1 pattern=$2
	shift 2
	rm -f "$scratch/traces"/*
	run "$@"
	[ "$status" = "$wanted" ] && one_line && says "^acre: .*$pattern" && left_alone
}

# Nothing lies beside the trace, nor the trace itself.
left_alone() {
	[ -z "$(ls -A "$scratch/traces")" ]
}

calls_are_recorded() {
	ended 7 "$known" calls && are "0 malloc #1 100" "0 calloc #2 150" "0 aligned #3 192 64" \
		"0 malloc #4 70000" "0 aligned #5 10 4096" "0 realloc #1 5000" "0 realloc #2 200" \
		"0 aligned #6 33 128" "0 malloc #7 34" "0 aligned #8 35 4096" \
		"0 aligned #9 4096 4096" "0 free #3" "0 free #2" "0 free #1" "0 free #4" \
		"0 free #5" "0 malloc #10 0" "0 malloc #11 65534" "0 malloc #12 65535"
}

refusals_are_recorded() {
	run run --record "$trace" -- "$known" refused
	[ "$status" = 7 ] && list && are "0 malloc #1 7" "0 refused 70368744177664" \
		"0 refused 18446744073709551615" "0 refused 70368744177664 4096" \
		"0 refused 70368744177664" "0 free #1"
}

# Of three generations of four threads, each with 2,000 blocks that the next one frees.
threads_are_recorded() {
	ended 7 "$known" threads 3 &&
		[ "$(count '^[1-9][0-9]* malloc #[0-9]+ [1-4]0[0-9][0-9]$')" = 24000 ] &&
		[ "$(count '^[1-9][0-9]* realloc #[0-9]+ 4[0-9]{4}$')" = 8004 ] &&
		awk '
		$2 == "malloc" && $4 >= 1000 && $4 < 4100 { by[$3] = $1 }
		$2 == "free" && $3 in by { freed[$1 == by[$3] ? "own" : "other"]++; delete by[$3] }
		END {
			for (block in by)
				left++
			print freed["own"] + 0, freed["other"] + 0, left + 0
			exit freed["other"] != 24000 || left
		}' "$scratch/calls"
}

# Of blocks that all threads want at the same address.
the_same_place_is_recorded() {
	ended 7 "$known" same 4000 &&
		[ "$(count '^[1-4] malloc #[0-9]+ 700001$')" = 16000 ] &&
		[ "$(count '^[1-4] realloc #[0-9]+ 1400001$')" = 8000 ] &&
		! awk '$2 == "malloc" { block[$3] } $2 == "free" { delete block[$3] } END { for (b in block) print b }' \
			"$scratch/calls" | grep -x -F -f <(sed -n 's/.*malloc \(#[0-9]*\) 700001$/\1/p' "$scratch/calls")
}

threads_are_numbered() {
	"$acre" replay --policy first --arena 64M "$trace" | grep ' of 13 threads, ' >/dev/null
}

# In order of time, what a thread does next with its lane's block comes after: so the replay, in which
# a block that isn't live can't be freed, refuses nothing.
threads_can_be_replayed() {
	"$acre" replay --policy first,buddy --arena 64M "$trace" &&
		"$acre" replay --threads --policy first --arena 64M "$trace"
}

short_threads_share_segments() {
	ended 7 "$known" many 2000 &&
		[ "$(count '^[1-9][0-9]* malloc #[0-9]+ 401$')" = 2000 ] &&
		[ "$(cut -d ' ' -f 1 "$scratch/calls" | sort -u | wc -l)" = 2001 ]
}

# What is noted takes no more than some segments of 64 KiB, though each thread asks for one.
notes_stay_small() {
	(
		ulimit -f 2048 &&
			ended 7 "$known" many 2000
	)
}

children_are_left_out() {
	ended 7 "$known" fork && [ "$(count ' 30[123]$')" = 2 ] && [ "$(count ' 302$')" = 0 ]
}

the_killed_are_whole() {
	run run --record "$trace" -- "$known" kill
	[ "$status" = 137 ] && [ ! -s "$scratch/err" ] && list &&
		tail -n 1 "$scratch/calls" | grep ' malloc #[0-9]* 501$' >/dev/null &&
		"$acre" replay --arena 1M "$trace" | grep 'killed by signal 9' >/dev/null
}

executed_ones_are_left_out() {
	ended 7 "$known" run "$known" calls && [ "$(count ' 601$')" = 1 ] &&
		[ "$(count ' 11111$')" = 1 ] && [ "$(count ' 22222$')" = 0 ]
}

# Nor does what the program starts see the variable.
the_environment_is_clean() {
	ended 0 "$known" run env && ! grep -q ^ACRE_RECORD "$scratch/out" &&
		grep -q ^LD_PRELOAD= "$scratch/out"
}

signals_are_passed_on() {
	local status=0 pid
	rm -f "$trace"
	"$acre" run --record "$trace" -- bash -c 'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done' \
		>"$scratch/out" 2>"$scratch/err" &
	pid=$!
	for _ in {1..600}; do
		! grep -q ready "$scratch/out" || break
		sleep 0.1
	done
	kill "$pid"
	wait "$pid" || status=$?
	[ "$status" = 9 ] && list && [ -s "$scratch/calls" ]
}

no_room_is_said() {
	(
		ulimit -f 4096 && run run --record "$trace" -- "$known" threads 20 &&
			[ "$status" = 7 ] && one_line && says "trace: the recording ended after [0-9]+ calls, before" &&
			list
	) && "$acre" replay --policy first --arena 64M "$trace" | grep 'the recording ended before' >/dev/null &&
		[ "$(count .)" -gt 100000 ]
}

the_old_one_stays() {
	"$acre" run --record "$trace" -- true && cp "$trace" "$scratch/old" || return
	run run --record "$trace" -- no-such-program
	[ "$status" = 127 ] && cmp "$trace" "$scratch/old" &&
		[ "$(ls "$scratch/traces")" = trace ] && rm "$trace"
}

# A file that's no trace stays as it is, and the program isn't run.
others_are_kept() {
	echo text >"$trace"
	run run --record "$trace" -- touch "$scratch/ran"
	refused "--record '.*' is there already, and is no trace of acre's: give another name" &&
		[ "$(cat "$trace")" = text ] && [ "$(ls "$scratch/traces")" = trace ] &&
		[ ! -e "$scratch/ran" ] && rm "$trace"
}

# Nor is it lost if it comes while the program runs; the trace isn't either.
newcomers_are_kept() {
	run run --record "$trace" -- bash -c "echo mine >'$trace'"
	[ "$status" = 1 ] && one_line && says 'trace has become another file meanwhile, .* is in .*/trace\.' &&
		[ "$(cat "$trace")" = mine ] && "$acre" replay --list "$trace".?????? >/dev/null &&
		rm "$trace"*
}

# An empty file is replaced, and one that a link leads to; its permissions stay.
traces_are_replaced() {
	: >"$trace"
	chmod 640 "$trace"
	ln -s trace "$scratch/traces/link"
	run run --record "$scratch/traces/link" -- "$known" calls
	[ "$status" = 7 ] && [ -L "$scratch/traces/link" ] && [ "$(stat -c %a "$trace")" = 640 ] && list &&
		rm "$scratch/traces/link" && [ "$(ls "$scratch/traces")" = trace ] &&
		cp "$trace" "$scratch/old" && ended 7 "$known" threads 1 && ! cmp -s "$trace" "$scratch/old" &&
		[ "$(stat -c %a "$trace")" = 640 ]
}

links_to_nothing_stay() {
	ln -s nowhere "$scratch/dangling"
	run run --record "$scratch/dangling" -- "$known" calls
	[ "$status" = 2 ] && says 'is a link to what' && [ -L "$scratch/dangling" ] &&
		[ ! -e "$scratch/nowhere" ]
}

# A device is written itself, as is a pipe, whose reader gets the trace.
devices_stay() {
	run run --record /dev/null -- "$known" calls
	[ "$status" = 7 ] && [ ! -s "$scratch/err" ] && [ -c /dev/null ]
}
pipes_are_written() {
	mkfifo "$scratch/pipe"
	timeout 120 cat "$scratch/pipe" >"$trace" &
	run run --record "$scratch/pipe" -- "$known" calls
	wait
	[ "$status" = 7 ] && [ -p "$scratch/pipe" ] && list && [ "$(count ' 11111$')" = 1 ]
}

options_go_together() {
	run run --arena 64M --policy best --stats --record="$trace" -- "$known" calls
	[ "$status" = 7 ] && says 'arena bytes *67108864' && list && [ "$(count ' 11111$')" = 1 ]
}

# shellcheck disable=SC2086
if ! ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -fno-builtin -pthread \
	"$source/tests/record/known.c" -o "$known" 2>"$scratch/err"; then
	cat "$scratch/err" >&2
	echo "Bail out! the program to be recorded can't be compiled"
	exit 1
fi

result "every kind of call" calls_are_recorded
result "nothing lies beside the trace" [ "$(ls -A "$scratch/traces")" = trace ]
result "refused calls" refusals_are_recorded
result "threads that free each other's blocks" threads_are_recorded
result "a number for each thread" threads_are_numbered
result "their order can have been" threads_can_be_replayed
result "threads at one place" the_same_place_is_recorded
result "2,000 short threads" short_threads_share_segments
result "they share the room for notes" notes_stay_small
result "a forked child" children_are_left_out
result "a killed program" the_killed_are_whole
result "a program that it becomes" executed_ones_are_left_out
result "a program that it starts" the_environment_is_clean
result "a signal for the program" signals_are_passed_on
result "no room for notes" no_room_is_said
result "other options" options_go_together
rm -f "$trace"
result "a program that isn't there" refuses 127 'program not found' \
	run --record "$trace" -- no-such-program
result "and then the old trace stays" the_old_one_stays
result "another kind of file stays" others_are_kept
result "one that comes meanwhile stays" newcomers_are_kept
result "traces and empty files are replaced" traces_are_replaced
result "a link to what isn't there" links_to_nothing_stay
result "a device" devices_stay
result "a pipe" pipes_are_written
rm -f "$trace"
echo text >"$scratch/text"
chmod +x "$scratch/text"
printf '#!%s/nowhere\n' "$scratch" >"$scratch/orphan"
chmod +x "$scratch/orphan"
result "a program that can't be run" refuses 127 'interpreter is not there' \
	run --record "$trace" -- "$scratch/orphan"
result "no name" refuses 2 "--record '' is no name; give a file" run --record '' -- true
result "no value" refuses 2 '--record needs a value' run --record
result "a folder that isn't there" refuses 2 "--record '.*' can't be written: No such file" \
	run --record "$scratch/nowhere/trace" -- true
result "a folder" refuses 2 "--record '.*' is a folder: give a name" run --record "$scratch" -- true
if printf 'int main(void) { return 0; }\n' >"$scratch/s.c" &&
	${CC:-cc} -static -o "$scratch/static" "$scratch/s.c" 2>/dev/null; then
	static_program() {
		run run --record "$trace" -- "$scratch/static"
		[ "$status" = 0 ] && says 'nothing was recorded' && left_alone
	}
	result "a static program" static_program
else
	skip "a static program" "no static C library"
fi

done_testing
