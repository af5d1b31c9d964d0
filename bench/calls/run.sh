#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-calls: nanoseconds of a call, a call_indirect and a host call, in both memory modes, beside native ones.
set -euo pipefail
B=${B:-build}
dir=$B/bench/calls
for bounds in guard check; do
	"$B/penstock" compile "$dir/calls.wasm" -o "$dir/$bounds.so" --bounds $bounds >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
done
for ((round = 1; round <= 5; round++)); do
	"$dir/native" 3 | sed 's/^/native /'
	for bounds in guard check; do
		"$B/bench/kernels/sealed" "$dir/$bounds.so" "$B/penstock-sandbox" run --so-fd 3 --cpu-ms 600000 -- calls 3 |
			sed "s/^/$bounds /"
	done
done | awk -v json="$B/bench/calls.json" '
	!(($1, $2) in ps) || $4 < ps[$1, $2] { ps[$1, $2] = $4 }
	$2 in sum && sum[$2] != $3 { print "bench-calls: " $1 " " $2 " computes something else" >"/dev/stderr"; exit 1 }
	{ sum[$2] = $3 }
	END {
		printf "%-10s%10s%10s%10s   ns per call, the fastest of 5 rounds\n", "", "native", "guard", "check"
		split("direct indirect host", kinds)
		split("native guard check", variants)
		for (k = 1; k <= 3; k++) {
			printf "%-10s", kinds[k]
			for (v = 1; v <= 3; v++) {
				ns = ps[variants[v], kinds[k]] / 1000
				printf "%10.2f", ns
				out = out sprintf("%s  \"%s_%s_ns\": %.3f", out == "" ? "" : ",\n", kinds[k], variants[v], ns)
			}
			print ""
		}
		print "{\n" out "\n}" >json
	}'
