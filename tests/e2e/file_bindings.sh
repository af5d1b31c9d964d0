#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bindings of the configuration's files: there from the start, read again without a restart.
. tests/e2e/lib.sh

if ! command -v mosquitto_pub >/dev/null; then
	skip "file bindings" "no mosquitto_pub"
	exit
fi
begin '[binding.first]' 'function = echo' 'mqtt = one/in' 'publish = one/out'
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"
answers() { # TOPIC
	local got
	got=$("$B/tests/e2e/probe" "$PORT" "$1/in" "$1/out" -q 1 -r 20 -n 3 2>&1)
}
bindings() { cli bindings --json | jq -c "$1"; }
check "a binding of a file is there from the start" "$(cli bindings)" wait_for 10 answers one
check "it says where it stands" "$(bindings .)" \
	json_is "$(bindings .)" '[.items[] | select(.name == "first" and (.file | test("penstock.conf:[0-9]+$")))] | length == 1'
id=$(bindings '.items[0].id')
said=$(cli unbind "$id" 2>&1)
check "unbind says that it is a file's" "$said" grep -q 'remove it there' <<<"$said"

mkdir -p "$D/conf.d"
printf '[binding.second]\nfunction = echo\nmqtt = two/in\npublish = two/out\n' >"$D/conf.d/two.conf"
said=$(cli reload 2>&1)
check "reload says what changed" "$said" grep -q '1 added, 0 removed, 0 changed' <<<"$said"
check "a binding of a new file takes effect without a restart" "$(cli bindings)" wait_for 10 answers two
check "the other one goes on" "$(cli bindings)" wait_for 10 answers one

sed -i 's|two/out|TWO/out|' "$D/conf.d/two.conf"
kill -HUP "$GATEWAY_PID"
changed() { [ "$(bindings '[.items[] | select(.publish == "TWO/out")] | length')" = 1 ]; }
check "SIGHUP does the same" "$(cli bindings)" wait_for 10 changed
rm "$D/conf.d/two.conf"
said=$(cli reload 2>&1)
check "what is gone from the files is unbound" "$said$(cli bindings)" [ "$(bindings '.items | length')" = 1 ]

printf '[binding.bad]\nfunction = echo\nmqtt = a/#/b\n' >"$D/conf.d/bad.conf"
said=$(cli reload 2>&1)
check "a binding that makes no sense is counted, the rest goes on" "$said" grep -q '1 bindings make no sense' <<<"$said"
said=$(cli reload 2>&1)
check "and counted again while it stays so" "$said" grep -q '1 bindings make no sense' <<<"$said"
printf '[binding.bad]\nfunction = echo\nmqtt = a\nnonsense = 1\n' >"$D/conf.d/bad.conf"
said=$(cli reload 2>&1)
check "files that make no sense change nothing, and the place is said" "$said" grep -q 'bad.conf:2' <<<"$said"
check "and all goes on" "$(cli bindings)" answers one
said=$(cli bind echo --every 5s --broker plc 2>&1)
check "what there is one of has no name" "$said" grep -q 'there is one every' <<<"$said"
said=$(cli bind echo --modbus 1/holding/5 2>&1)
check "what there are several of needs one" "$said" grep -q 'say which' <<<"$said"
rm -f "$D"/conf.d/*
printf '[binding.odd]\nfunction = echo\ncron = nonsense\n' >"$D/conf.d/odd.conf"
cli reload >/dev/null 2>&1
odd() { cli doctor --json | jq_true '.items[] | select(.area == "binding" and .name == "odd" and .ok == false) | .hint | contains("odd.conf")'; }
check "doctor names a binding of a file that was refused" "$(cli doctor)" odd
