#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whatever is uploaded: what must not run is refused with the reason, and everything else goes on.
. tests/e2e/lib.sh

sign() { # FILE NAME: $D/NAME.wasm, signed as it is
	"$B/tests/e2e/sign_raw" "${KEY:-$D/author.key}" "$1" "$D/$2.wasm"
}
refused() { # NAME REGEX FILE
	local err
	if err=$(cli deploy --grant --name victim "$3" 2>&1); then
		not_ok "$1 is refused" "it was deployed"
	else
		check "$1 is refused with the reason" "'$2' is not in: $err" grep -qiE -- "$2" <<<"$err"
	fi
}
with_section() { # NAME PAYLOAD: echo.wasm with a manifest section of exactly these bytes, signed
	printf '%s' "$2" >"$D/payload"
	{ cat "$D/echo.wasm"; custom_section penstock.manifest "$D/payload"; } >"$D/$1.raw"
	sign "$D/$1.raw" "$1"
}

begin '[limits]' 'module_bytes = 1MiB'
flow_deploy
flow_begin

sign "$D/echo.wasm" good || die "sign failed"
size=$(stat -c %s "$D/good.wasm")
refused "an unsigned module" 'sign' "$D/echo.wasm"
head -c $((size - 40)) "$D/good.wasm" >"$D/cut.wasm"
refused "a truncated module" 'signature|truncat|left' "$D/cut.wasm"
cp "$D/good.wasm" "$D/tampered.wasm"
printf '\x55' | dd of="$D/tampered.wasm" bs=1 seek=$((size - 60)) conv=notrunc status=none
refused "a tampered module" 'signature|changed after it was signed' "$D/tampered.wasm"
"$B/penstock" keygen "$D/stranger" >/dev/null
KEY=$D/stranger.key sign "$D/echo.wasm" stranger
refused "a module signed by a stranger" 'trust' "$D/stranger.wasm"
head -c 1500000 /dev/zero >"$D/payload"
{ cat "$D/echo.wasm"; custom_section ballast "$D/payload"; } >"$D/big.raw"
sign "$D/big.raw" big
refused "an oversized module" 'large|limit|1 ?MiB|1048576|bytes' "$D/big.wasm"
head -c 300 /dev/urandom >"$D/noise.wasm"
refused "noise" 'signature|WebAssembly|Wasm|magic|module' "$D/noise.wasm"
echo '(module (memory (export "memory") 1) (func $mixes (export "_start") i32.const 1 f32.const 2 i32.add drop))' >"$D/invalid.wat"
wat2wasm --no-check "$D/invalid.wat" -o "$D/invalid.raw" && sign "$D/invalid.raw" invalid
refused "an invalid module" 'offset|0x' "$D/invalid.wasm"
echo '(module (import "env" "rocket" (func)) (memory (export "memory") 1) (func (export "_start") call 0))' >"$D/import.wat"
wat2wasm "$D/import.wat" -o "$D/import.raw" && sign "$D/import.raw" import
refused "an unknown import" 'env.*rocket' "$D/import.wasm"
echo '(module (memory (export "memory") 1) (func (export "neither")))' >"$D/shape.wat"
wat2wasm "$D/shape.wat" -o "$D/shape.raw" && sign "$D/shape.raw" shape
refused "a module of neither shape" '_start|on_event' "$D/shape.wasm"
with_section nojson '{"name": "x", '
refused "a manifest that is no JSON" 'manifest.*(line|JSON)|line' "$D/nojson.wasm"
with_section unknown '{"name":"x","version":"1.0.0","abi":1,"publlish":["#"]}'
refused "a manifest with an unknown key" 'publlish' "$D/unknown.wasm"
with_section greedy '{"name":"x","version":"1.0.0","abi":1,"limits":{"memory":"3GiB"}}'
refused "a manifest that asks for too much memory" 'memory' "$D/greedy.wasm"
with_section slow '{"name":"x","version":"1.0.0","abi":1,"limits":{"cpu_ms":3600000}}'
refused "a manifest that asks for too much time" 'cpu_ms' "$D/slow.wasm"
with_section path '{"name":"../../etc/passwd","version":"1.0.0","abi":1}'
refused "a manifest with a name that is a path" 'name' "$D/path.wasm"

check "nothing of it was deployed" "$(cli functions)" [ "$(cli functions --json | jq '.items | length')" = 1 ]
flow_end "refused uploads"
