#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What comes over MQTT may be anything: huge payloads, topics that are no UTF-8, floods.
. tests/e2e/lib.sh

local_begin
broker_start || die "no broker"
evil_port=$(free_port)
gateway_config '[mqtt.evil]' "url = tcp://127.0.0.1:$evil_port" 'backoff_min_ms = 20' 'backoff_max_ms = 100'
"$B/tests/e2e/evil_broker" "$evil_port" >"$D/evil.out" 2>&1 &
evil=$!
gateway_ready() { cli status --json 2>/dev/null | jq_true '.brokers[] | select(.name == "default") | .state == "connected"'; }
gateway_start || die "no gateway"
"$B/penstock" keygen "$D/author" >/dev/null && cli trust "$D/author.pub" >/dev/null || die "no key"
flow_deploy
deploy big "$D/echo.wasm" || die "big does not deploy"
bind big --mqtt big/in --publish big/out --qos 1 || die "cannot bind"
flow_begin

head -c 10000000 /dev/zero | tr '\0' x >"$D/10MB"
before=$(status '.events | .refused + .dropped')
more_refused() { [ "$(status '.events | .refused + .dropped')" -gt "$before" ]; }
mosquitto_pub -p "$PORT" -t big/in -q 1 -f "$D/10MB"
check "a payload of 10 MB is refused and counted" "events: $(status '.events | tostring')" wait_for 10 more_refused
check "the log names topic, size and limit" "$(cli logs | tail -n 3)" grep -qE 'big/in.*(10000000|1048576)|(10000000|1048576).*big/in' <(cli logs)
got=$("$B/tests/e2e/probe" "$PORT" big/in big/out -s 60000 -r 50 -n 10)
check "after that its function serves on, payloads of 60 KB" "$got" [ "$(jq .answered <<<"$got")" = 10 ]
got=$("$B/tests/e2e/probe" "$PORT" big/in big/out -s 1000000 -r 5 -n 5)
check "payloads of 1 MB pass" "$got" [ "$(jq .answered <<<"$got")" = 5 ]
flow_end "huge payloads" 2000

flow_begin
deploy evil "$D/echo.wasm" && bind evil --broker evil --mqtt 'evil/#' --publish evil/answer --qos 0 --publish-qos 0 ||
	not_ok "bind to a second broker" "see the log"
wait_for 40 grep -q answered "$D/evil.out"
kill $evil 2>/dev/null
check "publications that break the rules do not stop that broker's honest ones" "$(cat "$D/evil.out")" \
	grep -q 'answered: evil\|answered: good' "$D/evil.out"
check "the log says what was wrong" "$(cli logs | tail -n 5)" grep -qiE 'utf-8|topic|protocol|malformed' <(cli logs --level warning)
flow_end "topics that are no UTF-8" 2000

# More than the queues hold, all at once: refused with a count and a line in the log, never lost in silence.
sum() { status '.events | .ok + .failed + .trapped + .refused + .dropped'; }
flow_begin
start=$(sum)
"$B/tests/e2e/probe" "$PORT" big/in big/out -q 0 -s 20000 -r 20000 -n 6000 -w 3000 >"$D/flood.json"
settled() { [ "$(status .events.in_flight)" = 0 ]; }
wait_for 10 settled
now=$(sum)
check "every event of a flood is accounted for" "6000 sent and $((now - start)) counted; $(cat "$D/flood.json") $(status '.events | tostring')" \
	[ $((now - start)) -ge "$(jq .answered "$D/flood.json")" ]
kill -TERM "$FLOW_PID"
wait "$FLOW_PID"
# Mosquitto drops acknowledgements in a flood, which is noticed after five seconds; what it publishes at QoS 0 while the
# connection is renewed is nobody's.
flows_again() { "$B/tests/e2e/probe" "$PORT" flow/in flow/out -r 100 -n 50 -w 3000 >"$D/again.json"; }
check "after the flood: other events flow again" "$(cat "$D/flow.json" "$D/again.json" 2>/dev/null)" wait_for 60 flows_again
