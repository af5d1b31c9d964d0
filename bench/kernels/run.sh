#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-kernels: the CPU time of thirty kernels over that of native clang -O3. In every round all variants of a kernel
# run one after the other, so that what else the machine does meets them all; medians over the rounds.
set -euo pipefail

usage() {
	cat <<-'END'
		usage: [B=build] bench/kernels/run.sh [--quick] [--rounds N] [KERNEL...]
		  --quick     one round of fewer runs: a minute or two
		  --rounds N  how often each takes its turn (KERNELS_ROUNDS, 3)
		Prints a table; writes B/bench/kernels.json (numbers) and B/bench/kernels/runs (every run: ROUND VARIANT KERNEL
		CHECKSUM NANOSECONDS). Fails when two variants do not compute the same.
		Variants, all of them timed inside, of the same sources (make kernels-wasm):
		  native   clang -O3                           host  and -march=native -ffp-contract=off
		  scalar   ours, Wasm by clang with the flags that sdk/README.md recommends
		  default  ours, Wasm by clang -O3             simd  ours, as scalar, and -msimd128
		  check    as scalar, compiled with --bounds=check
		  node     node's engine, the Wasm of scalar
	END
}

B=${B:-build}
rounds=${KERNELS_ROUNDS:-3}
[ -n "$rounds" ] || rounds=3
passes=3
while [ $# -gt 0 ]; do
	case $1 in
	--quick) rounds=1 passes=2 ;;
	--rounds) rounds=${2:?--rounds wants a number} && shift ;;
	--help | -h) usage && exit ;;
	-*) usage >&2 && exit 64 ;;
	*) break ;;
	esac
	shift
done

here=$(dirname "$0")
dir=$B/bench/kernels
runs=$dir/runs
log=$dir/log
: >"$runs"

die() {
	echo "bench-kernels: $*" >&2
	exit 1
}

kernels=("$@")
[ $# -gt 0 ] || mapfile -t kernels < <(sed -n 's/^K(\(.*\))$/\1/p' "$here/kernels.def")
variants=(native host)

# compile VARIANT WASM OPTION...: refused code is left out, and said to be
compile() {
	local name=$1 wasm=$dir/$2.wasm
	shift 2
	if "$B/penstock" compile "$wasm" -o "$dir/$name.so" "$@" >"$log" 2>&1; then
		variants+=("$name")
	elif grep -q '^refused:' "$log"; then
		echo "without $name: $(head -n 1 "$log")"
	else
		die "$wasm does not compile: $(cat "$log")"
	fi
}
compile scalar scalar
compile default default
compile simd simd
compile check scalar --bounds check
if command -v node >/dev/null; then variants+=(node); else echo "without node: there is none"; fi

run() { # VARIANT ARGUMENT...
	local variant=$1
	shift
	case $variant in
	native | host) "$dir/$variant" "$@" ;;
	node) node --no-warnings "$here/node.mjs" "$dir/scalar.wasm" "$@" ;;
	# With a budget it is interrupted for others as a gateway's functions are, and its CPU clock is the kernel's.
	*) "$dir/sealed" "$dir/$variant.so" "$B/penstock-sandbox" run --so-fd 3 --cpu-ms 600000 -- kernels "$@" ;;
	esac
}

for ((round = 1; round <= rounds; round++)); do
	for kernel in "${kernels[@]}"; do
		[ ! -t 2 ] || printf '\r  round %d of %d: %-14s' "$round" "$rounds" "$kernel" >&2
		for variant in "${variants[@]}"; do
			out=$(run "$variant" "$passes" "$kernel" 2>"$log") || die "$variant $kernel fails: $(cat "$log")"
			echo "$round $variant $out" >>"$runs"
		done
	done
done
[ ! -t 2 ] || printf '\r%40s\r' '' >&2
awk -v rounds="$rounds" -v variants="${variants[*]}" -v json="$B/bench/kernels.json" -f "$here/report.awk" "$runs"
