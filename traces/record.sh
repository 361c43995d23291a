#!/bin/bash
# Records the traces of this folder anew: five programs at a small, fixed piece of work.
#
#	traces/record.sh [FOLDER]	by default into this folder
#
# ACRE is the command acre, by default build/acre beside the sources. It installs nothing: sqlite3,
# python3, gcc, redis (server and benchmark) and memcached must be there. The servers listen on
# loopback, keep their data in a temporary folder, and are gone at the end. Addresses, and what servers'
# threads do at the same time, differ from run to run; so do the traces, a little.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
to=$(cd "${1:-$here}" && pwd)
ACRE=${ACRE:-$here/../build/acre}
export LC_ALL=C

die() {
	echo "record.sh: $*" >&2
	exit 1
}

[ -x "$ACRE" ] || die "no command at '$ACRE': set ACRE, or build it with 'make'"
ACRE=$(cd "$(dirname "$ACRE")" && pwd)/$(basename "$ACRE")
for program in sqlite3 /usr/bin/python3 gcc redis-server redis-cli redis-benchmark memcached; do
	command -v "$program" >/dev/null ||
		die "$program is missing: Debian has it in sqlite3, python3, gcc, redis or memcached"
done

scratch=$(mktemp -d)
pids=()
finish() {
	local pid
	for pid in ${pids[@]+"${pids[@]}"}; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	rm -rf "$scratch"
}
trap finish EXIT
cd "$scratch"

# record NAME PROGRAM [ARGUMENT]...: in a shell of its own, which becomes acre.
record() {
	local name=$1
	shift
	exec "$ACRE" run --record "$to/$name.acretrace" -- "$@"
}

free_port() {
	local port
	for _ in {1..50}; do
		port=$((20000 + RANDOM % 30000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
	die "no free port on loopback"
}

# await PORT: until a server answers there.
await() {
	for _ in {1..300}; do
		if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
			return
		fi
		sleep 0.1
	done
	die "the server doesn't come up"
}

# A library of books: inserted, indexed, joined, changed, vacuumed.
cat >books.sql <<'END'
CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE book(id INTEGER PRIMARY KEY, author INTEGER, title TEXT, pages INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
	INSERT INTO author SELECT i, 'author ' || i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
	INSERT INTO book SELECT i, i % 60 + 1, 'title ' || hex(i * 7919), i * 37 % 900 FROM n;
CREATE INDEX by_author ON book(author, pages);
SELECT name, count(*), sum(pages), group_concat(title, ', ')
	FROM book JOIN author ON author.id = book.author GROUP BY name ORDER BY 3 DESC;
UPDATE book SET title = title || ' (second edition)' WHERE pages > 500;
DELETE FROM book WHERE id % 3 = 0;
SELECT title FROM book WHERE title LIKE '%F%' ORDER BY title LIMIT 200;
VACUUM;
SELECT author, max(pages) OVER (PARTITION BY author ORDER BY id) FROM book ORDER BY 2, 1;
END
(record sqlite3 sqlite3 books.db ".read books.sql") >/dev/null

# Text counted word by word; all objects come from malloc, not from Python's own pools.
cat >words.py <<'END'
import collections
words = [f"word{i * 7919 % 307}" for i in range(1500)]
count = collections.Counter(words)
index = collections.defaultdict(list)
for place, word in enumerate(words):
    index[word].append(place)
text = {word: str(index[word]) for word, _ in count.most_common(100)}
again = {word: value.split(",") for word, value in text.items()}
lines = [" ".join(words[i:i + 12]) for i in range(0, len(words), 12)]
print(sum(map(len, lines)), len(again))
END
(
	export PYTHONMALLOC=malloc PYTHONHASHSEED=1 PYTHONDONTWRITEBYTECODE=1
	record python3 /usr/bin/python3 -S -s words.py
) >/dev/null

# A compiler, of a file with some functions.
{
	echo 'struct node { struct node *next; int key; double weight; };'
	for ((i = 0; i < 3; i++)); do
		cat <<END
static int sum$i(const struct node *n, int most) {
	int all = $i;
	for (; n && all < most; n = n->next)
		switch (n->key % 5) {
		case 0: all += n->key; break;
		case 1: all -= (int)(n->weight * $i); break;
		default: all ^= n->key << (all & 7);
		}
	return all;
}
END
	done
	echo 'int total(const struct node *n) { return 0'
	for ((i = 0; i < 3; i++)); do echo "+ sum$i(n, $((i * 100 + 50)))"; done
	echo '; }'
} >nodes.c
(record gcc "$(gcc -print-prog-name=cc1)" -quiet -O2 nodes.c -o nodes.s)

# A server of data structures, under its benchmark.
port=$(free_port)
record redis redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --io-threads 2 \
	--io-threads-do-reads yes --dir . --loglevel warning >/dev/null &
pids+=($!)
await "$port"
redis-benchmark -p "$port" -c 8 -n 150 -r 100 -d 100 -q \
	-t set,get,lpush,lpop,sadd,hset,zadd,lrange_100 >/dev/null 2>&1
redis-cli -p "$port" shutdown nosave 2>/dev/null || true
wait "${pids[0]}"
pids=()

# A cache, filled by clients, eight at a time. It has an allocator of its own for what it keeps.
port=$(free_port)
user=()
[ "$(id -u)" != 0 ] || user=(-u root)
record memcached memcached -p "$port" -l 127.0.0.1 -U 0 -t 4 -m 64 "${user[@]}" &
pids+=($!)
await "$port"
for round in 1 2 3 4 5; do
	clients=()
	for client in 1 2 3 4 5 6 7 8; do
		(
			trap - EXIT
			exec 3<>"/dev/tcp/127.0.0.1/$port"
			for ((i = client; i < 200 * round; i += 8)); do
				size=$((i * 37 % 3000 + 1))
				printf 'set key%d 0 0 %d\r\n%0*d\r\n' "$i" "$size" "$size" "$i"
				printf 'get key%d key%d key%d\r\n' "$i" $((i / 2)) $((i / 3))
				printf 'append key%d 0 0 4\r\nmore\r\n' $((i / 2))
				printf 'delete key%d\r\n' $((i / 5))
			done >&3
			printf 'quit\r\n' >&3
			cat <&3 >/dev/null
		) &
		clients+=($!)
	done
	wait "${clients[@]}"
done
kill -TERM "${pids[0]}"
wait "${pids[0]}" || true
pids=()

ls -l "$to"/*.acretrace
