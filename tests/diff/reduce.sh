#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes a module that differs smaller (binaryen's wasm-reduce), for tests/diff/kept.
#   tests/diff/reduce.sh FILE.wasm [OPTION of diff-run...]     FILE.min.wasm beside it
#   B   build directory (default build)
set -u
if [ "${1:-}" = --test ]; then # wasm-reduce calls this for each try: what it says must stay the same
	shift
	rm -f "$DIR/t.want" "$DIR/t.got"
	# A module that loops for ever is not smaller in the way that is wanted.
	timeout 10 node --liftoff-only tests/diff/oracle.mjs "$DIR/t.wasm" >/dev/null 2>&1
	timeout 20 "$B/diff-run" "$@" "$DIR/t.wasm" >/dev/null 2>&1
	[ -e "$DIR/t.want" ] && [ -e "$DIR/t.got" ] && ! grep -q '^error' "$DIR/t.got" &&
		diff "$DIR/t.want" "$DIR/t.got" | awk '/^[<>]/ { print $1, $2, $2 == "trap" ? $3 : ""; exit }'
	exit 0
fi
[ -e "${1:-}" ] || { sed -n '3,5s/^# //p' "$0" >&2; exit 64; }
B=$(realpath "${B:-build}")
out=$(realpath "$1")
cd "$(dirname "$0")/../.." || exit 1
DIR=$(mktemp -d) || exit 1
export B DIR
trap 'rm -rf "$DIR"' EXIT
cp "$out" "$DIR/in.wasm"
cp "$out" "$DIR/t.wasm"
features=(--enable-simd --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int --enable-multivalue
	--enable-mutable-globals)
wasm-reduce -b "$(dirname "$(command -v wasm-opt)")" "$DIR/in.wasm" "--command=tests/diff/reduce.sh --test ${*:2}" -t "$DIR/t.wasm" -w "$DIR/work.wasm" "${features[@]}" \
	>"$DIR/log" 2>&1 || { cat "$DIR/log" >&2; exit 1; }
cp "$DIR/work.wasm" "${out%.wasm}.min.wasm"
echo "${out%.wasm}.min.wasm: $(stat -c %s "$DIR/work.wasm") bytes of $(stat -c %s "$out")"
