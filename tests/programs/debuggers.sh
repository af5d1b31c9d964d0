#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What doc/DEBUGGING.md says of gdb and perf, of compile --details, inspect, and compiling for another machine.
. tests/programs/lib.sh
export XDG_CACHE_HOME=$T/cache
clang-19 --target=wasm32-wasi -mbulk-memory -O2 -g -c "$SRC/traces.c" -o "$T/traces.o" &&
	clang-19 --target=wasm32-wasi "$T/traces.o" -o "$T/traces.wasm" || exit 1

has() { # NAME TEXT REGEX...
	local name=$1 text=$2 want
	shift 2
	for want; do
		grep -qE -- "$want" <<<"$text" || {
			not_ok "$name" "no '$want' in: $(head -c 600 <<<"$text" | tr '\n' '|')"
			return
		}
	done
	ok "$name"
}

if command -v gdb >/dev/null; then
	said=$(gdb -nx -q -batch -ex 'set breakpoint pending on' -ex 'set debuginfod enabled off' \
		-ex 'handle SIGSYS SIGSEGV SIGVTALRM nostop noprint pass' -ex 'break divide' -ex run -ex backtrace \
		--args "$P" run --debug "$T/traces.wasm" divide 2>&1 </dev/null)
	if grep -qE 'ptrace|Couldn.t get registers' <<<"$said"; then
		skip "gdb stops in a guest's function" "no ptrace here"
	else
		has "gdb stops in a guest's function" "$said" '^Breakpoint 1, divide \(\) at .*traces\.c:[0-9]+' \
			'^#0 +divide \(\) at .*traces\.c:' '^#1 .* in [a-z_]+ \(\) at .*traces\.c:' ' task_main '
	fi
else
	skip "gdb stops in a guest's function" "no gdb"
fi
if command -v perf >/dev/null && perf record -q -e cpu-clock -o "$T/none" true >/dev/null 2>&1; then
	perf record -q -e cpu-clock --call-graph fp -o "$T/perf.data" "$P" run --debug --cpu-ms 200 "$T/traces.wasm" spin >/dev/null 2>&1
	has "perf names a guest's function" "$(perf report -i "$T/perf.data" --stdio --no-children -g none 2>/dev/null)" 'traces\.so +\[\.\] main'
else
	skip "perf names a guest's function" "no perf, or it may not record"
fi
has "the code of --debug is the user's alone" "$("$P" run --debug "$T/traces.wasm"; stat -c %a "$T/cache/penstock/debug/traces.so")" '^700$'
chmod o+w "$T/cache/penstock/debug"
expect "a cache that others may write to is not used" 1 "" "penstock/debug: others may write there" "$P" run --debug "$T/traces.wasm"
chmod o-w "$T/cache/penstock/debug"

details=$("$P" compile "$T/traces.wasm" -o "$T/traces.so" --details)
has "--details: phases, functions, loops" "$details" '^optimise +[0-9.]+ ms' '^divide +[0-9]+ +[0-9]+ +[0-9]+$' 'c:[0-9]+:[0-9]+: .*vectoriz'

cat >"$T/flat.wat" <<'W'
(module (func $leaf (param i32) (result i32) local.get 0)
  (func (export "top") (param i32) (result i32) local.get 0 call $leaf i32.const 1 i32.add))
W
wat "$T/flat.wat" --debug-names -o "$T/flat.wasm" || exit 1
has "inspect: a bound where nothing calls itself" "$("$P" inspect "$T/flat.wasm")" '^stack +at most [0-9]+ bytes, in top$' 'largest frame [0-9]+ bytes, of '
has "inspect: no bound for a recursion" "$("$P" inspect "$T/traces.wasm")" '^stack +no bound: a function can call itself' '^features +.*bulk-memory'
has "inspect --quick does not compile" "$("$P" inspect --quick "$T/traces.wasm")" '^features'
mkdir "$T/alone" && cp "$P" "$T/alone/" && has "inspect works without the compiler" "$("$T/alone/penstock" inspect "$T/flat.wasm")" '^stack +unknown: .*penstock-aot' '^exports +top'

expect "for another machine: cortex-a72" 0 "$("$P" compile "$T/traces.wasm" --target aarch64-linux-gnu --cpu cortex-a72 -o "$T/arm.so" |
	sed 's/ in [0-9]* ms/ in N ms/')" "" sh -c "'$P' compile '$T/traces.wasm' --target aarch64-linux-gnu --cpu cortex-a72 -o '$T/arm.so' | sed 's/ in [0-9]* ms/ in N ms/'"
has "for another machine: an aarch64 object" "$(llvm-readelf-19 -h -s "$T/arm.so")" 'Machine: +AArch64' ' check_limit$'
cp "$T/arm.so" "$T/arm1.so"
"$P" compile "$T/traces.wasm" --target aarch64-linux-gnu --cpu cortex-a72 -o "$T/arm.so" >/dev/null
if cmp -s "$T/arm.so" "$T/arm1.so"; then ok "the same bytes every time"; else not_ok "the same bytes every time" "they differ"; fi
expect "an unknown CPU is named" 64 "" 'LLVM knows no CPU `z80`' "$P" compile "$T/traces.wasm" --target aarch64-linux-gnu --cpu z80 -o "$T/x.so"
expect "an unknown machine is named" 64 "" 'target `riscv64-linux-gnu`: code is made for' "$P" compile "$T/traces.wasm" --target riscv64-linux-gnu -o "$T/x.so"
