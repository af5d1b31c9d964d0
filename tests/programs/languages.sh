#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# C, C++, Rust and AssemblyScript programs of some size under `penstock run`, compared with what they do natively.
. tests/programs/lib.sh

wasm_c() { # COMPILER NAME SOURCE FLAGS...
	local cc=$1 name=$2 source=$3
	shift 3
	"$cc" --target=wasm32-wasi -O2 "$@" -c -o "$T/$name.o" "$SRC/$source" &&
		"$cc" --target=wasm32-wasi -o "$T/$name.wasm" "$T/$name.o"
}

for name in lisp deflate; do
	input=$SRC/lisp.in
	[ $name = deflate ] && input=$SRC/stl.cpp
	if clang-19 -O2 -o "$T/$name" "$SRC/$name.c" && wasm_c clang-19 $name $name.c; then
		compare $name $input LISP_MODE=strict one "two words" ""
	else
		not_ok "$name: as natively" "does not compile"
	fi
done

if clang++-19 -std=c++20 -O2 -Wno-deprecated-declarations -o "$T/stl" $SRC/stl.cpp &&
	wasm_c clang++-19 stl stl.cpp -std=c++20 -fno-exceptions; then
	compare stl $SRC/lisp.in "" one "two words"
	bytes=$(stat -c %s "$T/stl.wasm")
	if [ "$bytes" -gt 204800 ]; then ok "stl: is over 200 KB of Wasm"; else not_ok "stl: is over 200 KB of Wasm" "$bytes bytes"; fi
	# The second time the code comes from the cache, if there is one: nothing may change.
	compare stl $SRC/deflate.c "" again
else
	not_ok "stl: as natively" "does not compile"
fi

if [ -x /usr/bin/rustc ]; then
	rust() { /usr/bin/rustc --edition 2021 -O "$@" $SRC/collections.rs; }
	if rust -o "$T/collections" && rust --target wasm32-wasi -o "$T/collections.wasm"; then
		compare collections $SRC/collections.in PUMP=on "a b" ü
	else
		not_ok "collections: as natively" "does not compile"
	fi
else
	skip "collections: as natively" "no /usr/bin/rustc (package rustc)"
fi

as_dir=$B/examples/assemblyscript
if [ -e "$as_dir/node_modules/.done" ]; then
	cp $SRC/sieve.ts "$as_dir/" && (cd "$as_dir" && node_modules/.bin/asc sieve.ts -o "$T/sieve.wasm" -O3 \
		--config node_modules/@assemblyscript/wasi-shim/asconfig.json) || echo "# asc failed"
	expect "sieve: AssemblyScript with heap, maps and strings" 5 \
		$'primes 1229\nand 2\nboiler 1\npump 1\nthe 3\nvalve 1\n50000.0 -25000.0\nfirst\nsecond one' "" \
		"$P" run "$T/sieve.wasm" first "second one"
else
	skip "sieve: AssemblyScript with heap, maps and strings" "no npm, or it reaches no registry"
fi
