#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The whole way: sensor message -> signed function -> alert, over both protocol versions and every QoS, in every form.
. tests/e2e/lib.sh

alert_for() { # SENSOR: publishes a hot reading, prints the alert
	mosquitto_sub -p "$PORT" -t "alerts/$1" -q 1 -C 1 -W 5 >"$D/alert" &
	local sub=$!
	sleep 0.2 # a moment for the subscription
	mosquitto_pub -p "$PORT" -t "sensors/$1/temperature" -q 1 -m "{\"sensor\":\"$1\",\"celsius\":93.4}"
	wait $sub
	cat "$D/alert"
}

begin
for form in overheat overheat-command overheat-cpp overheat-rust overheat-assemblyscript; do
	if [ ! -e "$B/examples/$form.wasm" ]; then
		skip "$form: a hot reading gives an alert" "not built here"
		continue
	fi
	"$B/penstock" sign --key "$D/author.key" --manifest "examples/$form/manifest.json" -o "$D/$form.wasm" \
		"$B/examples/$form.wasm" >/dev/null 2>&1 && cli deploy --grant "$D/$form.wasm" >/dev/null 2>&1 &&
		bind "$form" --mqtt 'sensors/+/temperature' --publish 'alerts/{1}' --qos 1 ||
		not_ok "$form: deploys" "see the gateway's log"
	got=$(alert_for "$form")
	check "$form: a hot reading gives an alert" "got '$got'" \
		[ "$got" = "{\"alert\":\"overheat\",\"sensor\":\"$form\",\"celsius\":93.4,\"limit\":90}" ]
	cli remove --bindings "$form" >/dev/null
done

wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "echo does not deploy"
wasm echo_command && deploy echo-command "$D/echo_command.wasm" || die "echo-command does not deploy"
for form in echo echo-command; do
	for qos in 0 1 2; do
		bind $form --mqtt "q$qos/$form/in/#" --publish "q$qos/$form/out/{1}" --qos $qos
	done
done
for version in 311 5; do
	for form in echo echo-command; do
		for qos in 0 1 2; do
			got=$("$B/tests/e2e/probe" "$PORT" q$qos/$form/in/a/b q$qos/$form/out/a/b -q $qos -v $version -r 100 -n 50 2>&1)
			check "$form: 50 events at QoS $qos, sender speaks $version" "$got" [ "$(jq -r .answered <<<"$got")" = 50 ]
		done
	done
done
got=$(cli invoke echo <<<'by hand' 2>&1)
check "invoke runs a function outside of bindings and shows its effects" "$got" grep -q 'by hand' <<<"$got"
gateway_stop

# The same gateway as an MQTT 3.1.1 client.
gateway_config 'version = 3'
gateway_start || die "no gateway at version 3"
wait_for 5 subscribed 6
for qos in 0 1 2; do
	got=$("$B/tests/e2e/probe" "$PORT" q$qos/echo/in/a q$qos/echo/out/a -q $qos -r 100 -n 50 2>&1)
	check "a gateway that speaks 3.1.1: 50 events at QoS $qos" "$got" [ "$(jq -r .answered <<<"$got")" = 50 ]
done
