#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A restart of penstockd finds functions, keys and bindings again, also after kill -9; a restart of the broker renews the
# subscriptions.
. tests/e2e/lib.sh

begin
flow_deploy
cli functions --json | jq '[.items[] | {name, version, revision, hash, key_id, state}]' >"$D/functions.1"
cli bindings --json | jq '[.items[] | {id, function, filter, publish, qos}]' >"$D/bindings.1"
cli keys --json | jq '[.items[] | {id, public}]' >"$D/keys.1"

again() { # HOW
	cli functions --json | jq '[.items[] | {name, version, revision, hash, key_id, state}]' >"$D/functions.2"
	cli bindings --json | jq '[.items[] | {id, function, filter, publish, qos}]' >"$D/bindings.2"
	cli keys --json | jq '[.items[] | {id, public}]' >"$D/keys.2"
	for what in functions bindings keys; do
		check "$1: the $what are there again" "$(diff "$D/$what.1" "$D/$what.2" | head -n 3 | tr '\n' ' ')" cmp -s "$D/$what.1" "$D/$what.2"
	done
	wait_for 5 subscribed 1
	got=$("$B/tests/e2e/probe" "$PORT" flow/in flow/out -n 10 -r 50)
	check "$1: events are served" "$got" [ "$(jq .answered <<<"$got")" = 10 ]
}
gateway_stop TERM
gateway_start || die "does not start again"
again "after SIGTERM"
gateway_stop KILL
gateway_start || die "does not start after kill -9"
again "after kill -9"
children() { pgrep -P "$1" | wc -l; }
check "kill -9 leaves no other process behind" "$(pgrep -a penstock | grep -c "$B")" \
	[ "$(pgrep -f "^$B/penstock-sandbox|^penstock-sandbox" -P "$GATEWAY_PID" | wc -l)" = 1 ]

pid=$(status .pid)
broker_stop
lost() { [ "$(status '.brokers[0].state')" != connected ]; }
check "the loss of the broker is seen" "$(status '.brokers[0] | tostring')" wait_for 5 lost
sleep 1
broker_start || die "the broker does not start again"
back() { [ "$(status '.brokers[0].state')" = connected ]; }
check "the gateway connects again" "$(status '.brokers[0] | tostring')" wait_for 5 back
wait_for 3 subscribed 1
got=$("$B/tests/e2e/probe" "$PORT" flow/in flow/out -n 10 -r 50)
check "subscriptions are renewed: events are served" "$got" [ "$(jq .answered <<<"$got")" = 10 ]
check "the gateway is the same process" "was $pid" [ "$(status .pid)" = "$pid" ]

second=$("$B/penstockd" --config "$D/penstock.conf" 2>&1 </dev/null)
check "a second gateway on the same state is refused with the reason" "$second" grep -qiE 'another|already|lock|running' <<<"$second"
