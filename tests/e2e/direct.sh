#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# From function to function without the broker in between (doc/adr/0014): while it is away, over kill -9, and nothing both ways.
. tests/e2e/lib.sh
ROUNDS=${ROUNDS:-6}

begin
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"

journal() { sqlite3 -readonly "$D/state/journal.db" "$1"; }
came() { journal "SELECT count(*) FROM events WHERE cast(topic AS TEXT) = '$1'"; } # TOPIC
twice() { journal "SELECT count(*) FROM (SELECT 1 FROM events WHERE cast(topic AS TEXT) = '$1' GROUP BY payload HAVING count(*) > 1)"; }
came_is() { [ "$(came "$1")" = "$2" ]; }         # TOPIC N
came_least() { [ "$(came "$1")" -ge "$2" ]; }    # TOPIC N
by_direct() { journal "SELECT count(*) FROM effects WHERE out LIKE '\$direct/%' AND cast(topic AS TEXT) = '$1'"; }
settled() { json_is "$(status .journal)" '.open == 0 and .effects == 0'; }
chain_is_whole() { # FIRST TOPIC...: each payload of the first is once in the others
	local first=$1 n topic
	shift
	n=$(came "$first")
	for topic; do
		came_is "$topic" "$n" && [ "$(twice "$topic")" = 0 ] || return 1
	done
}
counts() { for topic; do printf '%s %s, %s of them twice; ' "$topic" "$(came "$topic")" "$(twice "$topic")"; done; }

# ---- once, and not by both ways ----
bind echo --mqtt chain/1 --publish chain/2 --qos 1 && bind echo --mqtt chain/2 --publish chain/3 --qos 1 &&
	bind echo --mqtt chain/3 --publish chain/4 --qos 1 || die "cannot bind"
seq -f 'm%g' 1 100 | mosquitto_pub -p "$PORT" -t chain/1 -q 1 -l -V 5 || die "cannot publish"
check "100 messages go through three functions" "$(counts chain/1 chain/2 chain/3)" wait_for 20 came_is chain/3 100
check "they settle" "$(status '.journal | tostring')" wait_for 20 settled
check "each is there once" "$(counts chain/1 chain/2 chain/3)" chain_is_whole chain/1 chain/2 chain/3
check "what went directly did" "$(by_direct chain/2)" [ "$(by_direct chain/2)" = 100 ]
check "what nobody here listens to went to the broker only" "$(by_direct chain/4)" [ "$(by_direct chain/4)" = 0 ]

# ---- the broker is away ----
broker_stop
cli bind echo --mqtt tick/2 --publish tick/3 --qos 1 >/dev/null &&
	cli bind echo --mqtt tick/1 --publish tick/2 --qos 1 >/dev/null &&
	cli bind echo --every 50ms --with missed=all --publish tick/1 >/dev/null || die "cannot bind without a broker"
check "a chain of three functions runs while the broker is away" "$(counts tick/1 tick/2)" wait_for 20 came_least tick/2 20

# ---- kill -9 ----
gateway_ready() { cli status >/dev/null 2>&1; } # as it is without a broker
for ((i = 0; i < ROUNDS; i++)); do
	sleep "0.$((RANDOM % 5))$((RANDOM % 10))"
	gateway_stop KILL
	gateway_start || die "does not start after kill -9"
done
id=$(cli bindings --json | jq -r '.items[] | select(.kind == "every") | .id')
cli unbind "$id" >/dev/null || die "cannot unbind the timer"
open_is_none() { json_is "$(status .journal)" '.open == 0'; }
check "killed $ROUNDS times: all events end" "$(status '.journal | tostring')" wait_for 30 open_is_none
whole() { chain_is_whole 50ms tick/1 tick/2; }
check "killed $ROUNDS times: none is lost, none comes twice" "$(counts 50ms tick/1 tick/2)" wait_for 20 whole
gateway_stop
broker_start || die "no broker"
n=$(came tick/2)
timeout 60 stdbuf -oL mosquitto_sub -p "$PORT" -t tick/3 -q 1 -C "$n" -d 2>&1 >"$D/tick3" &
sub=$!
subscriber_is_there() { grep -q 'Subscribed' "$D/tick3"; }
wait_for 10 subscriber_is_there || die "no subscriber"
connected() { json_is "$(cli status --json)" '.ready'; }
gateway_start && wait_for 20 connected || die "does not connect"
wait $sub
grep -o '{"scheduled".*' "$D/tick3" >"$D/tick3.got"
check "all that waited for the broker goes there when it is back" "$(wc -l <"$D/tick3.got") of $n" [ "$(sort -u "$D/tick3.got" | wc -l)" = "$n" ]
check "it settles" "$(status '.journal | tostring')" wait_for 20 settled
check "the broker sent nothing of it back" "$(counts 50ms tick/1 tick/2)" whole

# ---- loops ----
bind echo --mqtt round/and/round --publish round/and/round --qos 1 || die "cannot bind"
mosquitto_pub -p "$PORT" -t round/and/round -q 1 -m once || die "cannot publish"
ended() { [ "$(journal "SELECT count(*) FROM events WHERE state = 2 AND cast(topic AS TEXT) = 'round/and/round'")" = 1 ]; }
check "a loop ends as a dead letter" "$(counts round/and/round)" wait_for 20 ended
check "after 16 functions" "$(came round/and/round)" came_is round/and/round 17

# ---- what stays with the broker ----
bind echo --mqtt 'mine/#' --with no_local=yes --publish heard --qos 1 && bind echo --mqtt ask --publish mine/1 --qos 1 || die "cannot bind"
bind echo --mqtt '$share/g/shared/+' --publish heard --qos 1 && bind echo --mqtt ask2 --publish shared/1 --qos 1 || die "cannot bind"
mosquitto_pub -p "$PORT" -t ask -q 1 -m x && mosquitto_pub -p "$PORT" -t ask2 -q 1 -m x || die "cannot publish"
check "a shared subscription gets its messages from the broker" "$(came shared/1)" wait_for 20 came_is shared/1 1
check "and once" "$(by_direct shared/1)" [ "$(by_direct shared/1)" = 0 ]
wait_for 5 came_is ask 1
check "no_local hears nothing of our own" "$(came mine/1)" came_is mine/1 0

check "by now the broker has sent back all that it would" "$(counts chain/1 chain/2 chain/3 50ms tick/1 tick/2)" \
	eval 'chain_is_whole chain/1 chain/2 chain/3 && whole'

# ---- MQTT 3.1.1 has no user properties: all by the broker ----
gateway_stop
sed -i '/^\[mqtt\]/a version = 3' "$D/penstock.conf"
gateway_start || die "does not start with version = 3"
for b in $(cli bindings --json | jq -r '.items[] | select(.filter | startswith("mine") or startswith("$share")) | .id'); do cli unbind "$b" >/dev/null; done
wait_for 20 connected
before=$(by_direct chain/2)
seq -f 'v%g' 1 20 | mosquitto_pub -p "$PORT" -t chain/1 -q 1 -l || die "cannot publish"
check "with MQTT 3.1.1 messages come back from the broker" "$(counts chain/3)" wait_for 20 came_is chain/3 120
check "and only from there" "$(by_direct chain/2)" [ "$(by_direct chain/2)" = "$before" ]
check "each once" "$(counts chain/1 chain/2 chain/3)" chain_is_whole chain/1 chain/2 chain/3
