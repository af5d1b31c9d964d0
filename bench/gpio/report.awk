# SPDX-License-Identifier: Apache-2.0
# Lines "SYSTEM start|output NS" become a table, and json.

function percentile(key, p,    i, j, t, a, n) {
	if (!(key in sorted)) {
		n = split(list[key], a, " ")
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) {
				t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
			}
		sorted[key] = n
		for (i = 1; i <= n; i++) value[key, i] = a[i]
	}
	i = int(sorted[key] * p / 100 + 0.999999)
	return value[key, i < 1 ? 1 : i] / 1000
}

NF == 3 { key = $1 SUBSEP $2; list[key] = list[key] " " $3; count[key]++ }

END {
	split("loop off process", who, " ")
	split("start output", what, " ")
	split("50 99", level, " ")
	name["loop"] = "bare poll loop"
	name["off"] = "function"
	name["process"] = "function, journaled"
	for (s = 1; s <= 3; s++)
		for (w = 1; w <= 2; w++)
			if (count[who[s], what[w]] != edges) {
				printf "bench: %s has %d times of %s, not %d\n", who[s], count[who[s], what[w]], what[w], edges >"/dev/stderr"
				exit 1
			}
	printf "%d edges each, one at a time; microseconds\n", edges
	printf "  %-20s%31s  %31s\n", "", "edge to program or function", "edge to output"
	printf "  %-20s", ""
	for (w = 1; w <= 2; w++) printf "%s %7s %6s %8s %6s", (w > 1 ? "  " : ""), "p50", "ratio", "p99", "ratio"
	printf "\n{\n  \"edges\": %d, \"emulated\": %d", edges, emulated >json
	print ""
	for (s = 1; s <= 3; s++) {
		printf "  %-20s", name[who[s]]
		for (w = 1; w <= 2; w++) {
			printf w > 1 ? "  " : ""
			for (l = 1; l <= 2; l++) {
				us = percentile(who[s] SUBSEP what[w], level[l])
				ratio = us / percentile("loop" SUBSEP what[w], level[l])
				printf l == 1 ? " %7.0f %6.1f" : " %8.0f %6.1f", us, ratio
				printf ",\n  \"%s_%s_p%d_us\": %.1f, \"%s_%s_p%d_ratio\": %.2f", who[s], what[w], level[l], us,
					who[s], what[w], level[l], ratio >json
			}
		}
		print ""
	}
	print "\n}" >json
	if (emulated) print "The VM's one processor was emulated, and its clock counts instructions: only the ratios mean something."
}
