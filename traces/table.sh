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
		NR == 2 {
			calls = $1
			live = $0
			sub(/.*at most /, "", live)
			sub(/ bytes live.*/, "", live)
		}
		rows && NF {
			bytes = $2
			gsub(/,/, "", bytes)
			arena = arena sprintf(" %d |", bytes / 1024)
			extent = extent " " $7 " |"
			pieces = pieces " " $8 " % |"
			steps = steps " " $NF " |"
		}
		/^policy/ { rows = 1 }
		END {
			print "| " name " | " calls " | " live " | smallest arena, KiB |" arena
			print "| | | | extent/live |" extent
			print "| | | | fragmentation |" pieces
			print "| | | | steps a call |" steps
		}'
done
