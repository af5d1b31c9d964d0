#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One function fills all it can reach with a pattern: memory, grown pages, globals, a table, dropped segments; then it ends in each way:
# done, failed, trapped, out of time. Whoever runs next on that slot (the same function, another one, one with more memory) looks at
# every byte and reports what is not as its module says. Through the real gateway, many times.
# Would fail: with a pool that gives a slot on without image_reset(), every look after a scribble reports.
. tests/attack/lib.sh

# module NAME PAGES: $D/NAME.wasm; the payload's first byte says what to do
module() {
	cat >"$D/$1.wat" <<-E_WAT
		(module
		 (import "penstock" "event_payload" (func \$payload (param i32 i32) (result i32)))
		 (import "penstock" "emit" (func \$emit (param i32 i32 i32 i32 i32) (result i32)))
		 (type \$f (func (result i32)))
		 (memory (export "memory") $2 64) (data (i32.const 1024) "as it was")
		 (data \$passive "passive bytes")
		 (table \$t 8 64 funcref) (elem (table \$t) (i32.const 0) func \$zero \$one)
		 (elem \$more func \$one \$one)
		 (global \$a (mut i32) (i32.const 11)) (global \$b (mut i64) (i64.const 22)) (global \$c (mut f64) (f64.const 33))
		 (func \$zero (result i32) (i32.const 0)) (func \$one (result i32) (i32.const 1))
		 (func \$bytes (result i32) (i32.mul (memory.size) (i32.const 65536)))

		 (func \$scribble
		  (drop (memory.grow (i32.const 3)))
		  (memory.fill (i32.const 0) (i32.const 0xa5) (call \$bytes))
		  (global.set \$a (i32.const -1)) (global.set \$b (i64.const -1)) (global.set \$c (f64.const -1))
		  (drop (table.grow \$t (ref.func \$one) (i32.const 4)))
		  (table.fill \$t (i32.const 0) (ref.func \$one) (table.size \$t))
		  (data.drop \$passive) (elem.drop \$more))

		 ;; The number of a thing that is not as the module says; 0 when all are
		 (func \$look (result i32) (local \$i i32)
		  (if (i32.ne (memory.size) (i32.const $2)) (then (return (i32.const 1))))
		  (if (i32.ne (global.get \$a) (i32.const 11)) (then (return (i32.const 2))))
		  (if (i64.ne (global.get \$b) (i64.const 22)) (then (return (i32.const 3))))
		  (if (f64.ne (global.get \$c) (f64.const 33)) (then (return (i32.const 4))))
		  (if (i32.ne (table.size \$t) (i32.const 8)) (then (return (i32.const 5))))
		  (if (call_indirect \$t (type \$f) (i32.const 0)) (then (return (i32.const 6))))
		  (local.set \$i (i32.const 2))
		  (loop \$l
		   (if (i32.eqz (ref.is_null (table.get \$t (local.get \$i)))) (then (return (i32.const 7))))
		   (br_if \$l (i32.lt_u (local.tee \$i (i32.add (local.get \$i) (i32.const 1))) (i32.const 8))))
		  (if (i64.ne (i64.load (i32.const 1024)) (i64.const 0x6177207469207361)) (then (return (i32.const 8))))
		  (i64.store (i32.const 1024) (i64.const 0)) (i32.store8 (i32.const 1032) (i32.const 0))
		  (if (call \$dirty) (then (return (i32.const 9))))
		  ;; These trap when a drop outlived its event.
		  (memory.init \$passive (i32.const 0) (i32.const 0) (i32.const 13))
		  (table.init \$t \$more (i32.const 0) (i32.const 0) (i32.const 2))
		  (memory.fill (i32.const 0) (i32.const 0) (i32.const 16))
		  ;; Pages that grow are zero, to the last byte.
		  (if (i32.lt_s (memory.grow (i32.const 3)) (i32.const 0)) (then (return (i32.const 10))))
		  (if (call \$dirty) (then (return (i32.const 11))))
		  (drop (table.grow \$t (ref.null func) (i32.const 4)))
		  (if (i32.eqz (ref.is_null (table.get \$t (i32.const 11)))) (then (return (i32.const 12))))
		  (i32.const 0))
		 (func \$dirty (result i32) (local \$i i32) (local \$x i64)
		  (loop \$l
		   (local.set \$x (i64.or (local.get \$x) (i64.load (local.get \$i))))
		   (br_if \$l (i32.lt_u (local.tee \$i (i32.add (local.get \$i) (i32.const 8))) (call \$bytes))))
		  (i64.ne (local.get \$x) (i64.const 0)))

		 (func (export "on_event") (result i32) (local \$what i32) (local \$n i32)
		  (drop (call \$payload (i32.const 0) (i32.const 1)))
		  (local.set \$what (i32.load8_u (i32.const 0)))
		  (i32.store8 (i32.const 0) (i32.const 0))
		  (if (i32.eq (local.get \$what) (i32.const 115)) (then (call \$scribble)))    ;; s: both
		  (if (i32.or (i32.eq (local.get \$what) (i32.const 108)) (i32.eq (local.get \$what) (i32.const 115))) (then ;; l
		   (local.set \$n (call \$look))
		   (i32.store8 (i32.const 8) (i32.add (i32.const 97) (local.get \$n)))
		   (return (call \$emit (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 0)))))
		  (call \$scribble)
		  (if (i32.eq (local.get \$what) (i32.const 116)) (then (unreachable)))         ;; t
		  (if (i32.eq (local.get \$what) (i32.const 101)) (then (loop \$l (br \$l))))   ;; e
		  (i32.eq (local.get \$what) (i32.const 102))))                                 ;; f
	E_WAT
	wat2wasm "$D/$1.wat" -o "$D/$1.wasm"
}
asks() { cli invoke "$1" --topic t --payload "$2" --json 2>/dev/null; }
look() { asks "$1" l | jq -r '.effects[0].payload // .reason // "no answer"'; }

attacked_begin || die "cannot begin"
for row in small:1 other:1 large:16; do
	module "${row%:*}" "${row#*:}" && deploy "${row%:*}" "$D/${row%:*}.wasm" '"limits":{"cpu_ms":20}' || die "cannot deploy ${row%:*}"
	[ "$(look "${row%:*}")" = a ] || die "${row%:*}: a fresh one reports $(look "${row%:*}")"
done
# The eye sees: after a scribble in the same event it reports the first difference, the pages.
for f in small other large; do
	got=$(asks $f s | jq -r '.effects[0].payload')
	check "$f: a look after a scribble in one event reports it" "it says '$got'" [ "$got" = b ]
done
rounds=4
for by in small other large; do
	for row in d:done t:trapped f:failed e:"out of time"; do
		seen='' ended=0
		for ((i = 0; i < rounds; i++)); do
			status=$(asks $by "${row%%:*}" | jq -r .status)
			case ${row%%:*}:$status in d:ok | [tef]:failed | [tef]:trapped | e:timeout) ended=$((ended + 1)) ;; *) seen+="[$status]" ;; esac
			for next in $by small other large; do
				got=$(look $next)
				[ "$got" = a ] || seen+=" $next:$got"
			done
		done
		check "$by scribbles (${row#*:}): nobody sees it" "saw$seen" [ -z "$seen" ]
		check "$by scribbles (${row#*:}): it did, each time" "$ended of $rounds" [ $ended = $rounds ]
	done
done
check "all in one process" "restarts: $(status .sandbox.restarts)" [ "$(status .sandbox.restarts)" = 0 ]
check "no sanitizer complained" "$(tail -n 3 "$D/gateway.log")" unharmed
