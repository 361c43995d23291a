#!/bin/bash
# acre lab by scripts: textbook exercises with all that it says of them, a model of its own that says
# the same, each error, undo, save and load. TAP. As a person uses it: test_lab_terminal.sh.
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the command acre lies}
source=${ACRE_SOURCE:?is the source directory}
acre=$build/acre

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tests=0
failed=0

# result VERDICT NAME: "ok", or what was wrong.
result() {
	tests=$((tests + 1))
	if [ "$1" = ok ]; then
		echo "ok $tests - $2"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $2: $1"
	tail -n 40 "$scratch/out" | sed 's/^/# stdout: /'
	tail -n 10 "$scratch/err" | sed 's/^/# stderr: /'
}

# Runs the lab with these options, its commands from standard input; its streams go to out and err.
lab() {
	status=0
	timeout 120 "$acre" lab "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
}

# script LINE...: what the lab says to these lines.
script() {
	lab < <(printf '%s\n' "$@")
}

# The same, in the file $1.
told() {
	local file=$1
	shift
	script "$@"
	cp "$scratch/out" "$file"
}

# How many steps a search takes is the library's business, whose own tests bound it.
without_steps() {
	sed 's/ound after [1-9][0-9]* steps*/ound after N steps/
		s/^search steps   [1-9][0-9]*$/search steps   N/' "$1"
}

# ---- Exercises ----

# exercise NAME PLACE...: all that's told, and where the textbook has the blocks ("k 102416").
exercise() {
	local name=$1 verdict=ok place
	shift
	cd "$source/tests/lab"
	lab --script "$name.lab" </dev/null
	cd - >/dev/null
	[ "$status" = 0 ] && [ ! -s "$scratch/err" ] || verdict="status $status"
	for place; do
		grep -q -E "^${place% *}  [0-9]+ bytes at offset ${place#* }: " "$scratch/out" ||
			verdict="$place"
	done
	without_steps "$scratch/out" >"$scratch/without"
	diff "$scratch/without" "$source/tests/lab/$name.txt" >"$scratch/err" || verdict=differs
	result "$verdict" "exercise: $name"
}

exercise first 'k 102416' 'l 1126464' 'm 319504'
exercise next 'k 102416' 'l 1126464' 'm 1553472'
exercise best 'k 819248' 'l 102416' 'm 614432' 'n 1126464'
exercise worst 'k 1126464' 'l 102416' 'm 1343552'
exercise buddy 'a 0' 'b 262144' 'c 131072' 'd 524288' 'e 0'
exercise realloc

# ---- A model of its own ----

for policy in first next best worst buddy; do
	name="the model says the same: $policy"
	if ! command -v python3 >/dev/null; then
		tests=$((tests + 1))
		echo "ok $tests - $name # SKIP python3 isn't installed (Debian: python3)"
		continue
	fi
	: >"$scratch/err"
	timeout 300 python3 "$source/tests/lab/model.py" "$acre" $policy 7 1500 >"$scratch/out" 2>&1 &&
		verdict=ok || verdict=differs
	result "$verdict" "$name"
done

# ---- Errors: each is told in a line, and the lab goes on ----

# wrong NAME PATTERN LINE...: the last of these lines is wrong; a further one is carried out.
wrong() {
	local name=$1 pattern=$2 verdict=ok
	shift 2
	script "$@" 'allocate 16'
	[ "$status" = 1 ] || verdict="status $status"
	[ "$(wc -l <"$scratch/err")" = 1 ] || verdict="lines"
	grep -q -E -- "^acre: standard input:$#: .*$pattern" "$scratch/err" || verdict="text"
	grep -q -E '^[a-z]  16 bytes at offset [0-9]+: a block of 32' "$scratch/out" ||
		verdict="ended"
	result "$verdict" "wrong: $name"
}

wrong "unknown command" "unknown command 'frobnicate'" 'map' 'frobnicate 3'
wrong "a beginning of two commands" "'he' may be any of heap, help:" he
wrong "unknown block" "no block 'q': none is in use" 'free q'
wrong "unknown block, others are there" "no block 'q': these are in use: a b" \
	'allocate 1' 'allocate 2' 'de_allocate q'
wrong "block of no name" "no block 'A1'" 'de_allocate A1'
wrong "block of a long name" "no block 'zzzzzzzzzzzzzzzzzzzz'" 'free zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz'
wrong "double free" 'a is free already.*double free.*as it was' 'allocate 9' 'free a' 'de_allocate a'
wrong "use after free" 'a is free already.*use after free' 'allocate 9' 'free a' 'reallocate a 20'
for size in x -1 +1 1.5 0x10 1KK 50% 99999999999999999999X "''"; do
	wrong "size $size" "'${size//+/[+]}' is not a size: give bytes" "allocate $size"
done
wrong "a size beyond 64 bits" "'99999999999999999999' is too large: no heap" 'allocate 99999999999999999999'
wrong "no size" 'allocate is given as: allocate SIZE' allocate
wrong "too many words" 'allocate is given as: allocate SIZE' 'allocate 1 2'
wrong "far too many words" 'allocate is given as: allocate SIZE' 'allocate 1 2 3 4 5 6 7 8 9'
wrong "no size to reallocate to" 'reallocate is given as: reallocate NAME SIZE' 'reallocate a'
wrong "reallocate to 0" "0 is not a size to reallocate to: de_allocate a" 'allocate 5' 'reallocate a 0'
wrong "words where none go" 'map takes nothing' 'map it'
wrong "policy" "'fast' is not a policy; give first, next" 'policy fast'
wrong "heap too small" "63 bytes can't be a heap here: give 64 to 1G" 'heap 63'
wrong "heap too large" "can't be a heap here" 'heap 1025M'
wrong "heap of no size" "'big' is not a size" 'heap big'
wrong "random number" "'many' is not a number of steps" 'random many'
wrong "random number too large" "is not a number of steps: give a number from 1 to 1000000" 'random 1000001'
wrong "seed" "'-1' is not a seed: give a number from 0 to 4294967295" 'random 5 -1'
wrong "seed with a unit" "'1K' is not a seed" 'random 5 1K'
wrong "nothing to undo" 'nothing to undo' undo
wrong "undo of no number" "'all' is not a number of steps" 'undo all'
wrong "undo of no steps" "'0' is not a number of steps: give a number from 1 to" 'allocate 1' 'undo 0'
wrong "nothing to compare" 'nothing was done' compare
wrong "help of no command" "unknown command 'me'" 'help me'
wrong "load of no file" "/none can't be read: No such file" "load $scratch/none"
wrong "load of a folder" "can't be read: Is a directory" "load $scratch"
wrong "load without a name" 'load is given as: load FILE' load
wrong "load of two files" "load is given as: load FILE; a blank in its name is written as '. '" 'load a b'
cd "$scratch"
wrong "save to two files" 'save is given as: save FILE' 'allocate 1' 'save a b'
[ ! -e a ] && [ ! -e 'a b' ] && verdict=ok || verdict="a file"
result "$verdict" "and none is written"
cd - >/dev/null
echo mine >"$scratch/mine"
wrong "save over another file" "mine is there already, and is no heap that the lab saved: give another name" \
	'allocate 1' "save $scratch/mine"
[ "$(cat "$scratch/mine")" = mine ] && verdict=ok || verdict=lost
result "$verdict" "which stays"
wrong "save to a folder" 'is a folder: give a name' "save $scratch"
wrong "save to no folder" "can't be written: No such file" "save $scratch/none/file"
printf 'allocate 10\0\nallocate 20\n' >"$scratch/zero"
lab --script "$scratch/zero" </dev/null
verdict=ok
[ "$status" = 1 ] && grep -q "zero:1: '10?' is not a size" "$scratch/err" || verdict="status $status"
result "$verdict" "wrong: a zero in a line"

# Refusals are answers: what's there, and why it isn't enough.
refused() {
	local name=$1 pattern=$2 verdict=ok
	shift 2
	script "$@"
	[ "$status" = 0 ] && [ ! -s "$scratch/err" ] || verdict="status $status"
	tr -s ' \n' ' ' <"$scratch/out" | grep -q -E -- "$pattern" || verdict="text"
	result "$verdict" "refused: $name"
}

refused "one hole" 'No room for 1K?017 bytes: that takes a block of 1040; all .* one hole of 1024\.' \
	'heap 1K' 'allocate 1017'
refused "full" 'No room for 0 bytes: .* 16, and nothing at all is free\.' 'heap 1K' 'allocate 1016' \
	'allocate 0'
refused "in pieces" 'largest hole has 48, of 80 free in 3 holes: fragmentation 40%\. It would be' \
	'heap 112' 'allocate 40' 'allocate 0' 'allocate 0' 'allocate 0' 'allocate 0' \
	'free a' 'free c' 'free e' 'allocate 60'
refused "a size beyond all" 'No room for 9223372036854774784 bytes' 'allocate 9007199254740991K'
refused "buddies" 'No room for 600 bytes: .* 1024; the largest hole has 512, of 1008 ' \
	'policy buddy' 'heap 1K' 'allocate 8' 'allocate 600'

# ---- undo, save, load ----

# Of a heap: its blocks, its figures, and that it's sound.
look=(list stats check)
same() {
	cmp -s "$scratch/$1" "$scratch/$2" && echo ok || echo differs
}
# The last lines of a transcript, which tell of the heap.
end_of() {
	sed -n '/^acre> list$/,$p' "$1"
}

for policy in first next best worst buddy good; do
	begin=("policy $policy" 'heap 8K' 'random 300 5')
	told "$scratch/before" "${begin[@]}" "${look[@]}"
	end_of "$scratch/before" >"$scratch/a"
	grep -q '^Sound: no faults' "$scratch/before" && [ "$status" = 0 ] && verdict=ok || verdict=unsound
	result "$verdict" "$policy: a heap after random steps is sound"

	told "$scratch/after" "${begin[@]}" 'allocate 100' 'allocate 20' 'random 100 6' 'heap 1K' \
		'allocate 3' 'policy first' 'undo 6' "${look[@]}"
	end_of "$scratch/after" >"$scratch/b"
	result "$(same a b)" "$policy: undo leads back to the same heap"

	told "$scratch/saving" "${begin[@]}" "save $scratch/a\\ heap.lab" "${look[@]}"
	told "$scratch/loading" 'heap 256' 'allocate 3' "load $scratch/a\\ heap.lab" "${look[@]}"
	end_of "$scratch/loading" >"$scratch/b"
	result "$(same a b)" "$policy: what was saved is loaded"

	lab --script "$scratch/a heap.lab" </dev/null
	script "load $scratch/a\\ heap.lab" "save $scratch/again"
	result "$(same 'a heap.lab' again)" "$policy: saved again, it's the same file"
done

# What comes after undo is placed as if the step had never been, and its name is taken again.
told "$scratch/x" 'policy next' 'allocate 100' 'allocate 50' undo 'allocate 60' list
told "$scratch/y" 'policy next' 'allocate 100' 'allocate 60' list
end_of "$scratch/x" >"$scratch/a"
end_of "$scratch/y" >"$scratch/b"
result "$(same a b)" "a step after undo"

# A refused request is no step to be undone, and goes with the one before.
told "$scratch/x" 'allocate 100' 'allocate 50' 'allocate 5000' undo "${look[@]}"
told "$scratch/y" 'allocate 100' "${look[@]}"
end_of "$scratch/x" >"$scratch/a"
end_of "$scratch/y" >"$scratch/b"
result "$(same a b)" "undo passes over a refusal"

told "$scratch/x" 'random 500 9' list
told "$scratch/y" 'random 500 9' list
end_of "$scratch/x" >"$scratch/a"
end_of "$scratch/y" >"$scratch/b"
told "$scratch/z" 'random 500 10' list
end_of "$scratch/z" >"$scratch/c"
verdict=$(same a b)
[ "$(same a c)" = differs ] || verdict="another seed does the same"
result "$verdict" "random: a seed's steps are always the same"

script 'random 20'
seed=$(sed -n 's/^20 random steps, seed \([0-9]*\):.*/\1/p' "$scratch/out")
grep '^20 random' "$scratch/out" >"$scratch/a"
script "random 20 ${seed:-none}"
grep '^20 random' "$scratch/out" >"$scratch/b" || true
result "$(same a b)" "random: the seed that's told leads there again"

# Scripts that load scripts; errors have the name and the line of the innermost.
printf 'load %s\nallocate 5\n' "$scratch/inner" >"$scratch/outer"
printf '# nothing\n\nallocate 7\n  frob\n' >"$scratch/inner"
lab --script "$scratch/outer" </dev/null
verdict=ok
[ "$status" = 1 ] || verdict="status $status"
grep -q "^acre: $scratch/inner:4: unknown command 'frob'" "$scratch/err" || verdict=text
grep -q '^b  5 bytes at offset 16:' "$scratch/out" || verdict=ended
result "$verdict" "a script loads a script"
printf 'load %s\n' "$scratch/self" >"$scratch/self"
lab --script "$scratch/self" </dev/null
verdict=ok
[ "$status" = 1 ] && grep -q "self:1: $scratch/self isn't loaded: scripts load each other 8 deep" \
	"$scratch/err" || verdict="status $status"
result "$verdict" "a script that loads itself"
printf 'y%.0s\n' {1..100} >"$scratch/yes"
script "load $scratch/yes" 'allocate 4'
verdict=ok
[ "$(wc -l <"$scratch/err")" = 10 ] || verdict="lines"
tr '\n' ' ' <"$scratch/out" | grep -q '10 of them wrong, and the rest left out: it may be no script of the lab\.' ||
	verdict=text
result "$verdict" "what's no script isn't loaded to its end"

script 'allocate 5' quit 'allocate 6'
[ "$status" = 0 ] && ! grep -q ' 6 bytes' "$scratch/out" && verdict=ok || verdict="status $status"
result "$verdict" "quit ends a script"

# ---- Commands ----

# says NAME PATTERN LINE...
says() {
	local name=$1 pattern=$2 verdict=ok
	shift 2
	script "$@"
	[ "$status" = 0 ] && [ ! -s "$scratch/err" ] || verdict="status $status"
	tr -s ' \n' ' ' <"$scratch/out" | grep -q -E -- "$pattern" || verdict="text"
	result "$verdict" "$name"
}

says "short names" 'a freed: the block of 32' 'a 20' 'd a' 'u' 'm' 'li' 'st' 'ch' 'ran 3 1' 'p best'
says "other names" 'a 40 bytes, still at offset 0' 'malloc 20' 'realloc a 40' 'free a' exit
says "blanks and tabs" 'a 20 bytes at offset 0' '   allocate	20   '
says "a carriage return" 'a 20 bytes at offset 0' $'allocate 20\r'
says "units" 'a 2048 bytes .* b 3145728 bytes' 'heap 4M' 'allocate 2k' 'allocate 3M'
says "policy tells" '^acre> policy first; there are first, next, best' policy
says "heap is rounded up" 'An empty heap of 112 bytes, first fit: 100, rounded up to a multiple of 16\.' \
	'heap 100'
says "one byte" 'a 1 byte at offset 0: .* a 1 byte, still at .* No room for 1 byte:' 'heap 64' 'allocate 1' \
	'reallocate a 1' 'allocate 40' 'allocate 1'
says "undo of more steps than there are" 'Undone: 2 steps, as there are no more, back to before allocate 5' \
	'allocate 5' 'free a' 'undo 5'
says "undo of all steps" 'Undone: 2 steps, back to before allocate 5' 'allocate 5' 'free a' 'undo 2'
says "a heap of the least size" '0 \.\.\.\. 16 bytes a cell' 'heap 64'
says "a heap of 1G" 'a 1073741816 bytes .* 2097152 bytes a cell; 1 block' 'heap 1G' 'allocate 1073741816'
says "buddies in a heap that's no power of two" '0 512 free 512 256 free 768 32 free' \
	'policy buddy' 'heap 800' list
says "a buddy beyond the end" 'the heap ends before its buddy would' 'policy buddy' 'heap 96' \
	'allocate 24' 'allocate 24' 'allocate 24' 'free a'
mapfile -t many < <(printf 'allocate 0%.0s\n' {1..28})
says "names go on behind z" ' z 0 bytes at offset 400: .* aa 0 bytes .* ab 0 bytes at offset 432: ' \
	'heap 1K' "${many[@]}"
says "help" 'allocate SIZE .* An offset is a block.s distance' help
says "help of a command" 'reallocate NAME SIZE .* in place where it can' 'help re'
says "help tells other names" 'Other names: malloc for allocate, free or deallocate for de_allocate, ' help
says "help of a command with other names" 'Its other name: free or deallocate\.' 'help de_allocate'
says "save to a device" 'Saved 1 step to /dev/null' 'allocate 5' 'save /dev/null'
says "save over what was saved" 'Saved 1 step .* Saved 2 steps .* Loaded .*: 5 lines' 'allocate 5' \
	"save $scratch/own" 'allocate 6' "save $scratch/own" "load $scratch/own"
says "stats" 'fragmentation 0% .* requests 2, 1 of them refused' 'allocate 5' 'allocate 5000' stats
says "compare" 'first 0 2 .* next 0 .* best 0 .* worst 0 .* buddy 0 .* good 0 ' 'allocate 100' \
	'allocate 100' 'free a' compare

# The policies part ways where the textbook says so: 112K fits in three holes, 426K only after best fit.
cd "$source/tests/lab"
says "compare: only best fit serves all" \
	'first 1 .* next 1 .* best 0 .* worst 1 ' "load $source/tests/lab/holes.lab" \
	'allocate 217080' 'allocate 427000' 'allocate 114680' 'allocate 436216' compare
cd - >/dev/null

# ---- The command line ----

# bad NAME PATTERN ARGUMENT...: status 2 and one line.
bad() {
	local name=$1 pattern=$2 verdict=ok
	shift 2
	lab "$@" </dev/null
	[ "$status" = 2 ] || verdict="status $status"
	[ "$(wc -l <"$scratch/err")" = 1 ] || verdict="lines"
	grep -q -E -- "^acre: .*$pattern" "$scratch/err" || verdict="text"
	[ ! -s "$scratch/out" ] || verdict="stdout"
	result "$verdict" "command line: $name"
}

bad "unknown option" "unknown option '--colour'" --colour
bad "a file without its option" "lab takes no 'first.lab'" first.lab
bad "--script alone" '--script needs a file' --script
bad "no such script" "--script '/none' can't be read: No such file" --script /none
bad "no such script, with =" "--script '/none' can't be read: No such file" --script=/none
bad "a folder" "is a folder" --script "$scratch"
if [ "$(id -u)" != 0 ]; then
	: >"$scratch/secret"
	chmod 0 "$scratch/secret"
	bad "a script that may not be read" 'Permission denied' --script "$scratch/secret"
fi
lab --help </dev/null
[ "$status" = 0 ] && grep -q '^usage: acre lab' "$scratch/out" && verdict=ok || verdict="status $status"
result "$verdict" "command line: --help"
script 'allocate 10' map
grep -q $'\033' "$scratch/out" && verdict=escapes || verdict=ok
result "$verdict" "no colours where there's no terminal"
status=0
timeout 60 "$acre" lab >/dev/full 2>"$scratch/err" < <(echo map) || status=$?
[ "$status" = 1 ] && grep -q '^acre: standard output: No space' "$scratch/err" && verdict=ok ||
	verdict="status $status"
result "$verdict" "a full disk"

# ---- The session in the README ----

sed -n '/^    acre> /,/^$/p' "$source/README.md" | sed 's/^    //' >"$scratch/readme"
sed -n 's/^acre> //p' "$scratch/readme" >"$scratch/commands"
lab --script "$scratch/commands" </dev/null
verdict=ok
[ -s "$scratch/commands" ] || verdict="there's none"
grep -v '^$' "$scratch/readme" >"$scratch/session"
without_steps "$scratch/session" >"$scratch/a"
without_steps "$scratch/out" >"$scratch/b"
[ "$(same a b)" = ok ] || verdict=differs
result "$verdict" "the README's session is what the lab says"

echo "1..$tests"
[ "$failed" = 0 ]
