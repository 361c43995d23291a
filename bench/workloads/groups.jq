# The jq workload: groups of records, sums, distinct labels, rewritten codes; see json_text() in
# inputs.py.
group_by(.group)
| map({
    group: .[0].group,
    size: (map(.size) | add),
    labels: (map(.labels[]) | unique | length),
    towns: (map(.place.town | ascii_upcase) | unique | join(",")),
    codes: (map(.parts[] | select(.kind == "wheel") | .code + "-" + (.count | tostring))
        | sort | .[0:5])
  })
| sort_by(-.size)
| .[]
