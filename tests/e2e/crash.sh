#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of penstock-sandbox: restarted, the next event within 300 ms, events in flight retried once; kill -9 of
# penstock-aot at work: an error for who deployed, nothing else.
. tests/e2e/lib.sh

begin
flow_deploy
sandbox() { status .sandbox.pid; }
other_sandbox() { local pid; pid=$(sandbox) && [ "$pid" != "$1" ] && [ "$pid" != null ] && [ "$pid" != 0 ]; }

gateway=$(status .pid)
for round in 1 2 3; do
	old=$(sandbox)
	kill -9 "$old"
	got=$("$B/tests/e2e/probe" "$PORT" flow/in flow/out -n 1 -r 1)
	check "killed while idle ($round): the next event is served" "$got" [ "$(jq .answered <<<"$got")" = 1 ]
	check "killed while idle ($round): within 300 ms" "$got" json_is "$got" ".answered == .sent and .max_us < $(patient 300) * 1000"
	wait_for 20 other_sandbox "$old" || not_ok "killed while idle ($round): restarted" "sandbox is $(sandbox)"
done

for rate in 200 2000; do
	flow_begin -r $rate
	for _ in 1 2 3; do
		sleep 1.2 # a second death within a second is another matter: the gateway pauses then
		old=$(sandbox)
		kill -STOP "$old" # so that some events are in flight for sure
		sleep 0.05
		kill -9 "$old"
	done
	sleep 1.2
	kill -TERM "$FLOW_PID"
	wait "$FLOW_PID"
	summary=$(cat "$D/flow.json")
	check "killed 3 times at $rate events/s: none is lost or answered twice" "$summary" json_is "$summary" '.missing == 0 and .twice == 0'
	check "killed 3 times at $rate events/s: never longer than 300 ms without an answer" "$summary" json_is "$summary" ".answered > 0 and .gap_ms <= $(patient 300)"
done
check "the restarts are counted" "$(status '.sandbox | tostring')" [ "$(status .sandbox.restarts)" -ge 9 ]
check "the events in flight were retried" "$(status '.events | tostring')" [ "$(status .events.retried)" -ge 1 ]
check "the gateway is the same process" "was $gateway" [ "$(status .pid)" = "$gateway" ]

# A stopped sandbox is no dead one: the gateway must not believe it alive for ever.
kill -STOP "$(sandbox)"
old=$(sandbox)
sleep 0.2
kill -CONT "$old"
got=$("$B/tests/e2e/probe" "$PORT" flow/in flow/out -n 5 -r 20)
check "a sandbox that was stopped for a moment serves on" "$got" [ "$(jq .answered <<<"$got")" = 5 ]
