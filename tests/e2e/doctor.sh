#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# doctor: finds what is wrong, says what to do, and is content when nothing is.
. tests/e2e/lib.sh

begin
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"
bind echo --mqtt in --publish out || die "cannot bind"
finding() { # AREA SEVERITY JQ
	cli doctor --json | jq_true --arg a "$1" --arg s "$2" ".items[] | select(.area == \$a and .severity == \$s) | $3"
}
errors() { cli doctor --json | jq '[.items[] | select(.severity == "error")] | length'; }
check "a gateway that is well has no error" "$(cli doctor --all 2>&1)" [ "$(errors)" = 0 ]
check "and says so by its exit code" "$(cli doctor 2>&1)" cli doctor
check "it looked at broker, binding, function, journal, sandbox, disk and clock" "$(cli doctor --all)" \
	jq_true '[.items[].area] | contains(["broker", "binding", "function", "journal", "sandbox", "disk", "clock"])' <(cli doctor --json)

broker_stop
check "a broker that is away is found, with its address" "$(cli doctor 2>&1)" \
	wait_for 15 finding broker error '.text | contains("127.0.0.1")'
said=$(cli doctor)
check "then the exit code is 1" "$said" [ $? = 1 ]
cli bind echo --mqtt other >/dev/null 2>&1
cli remove echo --bindings >/dev/null 2>&1
printf '\n[binding.lost]\nfunction = nobody\nmqtt = a\n' >>"$D/penstock.conf"
cli reload >/dev/null
check "a binding without its function is found" "$(cli doctor)" finding binding error '.text | contains("not deployed")'
broker_start || die "no broker again"
check "what is mended is not found any more" "$(cli doctor)" wait_for 30 finding broker ok .
