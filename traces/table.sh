#!/bin/bash
# What the policies make of the traces here, as a table for the documents.
#
#	traces/table.sh		ACRE is the command acre, by default build/acre beside the sources
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
ACRE=${ACRE:-$here/../build/acre}

[ -x "$ACRE" ] || {
	echo "table.sh: no command at '$ACRE': set ACRE, or build it with 'make'" >&2
	exit 1
}
echo '| program | calls | live, bytes | | first | next | best | worst | buddy | good |'
echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |'
for trace in "$here"/*.acretrace; do
	name=${trace##*/}
	"$ACRE" replay "$trace" | awk -v name="${name%.acretrace}" '
		NR == 2 { calls = $1 }
		/^at most / { live = $3 }
		rows && NF {
			gsub(/[,%]/, "")
			arena = arena sprintf(" %d |", $2 / 1024)
			extent = extent " " $5 " |"
			pieces = pieces " " $6 " % |"
			steps = steps sprintf(" %.1f |", $8 / number)
		}
		/^policy/ {
			rows = 1
			number = calls
			gsub(/,/, "", number)
		}
		END {
			print "| " name " | " calls " | " live " | smallest arena, KiB |" arena
			print "| | | | extent/live |" extent
			print "| | | | fragmentation |" pieces
			print "| | | | steps a call |" steps
		}'
done
