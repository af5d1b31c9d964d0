#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-programs: the CPU time of what other people's libraries do, over that of native clang -O3. In every round all
# variants of a program run one after the other; medians over the rounds. Results must be the same bytes.
# --same: no times, only whether the results are the same, as lines for tests/run.
set -euo pipefail
B=${B:-build}
rounds=${PROGRAMS_ROUNDS:-}
rounds=${rounds:-3}
dir=$B/bench/programs
runs=$dir/runs
read -ra programs <<<"${PROGRAMS:-zlib bzip2 lz4 sqlite3}"

die() {
	echo "bench-programs: $*" >&2
	exit 1
}

# Unbounded in time: SQLite is more than the default limit of a gateway may allow on a busy machine.
for program in "${programs[@]}"; do
	for bounds in guard check; do
		"$B/penstock-aot" --bounds $bounds --cpu-seconds 600 <"$dir/$program.wasm" >"$dir/$program.$bounds.so" \
			3>"$dir/$program.$bounds.json" 2>"$dir/log" || die "$program.wasm does not compile: $(cat "$dir/log")"
	done
done

run() { # VARIANT PROGRAM PASSES
	if [ "$1" = native ]; then
		"$dir/$2.native" "$3"
	else
		"$B/bench/kernels/sealed" "$dir/$2.$1.so" "$B/penstock-sandbox" run --so-fd 3 --cpu-ms 600000 -- "$2" "$3"
	fi
}

if [ "${1:-}" = --same ]; then
	for program in "${programs[@]}"; do
		want=$(run native "$program" 0)
		for bounds in guard check; do
			got=$(run $bounds "$program" 0 2>&1) || true
			if [ "$got" = "$want" ]; then
				echo "ok $program, --bounds=$bounds: $(wc -l <<<"$want") jobs as natively"
			else
				echo "not ok $program, --bounds=$bounds: as natively - $(diff <(echo "$want") <(echo "$got") | head -n 3 | tr '\n' ' ')"
			fi
		done
	done
	exit
fi

: >"$runs"
for ((round = 1; round <= rounds; round++)); do
	for program in "${programs[@]}"; do
		for variant in native guard check; do
			run $variant "$program" 3 | sed "s/^/$round $variant /" >>"$runs" || die "$variant $program fails"
		done
	done
done
awk -v rounds="$rounds" -v variants="native guard check" -v json="$B/bench/programs.json" -f "$(dirname "$0")/../kernels/report.awk" "$runs"
