#!/bin/bash
# redis-server with 4 I/O threads: values verified, a short benchmark, a snapshot by a forked child.
. "$(dirname "$0")/common.sh"

need redis-server redis-cli redis-benchmark
for ((i = 0; i < 3000; i++)); do
	printf 'SET key%d %0*d\n' "$i" $((i % 700 + 1)) "$i"
	printf 'RPUSH list%d a%d b%d\n' $((i % 50)) "$i" "$i"
	printf 'HSET hash%d field%d value%d\n' $((i % 40)) "$i" "$i"
	printf 'ZADD sorted %d member%d\n' $((i * 7919 % 3001)) "$i"
	if ((i % 3 == 0)); then printf 'DEL key%d\n' $((i / 2)); fi
	if ((i % 4 == 0)); then printf 'APPEND key%d %0*d\n' $((i / 3)) $((i % 900 + 1)) 7; fi
done >"$scratch/write"
echo QUIT >>"$scratch/write"
{
	for ((i = 0; i < 3000; i++)); do printf 'GET key%d\n' "$i"; done
	for ((i = 0; i < 50; i++)); do printf 'LRANGE list%d 0 -1\nHLEN hash%d\n' "$i" "$i"; done
	printf 'ZRANGE sorted 0 -1 WITHSCORES\nDBSIZE\nQUIT\n'
} >"$scratch/read"

for folder in glibc acre; do
	serve "$folder" redis-server --port PORT --bind 127.0.0.1 --protected-mode no --save '' \
		--appendonly no --io-threads 4 --io-threads-do-reads yes --dir . --loglevel warning
	ask "$scratch/write" >"$scratch/$folder.written"
	redis-benchmark -p "$port" -c 20 -n 2000 -P 16 -d 50 -r 1000 -q \
		-t set,get,lpush,lrange_100,incr,hset >"$scratch/$folder.benchmark" 2>&1 ||
		fail "redis-benchmark failed: $(tail -n 3 "$scratch/$folder.benchmark")"
	! grep -q -i error "$scratch/$folder.benchmark" || fail "$(cat "$scratch/$folder.benchmark")"
	{
		redis-cli -p "$port" KEYS '*__rand_int__*'
		redis-cli -p "$port" KEYS 'key:*'
		redis-cli -p "$port" KEYS 'counter:*'
		echo mylist myhash
	} | sed 's/^/DEL /' >"$scratch/clear"
	echo QUIT >>"$scratch/clear"
	ask "$scratch/clear" >/dev/null
	ask "$scratch/read" >"$scratch/$folder.read"
	redis-cli -p "$port" BGSAVE >/dev/null
	for _ in {1..200}; do
		redis-cli -p "$port" INFO persistence >"$scratch/info"
		! grep -q '^rdb_bgsave_in_progress:0' "$scratch/info" || break
		sleep 0.1
	done
	grep -q '^rdb_last_bgsave_status:ok' "$scratch/info" || fail "the snapshot failed"
	[ -s "$scratch/$folder/dump.rdb" ] || fail "there is no snapshot"
	[ "$folder" = glibc ] || has_dropin "$server"
	stop
done
cmp "$scratch/glibc.written" "$scratch/acre.written" || fail "writes were answered otherwise"
cmp "$scratch/glibc.read" "$scratch/acre.read" || fail "other values"
[ "$(wc -l <"$scratch/acre.read")" -gt 9000 ] || fail "few values"
was_used "$scratch/acre.log"
