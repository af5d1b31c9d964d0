#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make torture: rounds of EVENTS numbered events through a function with state, while -9 comes at random moments: to penstockd,
# penstock-sandbox, both, or mosquitto; QoS 1 and 2 in turn. tests/torture/torture.c sends, and checks what comes.
#   ROUNDS=300 EVENTS=20000 RATE=5000 SEED=1   DURABILITY=off: must fail, or this test proves nothing
# A round that fails leaves its state and logs in KEEP (build/torture). Ends with one line of totals.
. tests/e2e/lib.sh
. tests/torture/lib.sh
ROUNDS=${ROUNDS:-300} EVENTS=${EVENTS:-20000} RATE=${RATE:-5000} SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
KILLS=${KILLS:-3} KEEP=${KEEP:-$B/torture} DURABILITY=${DURABILITY:-process}
WAYS=${WAYS:-gateway sandbox both broker}
WAIT_MS=${WAIT_MS:-60000}
# mosquitto 2.0.11 that comes back with more for a client than it may have on the way (Receive Maximum, or
# max_inflight_messages) sends all of it at once, and what was completed again, as new messages. So there is never more
# while it is killed, and the rounds after that have a new one: the restored one heeds no bounds any more.
BROKER_OPEN=90
read -ra ways <<<"$WAYS"

kill_sandbox() { local pid; pid=$(child penstock-sandbox) && [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null; }
kill_gateway() { gateway_stop KILL; gateway_start || die "penstockd does not start after kill -9 (round $round)"; }
kill_one() { # WAY
	case $1 in
	gateway) kill_gateway ;;
	sandbox) kill_sandbox ;;
	both) kill_sandbox; kill_gateway ;;
	broker)
		touch "$D/die"
		kill -USR1 "$BROKER_PID"
		wait "$BROKER_PID" 2>/dev/null
		broker_begin
		;;
	esac
}
greetings() { grep -ac 'msg="connected to the broker"' "$D/gateway.log"; }
greeted_anew() { [ "$(greetings)" -gt "$1" ] && [ "$(status '[.brokers[].pending] | add')" = 0 ] && subscribed 2; }
nothing_waits() { [ "$(status .journal.effects)" = 0 ]; }
new_broker() {
	local before
	wait_for 60 nothing_waits
	before=$(greetings)
	broker_stop
	rm -f "$D"/broker/*
	broker_begin
	wait_for 60 greeted_anew "$before" || die "the new broker gets no subscriptions (round $round)"
}
pause() { sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"; }
keep() {
	mkdir -p "$KEEP/$1"
	cp -r "$D/state/." "$D"/*.log "$D/round.json" "$D/penstock.conf" "$KEEP/$1/" 2>/dev/null
	echo "round $1 is kept in $KEEP/$1 (seed $((SEED + $1)))"
}

local_begin
torture_begin '[journal]' "durability = $DURABILITY" 'keep_bytes = 64MiB'
events=0 lost=0 wrong=0 repeated=0
field() { local n; n=$(jq ".$1" "$D/round.json" 2>/dev/null); echo "${n:-$EVENTS}"; } # no report: all are lost
for ((round = 1; round <= ROUNDS; round++)); do
	RANDOM=$(((SEED + round) % 32768))
	q=$((1 + round % 2)) way=${ways[(round / 2) % ${#ways[@]}]}
	open=()
	[ "$way" = broker ] && open=(-o $BROKER_OPEN)
	"$B/tests/torture/torture" "$PORT" "$round" -q $q -n "$EVENTS" -r "$RATE" -w "$WAIT_MS" "${open[@]}" >"$D/round.json" &
	pid=$!
	for ((k = 0; k < KILLS; k++)); do
		pause
		kill -0 $pid 2>/dev/null || break
		kill_one "$way"
	done
	wait $pid
	rc=$?
	printf '%s round %d, seed %d, %s: %s\n' "$([ $rc = 0 ] && echo ok || echo not ok)" $round $((SEED + round)) "$way" "$(cat "$D/round.json")"
	events=$((events + EVENTS)) lost=$((lost + $(field lost))) wrong=$((wrong + $(field state_wrong)))
	repeated=$((repeated + $(field repeated)))
	[ $rc = 0 ] || keep $round
	[ "$way" != broker ] || new_broker
done
echo "torture: $ROUNDS rounds, $events events, lost $lost, state wrong $wrong, repeated $repeated"
[ $((lost + wrong + repeated)) = 0 ]
