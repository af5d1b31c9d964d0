#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 120
# Events that end inside a host call that holds something: out of processor time within random_get, over the quota within fd_write,
# past the deadline while parked in poll_oneoff and in state_get, out of host calls. Thousands of each through a real gateway: neither
# process keeps a descriptor, memory or a slot, and the next honest event is served.
# Would fail: with a host call that frees at its end what it took, as nothing runs its end.
. tests/attack/lib.sh

attacked_begin || die "cannot begin"
cat >"$D/host.wat" <<'E_WAT'
(module
 (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
 (import "penstock" "event_payload" (func $payload (param i32 i32) (result i32)))
 (import "penstock" "emit" (func $emit (param i32 i32 i32 i32 i32) (result i32)))
 (import "penstock" "state_get" (func $get (param i32 i32 i32 i32 i32 i32) (result i32)))
 (import "penstock" "state_put" (func $put (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
 (memory (export "memory") 32) (data (i32.const 8) "key")
 ;; What host calls may hold when it ends: an environment, effects, changed state
 (func $hold
  (drop (call $environ (i32.const 16) (i32.const 20)))
  (drop (call $emit (i32.const 0) (i32.const 0) (i32.const 1024) (i32.const 8192) (i32.const 0)))
  (drop (call $put (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 3) (i32.const 1024) (i32.const 8192) (i32.const 0))))
 (func (export "on_event") (result i32) (local $what i32)
  (drop (call $payload (i32.const 0) (i32.const 1)))
  (local.set $what (i32.load8_u (i32.const 0)))
  (call $hold)
  (if (i32.eq (local.get $what) (i32.const 114)) (then ;; r: out of time in random_get
   (loop $l (drop (call $random (i32.const 65536) (i32.const 2000000))) (br $l))))
  (if (i32.eq (local.get $what) (i32.const 112)) (then ;; p: parked until the deadline
   (i32.store (i32.const 144) (i32.const 1)) (i64.store (i32.const 152) (i64.const 100000000000))
   (drop (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 512)))))
  (if (i32.eq (local.get $what) (i32.const 119)) (then ;; w: over the quota in fd_write
   (i32.store (i32.const 600) (i32.const 65536)) (i32.store (i32.const 604) (i32.const 60000))
   (loop $l (drop (call $write (i32.const 1) (i32.const 600) (i32.const 1) (i32.const 608))) (br $l))))
  (if (i32.eq (local.get $what) (i32.const 103)) (then ;; g: asking the gateway without end
   (loop $l
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (drop (call $get (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 4) (i32.const 1024) (i32.const 64)))
    (br $l))))
  (i32.const 0)))
E_WAT
wat2wasm "$D/host.wat" -o "$D/host.wasm" && idle_wasm || die "no module"
# One function for each kind: what is admitted depends on how long a function's events took.
for f in r p w g; do
	deploy host-$f "$D/host.wasm" '"limits":{"cpu_ms":1,"deadline_ms":200,"output":"64KiB"},"capabilities":{"state":true}' ||
		die "cannot deploy: $(cat "$D/host-$f.deployed")"
	bind host-$f --mqtt host/$f --publish host-out --qos 0 || die "cannot bind"
done
deploy echo "$D/idle.wasm" || die "cannot deploy: $(cat "$D/echo.deployed")"
trapped() { function_has "host-$1" .counts.trapped; }
trapped_is() { [ "$(trapped "$1")" -ge "$2" ]; }
# batch WHAT TRAPPED EACH: EACH events every 50 ms until so many have trapped; a busy machine refuses some for their deadline
batch() {
	local i until=$((SECONDS + 45))
	while ! trapped_is "$1" "$2" && [ $SECONDS -lt $until ]; do
		for ((i = 0; i < 10; i++)); do
			yes "$1" | head -n "$3"
			sleep 0.05
		done
	done | mosquitto_pub -p "$PORT" -q 0 -t "host/$1" -l
}
all() { # N: of each kind, at once
	local row pids=() f
	declare -A before
	for f in r p w g; do before[$f]=$(trapped $f); done
	for row in r:10 p:15 w:20 g:10; do
		batch "${row%:*}" $((before[${row%:*}] + $1)) "${row#*:}" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for row in r:"random_get, out of time" p:"poll_oneoff, past the deadline" w:"fd_write, over the quota" g:"state_get, out of time"; do
		f=${row%%:*}
		check "${row#*:}: $1 events end so" "$(function_has host-$f '.counts | tostring')" \
			trapped_is $f $((before[$f] + $1))
	done
}

all 200 # what it keeps for later is there now
sandbox=$(status .sandbox.pid)
[ -n "$sandbox" ] || die "which process is the sandbox?"
fds=$(fds_of "$sandbox") kb=$(rss_kb_of "$sandbox") own_fds=$(fds_of "$GATEWAY_PID")
all 2500
now=$(rss_kb_of "$sandbox")
check "penstock-sandbox keeps no descriptor" "$fds before, $(fds_of "$sandbox") now" [ "$(fds_of "$sandbox")" -le "$fds" ]
check "penstock-sandbox keeps no memory" "$kb KB before, $now now" [ "$now" -le $((kb + 8192)) ]
check "penstockd keeps no descriptor" "$own_fds before, $(fds_of "$GATEWAY_PID") now" [ "$(fds_of "$GATEWAY_PID")" -le $((own_fds + 2)) ]
check "it is the same process" "$sandbox before" [ "$(status .sandbox.pid)" = "$sandbox" ]
check "nothing that was held was published or kept" "$(cli state host-g 2>&1 | head -n 2)" \
	jq_true '.items | length == 0' < <(cli state host-g --json)
check "the next honest event is served" "$(cli logs | tail -n 2)" jq_true '.status == "ok"' < <(cli invoke echo --topic t --payload x --json)
check "no sanitizer complained" "$(tail -n 3 "$D/gateway.log")" unharmed
