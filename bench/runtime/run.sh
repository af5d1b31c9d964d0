#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-runtime: what a fresh sandbox costs. In every round each measurement takes its turns between the others',
# node's after them; the medians over the rounds are shown. Two workers and 10,000 sleepers are measured once.
set -euo pipefail

usage() {
	cat <<-'END'
		usage: [B=build] bench/runtime/run.sh [--quick] [--rounds N]
		  --quick     one round
		  --rounds N  how many (RUNTIME_ROUNDS, 5)
		Prints a table; writes B/bench/runtime.json and B/bench/runtime/rounds (KEY P50 P99 in nanoseconds, by round).
	END
}

B=${B:-build}
rounds=${RUNTIME_ROUNDS:-5}
[ -n "$rounds" ] || rounds=5
while [ $# -gt 0 ]; do
	case $1 in
	--quick) rounds=1 ;;
	--rounds) rounds=${2:?--rounds wants a number} && shift ;;
	--help | -h) usage && exit ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done

here=$(dirname "$0")
dir=$B/bench/runtime
: >"$dir/rounds"
for wasm in "$dir"/*.wasm; do
	so=${wasm%.wasm}.so
	[ "$so" -nt "$wasm" ] && [ "$so" -nt "$B/penstock-aot" ] ||
		"$B/penstock" compile "$wasm" -o "$so" >"$dir/log" 2>&1 || { cat "$dir/log" >&2 && exit 1; }
done
for ((round = 1; round <= rounds; round++)); do
	echo "round $round of $rounds" >&2
	"$dir/events" "$dir" >>"$dir/rounds"
	node "$here/node.mjs" "$dir" >>"$dir/rounds"
done
echo "two workers, 10,000 sleepers" >&2
for what in workers sleepers; do
	"$dir/processes" "$what" "$dir" "$B/penstock-sandbox" >>"$dir/rounds"
done
awk -v json="$B/bench/runtime.json" -f "$here/report.awk" "$dir/rounds"
