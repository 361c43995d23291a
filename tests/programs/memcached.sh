#!/bin/bash
# memcached with 4 worker threads: values of many sizes stored by several clients and read again.
. "$(dirname "$0")/common.sh"

need memcached
user=()
if [ "$(id -u)" = 0 ]; then
	user=(-u "$(id -un)")
fi
for client in 1 2 3 4; do
	for ((i = client; i < 2000; i += 4)); do
		size=$((i * 37 % 5000 + 1))
		printf 'set key%d %d 0 %d\r\n%0*d\r\n' "$i" "$i" "$size" "$size" "$i"
		if ((i % 5 == 0)); then printf 'append key%d 0 0 4\r\nmore\r\n' "$i"; fi
		if ((i % 7 == 0)); then printf 'delete key%d\r\n' "$i"; fi
	done >"$scratch/write.$client"
	printf 'set large%d 0 0 900000\r\n%0900000d\r\nquit\r\n' "$client" "$client" \
		>>"$scratch/write.$client"
done
{
	for ((i = 0; i < 2000; i++)); do printf 'get key%d\r\n' "$i"; done
	printf 'get large1 large2 large3 large4\r\nquit\r\n'
} >"$scratch/read"

for folder in glibc acre; do
	serve "$folder" memcached -p PORT -l 127.0.0.1 -U 0 -t 4 -m 64 "${user[@]}"
	askers=()
	for client in 1 2 3 4; do
		(trap - EXIT; ask "$scratch/write.$client" >"$scratch/$folder.$client") &
		askers+=($!)
	done
	for asker in "${askers[@]}"; do
		wait "$asker"
	done
	for client in 1 2 3 4; do
		(trap - EXIT; ask "$scratch/read" >"$scratch/$folder.read.$client") &
		askers[client - 1]=$!
	done
	for asker in "${askers[@]}"; do
		wait "$asker"
	done
	[ "$folder" = glibc ] || has_dropin "$server"
	stop
done
for client in 1 2 3 4; do
	cmp "$scratch/glibc.$client" "$scratch/acre.$client" || fail "writes were answered otherwise"
	cmp "$scratch/glibc.read.1" "$scratch/acre.read.$client" || fail "other values"
done
[ "$(wc -c <"$scratch/acre.read.1")" -gt 6000000 ] || fail "few values"
was_used "$scratch/acre.log"
