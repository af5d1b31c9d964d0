#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 600
# More of what goes wrong around a gateway (faults.sh has the rest): a half-open connection, a broker that is away for AWAY
# seconds under EVENTS events of each QoS, RETAINED retained messages at subscribe, repetitions with and without the DUP flag,
# CUTS power cuts, syncs that fail. CASES: those to run.
. tests/e2e/lib.sh
. tests/torture/lib.sh
AWAY=${AWAY:-60} EVENTS=${EVENTS:-25000} RETAINED=${RETAINED:-100000} CUTS=${CUTS:-5}
CASES=${CASES:-half_open redelivered broker_away_for_long retained power_cuts sync_errors power_is_needed}
PEAK_MIB=${PEAK_MIB:-256} # penstockd may need so much; it has a journal of 256 MiB to keep things in
round=0 POWER=()

local_cleanup() { kill "$RELAY_PID" "$OUT_PID" 2>/dev/null; }
gateway_command() {
	COMMAND=(env "${POWER[@]}" "$B/penstockd" --config "$D/penstock.conf")
}
gateway_ready() { cli status >/dev/null 2>&1; } # one of its brokers is there in `redelivered` only
out_begin() { # the second broker
	mkdir -p "$D/out"
	printf '%s\n' "listener $OUT_PORT 127.0.0.1" 'allow_anonymous true' 'persistence true' "persistence_location $D/out/" \
		'autosave_interval 0' 'max_queued_messages 0' 'max_inflight_messages 100' 'log_dest stderr' "user $(id -un)" >"$D/out.conf"
	PATH=$PATH:/usr/sbin command mosquitto -c "$D/out.conf" >>"$D/mosquitto.log" 2>&1 &
	OUT_PID=$!
	wait_for 20 port_open "$OUT_PORT" || die "no second broker"
}
# load NAME RATE WAIT_MS OPTION...: numbered events of QoS 1 and of QoS 2 at once, to NAME/QOS
load() {
	local q name=$1 rate=$2 wait_ms=$3
	shift 3
	round=$((round + 1)) LOAD=()
	for q in 1 2; do
		"$B/tests/torture/torture" "$PORT" $round -t "$name" -q $q -n "$EVENTS" -r "$rate" -w "$wait_ms" "$@" >"$D/load.$q" &
		LOAD+=($!)
	done
}
loaded() { kill -0 "${LOAD[@]}" 2>/dev/null; }
# load_ends WHAT [JQ_CONDITION]
load_ends() {
	local q said
	for q in 1 2; do
		wait "${LOAD[q - 1]}"
		said=$(cat "$D/load.$q")
		check "$1, QoS $q: nothing lost, repeated or counted twice${2:+, all in order}" "$said" \
			json_is "$said" ".lost == 0 and .state_wrong == 0 and .repeated == 0 and .strange == 0 and ${2:-true}"
	done
}
binds() { # NAME OPTION...
	local q name=$1
	shift
	for q in 1 2; do
		bind counter --mqtt "$name/$q/#" --publish "tortured/$q" --qos $q "$@" || die "cannot bind $name"
	done
}
greetings() { grep -ac 'msg="connected to the broker"' "$D/gateway.log"; }
greeted_anew() { [ "$(greetings)" -gt "$1" ]; }
settled() { json_is "$(status .journal)" '.open == 0 and .effects == 0'; }
# How much memory penstockd has needed since peak_begins, in MiB
peak_begins() { echo 5 >"/proc/$GATEWAY_PID/clear_refs"; }
peak() { awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$GATEWAY_PID/status"; }
peak_ends() { # WHAT
	local mib
	mib=$(peak)
	echo "# $1: penstockd needed at most $mib MiB"
	check "$1: memory is bounded" "$mib MiB, more than $PEAK_MIB" [ "$mib" -le "$PEAK_MIB" ]
}

half_open() {
	local before
	before=$(greetings)
	EVENTS=4000 load torture 1000 60000
	sleep 1
	kill -USR1 "$RELAY_PID"
	check "half-open connection: noticed within keepalive_s, another one is made" "$(status '.brokers|tostring')" wait_for 60 greeted_anew "$before"
	load_ends "half-open connection"
}

redelivered() {
	local before after said
	before=$(status .journal.duplicates)
	"$B/tests/e2e/redelivery" "$OLD_PORT" twice twiced >"$D/redelivery" &
	cli bind counter --broker old --mqtt twice --publish twiced --qos 1 >/dev/null || die "cannot bind twice"
	wait $!
	after=$(status .journal.duplicates)
	said=$(cat "$D/redelivery")
	check "with DUP it is the same event, without another one: 3 events of 5 messages, each acknowledged" "$said" \
		json_is "$said" '.acknowledged == 5 and .answers == 3 and .highest == 3'
	check "repetitions are counted" "$before before, then $after" [ $((after - before)) = 2 ]
}

broker_away_for_long() {
	local until most=0 now
	binds away --publish-broker out --ordered
	wait_for 60 settled
	peak_begins
	load away 1500 $((AWAY * 1000 + 60000)) -c "$OUT_PORT"
	sleep 1
	end_child "$OUT_PID"
	until=$((SECONDS + AWAY))
	while [ $SECONDS -lt $until ]; do
		now=$(status .journal.effects)
		[ "${now:-0}" -gt $most ] && most=$now
		sleep 0.5
	done
	check "broker away for $AWAY s: meanwhile events are taken and run" "no more than $most messages waited" [ $most -gt $((EVENTS * 3 / 2)) ]
	out_begin
	load_ends "broker away for $AWAY s, with $most messages waiting for it" ".disorder == 0"
	peak_ends "broker away for $AWAY s"
}

retained() {
	local pid answers=0 silent=0 said
	"$B/tests/e2e/retained" "$PORT" "$RETAINED" kept answered -w 60000 >"$D/retained" &
	pid=$!
	wait_for 120 grep -q kept "$D/retained" || not_ok "$RETAINED retained messages" "the broker does not take them"
	peak_begins
	cli bind counter --mqtt 'kept/#' --publish answered --qos 1 >/dev/null || die "cannot bind"
	while kill -0 $pid 2>/dev/null; do
		if timeout 10 "$B/penstock" status >/dev/null 2>&1; then answers=$((answers + 1)); else silent=$((silent + 1)); fi
		sleep 0.2
	done
	wait $pid
	check "$RETAINED retained messages at subscribe: each is one event" "$(tail -n 1 "$D/retained")" [ $? = 0 ]
	check "$RETAINED retained messages: the API answers meanwhile" "$answers answers, $silent times none in 10 s" [ $answers -gt 0 -a $silent = 0 ]
	peak_ends "$RETAINED retained messages"
	said=$(status .journal.refused)
	echo "# $RETAINED retained messages: $answers answers of the API, refused: $said, $(tail -n 1 "$D/retained")"
}

# ---- power cuts: from here on what is not synced is forgotten ----

durability() { # process|power: a gateway with that, whose last synced state goes to $D/cut
	wait_for 60 settled
	gateway_stop
	# Anew: each sync copies all of it.
	rm -rf "$D/cut" "$D"/state/journal.db*
	mkdir -p "$D/cut/begun"
	ln -s begun "$D/cut/journal.db"
	sed -i "s/^durability = .*/durability = $1/" "$D/penstock.conf"
	POWER=(LD_PRELOAD="$B/tests/torture/preload.so" POWER_COPY="$D/cut" FAULT_PATH=/journal.db-wal FAULT_FILE="$D/fault")
	gateway_start || die "no gateway with durability = $1"
}
synced() { [ "$(readlink "$D/cut/journal.db")" != begun ]; }
# The disk is as its last sync left it.
to_the_synced() {
	local db
	for db in journal.db registry.db; do
		[ -e "$D/cut/$db" ] || continue
		rm -f "$D/state/$db"*
		cp "$D/cut/$db/." -rT "$D/state"
	done
}
power_cut() {
	gateway_stop KILL
	to_the_synced
	gateway_start || die "penstockd does not start after a power cut"
}
pause() { sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"; }
cut_often() { # TIMES: how often it was while there was load is in $cuts
	cuts=0
	wait_for 60 synced || die "nothing is synced"
	while [ $cuts -lt "$1" ] && loaded; do
		pause
		loaded || break
		power_cut
		cuts=$((cuts + 1))
	done
}
power_cuts() {
	durability power
	EVENTS=8000 load torture 400 60000
	cut_often "$CUTS"
	load_ends "$cuts power cuts, durability = power"
	check "the power was cut $CUTS times under load" "$cuts times" [ $cuts = "$CUTS" ]
}

# An fdatasync that fails may have lost what it was for; penstockd ends itself then. Its supervisor is this test.
gateway_gone() { ! kill -0 "$GATEWAY_PID" 2>/dev/null; }
sync_errors() {
	local n acked
	durability power
	EVENTS=4000 load torture 400 60000
	wait_for 60 synced || die "nothing is synced"
	for n in 1 2 3; do
		sleep 1
		echo "5 0 s" >"$D/fault"
		wait_for 60 gateway_gone || { not_ok "a sync fails: penstockd ends" "it goes on"; rm -f "$D/fault"; break; }
		wait "$GATEWAY_PID"
		rm -f "$D/fault"
		to_the_synced
		gateway_start || die "penstockd does not start after a sync that failed"
	done
	load_ends "syncs fail $n times, durability = power"
	check "penstockd has said why it ended" "it did not" grep -qa 'cannot sync the journal' "$D/gateway.log"
}

# The same cuts lose events where nothing is synced before it is acknowledged: else the check proves nothing.
power_is_needed() {
	local lost
	durability process
	EVENTS=4000 load torture 1000 6000
	sleep 2
	power_cut
	wait "${LOAD[@]}"
	lost=$(jq -s 'map(.lost + .state_wrong + .repeated) | add' "$D/load.1" "$D/load.2")
	echo "# a power cut with durability = process: $(cat "$D/load.1" "$D/load.2" | tr '\n' ' ')"
	check "the same with durability = process is noticed: the check can fail" "nothing was lost" [ "$lost" -gt 0 ]
}

local_begin
PORT=$(free_port)
MQTT_PORT=$(free_port)
OUT_PORT=$(free_port)
OLD_PORT=$(free_port)
"$B/tests/e2e/relay" "$MQTT_PORT" "$PORT" >"$D/relay" &
RELAY_PID=$!
wait_for 20 grep -q listening "$D/relay" || die "no relay"
out_begin
torture_begin 'keepalive_s = 5' '[mqtt.out]' "url = tcp://127.0.0.1:$OUT_PORT" 'backoff_max_ms = 1000' \
	'[mqtt.old]' "url = tcp://127.0.0.1:$OLD_PORT" 'backoff_max_ms = 1000' '[journal]' \
	'durability = process' 'check = always' 'keep_bytes = 1MiB'
for case in $CASES; do
	begun=$SECONDS
	$case
	echo "# $case: $((SECONDS - begun)) s"
done
