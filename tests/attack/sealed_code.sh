#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever can write a stopped gateway's state_dir, but does not read its key: bytes flipped in sealed native code and in
# stored modules, files cut, two functions' files exchanged, an older version's in place of the newer, another
# gateway's code. At the next start each is refused or compiled again; no function ever does what another one's code does.
# Would fail: without the MAC's compare in gateway/seal.c, and without the hash's in store_get(), the wrong function answers.
. tests/attack/lib.sh

# says_wasm WORD: a reactor that emits WORD to its binding's topic: $D/WORD.wasm
says_wasm() {
	cat >"$D/$1.wat" <<-E_WAT
		(module (import "penstock" "emit" (func \$emit (param i32 i32 i32 i32 i32) (result i32)))
		 (memory (export "memory") 1) (data (i32.const 8) "$1")
		 (func (export "on_event") (result i32) (call \$emit (i32.const 0) (i32.const 0) (i32.const 8) (i32.const ${#1}) (i32.const 0))))
	E_WAT
	wat2wasm "$D/$1.wat" -o "$D/$1.wasm"
}
# upload NAME VERSION WORD
upload() {
	printf '{"name":"%s","version":"%s","abi":1}\n' "$1" "$2" >"$D/v.json"
	"$B/penstock" sign --key "$D/author.key" --manifest "$D/v.json" -o "$D/v.wasm" "$D/$3.wasm" >/dev/null &&
		cli deploy --grant "$D/v.wasm" >"$D/v.said" 2>&1
}
hash_of() { function_has "$1" .hash; }
says() { cli invoke "$1" --topic t --payload x --json 2>/dev/null | jq -r '.effects[0].payload // empty'; }
says_is() { [ "$(says "$1")" = "$2" ]; }
code() { echo "$D/state/code/$1.code"; }
module() { echo "$D/state/modules/$1.wasm"; }
same_bytes() { cmp -s "$1" "$2"; }
# flip FILE OFFSET (from the end when negative)
flip() {
	local at=$2 was
	[ "$at" -ge 0 ] || at=$(($(stat -c %s "$1") + at))
	was=$(od -An -tu1 -j "$at" -N 1 "$1")
	printf "\\x$(printf %02x $((was ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}
attacked_begin || die "cannot begin"
for word in one two old new; do says_wasm $word || die "no module $word"; done
upload one 1.0.0 one && upload two 1.0.0 two && upload grows 1.0.0 old || die "cannot deploy: $(cat "$D/v.said")"
old=$(hash_of grows)
upload grows 1.1.0 new || die "cannot deploy: $(cat "$D/v.said")"
one=$(hash_of one) two=$(hash_of two) new=$(hash_of grows)
says_is one one && says_is two two && says_is grows new || die "the functions do not answer"
for h in "$one" "$two" "$old" "$new"; do
	[ -s "$(code "$h")" ] && [ -s "$(module "$h")" ] || die "no sealed code and module of $h: $(ls "$D/state" "$D/state/code")"
done
gateway_stop
cp -a "$D/state" "$D/clean"
size=$(stat -c %s "$(code "$one")")
head=$(($(grep -abo ELF "$(code "$one")" | head -n 1 | cut -d: -f1) - 1))
[ "$head" -gt 40 ] && [ "$head" -lt 1000 ] || die "where the code begins is unknown: $head"

# tampered NAME: starts on what was done to $D/state; each function does its own or nothing
tampered() {
	local f got
	gateway_start || { not_ok "$1: the gateway starts" "$(tail -n 2 "$D/gateway.log")"; return 1; }
	for f in one:one two:two grows:new; do
		got=$(says "${f%:*}")
		check "$1: ${f%:*} does its own or nothing" "it says '$got'" [ -z "$got" -o "$got" = "${f#*:}" ]
	done
}
# again NAME: and what was tampered with was compiled again: all answer
again() {
	tampered "$1" || return
	check "$1: one is compiled again" "it says '$(says one)'" wait_for 5 says_is one one
	check "$1: two is compiled again" "it says '$(says two)'" wait_for 5 says_is two two
	check "$1: grows is compiled again" "it says '$(says grows)'" wait_for 5 says_is grows new
}
refused_in_log() { grep -aq "function cannot be restored.*function=\"*$1\b" "$D/gateway.log"; }
harmless() { unharmed && ! grep -aqE 'ERROR: AddressSanitizer|runtime error:|Assertion|ENSURE' "$D/gateway.log.all"; }
restore() {
	gateway_stop
	cat "$D/gateway.log" >>"$D/gateway.log.all"
	: >"$D/gateway.log"
	rm -rf "${D:?}/state"
	cp -a "$D/clean" "$D/state"
}

# ---- native code ----
for at in 0 8 12 20 $((head - 32)) $((head - 1)) "$head" $((head + (size - head) / 2)) -1; do
	flip "$(code "$one")" "$at"
	cp "$(code "$one")" "$D/flipped"
	again "a byte flipped at $at of $size"
	check "a byte flipped at $at: that file is gone" "it lies there still" bash -c '! cmp -s "$0" "$1"' "$D/flipped" "$(code "$one")"
	restore
done
truncate -s $((size - 1)) "$(code "$one")"
again "code cut by a byte"
restore
truncate -s 0 "$(code "$one")"
head -c 100 /dev/urandom >>"$(code "$two")"
again "code emptied, code with more behind it"
restore
cp "$D/clean/code/$one.code" "$(code "$two")"
cp "$D/clean/code/$two.code" "$(code "$one")"
again "the code of two functions exchanged"
restore
cp "$D/clean/code/$old.code" "$(code "$new")"
again "the older version's code in place of the newer"
restore
# The other's code behind this one's own head and MAC.
{ head -c "$head" "$D/clean/code/$one.code"; tail -c +$((head + 1)) "$D/clean/code/$two.code"; } >"$(code "$one")"
again "another function's code behind this one's MAC"
restore
rm -f "$D/state/device.key"
again "another device's key"
restore
rm -f "$(code "$one")"
ln -s "$(code "$two")" "$(code "$one")"
again "a link to another function's code"
restore

# ---- modules: without their code, so that they are needed ----
rm -f "$D/state/code"/*
flip "$(module "$one")" -1
tampered "a byte flipped in a module"
wait_for 5 refused_in_log one
check "a byte flipped in a module: it is not run" "one says '$(says one)'" [ -z "$(says one)" ]
check "a byte flipped in a module: others go on" "two says '$(says two)'" wait_for 5 says_is two two
check "a byte flipped in a module: the log says so" "$(tail -n 5 "$D/gateway.log")" refused_in_log one
restore
rm -f "$D/state/code"/*
cp "$D/clean/modules/$one.wasm" "$(module "$two")"
cp "$D/clean/modules/$two.wasm" "$(module "$one")"
cp "$D/clean/modules/$old.wasm" "$(module "$new")"
tampered "modules exchanged"
for f in one two grows; do
	check "modules exchanged: the log says so of $f" "$(tail -n 5 "$D/gateway.log")" wait_for 5 refused_in_log $f
	check "modules exchanged: $f is not run" "it says '$(says $f)'" [ -z "$(says $f)" ]
done
restore
gateway_start && check "with its own files all is well" "$(tail -n 2 "$D/gateway.log")" says_is grows new
check "no sanitizer complained" "$(grep -aE -A 8 'ERROR: AddressSanitizer|runtime error:' "$D/gateway.log" | head -n 12)" harmless
