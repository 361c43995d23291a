#!/bin/bash
# nginx with worker processes: served files compared, compressed answers, a reload.
. "$(dirname "$0")/common.sh"

export PATH=$PATH:/usr/sbin:/sbin
need nginx gzip
mkdir "$scratch/files"
for ((i = 0; i < 60; i++)); do
	seq "$i" $((i * 400 + 10)) >"$scratch/files/file$i.txt"
done
head -c 3000000 /dev/zero | tr '\0' 'z' >"$scratch/files/large.txt"
chmod -R a+rX "$scratch/files"
user=
if [ "$(id -u)" = 0 ]; then
	user="user $(id -un) $(id -gn);"
fi
cat >"$scratch/server.conf" <<END
daemon off; worker_processes 3; pid nginx.pid; error_log stderr; $user
events { worker_connections 200; }
http {
	access_log off; gzip on; gzip_types text/plain; gzip_http_version 1.0;
	default_type text/plain;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	server { listen 127.0.0.1:PORT; root $scratch/files; }
}
END
for ((i = 0; i < 60; i++)); do
	printf 'GET /file%d.txt HTTP/1.1\r\nHost: a\r\n\r\n' "$i"
done >"$scratch/pipelined"
printf 'GET /large.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' >>"$scratch/pipelined"
printf 'GET /large.txt HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n' >"$scratch/zipped"
printf 'GET /nothing HTTP/1.0\r\n\r\n' >"$scratch/missing"

workers() {
	cat "/proc/$server/task/$server/children"
}

# await_end PID...: an old worker may still accept a connection, and close it halfway through what it's
# asked for.
await_end() {
	local pid i
	for pid in $1; do
		for ((i = 0; i < 600; i++)); do
			[ -e "/proc/$pid" ] || continue 2
			sleep 0.1
		done
		fail "worker $pid lives on after a reload"
	done
}

for folder in glibc acre; do
	serve "$folder" nginx -p . -c server.conf -e stderr
	for round in 1 2 3 4; do
		askers=()
		for asker in 1 2 3 4; do
			(trap - EXIT; ask "$scratch/pipelined" >"$scratch/$folder.$asker") &
			askers+=($!)
		done
		for asker in "${askers[@]}"; do
			wait "$asker"
		done
		for asker in 1 2 3 4; do
			grep -a -v -E '^(Date|ETag|Last-Modified): ' "$scratch/$folder.$asker" \
				>"$scratch/$folder.$round.$asker"
		done
		ask "$scratch/zipped" | sed '1,/^\r$/d' | gzip -d >"$scratch/unzipped"
		cmp "$scratch/unzipped" "$scratch/files/large.txt" || fail "compressed otherwise"
		ask "$scratch/missing" | grep -a -q '404 Not Found' || fail "no 404"
		if [ "$round" = 2 ]; then
			old=$(workers)
			kill -HUP "$server"
			await_end "$old"
		fi
	done
	if [ "$folder" = acre ]; then
		has_dropin "$server"
		now=$(workers)
		# shellcheck disable=SC2086
		[ "$(echo $now | wc -w)" -ge 3 ] || fail "workers: $now"
		for worker in $now; do
			grep -q libacre-malloc "/proc/$worker/maps" 2>/dev/null ||
				[ ! -e "/proc/$worker" ] || fail "worker $worker is not on the drop-in"
		done
	fi
	stop
done
for round in 1 2 3 4; do
	for asker in 1 2 3 4; do
		cmp "$scratch/glibc.$round.$asker" "$scratch/acre.$round.$asker" ||
			fail "served otherwise"
	done
done
[ "$(wc -c <"$scratch/acre.1.1")" -gt 3500000 ] || fail "little was served"
was_used "$scratch/acre.log"
