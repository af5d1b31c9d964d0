#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make demo: a private broker, a private gateway, a signed function, a day of sensor readings, the alerts. Everything
# lives in a temporary folder and ends with this script. KEEP=1 stays up until Ctrl-C.
set -uo pipefail
cd "$(dirname "$0")/.."
. tools/local.sh

step() { printf '  %-9s %s\n' "$1" "$2"; }
die() {
	printf '\nThe demo stops here: %s\n' "$1" >&2
	[ -s "$D/gateway.log" ] && { echo 'The last lines of the gateway:' >&2; tail -n 12 "$D/gateway.log" >&2; }
	exit 1
}
# Runs a command of the CLI; what it says is only of interest when it fails.
quietly() { "$@" >"$D/said" 2>&1 || { cat "$D/said" >&2; die "'${*:1:3} ...' failed"; }; }

local_begin
echo
echo 'Penstock demo: a sensor message runs a signed function'
echo
broker_start || die 'there is no broker'
step broker "mosquitto on 127.0.0.1:$PORT, for this demo only"
gateway_start || die 'there is no gateway'
step gateway "penstockd $("$B/penstock" --version 2>/dev/null | awk '{print $NF}'), state in $D"
quietly "$B/penstock" keygen "$D/author"
quietly cli trust "$D/author.pub"
step key "made one, and told the gateway to trust it"
quietly "$B/penstock" sign --key "$D/author.key" --manifest examples/overheat/manifest.json -o "$D/overheat.wasm" \
	"$B/examples/overheat.wasm"
step function "examples/overheat (C): $(stat -c %s "$B/examples/overheat.wasm") bytes of Wasm, signed"
begun=${EPOCHREALTIME/./}
quietly cli deploy --grant "$D/overheat.wasm"
step deploy "verified, compiled to native code and loaded in $(((${EPOCHREALTIME/./} - begun) / 1000)) ms"
quietly cli bind overheat --mqtt 'sensors/+/temperature' --publish 'alerts/{1}'
subscribed() { cli status --json | grep -qE '"subscriptions": ?[1-9]'; }
wait_for 5 subscribed || die 'the broker has not got the subscription'
step bind 'sensors/+/temperature -> overheat -> alerts/{1}'
echo
echo '  A day of five sensors, 288 readings each, in three seconds. What is above 90 degrees comes back:'
echo
"$B/tools/demo_client" "$PORT" examples/overheat/day.csv
rc=$?
[ $rc = 0 ] || die 'an alert is missing'

here=${B#"$PWD/"}
if [ "${KEEP:-0}" = 1 ]; then
	cat <<-END

	  Still up. In another terminal, from this folder:

	    first      export PENSTOCK_SOCKET=$PENSTOCK_SOCKET
	    watch      mosquitto_sub -p $PORT -t 'alerts/#' -v        (package mosquitto-clients)
	    publish    mosquitto_pub -p $PORT -t sensors/boiler-9/temperature -m '{"sensor":"boiler-9","celsius":97.5}'
	    ask        $here/penstock status
	               $here/penstock functions
	               $here/penstock logs -f
	    by hand    echo '{"sensor":"me","celsius":99}' | $here/penstock invoke overheat

	  Ctrl-C ends the gateway and the broker and removes $D.
	END
	trap 'echo; exit 0' INT
	while kill -0 "$GATEWAY_PID" 2>/dev/null && kill -0 "$BROKER_PID" 2>/dev/null; do
		wait -n "$GATEWAY_PID" "$BROKER_PID"
	done
	die 'the gateway or the broker has ended'
fi
cat <<-END

  Next: make demo KEEP=1       leave it running, publish and watch by hand
        README.md              five minutes to your own function
        examples/              the same function in C, C++, Rust and AssemblyScript

END
