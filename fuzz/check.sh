#!/bin/bash
# Plays the corpus, and random sequences for every policy; TAP. The seeds among the corpus must be
# those that acre-fuzz writes.
#
# ACRE_FUZZ         the binary (default ./acre-fuzz)
# ACRE_FUZZ_RANDOM  random plays for each policy (default 300)
# ACRE_FUZZ_SEED    of the first of them (default 1)
set -euo pipefail

fuzz=${ACRE_FUZZ:-./acre-fuzz}
corpus=$(dirname "$0")/corpus

if ! [ -x "$fuzz" ]; then
	echo "$0: no program at '$fuzz': build it, or name it in ACRE_FUZZ" >&2
	exit 2
fi

# Where the kernel randomizes addresses more than ThreadSanitizer bears, not even --help works.
launch=()
if ! "$fuzz" --help >/dev/null 2>&1 && setarch -R "$fuzz" --help >/dev/null 2>&1; then
	launch=(setarch -R)
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"${launch[@]}" "$fuzz" --make-corpus "$scratch"
for seed in "$scratch"/*; do
	if ! cmp -s "$seed" "$corpus/${seed##*/}"; then
		echo "$0: the seed '${seed##*/}' isn't as the program writes it:" \
			"make it anew by '$fuzz --make-corpus $corpus'" >&2
		exit 1
	fi
done
"${launch[@]}" "$fuzz" --test "$corpus" --random "${ACRE_FUZZ_RANDOM:-300}" \
	--seed "${ACRE_FUZZ_SEED:-1}"
