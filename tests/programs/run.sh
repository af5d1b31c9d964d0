#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `penstock run` as a Wasm runtime: --invoke, exit codes, traps with kind and place, refusals, usage.
. tests/programs/lib.sh

cat >"$T/calls.wat" <<'W'
(module
  (memory (export "memory") 1 2)
  (type $unary (func (param i32) (result i32)))
  (table 4 funcref)
  (elem (i32.const 1) $unary $nothing)
  (func $unary (type $unary) local.get 0)
  (func $nothing)
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "long") (param i64) (result i64) local.get 0 i64.const 1 i64.sub)
  (func (export "half") (param f64) (result f64) local.get 0 f64.const 2 f64.div)
  (func (export "single") (param f32) (result f32) local.get 0 f32.const 2 f32.div)
  (func (export "swap") (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func (export "nothing"))
  (func $sink_here (export "unreachable") unreachable)
  (func $load_far (export "memory-load") (result i32) i32.const 0xfffffff0 i32.load)
  (func $load_edge (export "memory-edge") (result i32) i32.const 65533 i32.load)
  (func $load_offset (export "memory-offset") (result i32) i32.const 0xffffffff i32.load offset=0xffffffff)
  (func $store_far (export "memory-store") i32.const 65536 i64.const 1 i64.store)
  (func $fill (export "memory-fill") i32.const 65530 i32.const 1 i32.const 7 memory.fill)
  (func $divide (export "divide") (param i32 i32) (result i32) local.get 0 local.get 1 i32.div_s)
  (func $remainder (export "remainder") (param i64 i64) (result i64) local.get 0 local.get 1 i64.rem_u)
  (func $convert (export "convert") (param f64) (result i32) local.get 0 i32.trunc_f64_s)
  (func $call_table (export "call") (param i32) (result i32) i32.const 5 local.get 0 call_indirect (type $unary))
  (func $recurse (export "recurse") (param i64) (result i64) local.get 0 i64.const 1 i64.add call $recurse i64.const 1 i64.add)
  (func $spin (export "spin") (loop $l br $l))
  (func $grow (export "grow") (param i32) (result i32) local.get 0 memory.grow))
W
wat "$T/calls.wat" --debug-names -o "$T/calls.wasm" || exit 1

call() { # NAME STATUS STDOUT STDERR-REGEX EXPORT ARGS...
	local name=$1 status=$2 out=$3 err=$4
	shift 4
	expect "$name" "$status" "$out" "$err" "$P" run --cpu-ms 300 --invoke "$1" "$T/calls.wasm" "${@:2}"
}
call "invoke: i32 arguments and result" 0 7 "" add 3 4
call "invoke: i32 wraps" 0 -2147483648 "" add 2147483647 1
call "invoke: i64" 0 -9223372036854775808 "" long -9223372036854775807
call "invoke: f64" 0 1.5 "" half 3
call "invoke: f32" 0 0.25 "" single 0.5
call "invoke: several results, one a line" 0 $'8\n5' "" swap 5 8
call "invoke: no result" 0 "" "" nothing
call "invoke: memory.grow up to the module's maximum" 0 1 "" grow 1
call "invoke: memory.grow beyond it fails with -1" 0 -1 "" grow 2
# Spins for 20 ms by the wall clock (1); the CPU clock (2) must have gone on beyond the 2 ms of a first slice. A busy machine
# gives it less than 20, hence 5.
cat >"$T/clock.wat" <<'W'
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func $now (param i32) (result i64) (drop (call $clock (local.get 0) (i64.const 1) (i32.const 0))) (i64.load (i32.const 0)))
  (func (export "spin") (result i32) (local $end i64) (local $cpu i64)
    (local.set $end (i64.add (call $now (i32.const 1)) (i64.const 20000000000)))
    (local.set $cpu (i64.add (call $now (i32.const 2)) (i64.const 5000000)))
    (loop $l
      (if (i64.gt_u (call $now (i32.const 2)) (local.get $cpu)) (then (return (i32.const 1))))
      (br_if $l (i64.lt_u (call $now (i32.const 1)) (local.get $end))))
    (i32.const 0)))
W
wat "$T/clock.wat" -o "$T/clock.wasm" || exit 1
expect "the CPU clock goes on without a budget" 0 1 "" "$P" run --invoke spin "$T/clock.wasm"
expect "the CPU clock goes on within a budget" 0 1 "" "$P" run --cpu-ms 1000 --invoke spin "$T/clock.wasm"

call "trap: unreachable" 134 "" '^trap: unreachable at sink_here\+0x[0-9a-f]+' unreachable
call "trap: load beyond memory" 134 "" '^trap: memory at load_far\+0x[0-9a-f]+' memory-load
call "trap: load across the end of memory" 134 "" '^trap: memory at load_edge\+' memory-edge
call "trap: offset that wraps" 134 "" '^trap: memory at load_offset\+' memory-offset
call "trap: store just beyond memory" 134 "" '^trap: memory at store_far\+' memory-store
call "trap: memory.fill across the end" 134 "" '^trap: memory at fill\+' memory-fill
call "trap: division by zero" 134 "" '^trap: divide-by-zero at divide\+' divide 1 0
call "trap: remainder by zero" 134 "" '^trap: divide-by-zero at remainder\+' remainder 1 0
call "trap: division overflow" 134 "" '^trap: integer-overflow at divide\+' divide -2147483648 -1
call "trap: conversion of NaN" 134 "" '^trap: conversion at convert\+' convert nan
call "trap: conversion out of range" 134 "" '^trap: integer-overflow at convert\+' convert 3e9
call "trap: call of another type" 134 "" '^trap: indirect-call at call_table\+' call 2
call "trap: call of a null element" 134 "" '^trap: indirect-call at call_table\+' call 0
call "trap: call beyond the table" 134 "" '^trap: table at call_table\+' call 99
call "trap: endless recursion" 134 "" '^trap: stack at recurse\+' recurse 0
call "trap: endless loop" 134 "" '^trap: time at spin\+' spin
call "the right call still works" 0 5 "" call 1

cat >"$T/exit.c" <<'C'
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "abort") == 0)
		abort();
	printf("%d\n", argc);
	exit(argc > 1 ? atoi(argv[1]) : 0);
}
C
clang-19 --target=wasm32-wasi -O2 -c -o "$T/exit.o" "$T/exit.c" && clang-19 --target=wasm32-wasi -o "$T/exit.wasm" "$T/exit.o"
expect "exit code 0" 0 1 "" "$P" run "$T/exit.wasm"
expect "exit code 1" 1 2 "" "$P" run "$T/exit.wasm" 1
expect "exit code 255" 255 3 "" "$P" run "$T/exit.wasm" 255 x
expect "abort() is a trap" 134 "" '^trap: unreachable at (abort\.c:[0-9]+ abort|(abort|main)\+)' "$P" run "$T/exit.wasm" abort
expect "options after the file are the program's" 0 2 "" "$P" run "$T/exit.wasm" --help

head -c 200 "$T/exit.wasm" >"$T/cut.wasm"
printf 'MZ\220\0 not Wasm at all' >"$T/exe.wasm"
: >"$T/empty.wasm"
printf '\0asm\r\0\1\0' >"$T/component.wasm"
expect "refused: truncated" 65 "" '^refused: .+' "$P" run "$T/cut.wasm"
expect "refused: no Wasm" 65 "" '^refused: .+' "$P" run "$T/exe.wasm"
expect "refused: empty" 65 "" '^refused: .+' "$P" run "$T/empty.wasm"
expect "refused: a component" 65 "" '^refused: .*component' "$P" run "$T/component.wasm"
echo '(module (func (export "_start") i32.const 1 f32.const 2 i32.add drop))' >"$T/type.wat"
wat --no-check "$T/type.wat" -o "$T/type.wasm"
expect "refused: ill-typed, with the place" 65 "" '^refused: .*(0x[0-9a-f]+|offset)' "$P" run "$T/type.wasm"
echo '(module (import "env" "rocket" (func)) (func (export "_start") call 0))' >"$T/import.wat"
wat "$T/import.wat" -o "$T/import.wasm"
expect "refused: an unknown import, by name" 65 "" '^refused: .*env.*rocket' "$P" run "$T/import.wasm"
echo '(module (func (export "other")))' >"$T/nostart.wat"
wat "$T/nostart.wat" -o "$T/nostart.wasm"
expect "refused: nothing to start" 65 "" '_start' "$P" run "$T/nostart.wasm"
expect "refused: an export that is not there, by name" 65 "" 'missing' "$P" run --invoke missing "$T/nostart.wasm"

expect "usage: no file named" 64 "" 'usage|penstock run' "$P" run
expect "usage: an option that is not there" 64 "" '--rocket' "$P" run --rocket "$T/exit.wasm"
expect "usage: wrong number of arguments" 64 "" 'add' "$P" run --invoke add "$T/calls.wasm" 1
expect "usage: an argument that is no number" 64 "" 'pump' "$P" run --invoke add "$T/calls.wasm" 1 pump
expect "a file that is not there is named" 66 "" 'nowhere.wasm' "$P" run "$T/nowhere.wasm"
