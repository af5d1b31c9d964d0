#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A sensor of the kernel's industrial I/O: the dummy device, whose values are known.
. tests/vm/lib.sh
need industrialio-sw-device iio_dummy

begin
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "echo does not deploy"
mosquitto_sub -p "$PORT" -t 'value/#' -q 1 -v >"$D/came" &
cli bind echo --sensor plant/in_voltage0_raw --with every=100ms --publish value/voltage >/dev/null || die "cannot bind"
cli bind echo --sensor plant/in_accel_x_raw --with every=100ms --publish value/accel >/dev/null || die "cannot bind"
says() { cli doctor --json | jq_true --arg p "$1" '.items | map(select((.name | contains("plant/in_voltage0_raw")) and (.text | test($p)))) | length > 0'; }
check "a sensor that is not there says so" "$(cli doctor)" wait_for 20 says 'no sensor is named'
mkdir /sys/kernel/config/iio/devices/dummy/plant || die "no dummy device"
d=$(dirname "$(grep -l '^plant$' /sys/bus/iio/devices/*/name)")
want() { # CHANNEL: as awk has it, from the files
	awk -v r="$(<"$d/$1_raw")" -v s="$(cat "$d/$1_scale" "$d/${1%_x}_scale" 2>/dev/null | head -n 1)" -v o="$(cat "$d/$1_offset" 2>/dev/null)" \
		'BEGIN { printf "%.15g\n", (r + o) * (s == "" ? 1 : s) }'
}
came() { grep -qxF "value/$1 $2" "$D/came"; }
for pair in voltage:in_voltage0 accel:in_accel_x; do
	value=$(want "${pair#*:}")
	check "${pair#*:}_raw with offset and scale is $value" "$(cat "$D/came")" wait_for 20 came "${pair%:*}" "$value"
done
rmdir /sys/kernel/config/iio/devices/dummy/plant
check "one that went says so" "$(cli doctor)" wait_for 20 says 'no sensor is named'
