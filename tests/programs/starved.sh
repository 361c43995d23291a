#!/bin/bash
# Programs whose n-th request for memory is refused: for every n a C program that looks at each
# result, which must end as it should; for some n, or every one where ACRE_STARVE=all, real programs
# that are installed, which may end as they like, crash by a fault of their own included. acre may
# have no fault, nor may its arena at the end.
. "$(dirname "$0")/common.sh"

compile every_n.c "$scratch/every_n"
compile starved.c "$scratch/starved"
compile watch.c "$scratch/watch.so" -shared -fPIC -I "$here/../../include"
preload=$("$ACRE" run -- env | sed -n 's/^LD_PRELOAD=//p'):$scratch/watch.so
step=20
[ "${ACRE_STARVE-}" != all ] || step=0

# starve NAME ARGUMENT...: with one request refused, and with all from one on.
starve() {
	local name=$1 way
	shift
	command -v "$name" >/dev/null || {
		echo "$name is not installed"
		return 0
	}
	for way in '' --onward; do
		# Word splitting is meant.
		# shellcheck disable=SC2086
		"$scratch/every_n" $way --step "$step" "$preload" "$name" "$@" >"$scratch/said" ||
			fail "$name $way: $(tail -n 20 "$scratch/said")"
		echo "$name $way: $(cat "$scratch/said")"
	done
}

for way in '' --onward; do
	# shellcheck disable=SC2086
	"$scratch/every_n" $way --only 0,3 "$preload" "$scratch/starved" >"$scratch/said" ||
		fail "starved $way: $(tail -n 20 "$scratch/said")"
	cat "$scratch/said"
done

cd "$scratch"
seq 1 3000 >numbers
cat >script.sql <<'END'
CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
	INSERT INTO t SELECT i, i * 7919 % 1009, printf('%0*d', i % 200 + 1, i) FROM n;
CREATE INDEX by_a ON t(a, b);
SELECT count(DISTINCT a), sum(length(b)), group_concat(id) FROM t;
SELECT a, count(*) FROM t GROUP BY a ORDER BY 2 DESC, 1 LIMIT 5;
END
words='{ a[$1 % 97] = a[$1 % 97] " " $1 } END { for (k in a) n += length(a[k]); print n }'
starve sqlite3 :memory: '.read script.sql'
starve jq -n '[range(100) | {a: ., b: "x\(.)"}] | group_by(.a % 7) | map(length) | tojson'
starve lua5.4 -e 't = {} for i = 1, 500 do t[i] = ("x"):rep(i % 50) .. i end table.sort(t)
	s = table.concat(t):gsub("x+", "y")'
starve xz -k -c numbers
starve gawk "$words" numbers
starve mawk "$words" numbers
starve sort -n -r --parallel=2 numbers
starve bash -c 'a=(); for i in {1..50}; do a+=("$i$i"); done; printf -v x "%s," "${a[@]}"
	echo ${#x}; (exit 3); y=$(echo sub)'
