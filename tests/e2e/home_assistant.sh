#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Home Assistant finds a lamp by MQTT discovery, sets it, sees what it is, and forgets it when it goes. A client of the
# broker stands for Home Assistant.
set -u
cd "$(dirname "$0")/../.."
. tests/e2e/lib.sh

local_begin
broker_start || die "no broker"
for lamp in lamp:255 relay:1; do
	mkdir -p "$D/leds/${lamp%:*}"
	echo "${lamp#*:}" >"$D/leds/${lamp%:*}/max_brightness"
	echo 0 >"$D/leds/${lamp%:*}/brightness"
done

BASE=penstock/penstock-test
lamp_is() { [ "$(head -n 1 "$D/leds/$1/brightness")" = "$2" ]; }
# The retained messages below FILTER, as "TOPIC PAYLOAD" lines; and one of them.
retained() { mosquitto_sub -p "$PORT" -t "$1" --retained-only -W 1 -F '%t %p' 2>/dev/null; }
config() { retained "home/+/penstock_test/$1/config" | cut -d ' ' -f 2-; }
there() { [ -n "$(config "$1")" ]; }
gone() { ! there "$1"; }
state_is() { [ "$(retained "$BASE/output/$1/state" | cut -d ' ' -f 2-)" = "$2" ]; }
logged() { grep -q "$1" "$D/gateway.log"; }
say() { mosquitto_pub -p "$PORT" -q 1 "$@"; }
start() { # CONFIG_LINE...
	gateway_config "client_id = penstock-test" "$@" "[leds]" "dir = $D/leds" "[output.relay]" "led = relay"
	gateway_start || die "no gateway"
}
why() { tail -n 5 "$D/gateway.log"; cli outputs; }

# ---- off by default ----
start
check "off by default: nothing but the status is retained" "$(retained '#')" \
	[ "$(retained '#' | cut -d ' ' -f 1)" = "$BASE/status" ]
gateway_stop

# ---- there ----
say -t "$BASE/output/relay/set" -m 1 -r
start "home_assistant = home" "[output.lamp]" "led = lamp"
check "each output is announced" "$(why)" wait_for 20 there output_lamp
check "each counter is announced" "$(why)" wait_for 20 there events_dead
check "a lamp with brightness is a number, with its bounds" "$(config output_lamp)" \
	json_is "$(config output_lamp)" ".min == 0 and .max == 255 and .step == 1"
check "... under number" "$(retained 'home/#')" [ -n "$(retained home/number/penstock_test/output_lamp/config)" ]
check "one that is on or off is a switch" "$(retained 'home/#')" [ -n "$(retained home/switch/penstock_test/output_relay/config)" ]
all=$(retained 'home/#' | cut -d ' ' -f 2- | jq -s .)
check "all have what discovery asks for: id, device, availability, state" "$all" json_is "$all" \
	'length == 6 and ([.[].unique_id] | unique | length == 6) and all(.[]; .availability_topic == "'$BASE'/status"
	and .state_topic != null and .device.identifiers == ["penstock_test"] and .device.name != null
	and .device.sw_version != null and .device.manufacturer != null)'
check "the counters' state is there, and is JSON" "$(retained "$BASE/counters")" \
	json_is "$(retained "$BASE/counters" | cut -d ' ' -f 2-)" '.ok == 0 and .failed == 0 and .dead == 0 and .queue == 0'
check "what an output is since the start is its state" "$(why)" wait_for 20 state_is relay 0

check "a command that is retained is refused: it would come again" "$(why)" wait_for 20 logged 'it is retained'
check "... and sets nothing" "$(why)" lamp_is relay 0
say -t "$BASE/output/relay/set" -r -n

# ---- set ----
command=$(jq -r .command_topic <<<"$(config output_lamp)")
say -t "$command" -m 128
check "a command sets the lamp" "$(why)" wait_for 20 lamp_is lamp 128
check "its state follows" "$(why)" wait_for 20 state_is lamp 128
cli output set lamp on >/dev/null
check "... also when somebody else sets it" "$(why)" wait_for 20 state_is lamp 255
say -t "$BASE/output/relay/set" -m 1
check "a switch by its payload_on" "$(why)" wait_for 20 lamp_is relay 1
say -t "$BASE/output/lamp/set" -m 700
check "a value that the lamp has not is refused, with a line in the log" "$(why)" wait_for 20 logged 'from 0 to 255, not 700'
say -t "$BASE/output/nothing/set" -m 1
check "so is a command for an output that is none" "$(why)" wait_for 20 logged 'no output .*nothing'
check "the lamp is what it was" "$(why)" lamp_is lamp 255

check "an empty one, which takes away what is retained, is none" "$(grep 'value=""' "$D/gateway.log")" [ -z "$(grep 'value=""' "$D/gateway.log")" ]

# ---- beside functions ----
"$B/penstock" keygen "$D/author" >/dev/null && cli trust "$D/author.pub" >/dev/null || die "no trusted key"
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"
bind echo --mqtt home/status --publish copy/home || die "cannot bind to Home Assistant's status"
cli bind echo --mqtt "$BASE/output/+/set" --publish copy/set >/dev/null || die "cannot bind to commands"
bind echo --mqtt level --publish "$BASE/output/lamp/set" || die "cannot bind to level"
mosquitto_sub -p "$PORT" -q 1 -t 'copy/+' -F '%t %p' >"$D/copies" &
COPIES=$!
local_cleanup() { end_child "$COPIES"; }
ask() { say -t level -m 42; lamp_is lamp 42; }
check "a function may command, too" "$(why)" wait_for 20 ask
say -t home/status -m here
say -t "$BASE/output/relay/set" -m 0
check "who commands and who listens get the same message" "$(why)" wait_for 20 lamp_is relay 0
copied() { grep -qx "$1" "$D/copies"; }
check "a function may listen to Home Assistant's status" "$(cat "$D/copies")" wait_for 20 copied 'copy/home here'
check "... and to commands" "$(cat "$D/copies")" wait_for 20 copied 'copy/set 0'
check "each once" "$(cat "$D/copies")" [ "$(grep -cx -e 'copy/home here' -e 'copy/set 0' "$D/copies")" = 2 ]
for id in $(cli bindings --json | jq -r '.items[].id'); do cli unbind "$id" >/dev/null || die "cannot unbind"; done
say -t "$BASE/output/relay/set" -m 1
check "when the function listens no more, commands still come" "$(why)" wait_for 20 lamp_is relay 1

# ---- Home Assistant starts anew, after the broker has lost it all ----
say -t home/number/penstock_test/output_lamp/config -r -n
check "(the configuration is gone)" "$(why)" wait_for 20 gone output_lamp
say -t home/status -m online
check "PREFIX/status online: all is said again" "$(why)" wait_for 20 there output_lamp

# ---- a device that comes ----
late=("[output.late]" "led = late" "initial = keep" "safe = keep")
gateway_stop
start "home_assistant = home" "[output.lamp]" "led = lamp" "${late[@]}"
check "a lamp that is not there yet is not announced" "$(why)" gone output_late
mkdir "$D/leds/late" && echo 0 >"$D/leds/late/brightness" && echo 7 >"$D/leds/late/max_brightness"
check "it is when it comes" "$(why)" wait_for 20 there output_late
check "with its bounds" "$(config output_late)" json_is "$(config output_late)" ".max == 7"
gateway_stop
mv "$D/leds/late" "$D/leds/gone"
start "home_assistant = home" "[output.lamp]" "led = lamp" "${late[@]}"
check "away once more, it stays" "$(why)" wait_for 20 there output_late

# ---- gone ----
gateway_stop
start "home_assistant = home"
check "an output that left the configuration is taken back" "$(why)" wait_for 20 gone output_lamp
check "... with its state" "$(why)" wait_for 20 state_is lamp ''
check "the other one stays" "$(why)" wait_for 20 there output_relay
gateway_stop
start "home_assistant = home" "version = 3"
say -t "$BASE/output/relay/set" -m 0
check "MQTT 3.1.1: a command" "$(why)" wait_for 20 lamp_is relay 0
say -t home/switch/penstock_test/output_relay/config -r -n
say -t home/status -m online
check "MQTT 3.1.1: said again" "$(why)" wait_for 20 there output_relay
gateway_stop
start "home_assistant = no"
nothing() { [ -z "$(retained 'home/+/#')" ] && [ -z "$(retained "$BASE/output/#")" ]; }
check "switched off: all is taken back" "$(why)" wait_for 20 nothing
gateway_stop
said=$(printf '[mqtt]\nhome_assistant = home/#\n' >"$D/bad.conf"; "$B/penstockd" --check-config --config "$D/bad.conf" 2>&1)
check "a prefix with wildcards is refused" "$said" grep -q 'home_assistant = home/#: expected no, or a topic' <<<"$said"
said=$(printf '[mqtt]\nhome_assistant = home\ncloudevents = structured\n' >"$D/bad.conf"; "$B/penstockd" --check-config --config "$D/bad.conf" 2>&1)
check "so are CloudEvents, which it cannot read" "$said" grep -q 'does not read CloudEvents' <<<"$said"
