#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Code that never ends, in every form that has no check of its own (there are none on back-edges): loops, br_table, recursion that
# a compiler makes a loop, bulk operations, host calls, a start function; and stacks used up by many frames, by huge ones and through host
# calls, with a storm of signals while the stack is nearly full. Each ends with its trap, in time, in both memory modes.
# Would fail: with the timer's signal ignored (SIGVTALRM), each of the loops runs into the time-out.
. tests/programs/lib.sh

module() { wat2wasm "$T/$1.wat" -o "$T/$1.wasm" || not_ok "$1" "wat2wasm refuses it"; }
# ends NAME REGEX OPTION...: $T/NAME.wasm traps with this, within 10 s for 100 ms of processor time
ends() {
	local name=$1 want=$2 rc
	shift 2
	timeout -s KILL 10 "$P" run "$@" "$T/$name.wasm" >"$T/out" 2>&1 </dev/null
	rc=$?
	if [ $rc = 134 ] && grep -qE "trap: $want" "$T/out"; then ok "$name ($*)"; else
		not_ok "$name ($*)" "exit code $rc: $(head -c 200 "$T/out" | tr '\n' ' ')"
	fi
}

head='(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
 (memory (export "memory") 1 512) (global $g (mut i32) (i32.const 0))'
declare -A loops=(
	[empty]='(loop $l (br $l))'
	[counting]='(loop $l (global.set $g (i32.add (global.get $g) (i32.const 1))) (br $l))'
	[table]='(loop $l (br_table $l $l $l (global.get $g)))'
	[nested]='(loop $a (loop $b (br_if $b (i32.eqz (global.get $g)))) (br $a))'
	[memory]='(loop $l (i32.store (i32.const 8) (i32.load (i32.const 8))) (br $l))'
	[fill]='(drop (memory.grow (i32.const 500))) (loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 32000000)) (br $l))'
	[copy]='(drop (memory.grow (i32.const 500))) (loop $l (memory.copy (i32.const 0) (i32.const 9) (i32.const 32000000)) (br $l))'
	[grow]='(loop $l (drop (memory.grow (i32.const 1))) (br $l))'
	[clock]='(loop $l (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 16))) (br $l))'
	[yield]='(loop $l (drop (call $yield)) (br $l))'
	[nothing_written]='(loop $l (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32))) (br $l))'
	[division]='(loop $l (global.set $g (i32.rem_u (i32.const -1) (i32.const 7))) (br $l))'
	[tail]='(call $again (i32.const 0))'
)
for name in "${!loops[@]}"; do
	echo "(module $head (func \$again (param i32) (call \$again (local.get 0))) (func (export \"_start\") ${loops[$name]}))" >"$T/$name.wat"
	module "$name"
	for bounds in guard check; do
		want='time at'
		[ "$name" != tail ] || want='(time|stack) at'
		ends "$name" "$want" --cpu-ms 100 --bounds $bounds
	done
	ends "$name" '(time|stack) at' --cpu-ms 100 --opt 0
done
echo "(module $head (func \$s (loop \$l (br \$l))) (start \$s) (func (export \"_start\")))" >"$T/start.wat"
module start
ends start 'time at' --cpu-ms 100

# ---- stacks ----
{
	echo "(module $head"
	echo ' (func $deep (param i32) (result i32) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (local.get 0)))'
	echo "  (func \$huge (param i32) (result i32) (local $(printf 'v128 %.0s' $(seq 1 300)))"
	for i in $(seq 1 300); do echo "(local.set $i (v128.load (i32.mul (local.get 0) (i32.const $((i % 97))))))"; done
	echo '   (drop (call $huge (i32.add (local.get 0) (i32.const 1))))'
	for i in $(seq 1 300); do echo "(v128.store (i32.const $((i % 90 * 16))) (local.get $i))"; done
	echo '   (i32.const 0))'
	echo ' (func $through (param i32) (result i32) (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 16)))'
	echo '  (i32.add (call $through (local.get 0)) (i32.const 1)))'
	# Down to near the end, then it stays there: a signal arrives on a stack that is nearly full.
	echo ' (func $stay (param i32) (result i32)'
	echo '  (if (i32.eqz (local.get 0)) (then (loop $l (global.set $g (i32.add (global.get $g) (i32.const 1))) (br $l))))'
	echo '  (i32.add (call $stay (i32.sub (local.get 0) (i32.const 1))) (local.get 0)))'
	echo ' (func (export "deep") (result i32) (call $deep (i32.const 0)))'
	echo ' (func (export "huge") (result i32) (call $huge (i32.const 0)))'
	echo ' (func (export "through") (result i32) (call $through (i32.const 0)))'
	echo ' (func (export "stay") (param i32) (result i32) (call $stay (local.get 0))))'
} >"$T/stack.wat"
module stack
for bounds in guard check; do
	for f in deep huge through; do
		cp "$T/stack.wasm" "$T/$f.wasm"
		for size in 64KiB 1MiB; do ends "$f" 'stack at' --bounds $bounds --stack $size --invoke $f; done
	done
done
# It has become penstock-sandbox, and computes: before, the signal would end it.
wait_for_guest() {
	local i ticks
	for ((i = 0; i < 500; i++)); do
		read -r _ name _ _ _ _ _ _ _ _ _ _ _ ticks _ <"/proc/$1/stat" 2>/dev/null || return
		[ "$name" = '(penstock-sandbo)' ] && [ "$ticks" -gt 5 ] && return
		sleep 0.01
	done
}
# The deepest that still fits, found by halving; then a loop there, with a storm of timer signals.
fits() { timeout -s KILL 10 "$P" run --cpu-ms 20 --stack 64KiB --invoke stay "$T/stack.wasm" "$1" 2>&1 </dev/null | grep -q 'trap: time'; }
low=1 high=8192
while [ $((high - low)) -gt 1 ]; do
	middle=$(((low + high) / 2))
	if fits $middle; then low=$middle; else high=$middle; fi
done
for ((depth = low - 2; depth <= low; depth++)); do
	"$P" run --cpu-ms 400 --stack 64KiB --invoke stay "$T/stack.wasm" "$depth" >"$T/out" 2>&1 </dev/null &
	pid=$!
	wait_for_guest $pid
	for ((i = 0; i < 200; i++)); do kill -VTALRM $pid 2>/dev/null; read -rt 0.001 <> <(:); done
	wait $pid
	rc=$?
	if [ $rc = 134 ] && grep -q 'trap: time' "$T/out"; then ok "signals at depth $depth of $low, on a full stack"; else
		not_ok "signals at depth $depth of $low" "exit code $rc: $(head -c 200 "$T/out")"
	fi
done
[ "$low" -gt 100 ] && ok "a stack of 64 KiB holds $low frames" || not_ok "a stack of 64 KiB" "holds only $low frames"
