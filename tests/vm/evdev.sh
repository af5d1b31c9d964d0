#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 300
# Keys of an input device that uinput makes, as the kernel's evdev reports them: repeats, overruns, grabbing, unplugging.
. tests/vm/lib.sh
need evdev uinput
KEY_A=30 KEY_S=31

plug_in() { # reads what push writes
	rm -f "$D/keys" && mkfifo "$D/keys"
	"$B/tests/vm/input_device" gpio_keys $KEY_A $KEY_S <"$D/keys" >"$D/sent" &
	DEVICE_PID=$!
	exec 7>"$D/keys"
}
pull_out() { exec 7>&-; wait "$DEVICE_PID"; }
push() { echo "$1 $2" >&7; }
came() { sed -n "s|^keys/$1 ||p" "$D/came"; }
came_is() { came "$1" | jq_true -s "$2"; }
says() {
	cli doctor --json | jq_true --arg f "gpio_keys/$1 " --arg p "$2" \
		'.items | map(select((.name | contains($f)) and (.text | test($p)))) | length > 0'
}
state_becomes() { # NAME FILTER PATTERN
	wait_for 20 says "$2" "$3" && { ok "$1"; return; }
	not_ok "$1" "$(cli doctor --json | jq -c '.items | map(select(.name | contains("key"))) | map({name, text})')"
}
key_bind() { # KEY TOPIC OPTION...
	local key=$1 topic=$2 args=() option
	shift 2
	for option; do args+=(--with "$option"); done
	cli bind edge --key "gpio_keys/$key" --publish "keys/$topic" --qos 1 --ordered "${args[@]}" >"$D/bound" 2>&1 || cat "$D/bound" >&2
}

begin
wasm edge -mexec-model=reactor && deploy edge "$D/edge.wasm" || die "edge does not deploy"
mosquitto_sub -p "$PORT" -t 'keys/#' -q 1 -v >"$D/came" &

key_bind KEY_A a
key_bind + all edge=both
key_bind KEY_F1 none
state_becomes "a device that is not there: its name, and how to list those that are" KEY_A 'no input device is named .gpio_keys.'
plug_in
state_becomes "it is used when it comes" KEY_A listens
state_becomes "a key that it has not: those that it has" KEY_F1 'it has KEY_A, KEY_S'

node=$(grep -l '^gpio_keys$' /sys/class/input/event*/device/name | sed 's|.*/\(event[0-9]*\)/.*|\1|' | head -n 1)
cat "/dev/input/$node" >"$D/other" 7>&- & # else the pipe would have no end
push $KEY_A 1
sleep 1 # the kernel repeats a key that is held, from 250 ms on
push $KEY_A 0
push $KEY_S 1
push $KEY_S 0
check "pressed and held, released: two edges, however long" "$(cat "$D/came")" \
	wait_for 20 came_is all 'map([.level, .edge]) == [[1,"rising"],[0,"falling"],[1,"rising"],[0,"falling"]]'
check "one key, pressed only" "$(cat "$D/came")" came_is a 'length == 1 and .[0].type == "io.penstock.key.press"'
check "grabbed: nobody else gets the keys" "$(stat -c %s "$D/other") bytes" [ ! -s "$D/other" ]

# The kernel's queue for a reader is short: 500 presses while nobody reads.
kill -STOP "$GATEWAY_PID"
for ((i = 0; i < 500; i++)); do
	push $KEY_A 1
	push $KEY_A 0
done
push $KEY_S 1
all_sent() { [ "$(wc -l <"$D/sent")" = $((4 + 1001)) ]; }
wait_for 30 all_sent || die "uinput does not take 1000 events"
kill -CONT "$GATEWAY_PID"
check "an overrun: the next event says that events were missed, and the state is right" "$(came all | tail -n 3)" \
	wait_for 20 came_is all 'any(.[]; .missed > 0) and .[-1].level == 1'
before=$(came all | wc -l)
pull_out
gone() { [ "$(came all | wc -l)" -gt "$before" ] && came_is all '.[-1].level == 0'; }
check "unplugged while a key is down: it is released" "$(came all | tail -n 3)" wait_for 20 gone
state_becomes "and the device is looked for" KEY_A 'no input device'
plug_in
state_becomes "plugged in again" KEY_A listens
push $KEY_A 1
push $KEY_A 0
check "and used; a binding that saw nothing since the overrun is told of it now" "$(cat "$D/came")" \
	wait_for 20 came_is a 'any(.[]; .missed == 1)'
pull_out
