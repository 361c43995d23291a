#!/bin/bash
# What the two libraries export, import and carry for the dynamic linker. TAP.
#
# $ORIGIN is meant as it stands; names hold no blanks:
# shellcheck disable=SC2016,SC2086
set -euo pipefail

build=${ACRE_BUILD:?is the build directory, where the libraries lie}
source=${ACRE_SOURCE:?is the source directory}
library=$build/.libs/libacre.so
dropin=$build/.libs/libacre-malloc.so
tests=0
failed=0

# same NAME WANTED FOUND: both are lists, one name a line.
same() {
	tests=$((tests + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $tests - $1"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $tests - $1"
	diff <(echo "$2") <(echo "$3") | sed 's/^/# /' || true
}

exported() {
	nm --dynamic --defined-only "$1" | awk '$2 != "A" { print $3 }' | LC_ALL=C sort
}

imported() {
	nm --dynamic --undefined-only "$1" | awk '{ sub(/@.*/, "", $NF); print $NF }' | LC_ALL=C sort
}

# The names that the header declares, each followed by its parameters.
declared=$(sed 's|/\*.*\*/||; /\/\*/,/\*\//d' "$source/include/acre/acre.h" |
	grep -o '\bacre_[a-z_]*(' | tr -d '(' | LC_ALL=C sort -u)
same "libacre exports what acre.h declares, as ACRE_0.1" \
	"$(printf '%s@@ACRE_0.1\n' $declared)" \
	"$(exported "$library" | grep -v '@@ACRE_PRIVATE$')"
same "beside it only acre_private_*, as ACRE_PRIVATE" "" \
	"$(exported "$library" | grep '@@ACRE_PRIVATE$' | grep -v '^acre_private_' || true)"

for file in "$build/.libs/libacre.a" "$build/.libs/libacre-rcu.a"; do
	if [ -f "$file" ]; then
		same "${file##*/} defines no global name without acre_" "" \
			"$(nm --defined-only --extern-only "$file" |
				awk 'NF == 3 && $3 !~ /^acre_/ { print $3 }')"
	fi
done

same "libacre-malloc exports the allocator's names, unversioned" \
	"$(LC_ALL=C sort <<'END'
aligned_alloc
calloc
cfree
free
free_aligned_sized
free_sized
mallinfo
mallinfo2
malloc
malloc_info
malloc_stats
malloc_trim
malloc_usable_size
mallopt
memalign
posix_memalign
pvalloc
realloc
reallocarray
valloc
END
)" "$(exported "$dropin")"

if [ -f "$build/.libs/libacre-rcu.so" ]; then
	# What's static inline is for the program's own flavour.
	declared=$(sed 's|/\*.*\*/||; /\/\*/,/\*\//d; /^static inline/,/^}/d' \
		"$source/include/acre/rcu.h" | grep -o '\bacre_[a-z_]*(' | tr -d '(' | LC_ALL=C sort -u)
	same "libacre-rcu exports what rcu.h declares, as ACRE_RCU_0.1" \
		"$(printf '%s@@ACRE_RCU_0.1\n' $declared)" "$(exported "$build/.libs/libacre-rcu.so")"
	same "libacre-rcu needs libacre and the C library alone" "libacre.so.0 libc.so.6" \
		"$(readelf --dynamic "$build/.libs/libacre-rcu.so" |
			awk '/NEEDED/ { print $NF }' | tr -d '[]' | LC_ALL=C sort | xargs)"
	optional=("$build/.libs/libacre-rcu.so")
else
	optional=()
fi

# All memory lies in the arena, so libacre has no use for another allocator.
for file in "$library" "$dropin" ${optional[@]+"${optional[@]}"}; do
	same "${file##*/} allocates nowhere else" "" "$(imported "$file" |
		grep -E -x '(|c|re)alloc(array)?|malloc|free|.*memalign|aligned_alloc|strdup|brk|sbrk|_Zn.*|_Zd.*' || true)"
	# A thread's cache is found without a call (and a call might allocate).
	same "${file##*/}: initial-exec TLS" "" "$(imported "$file" | grep __tls_get_addr || true)"
done

same "libacre-malloc finds libacre beside itself, and nowhere else" 'libacre.so.0 [$ORIGIN]' \
	"$(readelf --dynamic "$dropin" |
		awk '/NEEDED.*libacre/ { needed = $NF } /RUNPATH/ { print substr(needed, 2, length(needed) - 2), $NF }')"
# A lazy binding in the midst of malloc would call the dynamic linker, which allocates.
for file in "$library" "$dropin" ${optional[@]+"${optional[@]}"}; do
	same "${file##*/} is bound at load and stays" "NODELETE NOW" \
		"$(readelf --dynamic "$file" | grep FLAGS_1 | grep -o -w 'NOW\|NODELETE' | sort | xargs)"
done

echo "1..$tests"
[ "$failed" = 0 ]
