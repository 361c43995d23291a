#!/bin/bash
# Runs every scenario of acre-stress in short form, and one of them under each policy that isn't the
# default; TAP on stdout, a line per run.
#
# ACRE_STRESS          the binary (default ./acre-stress)
# ACRE_STRESS_SECONDS  for each scenario (default 2)
# ACRE_STRESS_SEED     where the random sequences begin (default 1)
set -euo pipefail

stress=${ACRE_STRESS:-./acre-stress}
seconds=${ACRE_STRESS_SECONDS:-2}
seed=${ACRE_STRESS_SEED:-1}
limit=$((seconds + 180))

if ! [ -x "$stress" ]; then
	echo "$0: no program at '$stress': build it, or name it in ACRE_STRESS" >&2
	exit 2
fi

# Where the kernel randomizes addresses more than ThreadSanitizer bears, not even --list works.
launch=()
if ! "$stress" --list >/dev/null 2>&1 && setarch -R "$stress" --list >/dev/null 2>&1; then
	launch=(setarch -R)
fi

mapfile -t names < <("${launch[@]}" "$stress" --list | awk '{ print $1 }')
if [ "${#names[@]}" -eq 0 ]; then
	echo "$0: '$stress --list' names no scenario" >&2
	exit 2
fi

runs=("${names[@]}")
for policy in next best worst buddy good; do
	runs+=("mixed --policy $policy --seconds 1")
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT

echo "1..${#runs[@]}"
failed=0
for i in "${!runs[@]}"; do
	name=${runs[$i]}
	read -ra scenario <<<"$name"
	status=0
	timeout -k 5 "$limit" "${launch[@]}" "$stress" --seconds "$seconds" --scenario "${scenario[@]}" \
		--seed "$seed" >"$log" 2>&1 </dev/null || status=$?
	if [ "$status" -eq 0 ]; then
		echo "ok $((i + 1)) - $name"
	else
		echo "not ok $((i + 1)) - $name"
		failed=1
		case $status in
		124 | 137) echo "# ended by timeout after $limit seconds" ;;
		*) echo "# exit status $status" ;;
		esac
		echo "# again: $stress --seconds $seconds --scenario $name --seed $seed"
	fi
	sed 's/^/# /' "$log"
done
exit "$failed"
