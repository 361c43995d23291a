#!/bin/bash
# acre lab as a person uses it, in a terminal of tmux: the prompt, history, completion, colours, maps
# that fit, Ctrl-C, Ctrl-Z, Ctrl-D. TAP.
#
# Nothing here goes by the clock: each step waits for what the screen is to show, and only a lab that
# hangs runs into the limit.
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the command acre lies}
acre=$build/acre
limit=60	# seconds

if ! command -v tmux >/dev/null; then
	echo "1..0 # SKIP tmux isn't installed (Debian: tmux)"
	exit 0
fi

scratch=$(mktemp -d)
# Each terminal has a server of its own, since one that ends may still be there when the next begins.
server=0
terminal() {
	tmux -S "$scratch/socket.$server" -f /dev/null "$@"
}
trap 'terminal kill-server 2>/dev/null || true; rm -rf "$scratch"' EXIT
unset NO_COLOR TMUX EDITRC
export HOME=$scratch LC_ALL=C.UTF-8 TERM=xterm
tests=0
failed=0

result() {
	tests=$((tests + 1))
	if [ "$1" = ok ]; then
		echo "ok $tests - $2"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $2: $1"
	screen | sed 's/^/# |/'
}

skip() {
	tests=$((tests + 1))
	echo "ok $tests - $1 # SKIP $2"
}

# The screen's text, without the empty lines at its end; and with its colours, and trailing blanks.
screen() {
	terminal capture-pane -p | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
}
colours() {
	terminal capture-pane -p -e -N
}

# until NAME COMMAND...: the command succeeds sooner or later, or the test of this name has failed.
until_it() {
	local name=$1 end=$((SECONDS + limit))
	shift
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			result "waited in vain" "$name"
			echo "1..$tests"
			exit 1
		fi
		sleep 0.05
	done
}

shows() {
	screen | grep -q -E -- "$1"
}
last_line_is() {
	[ "$(screen | tail -n 1)" = "$1" ]
}
# A command was carried out since the screen was cleared, and the next may come.
answered() {
	local text
	text=$(screen)
	[ "${text##*$'\n'}" = 'acre>' ] && [ "$(tr -d '\n' <<<"$text")" != 'acre>' ]
}
is_clear() {
	[ "$(screen | tr -d '\n')" = 'acre>' ]
}

keys() {
	terminal send-keys -- "$@"
}

# start COLUMNS ROWS COMMAND: in a terminal of its own, which stays when the command has ended.
start() {
	terminal kill-server 2>/dev/null || true
	server=$((server + 1))
	terminal new-session -d -c "$scratch" -x "$1" -y "$2" "$3; echo status \$?; exec sleep 1000"
	until_it "the lab starts" last_line_is 'acre>'
}

# A clear screen, from which on nothing old can be taken for an answer.
clear_screen() {
	if [ "$ACRE_LIBEDIT" = yes ]; then
		keys C-l
	else
		terminal send-keys -R
		terminal clear-history
		keys Enter
	fi
	until_it "the screen is cleared" is_clear
}

# ask LINE: a command, and its answer is on the screen.
ask() {
	clear_screen
	keys "$1" Enter
	until_it "an answer to $1" answered
}

# see NAME PATTERN...: all are on the screen.
see() {
	local name=$1 pattern verdict=ok
	shift
	for pattern; do
		shows "$pattern" || verdict="no '$pattern'"
	done
	result "$verdict" "$name"
}

start 80 24 "$acre lab"
see "the beginning" '^acre lab: an empty heap of 4096 bytes, first fit' '^ 3072 \.{64}$|^3072 \.{64}$'

ask 'allocate 100'
see "a first block" '^ a  100 bytes at offset 0: a block of 112' '^   0 a {6}\.{57}$' '^acre>$'
colours >"$scratch/screen"
verdict=ok
grep -q $'\033\\[1m.*acre>' "$scratch/screen" || verdict="the prompt isn't bold"
grep -q $'\033\\[[0-9;]*4[0-9]m a ' "$scratch/screen" || verdict="the name has no colour"
grep -q $'4[0-9]m[^.]*a      ' "$scratch/screen" || verdict="the block has no colour in the map"
result "$verdict" "colours"

if [ "${ACRE_LIBEDIT:=no}" = yes ]; then
	clear_screen
	keys Up
	until_it "the last line comes back" last_line_is 'acre> allocate 100'
	result ok "Up fetches the last line"
	keys BSpace BSpace BSpace 200 Enter
	until_it "an answer" answered
	see "an earlier line can be changed" '^ b  200 bytes at offset 112'
	clear_screen
	keys Up Up
	until_it "the line before comes back" last_line_is 'acre> allocate 100'
	keys Down
	until_it "and the last again" last_line_is 'acre> allocate 200'
	result ok "Up and Down"
	keys C-c
	until_it "a new prompt" last_line_is 'acre>'

	clear_screen
	keys all Tab
	until_it "the command is completed" last_line_is 'acre> allocate'
	keys 7 Enter
	until_it "an answer" answered
	see "Tab completes a command, with a blank" '^acre> allocate 7$' '^ c  7 bytes at offset 320'
	clear_screen
	keys 'de' Tab Tab
	until_it "the blocks are shown" shows '^a  b  c$'
	keys b Enter
	until_it "an answer" answered
	see "Tab shows the blocks in use" '^acre> de_allocate b$' '^ b  freed'
	clear_screen
	keys 'free_' C-u 'de' Tab Tab
	until_it "the blocks are shown" shows '^a  c$'
	result ok "not those that are free"
	keys C-c
	until_it "a new prompt" last_line_is 'acre>'
	clear_screen
	keys h Tab Tab
	until_it "both are shown" shows '^heap  help$'
	keys l Tab
	until_it "the rest is put in" last_line_is 'acre> help'
	keys rea Tab Enter
	until_it "an answer" answered
	see "Tab completes what commands have in common" '^acre> help reallocate$' 'larger or smaller'
	clear_screen
	keys pol Tab bu Tab Enter
	until_it "an answer" answered
	see "Tab completes policies" '^An empty heap of 4096 bytes, buddy system'
	ask undo
	mkdir "$scratch/folder"
	printf 'allocate 1000\n' >"$scratch/folder/a script"
	clear_screen
	keys "load $scratch/fol" Tab Tab Enter
	until_it "an answer" answered
	see "Tab completes files" '^Loaded .*/folder/a|script: 1 line'
	ask undo
else
	for name in "Up fetches the last line" "an earlier line can be changed" "Tab completes"; do
		skip "$name" "built without libedit"
	done
	ask 'allocate 200'
	ask 'allocate 7'
	ask 'de_allocate b'
fi

clear_screen
keys 'de_allocate a' C-c
until_it "a new prompt" last_line_is 'acre>'
keys list Enter
until_it "the list" shows '^ +0 +112 +100 +a +$|^ +0 +112 +100 +a$'
until_it "a prompt" last_line_is 'acre>'
see "Ctrl-C abandons the line" '^acre> .*\^C$' ' 320 +16 +7 +c'

ask 'free b'
see "a double free is explained, and the lab goes on" '^Not done: b is free already' '^acre>$'
ask 'allocate 5000'
see "no room" '^No room for 5000 bytes: that takes a block of 5008; the largest hole'
ask 'frobnicate'
see "an unknown command" "^Not done: unknown command 'frobnicate'"

# Fits: a row of the map is a line, whatever the width, and words are whole.
# size COLUMNS: the terminal has it now, and the lab asks for it at its next command.
size() {
	terminal resize-window -x "$1" -y 40
	until_it "the terminal has $1 columns" has_columns "$1"
}
has_columns() {
	[ "$(stty size <"$(terminal display-message -p '#{pane_tty}')")" = "40 $1" ]
}
fits() {
	local name=$1 rows=$2 cells=$3 verdict=ok
	[ "$(screen | grep -c -E "^ *[0-9]+ [^0-9]{1,$cells}$")" = "$rows" ] || verdict="rows"
	[ "$(screen | grep -c -E "^ *[0-9]+ \.{$cells}$")" -ge $((rows - 1)) ] || verdict="cells"
	result "$verdict" "$name"
}
size 40
ask map
fits "a map in 40 columns" 8 32
see "and its words" '^     16 bytes a cell; 2 blocks in use,$' '^     3968 bytes free in 2 holes$'
ask 'allocate 100'
see "a story in 40 columns" '^ d  100 bytes at offset 112: a block of$' \
	'^   112 \(with a tag of 8, in units of$'
ask help
see "help in 40 columns" '^undo \[N\]$' '^    take back the last step, or the last$' '^    N$'
printf 'allocate 1\nallocate many\n' >"$scratch/wrong"
ask 'load wrong'
see "what's wrong in a file, in 40 columns" "^Not done: wrong:2: 'many' is not a size:\$" \
	'^give bytes, or a number with K or M,$' '^such as 100 or 2K$'
ask 'undo 1'
size 20
ask map
see "a map in 20 columns" '^   0 a\+d\+\.\+\.\.$' '^     64 bytes a cell$' '^     in 2 holes$'
size 160
ask map
fits "a map in 160 columns" 2 128
ask 'undo'
see "a story in 160 columns" '^Undone: allocate 100, which was d\.$'
size 80
ask map
fits "a map in 80 columns again" 4 64

clear_screen
keys C-d
until_it "the lab ends" shows '^status 0$'
result ok "Ctrl-D leaves, with status 0"

# Job control is a shell's: it has to be told that the lab was stopped, and let it go on.
if [ "$ACRE_LIBEDIT" = yes ]; then
	terminal kill-server 2>/dev/null || true
	server=$((server + 1))
	terminal new-session -d -x 80 -y 24 "PS1='shell ' bash --norc --noprofile -i"
	until_it "a shell" last_line_is 'shell'
	keys "$acre lab" Enter
	until_it "the lab" last_line_is 'acre>'
	keys allo C-z
	until_it "the lab is stopped" last_line_is 'shell'
	see "Ctrl-Z stops the lab" Stopped
	keys 'fg' Enter
	until_it "the lab goes on" last_line_is 'acre> allo'
	keys 'cate 10' Enter
	until_it "an answer" shows '^ a  10 bytes at offset 0'
	result ok "and it goes on"
else
	skip "Ctrl-Z" "built without libedit"
fi

# plain NAME COMMAND: in its terminal there are no colours.
plain() {
	start 80 24 "$2"
	ask 'allocate 100'
	ask 'free x'
	ask 'map'
	colours >"$scratch/screen"
	grep -q $'\033' "$scratch/screen" && verdict=colours || verdict=ok
	shows '^   0 a======\.' || verdict="no map"
	result "$verdict" "$1"
}
plain "NO_COLOR" "NO_COLOR=1 $acre lab"
plain "--no-color" "$acre lab --no-color"
start 80 24 "NO_COLOR= $acre lab"
ask 'allocate 100'
colours | grep -q $'\033\\[[0-9;]*4[0-9]m a ' && verdict=ok || verdict="no colours"
result "$verdict" "an empty NO_COLOR is none"

echo "1..$tests"
[ "$failed" = 0 ]
