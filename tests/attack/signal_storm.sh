#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Another process of the same user sends the timer's signal as fast as it can, for two seconds (storm.c), to a guest that computes
# and to one that is mostly in the host, on the smallest stack. Each still ends by its budget.
# Would fail: with a handler that lets its own signal in (SA_NODEFER), frames pile up: SIGSEGV, in about half of the runs.
. tests/programs/lib.sh

cat >"$T/storm.wat" <<'E_WAT'
(module (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
 (memory (export "memory") 1) (global $g (mut i32) (i32.const 0))
 (func (export "computes") (loop $l (global.set $g (i32.add (global.get $g) (i32.const 1))) (br $l)))
 (func (export "calls") (loop $l (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 16))) (br $l))))
E_WAT
wat2wasm "$T/storm.wat" -o "$T/storm.wasm" || not_ok storm "wat2wasm refuses it"

# It has become penstock-sandbox, and computes: before, the signal would end it.
wait_for_guest() {
	local i name ticks
	for ((i = 0; i < 500; i++)); do
		read -r _ name _ _ _ _ _ _ _ _ _ _ _ ticks _ <"/proc/$1/stat" 2>/dev/null || return
		[ "$name" = '(penstock-sandbo)' ] && [ "$ticks" -gt 3 ] && return
		sleep 0.01
	done
}
for f in computes calls computes calls; do
	timeout -s KILL 20 "$P" run --cpu-ms 1000 --stack 64KiB --invoke $f "$T/storm.wasm" >"$T/out" 2>&1 </dev/null &
	timed=$!
	for ((i = 0; i < 500; i++)); do pid=$(pgrep -P $timed) && break; sleep 0.01; done
	wait_for_guest "$pid"
	sent=$("$B/tests/attack/storm" "$pid" "$(kill -l VTALRM)" 2000)
	wait $timed
	rc=$?
	if [ "$sent" -lt 10000 ]; then not_ok "storm, $f" "only $sent signals sent"
	elif [ $rc = 134 ] && grep -q 'trap: time' "$T/out"; then ok "$f in a storm of signals"; else
		not_ok "$f in a storm of $sent signals" "exit code $rc: $(head -c 200 "$T/out")"
	fi
done
