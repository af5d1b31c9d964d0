#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A few of the random programs of make fuzz-diff, and those that once showed a difference.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
N=40
make -s B="$B" "$B/penstock-aot" "$B/penstock-sandbox" "$B/penstock" "$B/diff-run" >&2 || { echo "not ok diff - does not build"; exit 1; }

# verdict NAME LOG: of a run of tests/diff/run.sh
verdict() {
	local last
	last=$(tail -n 1 "$2")
	case $last in
	"0 passed, 0 failed, 1 skipped") echo "skip $1 - $(head -n 1 "$2")" ;;
	[0-9]*" passed, 0 failed, "*) echo "ok $1: $last" ;;
	*) echo "not ok $1 - $last"; sed 's/^/# /' "$2" ;;
	esac
}
log=$B/fuzz-diff.log
B=$B CSMITH=$N LOOPS=0 tests/diff/run.sh $N 1 >"$log"
verdict "diff/random modules and a C program" "$log"
[ "$(tail -n 1 "$log")" = "0 passed, 0 failed, 1 skipped" ] && exit 0

# Twelve modules of loops, in every mode.
B=$B CSMITH=0 LOOPS=1 tests/diff/run.sh 12 1 >"$log"
verdict "diff/loops over memory" "$log"

kept=(tests/diff/kept/*.wasm)
if [ -e "${kept[0]}" ]; then
	B=$B tests/diff/run.sh "${kept[@]}" >"$log"
	verdict "diff/kept modules" "$log"
	tail -n 1 "$log" | grep -q ' 0 skipped$' || echo "not ok diff/kept modules trap where they should - $(grep -m 1 ^skip "$log")"
fi

# A comparison that always says yes proves nothing: with a runner that alters what it saw, the module has to fail.
wrong=$B/diff-wrong
mkdir -p "$wrong" || exit 1
real=$(realpath "$B/diff-run")
cat >"$wrong/diff-run" <<END
#!/bin/bash
"$real" "\$@"
sed -i "\$CHANGE" "$wrong/diff/kept/m.got"
END
chmod +x "$wrong/diff-run"
printf '(module (memory (export "memory") 1)
	(func (export "f") (result i32) (i32.store (i32.const 8) (i32.const 1)) (i32.const 1))
	(func (export "g") (param i32) (result i32) (i32.load (local.get 0))))' >"$wrong/m.wat"
wat2wasm "$wrong/m.wat" -o "$wrong/m.wasm" || { echo "not ok diff - wat2wasm"; exit 1; }
# altered NAME SED_COMMAND EXPECTED_END
altered() {
	local last
	last=$(CHANGE=$2 B=$wrong tests/diff/run.sh "$wrong/m.wasm" | tail -n 1)
	if [ "$last" = "$3" ]; then echo "ok diff/$1"; else echo "not ok diff/$1 - $last"; fi
}
altered "unaltered it passes" "" "1 passed, 0 failed, 0 skipped"
altered "another result is seen" 's/^return i32 00000001/return i32 00000002/' "0 passed, 1 failed, 0 skipped"
altered "other stores before a trap are seen" '/^stored/s/ ./ x/' "0 passed, 1 failed, 0 skipped"
altered "another memory is seen" '3s/^memory ./memory x/' "0 passed, 1 failed, 0 skipped"
altered "a trap instead of a result is seen" '2s/.*/trap memory/' "0 passed, 1 failed, 0 skipped"
altered "a missing end is seen" '$d' "0 passed, 1 failed, 0 skipped"
