#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Board profiles: each is accepted beside the reference configuration, and the device tree chooses the right one.
. tests/e2e/lib.sh

local_begin
for profile in etc/boards/*.conf; do
	name=$(basename "$profile" .conf)
	mkdir -p "$D/$name/conf.d"
	cp etc/penstock.conf "$D/$name/"
	cp "$profile" "$D/$name/conf.d/board.conf"
	said=$("$B/penstockd" --config "$D/$name/penstock.conf" --check-config 2>&1)
	check "$name is accepted" "$said" grep -q ': ok$' <<<"$said"
done

board() { # COMPATIBLE MODEL HARDWARE, with | for the NUL between strings
	rm -rf "$D/root"
	mkdir -p "$D/root/proc/device-tree"
	printf '%s|' "$1" | tr '|' '\0' >"$D/root/proc/device-tree/compatible"
	printf '%s|' "$2" | tr '|' '\0' >"$D/root/proc/device-tree/model"
	[ -z "$3" ] || printf '%s|' "$3" | tr '|' '\0' >"$D/root/proc/device-tree/hardware"
	etc/boards/choose "$D/root"
}
cm4='raspberrypi,4-compute-module|brcm,bcm2711'
while IFS=';' read -r want compatible model hardware; do
	got=$(board "$compatible" "$model" "$hardware")
	check "${model:-no device tree} ${hardware:+with $hardware }is ${want:-no board of ours}" "got '$got'" [ "$got" = "$want" ]
done <<EOT
raspberrypi;raspberrypi,5-model-b|brcm,bcm2712;Raspberry Pi 5 Model B Rev 1.0;
raspberrypi;$cm4;Raspberry Pi Compute Module 4 Rev 1.0;
reterminal;$cm4;Raspberry Pi Compute Module 4 Rev 1.0;reTerminal V1.9
reterminal-dm;$cm4;Raspberry Pi Compute Module 4 Rev 1.0;reTerminal DM V1.0
revpi;kunbus,revpi-connect4|brcm,bcm2711;RevPi Connect 4;
revpi;$cm4;Revolution Pi Core S;
;pine64,rock64|rockchip,rk3328;Pine64 Rock64;
EOT
rm -rf "$D/root" && mkdir -p "$D/root/etc/revpi"
check "an image of KUNBUS without a telling device tree is a RevPi" "no" [ "$(etc/boards/choose "$D/root")" = revpi ]
rm -rf "$D/root" && mkdir -p "$D/root"
check "a PC has no board profile" "one" [ -z "$(etc/boards/choose "$D/root")" ]
