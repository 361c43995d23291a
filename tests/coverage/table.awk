# Reads uncovered.txt and lcov's counts; prints a table by file, and what isn't accounted for.
#
#	awk -v least=95 -v source=DIR -v branches=FILE -f table.awk uncovered.txt lib.info
#
# Fails if fewer than `least` percent of the lines were reached, or if there's a line that no entry
# of uncovered.txt is about.

function squeeze(text)
{
	gsub(/[ \t]+/, " ", text)
	sub(/^ /, "", text)
	sub(/ $/, "", text)
	return text
}

# The source's lines, in text[].
function read_source(file,    line)
{
	split("", text)
	lines = 0
	while ((getline line < (source "/" file)) > 0)
		text[++lines] = squeeze(line)
	close(source "/" file)
}

# Is there an entry whose text is in one of the lines from first to last?
function is_listed(file, first, last,    i, n)
{
	for (i = 1; i <= entries; i++)
		if (entry_file[i] == file)
			for (n = first; n <= last; n++)
				if (index(text[n], entry_text[i])) {
					entry_used[i] = 1
					return 1
				}
	return 0
}

# A run of lines that weren't reached. The line before it, which mostly is the condition, may stand
# for it too.
function end_run(file, first, last)
{
	ranges = ranges " " file ":" (first == last ? first : first "-" last)
	if (!is_listed(file, first > 1 ? first - 1 : 1, last))
		missing[++missed] = file ":" (first == last ? first : first "-" last) ": " text[first]
}

function percent(part, whole)
{
	return whole ? sprintf("%5.1f", 100 * part / whole) : "    -"
}

function end_file(    i, first, last)
{
	read_source(file)
	ranges = ""
	first = last = 0
	for (i = 1; i <= lines; i++) {
		if (!(i in count))
			continue
		if (count[i] == 0) {
			if (!first)
				first = i
			last = i
		} else if (first) {
			end_run(file, first, last)
			first = 0
		}
	}
	if (first)
		end_run(file, first, last)
	for (i = 1; i <= lines; i++)
		if (i in untaken && count[i] > 0)
			print file ":" i ": " untaken[i] " of " branch[i] " not taken: " text[i] >branches
	printf "%-18s %6d %5s %6d %5s %s\n", file, found, percent(hit, found), taken_of, \
		percent(taken, taken_of), ranges
	all_found += found
	all_hit += hit
	all_taken += taken
	all_taken_of += taken_of
}

# file <tab> text <tab> reason
FILENAME == ARGV[1] {
	if ($0 ~ /^#/ || $0 ~ /^[ \t]*$/)
		next
	if (split($0, field, "\t") != 3 || field[2] == "" || field[3] == "") {
		printf "coverage: %s:%d: '%s' has not the form 'file, tab, text, tab, reason'\n", \
			FILENAME, FNR, $0 >"/dev/stderr"
		bad = 1
		next
	}
	entry_file[++entries] = field[1]
	entry_text[entries] = squeeze(field[2])
	next
}

/^SF:/ {
	file = substr($0, 4)
	if (index(file, source "/") == 1)
		file = substr(file, length(source) + 2)
	split("", count)
	split("", branch)
	split("", untaken)
	found = hit = taken = taken_of = 0
	if (!heading++)
		printf "%-18s %6s %5s %6s %5s %s\n", "file", "lines", "%", "branch", "%", " not reached"
}
/^DA:/ {
	split(substr($0, 4), field, ",")
	count[field[1]] = field[2] + 0
	found++
	hit += field[2] > 0
}
/^BRDA:/ {
	split(substr($0, 6), field, ",")
	branch[field[1]]++
	taken_of++
	if (field[4] == "-" || field[4] == 0)
		untaken[field[1]]++
	else
		taken++
}
/^end_of_record/ { end_file() }

END {
	if (!all_found) {
		print "coverage: no counts at all: did the tests run?" >"/dev/stderr"
		exit 1
	}
	printf "%-18s %6d %5s %6d %5s\n", "lib/", all_found, percent(all_hit, all_found), \
		all_taken_of, percent(all_taken, all_taken_of)
	for (i = 1; i <= entries; i++)
		if (!entry_used[i])
			print "reached after all: " entry_file[i] ": " entry_text[i]
	for (i = 1; i <= missed; i++)
		print "coverage: not reached, and not in uncovered.txt: " missing[i] >"/dev/stderr"
	if (100 * all_hit < least * all_found)
		printf "coverage: %s %% of the lines are reached, and %s %% is the least\n", \
			percent(all_hit, all_found), least >"/dev/stderr"
	exit bad || missed || 100 * all_hit < least * all_found
}
