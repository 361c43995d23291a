#!/bin/bash
# The page of acre replay --report: what stands in it, and what a browser makes of it, which is headless
# Chromium: its script must run to the end, and draw just what the table on the terminal says. TAP.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/command.sh"

page=$scratch/page.html

# write ARGUMENT...: the page, and what's printed.
write() {
	timeout 120 "$acre" replay --report "$page" "$@" >"$scratch/out" 2>"$scratch/err" &&
		[ ! -s "$scratch/err" ] && grep -q 'the page is written' "$scratch/out" &&
		[ "$(find "$scratch" -name 'page.html*' | wc -l)" = 1 ]
}

# Nothing is fetched: no address of another file in it, but the names of SVG's elements.
stands_alone() {
	! grep -n -E 'https?:|src=|href=|@import|url\(|fetch\(|XMLHttpRequest|import\(' "$page" |
		grep -v -e 'http://www.w3.org/2000/svg' -e 'href="data:,"'
}

# The JSON, a line for each of a policy's maps and figures.
json() {
	sed -n 's/.*id="data" type="application\/json">//; T next; :more p; /<\/script>/q; n; b more; :next' "$page" |
		sed 's/<\/script>.*//'
}

# For a reader that has no browser: five figures for each moment, as many maps, 256 letters each.
is_well_made() {
	json >"$scratch/json"
	awk '
		/^"samples":/ { samples = gsub(/\[[0-9]+(,[0-9]+){4}\]/, "") }
		/^("map":\[)?"[A-Za-z0-9+\/]+"(,|\]})/ {
			match($0, /"[A-Za-z0-9+\/]+"(,|\]})/)
			text = substr($0, RSTART + 1)
			maps++
			bad += index(text, "\"") != 257
		}
		/\]}/ { bad += samples < 100 || samples != maps; policies++; maps = 0 }
		END { exit bad || policies != 6 }' "$scratch/json"
}

for browser in chromium chromium-browser google-chrome ''; do
	[ -n "$browser" ] && ! command -v "$browser" >/dev/null || break
done

# browse [OPTION]...: the page as the browser has it when its script has run, in dom.
browse() {
	timeout --kill-after=10 100 "$browser" --headless --no-sandbox --disable-gpu --no-first-run \
		--disable-dev-shm-usage --user-data-dir="$scratch/profile" --virtual-time-budget=5000 \
		"$@" --dump-dom "file://$page" >"$scratch/dom" 2>"$scratch/browser.log" || {
		tail -n 20 "$scratch/browser.log"
		return 1
	}
}

ran() {
	browse "$@" && head -n 3 "$scratch/dom" && grep -q '<html[^>]* data-ready="[0-9]* moments"' \
		"$scratch/dom" && ! grep -q '<html[^>]* data-error' "$scratch/dom"
}

# The rows of the page's table, without the time and the steps for each call, are the terminal's.
table_agrees() {
	sed '1,/^policy/d; /^$/,$d' "$scratch/out" | sed -E 's/ +[0-9.]+ m?s$//; s/%//' |
		awk '{ $1 = $1; print }' >"$scratch/wanted"
	[ "$(wc -l <"$scratch/wanted")" = "$1" ] || return
	tr -d '\n' <"$scratch/dom" | grep -o '<tbody>.*</tbody>' | sed 's/<tr>/\n/g' | sed 1d |
		sed -E 's/[^<>]* ms<\/td>/<\/td>/; s/<[^>]*>/ /g; s/[^ -~]+%/ /g' |
		awk '{ NF--; print }' | diff "$scratch/wanted" -
}

# Each policy's map has as many pixels in the colour of what's live as there are full cells.
maps_agree() {
	awk '
		/^("map":\[)?"[A-Za-z0-9+\/]+"(,|\]})/ {
			match($0, /"[A-Za-z0-9+\/]+"(,|\]})/)
			text = substr($0, RSTART, RLENGTH)
			full += gsub(/\//, "", text)
		}
		/\]}/ { print full; full = 0 }' "$scratch/json" >"$scratch/wanted"
	grep -o 'data-full="[0-9]*"' "$scratch/dom" | tr -dc '0-9\n' | diff "$scratch/wanted" - &&
		[ "$(awk '$1 > 500' "$scratch/wanted" | wc -l)" = 6 ]
}

# The curves' highest point is the highest extent of all moments; a line for each policy.
curves_agree() {
	local most
	most=$(grep '^"samples":' "$scratch/json" | grep -o '\[[0-9,]*\]' | tr -d '[]' |
		awk -F , '$4 > most { most = $4 } END { print most }')
	grep -q '<svg id="extents"[^>]* data-most="'"$most"'" data-curves="6"' "$scratch/dom" &&
		grep -q '<svg id="holes"[^>]* data-curves="6"' "$scratch/dom"
}

# One figure of each card: what was live at the peak, where the slider stands at first.
cards_agree() {
	grep '^"samples":' "$scratch/json" | grep -o '\[[0-9]*,' | tr -dc '0-9\n' >"$scratch/calls"
	local peak
	peak=$(grep -o '"peakCall":[0-9]*' "$scratch/json" | tr -dc 0-9)
	[ "$(grep -c -x "$peak" "$scratch/calls")" = 6 ] &&
		grep -q "id=\"moment\">Call $(echo "$peak" | sed -E ':a; s/([0-9])([0-9]{3})(,|$)/\1,\2\3/; ta') of " \
			"$scratch/dom"
}

# A picture isn't one colour: it has more bytes than an empty one of that size has.
screenshot() {
	rm -f "$scratch/shot.png"
	browse --screenshot="$scratch/shot.png" --window-size=390,3000 "$@" || true
	[ "$(stat -c %s "$scratch/shot.png")" -gt 40000 ]
}

# A program's name is text, whatever it is.
names_are_text() {
	cp "$(type -P true)" "$scratch/</script><b>&\"x\\y" 2>/dev/null || cp "$(type -P true)" "$scratch/<b>&\"x\\y"
	for program in "$scratch"/*\<b\>*; do :; done
	"$acre" run --record "$scratch/odd" -- "$program" '</script>' '<b id=oops>' $'\xff\xc3\xa9' &&
		write --policy first --arena 1M "$scratch/odd" && ran &&
		! grep -q '<b id="*oops' "$scratch/dom" && grep -q 'id="program">.*&lt;/script&gt; &lt;b id=oops&gt; ?é' "$scratch/dom"
}

result "a page is written" write "$source/traces/sqlite3.acretrace"
result "it needs no network" stands_alone
result "its figures are well made" is_well_made
if [ -n "$browser" ]; then
	result "its script runs" ran
	result "its table is the terminal's" table_agrees 6
	result "its maps are what was seen" maps_agree
	result "its curves are" curves_agree
	result "it begins at the peak" cards_agree
	result "it runs in the dark" ran --blink-settings=preferredColorScheme=0
	result "a screenshot, as wide as a phone" screenshot
	result "a program with an odd name" names_are_text
	result "a page of one policy that refuses" write --policy worst --arena 700K \
		"$source/traces/sqlite3.acretrace"
	result "its script runs, too" ran
	result "its table too is the terminal's" table_agrees 1
else
	skip "its script runs" "no chromium is installed (Debian: chromium)"
fi

done_testing
