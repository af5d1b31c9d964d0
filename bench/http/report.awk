# SPDX-License-Identifier: Apache-2.0
# Lines "SYSTEM CONNECTIONS REQUESTS DURATION_US P50_US P99_US BAD_STATUS ERRORS" become a table, and json: medians over the rounds.

function median(list,    a, n, i, j, t) {
	n = split(list, a, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) {
			t = a[j]; a[j] = a[j - 1]; a[j - 1] = t
		}
	return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
}

{
	key = $1 SUBSEP $2
	rate[key] = rate[key] " " $3 / ($4 / 1e6)
	p50[key] = p50[key] " " $5
	p99[key] = p99[key] " " $6
	bad[key] += $7 + $8
}

END {
	split("nginx off process", who, " ")
	split("1 16 64", connections, " ")
	name["nginx"] = "nginx, a file"
	name["off"] = "function"
	name["process"] = "function, journaled"
	printf "{" >json
	for (c = 1; c <= 3; c++) {
		printf "%d connection%s\n  %-22s %12s %10s %10s %8s\n", connections[c], (c > 1 ? "s" : ""), "", "requests/s", "p50 us", "p99 us", "failed"
		for (s = 1; s <= 3; s++) {
			key = who[s] SUBSEP connections[c]
			printf "  %-22s %12d %10d %10d %8d\n", name[who[s]], median(rate[key]), median(p50[key]), median(p99[key]), bad[key]
			printf "%s\n  \"%s_%d_per_s\": %d, \"%s_%d_p50_us\": %d, \"%s_%d_p99_us\": %d, \"%s_%d_failed\": %d", (n++ ? "," : ""),
				who[s], connections[c], median(rate[key]), who[s], connections[c], median(p50[key]),
				who[s], connections[c], median(p99[key]), who[s], connections[c], bad[key] >json
		}
	}
	print "\n}" >json
}
