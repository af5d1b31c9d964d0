#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sensors and Modbus: a reading starts a function, whose answer sets a lamp or a register. Folders stand for /sys, a
# libmodbus server for the plant; both go away and come back, and so does the gateway.
set -u
cd "$(dirname "$0")/../.."
. tests/e2e/lib.sh

local_begin
broker_start || die "no broker"
mkdir -p "$D/leds/lamp" "$D/iio"
echo 255 >"$D/leds/lamp/max_brightness"
echo 0 >"$D/leds/lamp/brightness"

# ---- the plant ----
MEMORY=$D/modbus
MODBUS_PORT=$(free_port)
server_start() {
	"$B/tests/e2e/modbus_server" "$MODBUS_PORT" "$MEMORY" 2>>"$D/server.log" &
	SERVER_PID=$!
}
server_stop() { [ -z "${SERVER_PID:-}" ] || end_child "$SERVER_PID"; SERVER_PID=; }
local_cleanup() { server_stop; }
register() { od -An -tu2 -j $((2 * $1)) -N2 "$MEMORY" | tr -d ' '; }
coil() { od -An -tu1 -j $((200 + $1)) -N1 "$MEMORY" | tr -d ' '; }
register_put() { printf "\\x$(printf %02x $(($2 % 256)))\\x$(printf %02x $(($2 / 256)))" | dd of="$MEMORY" bs=1 seek=$((2 * $1)) conv=notrunc status=none; }
register_is() { [ "$(register "$1")" = "$2" ]; }
coil_is() { [ "$(coil "$1")" = "$2" ]; }
lamp_is() { [ "$(head -n 1 "$D/leds/lamp/brightness")" = "$1" ]; }
light() { printf '%s\n' "$1" >"$D/iio/iio:device0/.new" && mv "$D/iio/iio:device0/.new" "$D/iio/iio:device0/in_illuminance_raw"; }

gateway_config "[leds]" "dir = $D/leds" "[iio]" "dir = $D/iio" \
	"[modbus.plc]" "url = tcp://127.0.0.1:$MODBUS_PORT" "timeout_ms = 2000" \
	"[output.lamp]" "led = lamp" "[output.valve]" "modbus = plc/1/coil/5" "safe = 0" \
	"[output.setpoint]" "modbus = plc/1/holding/20" "type = f32"
server_start
gateway_start || die "no gateway"
"$B/penstock" keygen "$D/author" >/dev/null || die "keygen failed"
cli trust "$D/author.pub" >/dev/null || die "trust failed"
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"
why() { tail -n 5 "$D/gateway.log"; cli outputs; cli doctor; }
says() { # FILTER PATTERN: the state of that binding, as doctor tells it
	cli doctor --json | jq_true --arg f "$1" --arg p "$2" '.items | map(select((.name | contains($f)) and (.text | test($p)))) | length > 0'
}

# ---- sensor -> function -> lamp ----
cli bind echo --sensor ltr303/in_illuminance_raw --with every=20ms --with deadband=10 --publish '$output/lamp' >/dev/null ||
	die "cannot bind the sensor"
check "a sensor that is not there: its binding says so, and what to do" "$(cli doctor --json)" \
	wait_for 20 says ltr303 'no sensor is named.*ltr303.*overlay'
mkdir "$D/iio/iio:device0"
echo 2 >"$D/iio/iio:device0/in_illuminance_scale"
light 50
echo ltr303 >"$D/iio/iio:device0/name"
check "sensor -> function -> lamp: raw times scale" "$(why)" wait_for 20 lamp_is 100

# ---- register -> function -> register ----
register_put 3 7
cli bind echo --modbus 1/holding/3 --broker plc --with every=20ms --publish '$output/setpoint' >/dev/null ||
	die "cannot bind the register"
wanted() { register_is 20 16608 && register_is 21 0; } # 7.0 is 0x40e00000
check "register -> function -> two registers as f32" "$(why)" wait_for 20 wanted
server_stop
check "a server that is away: its binding says so" "$(cli doctor --json)" wait_for 20 says 1/holding/3 'Connection refused'
register_put 3 9
register_put 20 0
server_start
wanted() { register_is 20 16656; } # 9.0 is 0x41100000
check "when it is back, what changed meanwhile is an event" "$(why)" wait_for 20 wanted
said=$(cli output set valve 2 2>&1)
check "a value that is none is refused" "$said" grep -q 'a coil is 0 or 1, not 2' <<<"$said"
said=$(cli bind echo --modbus 1/holding/x --broker plc 2>&1)
check "a register that is none is refused, with an example" "$said" grep -q '1/holding/40' <<<"$said"
said=$(cli bind echo --modbus 1/holding/3 --broker other 2>&1)
check "a server that is none is refused" "$said" grep -q 'no section \[modbus.other\]' <<<"$said"

# ---- penstock-guard ----
cli output set valve on >/dev/null
check "a coil by hand" "$(why)" wait_for 20 coil_is 5 1
gateway_stop KILL
check "kill -9: the guard closes the valve, on the connection that is open" "$(tail -n 5 "$D/gateway.log")" wait_for 20 coil_is 5 0
