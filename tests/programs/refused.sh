#!/bin/bash
# A system that refuses what the drop-in asks for: a clear line and status 2 where nothing can be
# done, a smaller arena where that will do, and else no difference to the program.
. "$(dirname "$0")/common.sh"

compile refuse.c "$scratch/refuse"
compile starved.c "$scratch/program"
compile closed.c "$scratch/closed"
compile no_threads.c "$scratch/no_threads"
compile unread.c "$scratch/unread.so" -shared -fPIC
preload=$("$ACRE" run -- env | sed -n 's/^LD_PRELOAD=//p')
export ACRE_STATS=1

# on WHAT COMMAND...: on the drop-in, where the kernel refuses that; sets $status.
on() {
	local what=$1
	shift
	status=0
	"$scratch/refuse" "$what" env "LD_PRELOAD=$preload" "$@" \
		>"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
}

said() {
	echo "status $status"
	cat "$scratch/err"
}

# cannot_begin NAME PATTERN: one line, and status 2.
cannot_begin() {
	[ "$status" = 2 ] || fail "$1: $(said)"
	[ "$(wc -l <"$scratch/err")" = 1 ] || fail "$1: $(said)"
	grep -q "^acre: $2" "$scratch/err" || fail "$1: $(said)"
}

# lives_on NAME: all as ever, in an arena.
lives_on() {
	[ "$status" = 0 ] || fail "$1: $(said)"
	grep -q '^acre: arena bytes' "$scratch/err" || fail "$1: $(said)"
	if grep '^acre: ' "$scratch/err" | grep -v -E '^acre: [a-z ]*[0-9]+$' >&2; then
		fail "$1"
	fi
}

arena_bytes() {
	sed -n 's/^acre: arena bytes *//p' "$scratch/err" | head -n 1
}

on nothing "$scratch/program"
[ "$status" != 77 ] || skip "seccomp filters can't be installed"
lives_on "nothing refused"

# Settings that acre run would refuse may come to the drop-in without it.
cut=$(printf 'x%.0s' {1..1000})
for setting in ACRE_GUARDS=canary ACRE_POLICY=middle ACRE_FAIL_AT=often ACRE_ARENA=lots ACRE_ARENA=1K \
	ACRE_ARENA=2T "ACRE_ARENA=$cut"; do
	on nothing "$setting" "$scratch/program"
	cannot_begin "$setting" "${setting:0:100}"
done
on nothing ACRE_POLICY=good ACRE_GUARDS=random "$scratch/program"
cannot_begin "random places in good fit" 'ACRE_GUARDS=random: random needs'
on nothing ACRE_POLICY=first "$scratch/program"
lives_on "the default policy by its name"

# Statistics find their way without the copy of stderr: where there's none to be had, and where the
# program closes it.
status=0
(
	ulimit -n 40
	exec env "LD_PRELOAD=$preload" "$scratch/program"
) >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
lives_on "few file descriptors"
on nothing bash -c 'for i in {64..90}; do eval "exec $i>&-"; done'
lives_on "all copies closed"

on reserve "$scratch/program"
cannot_begin "no address space" 'ACRE_ARENA: the system refuses any'
on reserve ACRE_ARENA=64M "$scratch/program"
cannot_begin "no address space of a size" 'ACRE_ARENA=64M: the system refuses'
on commit "$scratch/program"
cannot_begin "no access" 'ACRE_ARENA: the system refuses any'
on commit ACRE_ARENA=64M "$scratch/program"
cannot_begin "no access in an arena of a size" 'ACRE_ARENA=64M: the system refuses'

on reserve-1G "$scratch/program"
lives_on "no large address space"
[ "$(arena_bytes)" -lt $((1 << 30)) ] || fail "an arena of $(arena_bytes) bytes"

on advice "$scratch/program"
lives_on "no advice"
on self "$scratch/program"
lives_on "no thread ids"

# Threads.
on nothing "$scratch/no_threads"
lives_on "no room for threads' stacks"
on clone "$scratch/no_threads" clone
lives_on "no threads"

# The kernel's own limit of the address space: of the program's libraries too, so not too low.
status=0
(
	ulimit -v 300000
	exec env "LD_PRELOAD=$preload" "$scratch/program"
) >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
lives_on "ulimit -v"
[ "$(arena_bytes)" -le $((300000 * 1024 / 2)) ] || fail "an arena of $(arena_bytes) bytes"
status=0
(
	ulimit -v 300000
	exec env "LD_PRELOAD=$preload" ACRE_ARENA=1G "$scratch/program"
) >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
cannot_begin "more than ulimit -v" 'ACRE_ARENA=1G: the system refuses that much address space'

# Where nothing is to be learnt about the machine's memory, an arena of 1 GiB.
status=0
LD_PRELOAD=$preload:$scratch/unread.so "$scratch/program" >"$scratch/out" 2>"$scratch/err" || status=$?
lives_on "no /proc and no /sys"
[ "$(arena_bytes)" = $((1 << 30)) ] || fail "an arena of $(arena_bytes) bytes"

# The streams are closed, one by one, and all of them: what the program opens instead is its own.
mkdir "$scratch/files"
status=0
LD_PRELOAD=$preload ACRE_ARENA=64M "$scratch/closed" "$scratch/files" <&- >&- 2>&- || status=$?
[ "$status" = 0 ] || fail "with closed streams: status $status"
for number in 0 1 2; do
	[ "$(cat "$scratch/files/$number")" = mine ] ||
		fail "acre wrote into a file of the program: $(cat "$scratch/files/$number")"
done
for streams in '<&-' '>&-' '2>&-'; do
	status=0
	eval "LD_PRELOAD=\$preload ACRE_ARENA=64M \"\$scratch/program\" $streams" 2>"$scratch/err" ||
		status=$?
	[ "$status" = 0 ] || fail "$streams: $(said)"
done
