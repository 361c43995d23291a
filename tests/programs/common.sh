# shellcheck shell=bash
# What every smoke test shares; sourced by each. It sets up a folder that is gone at the end,
# whatever the end is, with all processes in $pids.
set -euo pipefail

: "${ACRE:?must be the command acre; start tests with the script run}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LC_ALL=C

scratch=$(mktemp -d)
chmod 755 "$scratch"
pids=()

finish() {
	local pid
	trap '' INT TERM HUP	# a second signal mustn't cut this short
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	for pid in ${pids[@]+"${pids[@]}"}; do
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

skip() {
	echo "$*"
	exit 77
}

fail() {
	echo "$*" >&2
	exit 1
}

# need PROGRAM...: without one of them the test can't be made.
need() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# on_acre COMMAND...: on the drop-in, in an arena of $ARENA, with statistics on stderr at the end.
on_acre() {
	"$ACRE" run --arena "${ARENA:-512M}" --stats -- "$@"
}

# was_used FILE [PROCESSES]: the statistics in FILE are those of at least so many processes; these had
# memory of the drop-in and, unless MAY_REFUSE is yes, all that they asked for.
was_used() {
	local said
	said=$(grep -c '^acre: arena bytes ' "$1") || true
	[ "$said" -ge "${2:-1}" ] || {
		cat "$1" >&2
		fail "the drop-in was in use in $said processes, not ${2:-1}"
	}
	! grep -q '^acre: peak live bytes 0$' "$1" || fail "a process had no memory of the drop-in"
	if [ "${MAY_REFUSE-no}" != yes ]; then
		! grep -q '^acre: refusals *[1-9]' "$1" || fail "refused: $(grep -m 1 ENOMEM "$1")"
	fi
}

# compare PROCESSES COMMAND...: runs the command twice, each time in a folder with a copy of what
# $scratch/given holds: on the C library's allocator and on acre. Standard output, exit status and the
# files left behind must be the same.
compare() {
	local processes=$1 folder status
	shift
	mkdir -p "$scratch/given"
	for folder in glibc acre; do
		rm -rf "${scratch:?}/work" "${scratch:?}/$folder"
		cp -r "$scratch/given" "$scratch/work"
		status=0
		(
			cd "$scratch/work"
			if [ "$folder" = acre ]; then
				on_acre "$@"
			else
				"$@"
			fi
		) >"$scratch/$folder.out" 2>"$scratch/$folder.err" </dev/null || status=$?
		echo "$status" >"$scratch/$folder.status"
		mv "$scratch/work" "$scratch/$folder"
	done
	cmp "$scratch/glibc.status" "$scratch/acre.status" || {
		tail -n 20 "$scratch/acre.err" >&2
		fail "$1: exit status $(cat "$scratch/acre.status"), not $(cat "$scratch/glibc.status")"
	}
	diff "$scratch/glibc.out" "$scratch/acre.out" >&2 || fail "$1: another output"
	diff -r "$scratch/glibc" "$scratch/acre" >&2 || fail "$1: other files"
	was_used "$scratch/acre.err" "$processes"
}

# must_say TEXT: the comparison means something, since the command printed this.
must_say() {
	grep -q -e "$1" "$scratch/acre.out" || {
		tail -n 20 "$scratch/acre.out" "$scratch/glibc.err" >&2
		fail "no '$1' in the output"
	}
}

# compile SOURCE OUTPUT [ARGUMENT]...: a C program of this folder.
compile() {
	local source=$1 output=$2
	shift 2
	need "${CC:-cc}"
	# Word splitting is meant: CC may hold options.
	# shellcheck disable=SC2086
	${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -fno-builtin -pthread \
		"$here/c/$source" -o "$output" "$@"
}

# Servers.

# free_port: a port of loopback that nobody listens on now.
free_port() {
	local port
	for _ in {1..50}; do
		port=$((20000 + RANDOM % 30000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
	fail "no free port found on loopback"
}

# wait_for PORT PID: until the server answers; fails when it has ended.
wait_for() {
	for _ in {1..300}; do
		if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
			return 0
		fi
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

# serve FOLDER COMMAND...: starts a server in $scratch/FOLDER, on acre if FOLDER is acre; PORT in
# its arguments becomes a free port. Sets $port and $server. Another program may take the port first;
# then the server ends, and another port is tried.
serve() {
	local folder=$1 arguments=()
	shift
	mkdir -p "$scratch/$folder"
	for _ in {1..5}; do
		port=$(free_port)
		arguments=("${@//PORT/$port}")
		if [ -f "$scratch/server.conf" ]; then
			sed "s/PORT/$port/" "$scratch/server.conf" >"$scratch/$folder/server.conf"
		fi
		(
			cd "$scratch/$folder"
			if [ "$folder" = acre ]; then
				exec "$ACRE" run --arena "${ARENA:-512M}" --stats -- "${arguments[@]}"
			fi
			exec "${arguments[@]}"
		) >"$scratch/$folder.log" 2>&1 </dev/null &
		server=$!
		pids+=("$server")
		if wait_for "$port" "$server"; then
			return 0
		fi
	done
	tail -n 20 "$scratch/$folder.log" >&2
	fail "$1 doesn't come up"
}

# has_dropin PID: that process has the drop-in mapped.
has_dropin() {
	grep -q libacre-malloc "/proc/$1/maps" || fail "process $1 does not have the drop-in mapped"
}

# stop: ends the server that was started last, which must end well.
stop() {
	local status=0
	kill -TERM "$server"
	wait "$server" || status=$?
	[ "$status" = 0 ] || [ "$status" = 143 ] || fail "the server ended with status $status"
}

# ask FILE: sends FILE to $port of loopback; what comes back until the server hangs up is the output.
ask() {
	local sender status=0
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	cat "$1" >&3 &
	sender=$!
	timeout 60 cat <&3 || status=$?
	wait "$sender" || status=$?
	exec 3>&-
	[ "$status" = 0 ] || fail "the server's answer was cut short"
}
