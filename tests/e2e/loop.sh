#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Functions that publish what starts them: the loop is found, refused, counted and logged, whatever MQTT the gateway speaks.
. tests/e2e/lib.sh

refused_once() { [ "$(status .events.refused)" = 1 ]; }

for version in 5 3; do (
	begin "version = $version"
	wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"
	bind echo --mqtt loop/a --publish loop/b || die "cannot bind echo"
	bind echo --mqtt loop/b --publish loop/a || die "cannot bind echo"
	mosquitto_pub -p "$PORT" -t loop/a -m round
	check "version $version: two bindings that feed each other are stopped" "$(status '.events | tostring')" wait_for 5 refused_once
	check "version $version: after 16 functions" "$(status '.events | tostring')" [ "$(status .events.invoked)" = 16 ]
	check "version $version: the log says that it is a loop" "no such line" grep -q 'event refused.*echo.*a loop' "$D/gateway.log"
); done
