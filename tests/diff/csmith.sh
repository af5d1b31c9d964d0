#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A random C program without undefined behaviour (csmith), made Wasm by clang at three levels, run by node and by us: the
# checksum of its variables and the exit code have to agree, at each level, and between the levels.
#   tests/diff/csmith.sh SEED NUMBER     exit code 0 the same, 1 not, 2 cannot be told
#   B   build directory (default build)
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
dir=$B/diff/csmith
name=$1-$2
mkdir -p "$dir" || exit 1
SECONDS_MAX=60

cannot() { echo "skip C program $name: $1"; exit 2; }
for command in csmith clang-19 node; do
	command -v $command >/dev/null || cannot "no $command; install packages csmith, libcsmith-dev, clang-19 and nodejs"
done
# csmith.h wants these of the target; it looks for the file where it runs.
printf 'integer size = 4\npointer size = 4\n' >"$dir/platform.info"
(cd "$dir" && csmith --seed $(($1 * 1000003 + $2)) --max-funcs 8 --no-packed-struct >"$name.c") || cannot "csmith failed"

run() { # COMMAND...: prints its output and its exit code
	timeout $SECONDS_MAX "$@" 2>&1
	echo "exit code $?"
}
differs() { # LEVEL WANT GOT
	mkdir -p "$B/diff/kept"
	cp "$dir/$name.c" "$B/diff/kept/$name.c"
	echo "DIFFERENCE in C program $name at $1: node '$2', penstock '$3'; kept as $B/diff/kept/$name.c"
	exit 1
}

modes=(--opt=2 --bounds=check --opt=3 --opt=0 --opt=1)
n=$2 first=
for level in -O1 -O2 -O3; do
	wasm=$dir/$name$level.wasm
	# Linked without -O: then the driver runs no wasm-opt.
	clang-19 --target=wasm32-wasi $level -w -I/usr/include/csmith -c -o "$wasm.o" "$dir/$name.c" 2>"$dir/log" &&
		clang-19 --target=wasm32-wasi -o "$wasm" "$wasm.o" 2>>"$dir/log" || cannot "clang: $(head -n 1 "$dir/log")"
	want=$(run node --no-warnings tests/diff/wasi.mjs "$wasm")
	[[ $want == *"exit code 124" ]] && cannot "not done in $SECONDS_MAX s"
	[ -n "$first" ] && [ "$first" != "$want" ] && cannot "node's result depends on clang's level"
	first=$want
	mode=${modes[n++ % ${#modes[@]}]}
	got=$(run "$B/penstock" run --cpu-ms $((SECONDS_MAX * 1000)) "$mode" "$wasm")
	[[ $got == *"exit code 124" ]] && cannot "we are not done in $SECONDS_MAX s"
	[ "$got" = "$want" ] || differs "$level $mode" "$want" "$got"
done
rm -f "$dir/$name"*
