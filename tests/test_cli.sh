#!/bin/bash
# The command acre: what it hands on to the program, and what it says to bad input. TAP.
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the command acre lies}
acre=$build/acre
unset ACRE_ARENA ACRE_FAIL_AT ACRE_GUARDS ACRE_NO_PURGE ACRE_POLICY ACRE_STATS LD_PRELOAD

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tests=0
failed=0

result() {
	local verdict=$1 name=$2	# "ok", or what was wrong
	tests=$((tests + 1))
	if [ "$verdict" = ok ]; then
		echo "ok $tests - $name"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $name: $verdict"
	sed 's/^/# stdout: /' "$scratch/out"
	sed 's/^/# stderr: /' "$scratch/err"
}

skip() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

# Runs acre with the arguments; its streams go to out and err, its status to $status.
run() {
	status=0
	timeout 60 "$acre" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
}

# complains NAME STATUS PATTERN ARGUMENT...: that status, and one line that the pattern matches.
complains() {
	local name=$1 wanted=$2 pattern=$3 verdict=ok
	shift 3
	run "$@"
	[ "$status" = "$wanted" ] || verdict="status $status"
	[ "$(wc -l <"$scratch/err")" = 1 ] || verdict="lines"
	grep -q -E -- "^acre: .*$pattern" "$scratch/err" || verdict="text"
	[ ! -s "$scratch/out" ] || verdict="stdout"
	result "$verdict" "$name"
}

# accepted NAME PATTERN ARGUMENT...: status 0, and a line of standard output that matches.
accepted() {
	local name=$1 pattern=$2 verdict=ok
	shift 2
	run "$@"
	[ "$status" = 0 ] || verdict="status $status"
	grep -q -E -- "$pattern" "$scratch/out" || verdict="text"
	[ ! -s "$scratch/err" ] || verdict="stderr"
	result "$verdict" "$name"
}

for size in lots 1X 1KK -1 +1M 0x10000 1.5G '' ' 1M' '1M ' '50 %' 1e6 K %; do
	complains "--arena '$size'" 2 'not a size|too small' run --arena "$size" -- true
done
complains "--arena beyond 64 bits" 2 "is too large; an arena has at most 1T: see 'acre run --help'" \
	run --arena 99999999999999999999 -- true
complains "--arena beyond 64 bits by its unit" 2 'is too large; an arena has at most 1T' \
	run --arena 99999999999999T -- true
complains "--arena beyond 64 bits, and no size" 2 'not a size' run --arena 99999999999999999999X -- true
complains "--arena 101%" 2 "'101%' is more than all memory; give at most 100%" run --arena 101% -- true
complains "--arena of many percent" 2 'is more than all memory' run --arena 99999999999999999999% -- true
complains "--arena 65535" 2 "'65535' is too small" run --arena 65535 -- true
complains "--arena 63K" 2 "'63K' is too small" run --arena 63K -- true
complains "--arena 0" 2 "'0'.*(too small|not a size)" run --arena 0 -- true
complains "--arena 1T + 1" 2 "'1099511627777' is too large" run --arena 1099511627777 -- true
complains "--arena=2T" 2 "'2T' is too large" run --arena=2T -- true
complains "--arena alone" 2 'needs a value' run --arena
for guards in '' , canary 'fill,' ',fill' 'fill fill' all,none; do
	complains "--guards '$guards'" 2 "--guards '$guards' is not a list of guards; give" \
		run --guards "$guards" -- true
	ACRE_GUARDS=$guards complains "ACRE_GUARDS='$guards'" 2 "ACRE_GUARDS '$guards' is not a list" run -- true
done
ACRE_POLICY=buddy ACRE_GUARDS=pages complains "ACRE_GUARDS=pages with buddies" 2 \
	"pages can't be had with the policy 'buddy'" run -- bash -c true
accepted "--guards" '^hi$' run --guards fill,quarantine,canaries -- echo hi
accepted "--guards=all" '^hi$' run --guards=all -- echo hi
complains "guards and a policy" 2 \
	"--guards 'all' can't go with --policy 'best': random needs the policy 'first': see 'acre run --help'" \
	run --guards all --policy best -- true
complains "other guards and a policy" 2 "--guards 'pages' can't go with --policy 'buddy': pages can't" \
	run --policy buddy --guards pages -- true
ACRE_GUARDS=random complains "guards of the caller, and a policy" 2 \
	"ACRE_GUARDS 'random' can't go with --policy 'next'" run --policy next -- true
ACRE_POLICY=next complains "guards, and a policy of the caller" 2 \
	"--guards 'random' can't go with ACRE_POLICY 'next'" run --guards random -- true
accepted "guards and a policy that go together" '^hi$' run --guards pages,fill --policy best -- echo hi
for policy in '' First first-fit 0 all 'best '; do
	complains "--policy '$policy'" 2 "--policy '$policy' is not a policy; give first, next" \
		run --policy "$policy" -- true
done
complains "--policy alone" 2 'needs a value' run --policy
complains "unknown option" 2 "unknown option '--frob': see 'acre run --help'" run --frob -- true
complains "unknown short option" 2 "unknown option '-x'" run -x true
complains "option with a value it can't have" 2 "unknown option '--stats=1'" run --stats=1 true
for number in 0 0+ x 1x ++ + -1 1++ '' ' 1' 99999999999999999999; do
	complains "--fail-at '$number'" 2 '--fail-at .* is not the number of a request; give N' run --fail-at "$number" -- true
done
complains "no program" 2 'no program' run
complains "no program after --" 2 'no program' run --arena 16M --
complains "empty program" 2 'no program' run ''
complains "unknown command" 2 "unknown command 'walk'" walk
complains "no command" 2 'no command'
complains "program not on the path" 127 'no-such-program: program not found' run -- no-such-program
complains "program not at its place" 127 'program not found' run -- "$scratch/no-such-program"

echo 'text' >"$scratch/text"
complains "program not executable" 126 'Permission denied' run -- "$scratch/text"
complains "program is a folder" 126 'Is a directory' run -- "$scratch"
printf '#!%s/nowhere\n' "$scratch" >"$scratch/orphan"
chmod +x "$scratch/orphan"
complains "script without its interpreter" 127 'interpreter is not there' run -- "$scratch/orphan"

export ACRE_ARENA=lots
complains "ACRE_ARENA of the caller" 2 "ACRE_ARENA 'lots' is not a size" run -- true
accepted "--arena before ACRE_ARENA" '^ACRE_ARENA=16M$' run --arena 16M -- env
unset ACRE_ARENA
export ACRE_FAIL_AT=never
complains "ACRE_FAIL_AT of the caller" 2 "ACRE_FAIL_AT 'never' is not the number" run -- true
unset ACRE_FAIL_AT
export ACRE_POLICY=tight
complains "ACRE_POLICY of the caller" 2 "ACRE_POLICY 'tight' is not a policy" run -- true
accepted "--policy before ACRE_POLICY" '^ACRE_POLICY=next$' run --policy next -- env
unset ACRE_POLICY

accepted "--version" '^acre [0-9]+\.[0-9]+\.[0-9]+$' --version
for help in --help -h help; do
	for command in run lab replay; do
		accepted "$help: $command" "^usage: acre $command" $help
	done
done
accepted "help lab" '^usage: acre lab' help lab
[ "$(grep -c ^usage: "$scratch/out")" = 1 ] && verdict=ok || verdict=others
result "$verdict" "help lab: nothing else"
run --help
! grep -n '.\{80\}' "$scratch/out" >"$scratch/err" && verdict=ok || verdict=wide
result "$verdict" "--help fits 80 columns"
complains "help of no command" 2 "unknown command 'walk': see 'acre --help'" help walk
for command in run lab replay; do
	accepted "$command --help" "^usage: acre $command" $command --help
	accepted "$command -h" "^usage: acre $command" $command -h
done
accepted "the preload" "^LD_PRELOAD=$build/.libs/libacre-malloc\.so$" run -- env
accepted "the preload is mapped" 'libacre-malloc\.so$' run --arena 64M -- cat /proc/self/maps
accepted "--arena SIZE" '^ACRE_ARENA=64M$' run --arena 64M env
accepted "--arena=SIZE" '^ACRE_ARENA=50%$' run --arena=50% -- env
for policy in first next best worst buddy good; do
	accepted "--policy $policy" "^ACRE_POLICY=$policy$" run --arena 64M --policy=$policy -- env
done
accepted "--no-purge" '^ACRE_NO_PURGE=1$' run --no-purge -- env
accepted "--fail-at N" '^ACRE_FAIL_AT=99999999$' run --fail-at 99999999 -- env
accepted "--fail-at=N+" '^ACRE_FAIL_AT=99999999[+]$' run --fail-at=99999999+ -- env
accepted "64K is a size, 1T too" '^ACRE_ARENA=1T$' run --arena 64K --arena 1T -- env
accepted "arguments behind the program" '^--stats -- a b$' run -- echo --stats -- 'a b'

run run --arena 64M --stats -- env
verdict=ok
[ "$status" = 0 ] && grep -q '^ACRE_STATS=1$' "$scratch/out" || verdict=variable
grep -q '^acre' "$scratch/err" || verdict="no statistics"
result "$verdict" "--stats, for a program that closes its standard error"

# stats NAME PATTERN PROGRAM...: its statistics are one line, which the pattern matches.
stats() {
	local name=$1 pattern=$2 verdict=ok
	shift 2
	run run --stats -- "$@"
	[ "$status" = 0 ] && [ "$(wc -l <"$scratch/err")" = 1 ] || verdict="status $status"
	grep -q -E -- "^acre: $pattern" "$scratch/err" || verdict="text"
	result "$verdict" "$name"
}
printf 'int main(void) { return 0; }\n' >"$scratch/s.c"
if ${CC:-cc} -o "$scratch/idle" "$scratch/s.c" 2>/dev/null; then
	stats "--stats of a program that never allocates" \
		'process [0-9]+ has no statistics: it never allocated from the arena$' "$scratch/idle"
	run run -- "$scratch/idle"
	[ "$status" = 0 ] && [ ! -s "$scratch/err" ] && verdict=ok || verdict="text"
	result "$verdict" "of which nothing is said without --stats"
	status=0
	timeout 60 "$acre" run --stats -- "$scratch/idle" 2>&- >"$scratch/out" || status=$?
	[ "$status" = 0 ] && [ ! -s "$scratch/out" ] && verdict=ok || verdict="status $status"
	result "$verdict" "nor to a standard error that's closed"
else
	skip "--stats of a program that never allocates" "no compiler"
fi

# Without the command the drop-in says it.
status=0
LD_PRELOAD=$build/.libs/libacre-malloc.so ACRE_POLICY=tight "$(type -P env)" \
	>"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
verdict=ok
[ "$status" = 2 ] || verdict="status $status"
[ "$(wc -l <"$scratch/err")" = 1 ] || verdict="lines"
grep -q "^acre: ACRE_POLICY=tight: not a policy; give first, next" "$scratch/err" || verdict="text"
result "$verdict" "a bad ACRE_POLICY of the drop-in itself"

# The loader itself refuses one of the two here: what counts is their order.
export LD_PRELOAD=libm.so.6
accepted "the caller's preload stays behind it" \
	"^LD_PRELOAD=$build/.libs/libacre-malloc\.so:libm\.so\.6$" run -- env
unset LD_PRELOAD

run run -- bash -c 'exit 7'
[ "$status" = 7 ] && verdict=ok || verdict="status $status"
result "$verdict" "the program's exit status"

# By its own name as much as through a script: the interpreter is what runs.
if ${CC:-cc} -static -o "$scratch/static" "$scratch/s.c" 2>/dev/null; then
	complains "static program: a warning, and it runs" 0 'warning: .*statically linked' \
		run -- "$scratch/static"
	stats "and with --stats, that there will be none" \
		'warning: .* is statically linked: it will not run on acre, and there will be no statistics$' \
		"$scratch/static"
	printf '#!%s/static\n' "$scratch" >"$scratch/script"
	chmod +x "$scratch/script"
	complains "script of a static interpreter" 0 'warning: .*statically linked' \
		run -- "$scratch/script"
else
	skip "static program" "no static C library"
fi
cp "$(type -P true)" "$scratch/set-user-id"
if [ "$(id -u)" = 0 ] && chown nobody "$scratch/set-user-id" 2>/dev/null; then
	chmod 4755 "$scratch/set-user-id"
	complains "set-user-id program: a warning, and it runs" 0 'warning: .*gains rights' \
		run -- "$scratch/set-user-id"
else
	skip "set-user-id program" "not root"
fi

# As it will be found when installed, and moved: bin/acre and lib/libacre-malloc.so.
mkdir -p "$scratch/moved/bin" "$scratch/moved/lib" "$scratch/with space/bin"
cp "$acre" "$scratch/moved/bin/"
cp "$build"/.libs/libacre-malloc.so "$build"/.libs/libacre.so.* "$scratch/moved/lib/"
acre=$scratch/moved/bin/acre
accepted "installed elsewhere" 'moved/.*libacre-malloc\.so$' run --arena 64M -- cat /proc/self/maps
cp -r "$scratch/moved/." "$scratch/with space/"
acre="$scratch/with space/bin/acre"
complains "a place that LD_PRELOAD can't name" 126 "can't name" run -- true

echo "1..$tests"
[ "$failed" = 0 ]
