#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernels of bench/kernels, once each: what clang makes of their Wasm and we of that computes the same bits as native
# code, for every way to make the Wasm and to check its accesses.
. tests/programs/lib.sh
log=$T/log
if ! ${MAKE:-make} --no-print-directory B="$B" kernels-wasm >"$log" 2>&1; then
	not_ok "kernels: build" "$(grep -v '^  ' "$log" | tail -n 3 | tr '\n' ' ')"
	exit 1
fi
dir=$B/bench/kernels
sums() { cut -d' ' -f1,2; }
"$dir/native" 0 | sums >"$T/want"

same_sums() { # NAME WASM OPTION...
	local name=$1 wasm=$dir/$2.wasm rc
	shift 2
	"$P" run "$@" "$wasm" 0 2>"$T/err" | sums >"$T/got"
	rc=${PIPESTATUS[0]}
	if [ "$rc" != 0 ]; then
		not_ok "$name" "exit code is $rc: $(head -c 300 "$T/err" | tr '\n' ' ')"
	elif ! cmp -s "$T/want" "$T/got"; then
		not_ok "$name" "not as natively: $(diff "$T/want" "$T/got" | sed -n 's/^> \([^ ]*\) .*/\1/p' | tr '\n' ' ')"
	else
		ok "$name"
	fi
}

same_sums "kernels: all $(wc -l <"$T/want") compute what native code does" scalar
same_sums "kernels: made with loops unrolled" default
same_sums "kernels: made with -msimd128" simd
same_sums "kernels: unrolled, with software bounds checks" default --bounds check
same_sums "kernels: not optimised" default -O 0
