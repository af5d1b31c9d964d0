#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-compile: what it takes to compile zlib, bzip2, lz4 and SQLite, by the CPU time of penstock-aot and all of its
# children. Writes B/bench/compile.json. "-O0" in the last column: the default limits were not enough for more.
set -euo pipefail
B=${B:-build}
dir=$B/bench/programs
out=$B/bench/compile.json
read -ra programs <<<"${PROGRAMS:-zlib bzip2 lz4 sqlite3}"
read -ra modes <<<"${BOUNDS:-guard check}"
used=$(mktemp)
: >"$out.new"
trap 'rm -f "$used"' EXIT

echo "module        bounds    bytes   CPU s   s/MB  peak MB  code bytes  optimised"
sep='{'
for program in "${programs[@]}"; do
	wasm=$dir/$program.wasm
	bytes=$(stat -c %s "$wasm")
	for bounds in "${modes[@]}"; do
		/usr/bin/time -q -o "$used" -f '%U %S %M' "$B/penstock-aot" --bounds "$bounds" <"$wasm" >"$dir/compile.so" \
			3>"$dir/compile.json" || { echo "bench-compile: $wasm does not compile: $(cat "$dir/compile.json")" >&2; exit 1; }
		read -r user system kb <"$used"
		code=$(sed -n 's/.*"code_bytes": *\([0-9]*\).*/\1/p' "$dir/compile.json" | head -n 1)
		opt=-O2
		! grep -q 'not optimised' "$dir/compile.json" || opt=-O0
		cpu=$(awk -v u="$user" -v s="$system" 'BEGIN { printf "%.2f", u + s }')
		awk -v n="$program" -v m="$bounds" -v b="$bytes" -v c="$cpu" -v k="$kb" -v code="$code" -v o="$opt" 'BEGIN {
			printf "%-12s  %-6s %8d %7.2f %6.2f %8.0f %11d  %s\n", n, m, b, c, c / b * 1e6, k / 1024, code, o }'
		printf '%s\n "%s_%s_cpu_s": %s, "%s_%s_peak_kb": %s' "$sep" "$program" "$bounds" "$cpu" "$program" "$bounds" "$kb" >>"$out.new"
		sep=,
	done
done
echo '}' >>"$out.new"
mv "$out.new" "$out"
