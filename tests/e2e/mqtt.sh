#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What MQTT can do beyond topic and payload, against mosquitto: subscription options, shared subscriptions, properties, status.
. tests/e2e/lib.sh

# catch NAME OPTIONS OF mosquitto_sub...: in the background, what comes goes to $D/NAME
CATCHERS=()
catch() {
	local name=$1
	shift
	mosquitto_sub -p "$PORT" -V 5 "$@" >"$D/$name" 2>"$D/$name.err" &
	CATCHERS+=($!)
	sleep 0.3 # a moment for the subscription
}
local_cleanup() { [ ${#CATCHERS[@]} = 0 ] || kill "${CATCHERS[@]}" 2>/dev/null; }
lines() { wc -l <"$D/$1"; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }
send() { mosquitto_pub -p "$PORT" -V 5 "$@"; }

begin
wasm echo -mexec-model=reactor || die "cannot compile"
for f in echo plain low high; do deploy $f "$D/echo.wasm" || die "$f does not deploy"; done

# ---- subscription options ----

send -t opt/a -r -q 1 -m kept
catch opt -t 'opt-out/#' -F '%t %p'
bind echo --mqtt 'opt/+' --publish 'opt-out/new/{1}' --qos 1
check "retain_handling new: a retained message comes to a new subscription" "$(cat "$D/opt")" wait_for 5 has_lines opt 1
bind plain --mqtt 'opt/#' --publish 'opt-out/never/{1}' --qos 1 --with retain_handling=never
send -t opt/b -q 1 -m live
wait_for 5 has_lines opt 3
check "retain_handling never: only what comes from then on" "$(tr '\n' ';' <"$D/opt")" \
	[ "$(grep never "$D/opt" | tr '\n' ';')" = 'opt-out/never/b live;' ]
got=$(cli bind low --mqtt 'opt/+' --publish 'x' --with no_local=yes 2>&1)
check "one filter has one set of options" "$got" grep -q 'other options' <<<"$got"
send -t opt/a -r -n

catch loop -t 'loop/#' -F '%t %p'
bind low --mqtt 'loop/+' --publish 'loop/{id}' --qos 1 --with no_local=yes
send -t loop/a -q 1 -m once
wait_for 5 has_lines loop 2
send -t loop/b -q 1 -m once
wait_for 5 has_lines loop 4
check "no_local: a function does not get its own message back" "$(tr '\n' ';' <"$D/loop")" [ "$(lines loop)" = 4 ]

# ---- shared subscriptions ----

catch share -t 'share-out/#' -F '%t %p'
bind high --mqtt '$share/plant/share/+/#' --publish 'share-out/{1}/{2}' --qos 1
mosquitto_sub -p "$PORT" -V 5 -q 1 -t '$share/plant/share/+/#' >"$D/colleague" &
CATCHERS+=($!)
sleep 0.3
for i in {1..20}; do send -q 1 -t share/x/y -m "$i"; done
together() { [ $(($(lines share) + $(lines colleague))) -ge 20 ]; }
wait_for 5 together
check "a shared subscription: each message to one of the group" "$(lines share) and $(lines colleague)" \
	[ "$(sort "$D/colleague" <(cut -d' ' -f2 "$D/share") | sort -n | tr '\n' ' ')" = "$(echo {1..20} '')" ]
check "... and the gateway gets its part" "$(lines share)" has_lines share 1
check "... its template counts the wildcards of the filter that is shared" "$(head -n 1 "$D/share")" grep -q '^share-out/x/y ' "$D/share"

# ---- properties ----

# verbose: topic, QoS, retain, content type, response topic, correlation data, expiry, user properties, payload
properties='%t q%q r%r C=%C R=%R D=%D E=%E P=%P %p'
wasm attributes -mexec-model=reactor && deploy attributes "$D/attributes.wasm" || die "attributes does not deploy"
catch props -t 'props-out/#' -F "$properties"
bind attributes --mqtt 'props/+' --publish 'props-out/{1}' --qos 1
send -t props/in -q 1 -m 'datacontenttype responsetopic correlationdata expiry payloadformat colour ce-id ce-source ce-type id' \
	-D publish content-type text/x -D publish response-topic back/here -D publish correlation-data 4711 \
	-D publish message-expiry-interval 100 -D publish payload-format-indicator 1 -D publish user-property colour red \
	-D publish user-property id theirs -D publish user-property source /they -D publish user-property type their.type \
	-D publish user-property penstock-hops 0
wait_for 5 has_lines props 1
got=$(cat "$D/props")
check "a function sees properties as attributes" "$got" grep -q 'datacontenttype=text/x;responsetopic=back/here;correlationdata=4711;expiry=\(100\|99\);payloadformat=1;colour=red;' "$D/props"
check "... a CloudEvent's own under ce-, beside the gateway's" "$got" grep -q 'ce-id=theirs;ce-source=/they;ce-type=their.type;id=[0-9]*;' "$D/props"
send -t props/with -q 1 -m set
wait_for 5 has_lines props 2
got=$(tail -n 1 "$D/props")
check "a function sets properties" "$got" \
	grep -q '^props-out/with q0 r0 C=text/y R=answer/to D=a-z E=\(60\|59\) .*colour:blue.* set$' "$D/props"
check "... and a CloudEvent's type, with the effect's id" "$got" \
	grep -q 'specversion:1.0.*id:[0-9]*.attributes@1.0.*source:/penstock/functions/attributes.*type:my.type' "$D/props"
send -t props/bad -q 1 -m bad
wait_for 5 has_lines props 3
got=$(tail -n 1 "$D/props")
check "what is the gateway's own, or makes no sense, it cannot set" "$got" grep -q ' -1 -1 -1 -1 -3 -1 0$' "$D/props"

# ---- request and reply ----

bind echo --mqtt 'ask/+' --publish '{response_topic}' --qos 1
for qos in 0 1; do
	got=$(timeout 5 mosquitto_rr -V 5 -p "$PORT" -q $qos -t ask/now -e "inbox/$qos" -D publish correlation-data "c$qos" -F '%D %p' -m "hello $qos" 2>&1)
	check "QoS $qos: a plain binding answers a request, with its correlation data" "$got" [ "$got" = "c$qos hello $qos" ]
done
failed() { function_has echo '.counters.failed + .counters.refused'; }
before=$(failed)
send -t ask/nobody -q 1 -m 'no request'
send -t ask/evil -q 1 -m x -D publish response-topic '$output/lamp'
more_failed() { [ "$(failed)" != "$before" ]; }
wait_for 5 more_failed
check "who asks for an answer at \$output is refused, and who asks for none is not an error" "$(cli logs | tail -n 3)" \
	grep -q 'topics that begin with \$' <(cli logs)

# ---- bindings with different QoS on overlapping filters ----

overlap() { # VERSION
	catch "over$1" -t "over$1/out/#" -F '%t %p'
	bind echo --mqtt "over$1/in/#" --publish "over$1/out/echo" --qos 0
	bind plain --mqtt "over$1/in/+" --publish "over$1/out/plain" --qos 1
	bind low --mqtt "over$1/in/a" --publish "over$1/out/low" --qos 2
	bind high --mqtt "over$1/+/a" --publish "over$1/out/high" --qos 1
	for i in {1..25}; do send -q 2 -t "over$1/in/a" -m "$i"; done
	wait_for 10 has_lines "over$1" 100
	sleep 0.5
	for f in echo plain low high; do
		check "version $1, overlapping filters: $f got each message once" "$(grep -c "/$f " "$D/over$1") lines" \
			[ "$(grep "/$f " "$D/over$1" | cut -d' ' -f2 | sort -n | tr '\n' ' ')" = "$(echo {1..25} '')" ]
	done
}
overlap 5

# ---- status, CloudEvents ----

status_topic=penstock/penstock-$(hostname)-default/status
catch status -t "$status_topic" -F '%r %p'
check "the gateway's status is a retained message" "$(cat "$D/status")" wait_for 5 grep -q '^1 online$' "$D/status"
gateway_stop KILL
check "a gateway that dies is offline, says the broker" "$(tr '\n' ';' <"$D/status")" wait_for 10 grep -q '^[01] offline$' "$D/status"
gateway_config 'cloudevents = binary' 'unwrap = yes'
gateway_start || die "no gateway with CloudEvents"
check "... online again when it is back" "$(tr '\n' ';' <"$D/status")" wait_for 5 [ "$(grep -c online "$D/status")" -ge 2 ]
wait_for 5 subscribed 8
send -t props/with -q 0 -m set
wait_for 5 has_lines props 4
got=$(tail -n 1 "$D/props")
check "CloudEvents, binary: a message of QoS 0 has all attributes as user properties" "$got" grep -qE \
	'specversion:1.0 id:[^ ]+ source:/penstock/functions/attributes .*time:20[0-9-]+T[0-9:.]+Z' <<<"$got"
send -t props/json -q 1 -m '{"specversion":"1.0","id":"x1","source":"/s","type":"t.t","subject":"s","n":5,"datacontenttype":"text/plain","data":"ce-id ce-type ce-subject n"}' \
	-D publish content-type application/cloudevents+json
wait_for 5 has_lines props 5
got=$(tail -n 1 "$D/props")
check "CloudEvents in JSON are opened: attributes" "$got" grep -q 'ce-id=x1;ce-type=t.t;ce-subject=s;n=5;$' <<<"$got"
lines_before=$(lines status)
gateway_stop
check "a gateway that ends says so" "$(tail -n 1 "$D/status")" wait_for 5 [ "$(lines status)" -gt "$lines_before" ]
check "... as retained message" "$(tail -n 1 "$D/status")" [ "$(mosquitto_sub -p "$PORT" -t "$status_topic" -C 1 -W 5)" = offline ]
gateway_config 'version = 3'
gateway_start || die "no gateway at version 3"
got=$(cli bind echo --mqtt '$share/g/x' 2>&1)
check "MQTT 3.1.1: a shared subscription is refused, with what to do" "$got" grep -q 'version = 5' <<<"$got"
got=$(cli bind echo --mqtt y --with no_local=yes 2>&1)
check "MQTT 3.1.1: no_local is refused, with what to do" "$got" grep -q 'version = 5' <<<"$got"
overlap 3
gateway_stop
gateway_config 'version = 3' 'cloudevents = structured' 'unwrap = yes'
gateway_start || die "no gateway with CloudEvents in JSON"
catch json -t 'json/#' -F '%p'
bind echo --mqtt 'in-json/+' --publish 'json/{1}' --qos 1
mosquitto_pub -p "$PORT" -q 1 -t in-json/a -m '{"specversion":"1.0","id":"x1","source":"/s","type":"t","data":{"a":1}}'
wait_for 5 has_lines json 1
got=$(cat "$D/json")
check "3.1.1: CloudEvents in JSON come in and go out" "$got" json_is "$got" \
	'.specversion == "1.0" and .source == "/penstock/functions/echo" and .type == "io.penstock.effect" and (.id | test("echo@1")) and (.data == "{\"a\":1}" or .data == {"a":1})'
