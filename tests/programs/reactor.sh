#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `penstock run` of a reactor: stdin is the event, and what it emits is printed. And what may go wrong before the event:
# a start function that never ends, with both kinds of memory checks.
. tests/programs/lib.sh

event() { # NAME WANT_CODE WANT_TEXT PAYLOAD ARGUMENT...: exit code, and stdout and stderr together
	local name=$1 code=$2 text=$3 payload=$4 got rc
	shift 4
	got=$(printf '%s' "$payload" | timeout 20 "$P" run "$@" 2>&1)
	rc=$?
	if [ "$rc" = "$code" ] && [[ $got == $text ]]; then ok "$name"; else not_ok "$name" "exit code $rc, printed: $got"; fi
}
hot='{"sensor":"s-1","celsius":97.5}' alert='{"alert":"overheat","sensor":"s-1","celsius":97.5,"limit":90}'
for bounds in guard check; do
	event "a reactor emits, bounds=$bounds" 0 "emit (the binding's topic): $alert" "$hot" \
		--bounds $bounds "$B/examples/overheat.wasm"
	event "a reactor says why it failed, bounds=$bounds" 1 \
		$'error: the payload has no number "celsius"\nfailed: on_event returned 1, so nothing is emitted' junk \
		--bounds $bounds "$B/examples/overheat.wasm"
done

cat >"$T/reactor.wat" <<'WAT'
(module
  (import "penstock" "event_attr" (func $attr (param i32 i32 i32 i32) (result i32)))
  (import "penstock" "emit" (func $emit (param i32 i32 i32 i32 i32) (result i32)))
  (import "penstock" "log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $ready (mut i32) (i32.const 0))
  (data (i32.const 0) "topicsubjectout/1a\nb")
  (func (export "_initialize") (global.set $ready (i32.const 1)))
  (func (export "on_event") (result i32)
    (drop (call $log (i32.const 4) (i32.const 12) (i32.const 5)))
    (drop (call $emit (i32.const 12) (i32.const 5) (i32.const 100)
      (call $attr (i32.const 0) (i32.const 5) (i32.const 100) (i32.const 50)) (i32.const 4)))
    (drop (call $emit (i32.const 12) (i32.const 5) (i32.const 100)
      (call $attr (i32.const 5) (i32.const 7) (i32.const 100) (i32.const 50)) (i32.const 0)))
    (drop (call $emit (i32.const 0) (i32.const 0) (i32.const 17) (i32.const 3) (i32.const 0)))
    (i32.eqz (global.get $ready))))
WAT
cat >"$T/start.wat" <<'WAT'
(module (func $f (loop br 0)) (start $f) (func (export "on_event") (result i32) (i32.const 0)))
WAT
cat >"$T/outside.wat" <<'WAT'
(module (memory (export "memory") 1)
  (func (export "on_event") (result i32) (i32.load offset=65533 (i32.const 0))))
WAT
for f in reactor start outside; do wat2wasm "$T/$f.wat" -o "$T/$f.wasm" || not_ok "$f.wat" "wat2wasm refuses it"; done
event "attributes come from --env, control characters are shown" 0 \
	$'warning: out/1\nemit out/1 (retained): a/b\nemit out/1: me\nemit (the binding\'s topic): a\\\\x0ab' '' \
	--env MQTT_TOPIC=a/b --env CE_SUBJECT=me "$T/reactor.wasm"
for bounds in guard check; do
	event "an endless start function ends at its budget, bounds=$bounds" 134 "trap: time at *budget*" '' \
		--bounds $bounds --cpu-ms 50 "$T/start.wasm"
	event "a load outside of memory is a trap, bounds=$bounds" 134 "trap: memory at *" '' \
		--bounds $bounds "$T/outside.wasm"
done
