#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A large module is compiled in chunks, and what has not changed is not compiled again: the same bytes either way.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
command -v wat2wasm >/dev/null || { echo "skip chunks - no wat2wasm; install package wabt"; exit 0; }
make -s B="$B" "$B/penstock-aot" "$B/penstock-sandbox" "$B/penstock" "$B/bench/kernels/sealed" >&2 || { echo "not ok chunks - does not build"; exit 1; }
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
. tests/e2e/lib.sh

# module FILE CHANGE: sixty functions that call each other forwards and backwards, and a table; main ends in a trap of the last.
# CHANGE: none, longer (the body of one), inserted (a function before it), renamed
module() {
	local i
	{
		echo '(module (memory 1) (table funcref (elem $f7 $f8)) (global $g (mut i32) (i32.const 0))'
		for ((i = 0; i < 60; i++)); do
			[ "$2" = inserted ] && [ $i = 20 ] && echo '(func $new (param i32) (result i32) (i32.mul (local.get 0) (i32.const 9)))'
			echo "(func \$f$i (param i32) (result i32)"
			[ "$2" = longer ] && [ $i = 20 ] && echo '(global.set $g (i32.add (global.get $g) (i32.const 123456)))'
			echo "(i32.store offset=$((i * 4)) (i32.const 0) (i32.add (local.get 0) (i32.const $i)))"
			[ $i -gt 0 ] && echo "(if (i32.and (local.get 0) (i32.const 1)) (then (drop (call \$f$((i - 1)) (i32.shr_u (local.get 0) (i32.const 1))))))"
			[ $((i % 7)) = 0 ] && echo '(drop (call_indirect (param i32) (result i32) (i32.const 0) (i32.const 1)))'
			[ $i = 59 ] && echo '(if (i32.gt_u (local.get 0) (i32.const 9)) (then (unreachable)))'
			echo "(i32.xor (i32.load offset=$((i * 4)) (i32.const 0)) (i32.const $((i * 77)))))"
		done
		echo '(func (export "_start") (drop (call $f59 (i32.const 10)))))'
	} >"$T/$1.wat"
	wat2wasm --debug-names -o "$T/$1.wasm" "$T/$1.wat"
}

# compile WASM SO OBJECTS OPTION...: CHUNKS and REUSED from the report
compile() {
	local wasm=$1 so=$2 objects=$3
	shift 3
	"$B/penstock-aot" --objects --chunk-bytes 400 "$@" <"$T/$wasm.wasm" 1<>"$T/$so.so" 3>"$T/report" 4<>"$T/$objects" || return
	CHUNKS=$(jq .chunks "$T/report") REUSED=$(jq .reused "$T/report")
}
is_same() { cmp -s "$T/$1" "$T/$2" && [ -s "$T/$1" ]; }
fits() { [ "$(("$@"))" = 1 ]; }

module old none
for options in "" "--bounds check" "--opt 0" "--target aarch64-linux-gnu --cpu cortex-a72"; do
	# shellcheck disable=SC2086 # several words
	compile old cold objects $options || die "old.wasm does not compile: $options"
	n=$CHUNKS
	check "chunks/it takes several $options" "$n" fits "n > 5 && REUSED == 0"
	# shellcheck disable=SC2086
	compile old warm objects $options
	check "chunks/nothing is compiled twice $options" "$REUSED of $CHUNKS taken again" fits "CHUNKS == n && REUSED == n"
	check "chunks/the bytes are the same $options" "they differ" is_same cold.so warm.so
	rm -f "$T"/*.so "$T/objects"
done

compile old cold objects
for change in longer inserted; do
	module new $change
	cp "$T/objects" "$T/before" && rm -f "$T"/*.so "$T/empty"
	compile new warm before
	check "chunks/$change: what has not changed is not compiled again" "$REUSED of $CHUNKS taken again" fits "REUSED >= CHUNKS - 3 && REUSED < CHUNKS"
	compile new cold empty
	check "chunks/$change: the same bytes as without a cache" "they differ" is_same cold.so warm.so
done

trace() { "$B/bench/kernels/sealed" "$T/$1.so" "$B/penstock-sandbox" run --so-fd 3 -- t 2>&1; }
rm -f "$T"/*.so "$T/objects" && compile old chunked objects && compile old whole empty2 --chunk-bytes 1000000
check "chunks/a trap's stack goes across chunks" "$(trace chunked)" [ "$(trace chunked)" = "$(trace whole)" ]
check "chunks/and names functions" "$(trace chunked)" grep -q 'unreachable at f59' <(trace chunked)

# Whatever lies there, the result is the same.
good=$(stat -c %s "$T/objects")
for at in 0 20 70 $((good / 2)); do
	cp "$T/objects" "$T/damaged" && rm -f "$T/damaged.so"
	printf '\377\000\377\000' | dd of="$T/damaged" bs=1 seek="$at" conv=notrunc status=none
	# A cut in the middle of an object, which is linked as it is, is for those to find who keep it: below.
	[ "$at" -lt 100 ] || truncate -s "$at" "$T/damaged"
	compile old damaged damaged
	check "chunks/damaged objects at $at are not taken" "another result" is_same damaged.so chunked.so
done

export XDG_CACHE_HOME=$T/cache
reused() { "$B/penstock" compile --json "$T/old.wasm" -o "$T/cli.so" | jq .reused; }
reused >/dev/null
check "chunks/penstock compile keeps objects" "nothing taken again" [ "$(reused)" = 1 ]
kept=$(echo "$T"/cache/penstock/objects/*)
printf X | dd of="$kept" bs=1 seek=3000 conv=notrunc status=none
check "chunks/objects that were changed are refused" "taken" [ "$(reused)" = 0 ]
chmod 666 "$kept"
check "chunks/objects that others can write are refused" "taken" [ "$(reused)" = 0 ]
chmod 777 "$T/cache/penstock/objects"
check "chunks/nor a folder that others can write to" "taken" [ "$(reused)" = 0 ]
chmod 700 "$T/cache/penstock/objects" && rm "$kept" && ln -s "$T/old.wasm" "$kept"
check "chunks/nor a link" "taken" [ "$(reused)" = 0 ]
