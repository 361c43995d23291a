#!/bin/bash
# bash: arrays, strings, subshells, pipes, here documents, and many children.
. "$(dirname "$0")/common.sh"

need bash
mkdir "$scratch/given"
cat >"$scratch/given/script" <<'END'
declare -A counts
declare -a words
for ((i = 0; i < 3000; i++)); do
	words+=("word$((i * 7919 % 613))")
	counts[${words[i]}]=$((${counts[${words[i]}]:-0} + 1))
done
echo "${#words[@]} words, ${#counts[@]} kinds"
for key in "${!counts[@]}"; do echo "$key ${counts[$key]}"; done | sort | sed -n '1~50p'
text=
for ((i = 0; i < 2000; i++)); do text+="$i,"; done
echo "${#text}" "${text//1/one}" | cksum
fib() { if (($1 < 2)); then echo "$1"; else echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); fi; }
fib 9
for i in {1..20}; do (x=$(printf '%*s' $((i * 1000)) x); echo "${#x}") & done | sort -n
wait
mapfile -t lines < <(seq 5000)
echo "${lines[4999]} ${#lines[@]}"
trap 'echo bye' EXIT
cat <<HERE > made
$(seq 100 | paste -sd+)
HERE
grep -c libacre-malloc /proc/$$/maps >&2 || true
END
compare 20 bash script
must_say '^3000 words, 613 kinds$'
must_say '^bye$'
grep -q -x '[1-9]' "$scratch/acre.err" || fail "bash did not see the drop-in in its own maps"
