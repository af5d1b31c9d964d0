#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the gateway and of the sandbox, at random moments, under events of QoS 1 and 2: nothing that was acknowledged is lost,
# and to a QoS 2 topic nothing comes twice. ROUNDS kills for each.
. tests/e2e/lib.sh
ROUNDS=${ROUNDS:-6}
COUNT=${COUNT:-4000}
RATE=${RATE:-1500}

local_begin
broker_start 'max_queued_messages 0' 'max_inflight_messages 2000' || die "no broker"
gateway_config
gateway_start || die "no gateway"
"$B/penstock" keygen "$D/author" >/dev/null || die "keygen failed"
cli trust "$D/author.pub" >/dev/null || die "trust failed"
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"
for q in 1 2; do
	bind echo --mqtt "kill/$q" --publish "killed/$q" --qos $q || die "cannot bind at QoS $q"
done
wait_for 5 subscribed 2

pause() { sleep "0.$((RANDOM % 4))$((RANDOM % 10))"; }
kill_one() { # HOW
	case $1 in
	gateway) gateway_stop KILL; gateway_start || die "does not start after kill -9" ;;
	sandbox) pkill -KILL -P "$GATEWAY_PID" -f penstock-sandbox ;;
	esac
}
for q in 1 2; do
	for how in gateway sandbox; do
		"$B/tests/e2e/probe" "$PORT" "kill/$q" "killed/$q" -r "$RATE" -n "$COUNT" -q "$q" -w 20000 >"$D/probe.json" &
		probe=$!
		for ((i = 0; i < ROUNDS; i++)); do
			pause
			kill_one $how
		done
		wait $probe
		said=$(cat "$D/probe.json")
		check "QoS $q, $how killed $ROUNDS times: none of $COUNT is lost" "$said" json_is "$said" ".sent == $COUNT and .missing == 0"
		[ $q = 1 ] || check "QoS $q, $how killed $ROUNDS times: none comes twice" "$said" json_is "$said" ".twice == 0"
	done
done
settled() { json_is "$(status .journal)" '.open == 0 and .dead == 0 and .effects == 0'; }
check "nothing is left in the journal" "$(status '.journal | tostring')" wait_for 5 settled
