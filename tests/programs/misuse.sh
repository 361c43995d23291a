#!/bin/bash
# Misuse of malloc ends a program with one line that says what is wrong; and real programs run with
# all guards on.
. "$(dirname "$0")/common.sh"

compile misuse.c "$scratch/misuse" -Wno-use-after-free -Wno-free-nonheap-object ||
	compile misuse.c "$scratch/misuse"

# caught SIGNAL GUARDS MISUSE PATTERN
caught() {
	local status=0 guards=()
	[ "$2" = none ] || guards=(--guards "$2")
	(
		ulimit -c 0
		exec "$ACRE" run --arena 64M ${guards[@]+"${guards[@]}"} -- "$scratch/misuse" "$3"
	) >"$scratch/out" 2>"$scratch/err" || status=$?
	[ "$status" = $((128 + $1)) ] || fail "$3, guards $2: status $status: $(cat "$scratch/err")"
	[ -z "$4" ] || grep -q "^acre: .*$4" "$scratch/err" || fail "$3: said $(cat "$scratch/err")"
	[ "$(grep -c . "$scratch/err")" -le 1 ] || fail "$3: said $(cat "$scratch/err")"
}

for guards in none canaries all; do
	caught 6 "$guards" double 'double free'
	caught 6 "$guards" interior 'no block begins here'
	caught 6 "$guards" code "doesn't lie in this arena"
	caught 6 "$guards" mmap "doesn't lie in this arena"
	caught 6 "$guards" wild "doesn't lie in this arena"
	caught 6 "$guards" arena 'block of arena 2 freed into arena 1'
	caught 6 "$guards" late 'write after free'
done
caught 6 none neighbour 'overwritten'
for guards in canaries fill quarantine random pages all; do
	caught 6 "$guards" slack 'overwritten'
done
caught 6 fill,quarantine late-deep 'write after free'
caught 11 pages page ''

# With all guards on, programs behave as ever.
export ACRE_GUARDS=all
if command -v sqlite3 >/dev/null; then
	mkdir -p "$scratch/given"
	echo 'sqlite3 :memory: "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
		WHERE i < 20000) SELECT count(*), sum(length(hex(i))) FROM n"' >"$scratch/given/script"
	compare 1 bash script
	must_say '^20000'
fi
if command -v python3 >/dev/null; then
	PYTHONMALLOC=malloc compare 1 python3 -c 'print(len({str(i): [i] * 10 for i in range(20000)}))'
	must_say '^20000$'
fi
