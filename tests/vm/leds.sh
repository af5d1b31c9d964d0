#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 200
# Lamps of the kernel's LED class that uleds makes, and a key that switches one on: uinput -> function -> LED.
. tests/vm/lib.sh
need uleds uinput evdev
L=/sys/class/leds

lamp() { # NAME MOST
	"$B/tests/vm/user_led" "$1" "$2" >>"$D/$1" &
	LAMP_PID=$!
	wait_for 10 [ -e "$L/$1/brightness" ] || die "uleds made no $1"
}
is() { [ "$(<"$L/$1/brightness")" = "$2" ]; }
shown() { [ "$(tail -n 1 "$D/$1")" = "$2" ]; }
output_is() { cli outputs --json | jq_true --arg n "$1" ".items[] | select(.name == \$n) | $2"; }
why() { cli outputs --json | jq -c '.items'; }

local_begin
lamp usr_buzzer 1
lamp usr_led0 255
other=$(tr ' ' '\n' <"$L/usr_led0/trigger" | grep -vE '^(\[?none\]?|)$' | head -n 1)
[ -z "$other" ] || echo "$other" >"$L/usr_led0/trigger"
broker_start || die "no broker"
gateway_config '[output.lamp]' 'led = usr_led0' 'initial = 7' 'safe = 3' '[output.buzzer]' 'led = usr_buzzer'
gateway_start || die "no gateway"
"$B/penstock" keygen "$D/author" >/dev/null && cli trust "$D/author.pub" >/dev/null || die "no key"

check "a lamp has its initial brightness from the start" "$(why)" wait_for 20 shown usr_led0 7
if [ -n "$other" ]; then
	check "what the kernel showed there ($other) is switched off" "$(<"$L/usr_led0/trigger")" grep -qF '[none]' "$L/usr_led0/trigger"
else
	skip "what the kernel showed there is switched off" "this kernel has no other LED trigger"
fi
cli output set lamp on >/dev/null
check "on is its own most" "$(why)" wait_for 20 shown usr_led0 255
said=$(cli output set lamp 256 2>&1)
check "more is refused" "$said" grep -q 'from 0 to 255, not 256' <<<"$said"
cli output set buzzer 1 >/dev/null
check "a buzzer is a lamp" "$(why)" wait_for 20 shown usr_buzzer 1

# ---- key -> function -> lamp ----
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "echo does not deploy"
mkfifo "$D/keys"
"$B/tests/vm/input_device" gpio_keys 30 <"$D/keys" >/dev/null &
exec 7>"$D/keys"
cli bind echo --key gpio_keys/KEY_A --with edge=both --publish '$output/lamp' >/dev/null || die "cannot bind the key"
listens() { cli doctor --json | jq_true '.items | map(select((.name | contains("gpio_keys/KEY_A")) and (.text | test("listens")))) | length > 0'; }
wait_for 20 listens
for value in 1 0 1; do
	echo "30 $value" >&7
	check "key -> function -> lamp: $value" "$(why)" wait_for 20 shown usr_led0 $value
done

# ---- gone, and back ----
end_child "$LAMP_PID"
cli output set lamp 9 >/dev/null
check "a lamp that went: its output says so" "$(why)" wait_for 20 output_is lamp '.state == "away" and (.detail | test("not there"))'
lamp usr_led0 255
check "when it is back, it gets the newest value" "$(why)" wait_for 20 shown usr_led0 9
end_child "$GATEWAY_PID" KILL
GATEWAY_PID=''
check "kill -9: the guard brings it to its safe value" "$(tail -n 3 "$D/gateway.log")" wait_for 20 shown usr_led0 3
check "and the buzzer" "$(tail -n 3 "$D/gateway.log")" wait_for 20 shown usr_buzzer 0

# ---- permission ----
chmod 777 "$D" && chown -R nobody "$D"/*
gateway_command() { COMMAND=(setpriv --reuid=65534 --regid=65534 --clear-groups "$B/penstockd" --config "$D/penstock.conf"); }
gateway_start || die "no gateway as nobody"
check "no permission: the udev rule that gives it" "$(why)" wait_for 20 output_is lamp '.detail | test("permission denied.*udev")'
chown nobody "$L"/usr_led0/{brightness,trigger}
check "permission given later is used" "$(why)" wait_for 20 output_is lamp '.state == "ok"'
