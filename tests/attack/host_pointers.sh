#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every pointer of every host call, at the end of memory, over it by one byte, wrapping at 4 GiB, with lengths whose sum or
# product wraps; buffers that overlap each other and the vectors that name them. The answer is
# EFAULT (WASI) or EINVAL (penstock), and the bytes before the end of memory, all over it, stay as they were. In both memory modes.
# Would fail: with sums of 32 bits in guest_span(), the calls that wrap succeed, or end the process.
. tests/programs/lib.sh

# MODULE CALL PARAMETERS: i = i32, I = i64. Memory is one page. Rows below: ANSWER CALL ARGUMENT...
imports='wasi_snapshot_preview1 args_get ii
wasi_snapshot_preview1 args_sizes_get ii
wasi_snapshot_preview1 environ_get ii
wasi_snapshot_preview1 environ_sizes_get ii
wasi_snapshot_preview1 clock_res_get ii
wasi_snapshot_preview1 clock_time_get iIi
wasi_snapshot_preview1 random_get ii
wasi_snapshot_preview1 fd_read iiii
wasi_snapshot_preview1 fd_write iiii
wasi_snapshot_preview1 fd_fdstat_get ii
wasi_snapshot_preview1 fd_filestat_get ii
wasi_snapshot_preview1 poll_oneoff iiii
penstock event_payload ii
penstock event_attr iiii
penstock emit iiiii
penstock log iii
penstock state_get iiiiii
penstock state_put iiiiiii
penstock state_delete iiii
penstock state_cas iiiiiiiii
penstock state_next iiiiiiii'
# In memory: at 64 a vector of 8 bytes at 512, at 72 one over the end, at 80 one that wraps, at 96 one onto itself; at 128
# a subscription to a clock that is due; at 512 "key"; at 520 "topic". The last 64 bytes are canaries.
# 21 EFAULT, 28 EINVAL, -1 PENSTOCK_EINVAL.
rows='
0 state_put 0 0 512 3 512 3 0
21 args_get 65533 1024
21 args_get 1024 65536
21 args_get -4 1024
21 args_get 1024 -1
21 args_sizes_get 65533 1024
21 args_sizes_get 1024 -1
21 environ_get 65533 1024
21 environ_get 1024 65535
21 environ_sizes_get -2 1024
21 environ_sizes_get 1024 65534
21 clock_res_get 1 65529
21 clock_res_get 1 -8
21 clock_time_get 1 0 65529
21 clock_time_get 0 0 -1
21 random_get 65535 2
21 random_get 1024 -1
21 random_get -1 1024
21 random_get -1 -1
21 random_get 1024 64513
21 fd_write 2 65529 1 1024
21 fd_write 2 -8 1 1024
21 fd_write 2 72 1 1024
21 fd_write 2 80 1 1024
21 fd_write 2 64 1 65533
21 fd_write 2 64 1 -1
28 fd_write 2 64 -1 1024
28 fd_write 2 64 536870913 1024
21 fd_read 0 72 1 1024
21 fd_read 0 80 1 1024
21 fd_read 0 64 1 65533
21 fd_read 0 -8 1 1024
28 fd_read 0 64 -1 1024
21 fd_fdstat_get 1 65513
21 fd_fdstat_get 1 -24
21 fd_filestat_get 1 65473
21 fd_filestat_get 1 -64
21 poll_oneoff 65489 1024 1 1100
21 poll_oneoff 128 65505 1 1100
21 poll_oneoff 128 1024 1 65533
21 poll_oneoff -48 1024 1 1100
21 poll_oneoff 128 -32 1 1100
21 poll_oneoff 128 1024 1 -4
28 poll_oneoff 128 1024 -1 1100
28 poll_oneoff 128 1024 89478486 1100
28 poll_oneoff 128 1024 134217729 1100
-1 event_payload 65530 7
-1 event_payload -1 7
-1 event_payload 65534 -1
-1 event_attr 65535 2 1024 8
-1 event_attr -1 2 1024 8
-1 event_attr 512 -1 1024 8
-1 event_attr 520 5 65535 2
-1 event_attr 520 5 -1 8
-1 event_attr 520 5 65535 -1
-1 emit 65535 2 512 3 0
-1 emit -1 2 512 3 0
-1 emit 512 3 65535 2 0
-1 emit 512 3 -1 2 0
-1 emit 512 3 512 -1 0
-1 emit 512 -1 512 3 0
-1 log 6 65535 2
-1 log 6 -1 2
-1 log 6 512 -1
-1 state_get 65535 2 512 3 1024 8
-1 state_get -1 2 512 3 1024 8
-1 state_get 512 -1 512 3 1024 8
-1 state_get 0 0 65535 2 1024 8
-1 state_get 0 0 -1 2 1024 8
-1 state_get 0 0 512 -1 1024 8
-1 state_get 0 0 512 3 65535 2
-1 state_get 0 0 512 3 -1 8
-1 state_get 0 0 512 3 65535 -1
-1 state_put -1 2 512 3 512 3 0
-1 state_put 0 0 65535 2 512 3 0
-1 state_put 0 0 512 3 65535 2 0
-1 state_put 0 0 512 3 -1 2 0
-1 state_put 0 0 512 3 512 -1 0
-1 state_delete -1 2 512 3
-1 state_delete 0 0 65535 2
-1 state_delete 0 0 512 -1
-1 state_cas -1 2 512 3 512 3 512 3 0
-1 state_cas 0 0 65535 2 512 3 512 3 0
-1 state_cas 0 0 512 3 65535 2 512 3 0
-1 state_cas 0 0 512 3 -1 2 512 3 0
-1 state_cas 0 0 512 3 512 -2 512 3 0
-1 state_cas 0 0 512 3 512 3 65535 2 0
-1 state_cas 0 0 512 3 512 3 512 -1 0
-1 state_next -1 2 0 0 0 0 1024 8
-1 state_next 0 0 65535 2 0 0 1024 8
-1 state_next 0 0 0 0 65535 2 1024 8
-1 state_next 0 0 0 0 512 -1 1024 8
-1 state_next 0 0 0 0 0 0 65535 2
-1 state_next 0 0 0 0 0 0 -1 8
-1 state_next 0 0 0 0 0 0 65535 -1'
# To the last byte of memory, and onto itself, each works: what they write is looked at elsewhere.
fits='
0 args_sizes_get 65532 65532
0 environ_sizes_get 65532 65528
0 clock_time_get 1 0 65528
0 random_get 65535 1
0 random_get 65536 0
0 random_get 0 65536
0 fd_fdstat_get 1 65512
0 fd_filestat_get 1 65472
0 poll_oneoff 128 65504 1 65500
0 poll_oneoff 128 128 1 128
0 poll_oneoff 128 130 1 132
0 fd_write 2 96 1 96
0 fd_read 0 96 1 96
7 event_payload 65529 7
7 event_payload -1 0
0 log 6 65535 1
0 state_put 0 0 65535 1 65536 0 0
0 state_put 0 0 512 3 512 3 0
3 state_get 0 0 512 3 65533 3
3 state_get 0 0 512 3 512 3
1 state_next 0 0 0 0 0 0 512 3
0 state_cas 0 0 512 3 512 3 512 3 0
0 state_delete 0 0 512 3'

types() { sed -e 's/./& /g' -e 's/i/i32/g' -e 's/I/i64/g' <<<"$1"; }
declare -A type
while read -r _ call t; do type[$call]=$t; done <<<"$imports"
# A row as a call whose answer is compared: trouble is remembered as the row's number
row_as_wat() { # NUMBER EXPECTED CALL ARGUMENT...
	local n=$1 want=$2 call=$3 i t args=''
	shift 3
	for ((i = 0; i < ${#type[$call]}; i++)); do
		t=i32
		[ "${type[$call]:i:1}" = i ] || t=i64
		args+=" ($t.const $1)"
		shift
	done
	echo "(call \$set) (call \$is (i32.const $n) (i32.const $want) (call \$$call$args))"
}
make_wat() { # ROWS KIND
	local n=0 row
	echo '(module'
	while read -r module call t; do
		echo " (import \"$module\" \"$call\" (func \$$call (param $(types "$t")) (result i32)))"
	done <<<"$imports"
	cat <<-'E_WAT'
		 (memory (export "memory") 1 1)
		 (data $pattern "\00\02\00\00\08\00\00\00" "\f9\ff\00\00\08\00\00\00" "\f8\ff\ff\ff\10\00\00\00" "\00\00\00\00\00\00\00\00" "\60\00\00\00\10\00\00\00")
		 (data $names "key\00\00\00\00\00topic")
		 (global $bad (mut i32) (i32.const 0))
		 (func $set
		  (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))
		  (memory.init $pattern (i32.const 64) (i32.const 0) (i32.const 40))
		  (memory.init $names (i32.const 512) (i32.const 0) (i32.const 13))
		  (i64.store (i32.const 128) (i64.const 7)) (i32.store (i32.const 144) (i32.const 1))
		  (memory.fill (i32.const 65472) (i32.const 0x61) (i32.const 64)))
		 (func $canaries (result i32) (local $i i32)
		  (local.set $i (i32.const 65472))
		  (loop $l
		   (if (i64.ne (i64.load (local.get $i)) (i64.const 0x6161616161616161)) (then (return (i32.const 0))))
		   (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 65536))))
		  (i32.const 1))
	E_WAT
	echo ' (func $is (param $n i32) (param $want i32) (param $got i32)'
	echo '  (if (global.get $bad) (then (return)))'
	echo '  (if (i32.ne (local.get $want) (local.get $got)) (then (global.set $bad (i32.or (i32.shl (local.get $n) (i32.const 8)) (i32.and (local.get $got) (i32.const 255))))))'
	[ "$2" = fits ] || echo '  (if (i32.eqz (call $canaries)) (then (global.set $bad (i32.or (i32.const 0x1000000) (i32.shl (local.get $n) (i32.const 8))))))'
	echo ' )'
	echo ' (func (export "on_event") (result i32)'
	while read -r row; do
		[ -n "$row" ] || continue
		n=$((n + 1))
		# shellcheck disable=SC2086 # words
		row_as_wat $n $row
	done <<<"$1"
	echo '  (global.get $bad)))'
}
# runs NAME ROWS KIND: each row answers as it says
runs() {
	local bounds said code row
	make_wat "$2" "$3" >"$T/$1.wat"
	wat2wasm --enable-all "$T/$1.wat" -o "$T/$1.wasm" || { not_ok "$1" "wat2wasm refuses it"; return; }
	for bounds in guard check; do
		said=$(printf 'payload' | timeout -s KILL 10 "$P" run --bounds $bounds -e MQTT_TOPIC=a/topic "$T/$1.wasm" 2>&1)
		code=$?
		if [ $code = 0 ]; then ok "$1: $(grep -c . <<<"$2") calls ($bounds)"; continue; fi
		row=$(grep -aoE "returned [0-9]+" <<<"$said" | grep -oE "[0-9]+" | head -n 1)
		not_ok "$1 ($bounds)" "exit code $code, row '$(grep . <<<"$2" | sed -n "$((${row:-256} >> 8 & 65535))p")', answer $((${row:-0} & 255)), canaries gone: $((${row:-0} >> 24)): $(head -c 300 <<<"$said" | tr '\n' ' ')"
	done
}
runs refused "$rows" canaries
runs fits "$fits" fits
