#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-recompile: what compiling costs, in seconds of CPU and of wall time: from nothing, again, and after a change of one
# function. Each module goes through wasm2wat and back, changed or not, so that nothing but the change differs.
# bench/compile/run.sh NAME=FILE.wasm...
set -euo pipefail
B=${B:-build}
dir=$B/bench/compile
mkdir -p "$dir"
command -v wasm2wat >/dev/null || { echo "bench-recompile: no wasm2wat; install package wabt" >&2; exit 1; }

# compile WASM OBJECTS: "chunks reused cpu wall" in milliseconds; the linker is in the second only
compile() {
	"$B/penstock-aot" --objects --cpu-seconds 600 <"$1" 1<>"$dir/so" 3>"$dir/report" 4<>"$2" 2>"$dir/log" ||
		{ echo "bench-recompile: $1: $(cat "$dir/log")" >&2; exit 1; }
	jq -r '[.chunks, .reused, ([.phases[].cpu_us] | add / 1000), .wall_ms] | map(tostring) | join(" ")' "$dir/report"
	rm -f "$dir/so"
}
# A constant of a function in the middle: 1 becomes 3.
change() {
	awk 'NR == FNR { n += /i32\.const 1$/; next } /i32\.const 1$/ && ++k == int(n / 2) { sub(/1$/, "3") } { print }' "$1" "$1"
}

printf '%-12s %9s %7s %18s %18s %24s\n' module bytes chunks 'cold: cpu, wall s' 'again: cpu, wall' 'one changed: made, cpu, wall'
for arg; do
	name=${arg%%=*}
	wasm2wat --enable-all "${arg#*=}" -o "$dir/old.wat"
	change "$dir/old.wat" >"$dir/new.wat"
	for v in old new; do wat2wasm --enable-all --debug-names "$dir/$v.wat" -o "$dir/$v.wasm"; done
	cmp -s "$dir/old.wasm" "$dir/new.wasm" && { echo "bench-recompile: $name: nothing to change" >&2; exit 1; }
	rm -f "$dir/objects"
	cold=$(compile "$dir/old.wasm" "$dir/objects")
	warm=$(compile "$dir/old.wasm" "$dir/objects")
	changed=$(compile "$dir/new.wasm" "$dir/objects")
	echo "$name $(stat -c %s "$dir/old.wasm") $cold $warm $changed" | awk '{
		printf "%-12s %9d %7d %9.2f %8.2f %9.2f %8.2f %8d %7.2f %7.2f\n", $1, $2, $3, $5 / 1000, $6 / 1000, $9 / 1000, $10 / 1000, $11 - $12, $13 / 1000, $14 / 1000 }'
done
