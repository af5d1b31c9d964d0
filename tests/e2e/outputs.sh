#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Outputs: functions set them by name as far as granted, people by hand; a value waits for a device that is away, also
# through kill -9; at every end of who set it an output is safe: planned, kill -9, quarantine. A folder stands for
# /sys/class/leds, and a second lamp for a device that comes and goes.
set -u
cd "$(dirname "$0")/../.."
. tests/e2e/lib.sh

local_begin
broker_start || die "no broker"
for lamp in one two; do
	mkdir -p "$D/leds/$lamp"
	echo 1 >"$D/leds/$lamp/max_brightness"
	echo 1 >"$D/leds/$lamp/brightness"
done
gateway_config "[leds]" "dir = $D/leds" "[output.lamp]" "led = one" "[output.other]" "led = two" "safe = keep" "initial = keep"
mv "$D/leds/two" "$D/leds/away"
gateway_start || die "no gateway"
"$B/penstock" keygen "$D/author" >/dev/null || die "keygen failed"
cli trust "$D/author.pub" >/dev/null || die "trust failed"

is() { [ "$(cat "$D/leds/$1/brightness")" = "$2" ]; }
output() { cli outputs --json | jq -r --arg n "$1" ".items[] | select(.name == \$n) | $2"; }
output_is() { [ "$(output "$1" "$2")" = "$3" ]; }
pub() { mosquitto_pub -p "$PORT" -t "$1" -q "${3:-1}" -m "$2"; }
why() { tail -n 3 "$D/gateway.log"; [ -z "$GATEWAY_PID" ] || cli outputs --json; }
safe_lines() { grep -c 'penstockd is gone: output brought to its safe state' "$D/gateway.log"; }

check "an output has its initial value from the start, and keep keeps" "$(why)" wait_for 5 is one 0

# ---- away, and back ----
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"
bind echo --mqtt 'set/other' --publish '$output/other' || die "cannot bind echo"
for value in 1 0 1 0; do pub set/other $value; done
check "a device that is away: the output says so, and what to do" "$(why)" \
	wait_for 5 output_is other '"\(.state) \(.waits) \(.detail | test("two"))"' 'away true true'
said=$(cli output set other 0 2>&1)
check "by hand it says that the value waits" "$said" grep -q '^waits' <<<"$said"
finding() { cli doctor --json | jq_true --arg s "$1" '.items[] | select(.area == "output" and (.name | startswith("other")) and .severity == $s)'; }
check "doctor finds it" "$(cli doctor)" finding error
cli output set lamp 1 >/dev/null
check "the others go on" "$(why)" is one 1
cli output set lamp 0 >/dev/null
mv "$D/leds/away" "$D/leds/two"
check "when it is back, it gets the newest value" "$(why)" wait_for 10 is two 0
check "and doctor is content" "$(cli doctor)" wait_for 5 finding ok
counted() { output_is other '.counts.replaced > 0 and .counts.set == 1' true; }
check "only that one" "$(why)" wait_for 5 counted
pub set/other 1

# ---- functions ----
"$B/penstock" sign --key "$D/author.key" --manifest examples/lamp/manifest.json -o "$D/lamp.wasm" "$B/examples/lamp.wasm" >/dev/null || die "sign"
said=$(cli deploy "$D/lamp.wasm" 2>&1 </dev/null)
check "the permission sheet says what it wants to set" "$said" grep -q 'set output *lamp' <<<"$said"
cli deploy --grant "$D/lamp.wasm" >/dev/null || die "cannot deploy lamp"
bind lamp --mqtt 'button/+' || die "cannot bind lamp"
pub button/1 pressed
check "examples/lamp: a button switches the lamp on" "$(why)" wait_for 5 is one 1
check "penstock outputs: what, and by whom" "$(why)" wait_for 5 output_is lamp '"\(.value) \(.function) \(.state)"' '1 lamp ok'
pub button/1 pressed
check "and off" "$(why)" wait_for 5 is one 0
pub button/1 pressed 0
check "an event of QoS 0 as well" "$(why)" wait_for 5 is one 1

wasm switch -mexec-model=reactor && deploy greedy "$D/switch.wasm" || die "cannot deploy greedy"
bind greedy --mqtt greedy || die "cannot bind greedy"
pub greedy 0
check "without capabilities.io it is refused, with what to do" "$(function_has greedy .last_error.reason)" \
	wait_for 5 function_is greedy '.last_error.reason | test("capabilities.io")'
deploy covered "$D/switch.wasm" '"capabilities":{"publish":["$output/lamp","#"]}' || die "cannot deploy covered"
bind covered --mqtt covered || die "cannot bind covered"
pub covered 0
check "a filter of capabilities.publish covers no output" "$(function_has covered .last_error.reason)" \
	wait_for 5 function_is covered '.last_error.reason | test("capabilities.io")'
deploy setter "$D/switch.wasm" '"capabilities":{"io":["lamp"]}' && bind setter --mqtt light || die "cannot deploy setter"
bind echo --mqtt wrong --publish '$output/no-such' || die "cannot bind echo"
pub wrong 1
check "an output that the configuration does not have is named" "$(function_has echo .last_error.reason)" \
	wait_for 5 function_is echo '.last_error.reason | test("no output .no-such.")'
check "and nothing of all that reached the lamp" "$(why)" is one 1
pub set/other 0
check "a binding's own --publish needs no capability" "$(why)" wait_for 5 is two 0
pub set/other "$(printf '1%.0s' {1..300})"
check "nor can a value be longer than an output's is" "$(function_has echo .last_error.reason)" \
	wait_for 5 function_is echo '.last_error.reason | test("300 bytes")'
pub set/other nonsense
check "a value that makes no sense is refused, with the reason" "$(why)" wait_for 5 output_is other '.counts.refused' 1
check "and does not keep the next from being set" "$(why)" eval "pub set/other 1; wait_for 5 is two 1"

metric() { curl -s --unix-socket "$PENSTOCK_SOCKET" http://localhost/metrics | grep -qx "$1"; }
check "the metrics count it" "$(cli outputs --json)" wait_for 10 metric 'penstock_output_values_total{output="other",outcome="refused"} 1'

# ---- by hand ----
said=$(cli output set lamp 0 2>&1)
check "penstock output set: when it answers, it is set" "$said" is one 0
check "nobody's function" "$(why)" output_is lamp '.function' ''
said=$(cli output set lamp 7 2>&1)
rc=$?
check "a value that it cannot be" "$rc $said" [ $rc = 1 ]
check "is explained" "$said" grep -q 'from 0 to 1' <<<"$said"
said=$(cli output set nothing 1 2>&1)
check "an output that is not there" "$said" grep -q 'penstock outputs' <<<"$said"

# ---- kill -9 ----
gateway_stop TERM
mv "$D/leds/two" "$D/leds/away"
gateway_start || die "does not start again"
pub set/other 0
check "a value waits" "$(why)" wait_for 5 output_is other .waits true
pub light 1
check "the lamp is lit" "$(why)" wait_for 5 is one 1
gateway_stop KILL
check "kill -9 of penstockd: the guard makes it safe" "$(why)" wait_for 5 is one 0
safe_said() { [ "$(safe_lines)" = "$1" ]; }
check "and says so" "$(tail -n 3 "$D/gateway.log")" wait_for 5 safe_said 1
mv "$D/leds/away" "$D/leds/two"
gateway_start || die "does not start after kill -9"
check "what waited is set after the restart" "$(why)" wait_for 10 is two 0
delivered() {
	cli events --limit 50 --json | jq -r '.items[].id' | while read -r id; do cli events show "$id" --json; done |
		jq -es '[.[].effects[]? | select(.out == "$output") | .state] | length > 0 and all(. != "waiting")'
}
check "and is done with" "$(cli events --limit 5)" wait_for 5 delivered

guard() { pgrep -P "$GATEWAY_PID" -x penstock-guard; }
first=$(guard)
kill -9 "$first"
another() { [ -n "$(guard)" ] && [ "$(guard)" != "$first" ]; }
check "a guard that dies is replaced" "$(tail -n 3 "$D/gateway.log")" wait_for 10 another
pub light 1
check "the lamp is lit" "$(why)" wait_for 5 is one 1
gateway_stop KILL
check "the new guard knows what to do" "$(why)" wait_for 5 is one 0

# ---- quarantine ----
gateway_start || die "does not start after the second kill -9"
# What was open at the kill is done first, or it would set the lamp later than what comes now.
all_done() { [ "$(status '.journal.open + .journal.effects')" = 0 ]; }
wait_for 30 all_done || die "events of before the kill stay open: $(status '.journal | tostring')"
deploy switch "$D/switch.wasm" '"capabilities":{"io":["lamp"]},"limits":{"cpu_ms":5000}' || die "cannot deploy switch"
bind switch --mqtt switch --durability off || die "cannot bind switch"
pub switch 1
check "a function sets the lamp" "$(why)" wait_for 5 output_is lamp '"\(.value) \(.function)"' '1 switch'
pub switch hang
# A death counts when it was running, which nobody outside can see: so until two have.
quarantined() {
	function_is switch '.state == "quarantined"' && return
	sleep 0.3
	[ "$(status .sandbox.state)" = up ] && kill -9 "$(status .sandbox.pid)"
	return 1
}
check "the function is quarantined" "$(cli functions)" wait_for 30 quarantined
check "quarantine: its output is safe" "$(why)" wait_for 5 is one 0
check "and nobody's" "$(why)" wait_for 5 output_is lamp .function ''
pub light 1
check "another function may still set it" "$(why)" wait_for 5 is one 1

# ---- a planned end ----
lines=$(safe_lines)
cli output set other 1 >/dev/null
gateway_stop TERM
check "a planned end: safe" "$(why)" is one 0
check "keep keeps" "$(cat "$D/leds/two/brightness")" is two 1
check "without the guard" "$(tail -n 3 "$D/gateway.log")" [ "$(safe_lines)" = "$lines" ]
left() { ! pgrep -x penstock-guard -g "$(ps -o pgid= $$ | tr -d ' ')"; }
check "no guard is left" "$(pgrep -a penstock-guard)" wait_for 5 left

# ---- a section that makes no sense costs its own output only ----
printf '[output.odd]\nled = usr_led0\nsafe = 7x\n' >>"$D/penstock.conf"
gateway_start || die "an output that makes no sense keeps the gateway from starting"
check "the others work" "$(why)" cli output set lamp 1
odd() { cli doctor --json | jq_true '.items[] | select(.area == "output" and (.name | startswith("odd")) and .ok == false) | .text | contains("7x")'; }
check "doctor says which output makes no sense, and why" "$(cli doctor)" wait_for 10 odd
said=$(cli bind switch --mqtt nowhere --publish '$output/nix' 2>&1)
check "bind warns of an output that is not there" "$said" grep -q 'has no output "nix"' <<<"$said"
