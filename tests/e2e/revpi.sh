#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 300
# Inputs and outputs of a Revolution Pi: penstockd with a piControl of ours preloaded (tests/fake/picontrol.h).
. tests/e2e/lib.sh
. tests/fake/revpi.sh

device_up() { DEV=$PI; }
gateway_command() {
	COMMAND=(env LD_PRELOAD="$B/tests/fake/picontrol.so" FAKE_PICONTROL="$PI" "$B/penstockd" --config "$D/penstock.conf")
}

revpi_begin echo io
revpi_outputs
revpi_inputs
revpi_reset
revpi_restart
revpi_watchdog 3000
