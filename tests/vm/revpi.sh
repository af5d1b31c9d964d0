#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 240
# Inputs and outputs of a Revolution Pi: a piControl of ours as a real character device (CUSE, tests/fake/picontrol.h).
. tests/vm/lib.sh
. tests/fake/revpi.sh
need cuse

gone() { [ ! -e /dev/piControl0 ]; }
device_up() {
	"$B/tests/fake/picontrol-cuse" "$PI" piControl0 >"$D/cuse.log" 2>&1 &
	CUSE=$!
	DEV=/dev/piControl0
	wait_for 20 [ -c $DEV ]
}
device_down() { end_child "$CUSE" KILL; }

revpi_begin echo
revpi_outputs

# ---- a reset; then the guard, which has a descriptor of the same open device, and asks for the name ----
moved 200 >"$D/config.rsc"
pi stop
state_becomes "a bridge that is being reset is a state" t_start 'being reset'
pi reset "$D/config.rsc"
state_becomes "after the reset the names are looked up again" t_start listens
pi set t_start 1
check "input -> function -> output where they are now" "$(cli outputs)" wait_for 20 pi_is pump 1
cli output set speed 100 >/dev/null
check "an output where it is now" "$(cli outputs)" wait_for 20 pi_is PWM_1 100
moved 400 >"$D/config.rsc"
kill -STOP "$GATEWAY_PID" # so that only the guard can learn of this reset
pi reset "$D/config.rsc"
pi set pump 1
end_child "$GATEWAY_PID" KILL
check "after kill -9 the guard brings outputs to their safe states, where they are since the reset" \
	"pump is $(pi get pump), speed is $(pi get PWM_1); $(grep guard "$D/gateway.log" | tail -n 3)" \
	wait_for 20 eval 'pi_is pump 0 && pi_is PWM_1 9'
gateway_start || die "no gateway after kill -9"
state_becomes "a gateway that comes back finds its names" t_start listens
revpi_watchdog 6000

# ---- a device that goes and comes, and one that may not be opened ----
gateway_start || die "no gateway"
state_becomes "the device is there" t_start listens
device_down
wait_for 20 gone
state_becomes "a device that went is a state, with what to do" t_start 'is this a Revolution Pi.*modprobe piControl|opened again'
device_up || die "no fake piControl"
state_becomes "a device that is back is used" t_start listens
gateway_stop
chmod 600 /dev/piControl0
chmod 777 "$D" && chown -R nobody "$D"/*
chown root "$PI"
gateway_command() { COMMAND=(setpriv --reuid=65534 --regid=65534 --clear-groups "$B/penstockd" --config "$D/penstock.conf"); }
gateway_start || die "no gateway as nobody"
state_becomes "no permission is a state, with what to do" t_start 'Permission denied.*DeviceAllow'
chmod 666 /dev/piControl0
state_becomes "permission given later is used" t_start listens
