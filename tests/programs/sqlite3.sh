#!/bin/bash
# sqlite3: tables, indices, joins, text, a database on disk, and its own check of it.
. "$(dirname "$0")/common.sh"

need sqlite3
mkdir "$scratch/given"
cat >"$scratch/given/script.sql" <<'END'
PRAGMA journal_mode=WAL;
CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
	INSERT INTO t SELECT i, i * 7919 % 1009, printf('%0*d', i % 200 + 1, i) FROM n;
CREATE INDEX by_a ON t(a, b);
CREATE TABLE u AS SELECT a, count(*) AS n, max(length(b)) AS m, group_concat(substr(b, 1, 2)) AS g
	FROM t GROUP BY a;
SELECT count(*), sum(n), max(m), sum(length(g)) FROM u;
UPDATE t SET b = b || '-' || a WHERE a % 3 = 0;
DELETE FROM t WHERE a % 5 = 1;
SELECT sum(length(b)), count(DISTINCT a) FROM t;
SELECT t.a, u.n, count(*) FROM t JOIN u ON t.a = u.a GROUP BY t.a ORDER BY 3 DESC, 1 LIMIT 5;
SELECT hex(zeroblob(5)), length(randomblob(1000)), upper(group_concat(id)) FROM t WHERE id < 50;
VACUUM;
PRAGMA integrity_check;
PRAGMA journal_mode=DELETE;
END
echo 'sqlite3 base.db <script.sql && sqlite3 base.db .dump | cksum && rm base.db' >"$scratch/given/script"
compare 2 bash script
must_say '^ok$'
