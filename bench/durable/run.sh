#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-durable: what it costs to lose nothing. QoS 1 in and out, through a function: the native client of bench-path, which
# keeps nothing, and the gateway with `durability` off, process and power take turns in every round; medians over the rounds.
# Then the size of the journal after many events, and a start with 100,000 events waiting.
set -euo pipefail

usage() {
	cat <<-'END'
		usage: [B=build] bench/durable/run.sh [--quick] [--rounds N] [--systems "native off process power"] [--events N]
		  --quick     one short round, 50,000 events for the size: a minute or so
		  --rounds N  how often each takes its turn (3)
		  --systems L only these; without process: neither size nor start
		  --events N  for the size (1,000,000)
		Prints a table; writes B/bench/durable.json (numbers) and B/bench/durable/ (every run).
	END
}

rounds=3 single_ms=2000 flood_ms=3000 events=1000000 waiting=100000
systems='native off process power'
while [ $# -gt 0 ]; do
	case $1 in
	--quick) rounds=1 single_ms=700 flood_ms=1000 events=50000 ;;
	--rounds) rounds=${2:?--rounds wants a number} && shift ;;
	--systems) systems=${2:?--systems wants a list} && shift ;;
	--events) events=${2:?--events wants a number} && shift ;;
	--help | -h) usage && exit ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done

# shellcheck source=bench/path/lib.sh
. "$(dirname "$0")/../path/lib.sh"
local_begin
results=$bench/durable
rm -rf "$results" && mkdir -p "$results"

# start native|DURABILITY: the state folder has the functions, and an empty journal
start() {
	rm -f "$D"/state/journal.db*
	if [ "$1" = native ]; then
		system_start native
		return
	fi
	gateway_config '[journal]' "durability = $1"
	gateway_command
	SYSTEM=$1
	"${COMMAND[@]}" >>"$D/$1.log" 2>&1 &
	SYSTEM_PID=$!
	wait_for 20 gateway_ready || die "the gateway does not get ready: $(tail -n 5 "$D/$1.log")"
}

# journal KEY: a number of the gateway's status
journal() { cli status --json | jq ".journal.$1"; }

# load FILE OPTION...: QoS 1
load() {
	"$bench/load" --port "$PORT" --qos 1 --in q1/sensors/press-4/temperature --out 'q1/alerts/+' \
		--pids "$(tree "$SYSTEM_PID" | comma)" --single-ms 0 --sparse-ms 0 --warm-ms 0 --flood-ms 0 "${@:2}" >>"$1" ||
		die "$SYSTEM gave no alerts; its log ends: $(tail -n 5 "$D/$SYSTEM.log" 2>/dev/null)"
}

# turn ROUND BROKER SYSTEM
turn() {
	local file=$results/$1.$2.$3 syncs=0 operations=0 commits=0
	broker "$2"
	start "$3"
	load "$file" --warm-ms 700 --single-ms "$single_ms"
	[ "$3" = native ] || { syncs=$(journal syncs) operations=$(journal operations) commits=$(journal commits); }
	load "$file" --flood-ms "$flood_ms"
	[ "$3" = native ] || {
		echo "flood_syncs=$(($(journal syncs) - syncs))"
		echo "flood_operations=$(($(journal operations) - operations))"
		echo "flood_commits=$(($(journal commits) - commits))"
	} >>"$file"
	system_stop
	broker_stop
}

# The journal after $events events, and how the last of them fared beside the deletion of what is too old or too much.
measure_size() {
	local file=$results/size done=0
	broker default
	start process
	while [ "$done" -lt "$events" ]; do
		load "$file" --flood-ms 5000
		done=$(awk -F= '$1 == "flood_n" { n += $2 } END { print n }' "$file")
	done
	echo "size_events=$done"
	echo "size_bytes=$(journal file_bytes)"
	system_stop
}

# $waiting open events, made of the last one that ran. Its id is the highest, theirs are below it.
fill() {
	sqlite3 "$D/state/journal.db" <<-END
		DELETE FROM effects;
		CREATE TEMP TABLE last AS SELECT * FROM events WHERE function = 'overheat-acknowledged' ORDER BY id DESC LIMIT 1;
		DELETE FROM events;
		WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $waiting - 1)
		INSERT INTO events (id, state, due, attempts, binding, function, source, packet, digest, arrived, hops, topic, attrs, payload)
		SELECT id - i, 0, 0, 0, binding, function, source, 0, 0, arrived, hops, topic, attrs, payload FROM last, n;
	END
}

none_open() { [ "$(journal open)" = 0 ]; }

measure_start() {
	local relay from
	relay=$(free_port)
	fill
	PORT=$relay gateway_config '[journal]' 'durability = process'
	gateway_command
	cp "$D/state/journal.db" "$D/filled.db"
	"$bench/started" --port "$relay" --broker "$PORT" --filters 3 -- "${COMMAND[@]}" 2>>"$D/start.log" | sed 's/^/waiting_/'
	# Once more, until all have run.
	rm -f "$D"/state/journal.db*
	mv "$D/filled.db" "$D/state/journal.db"
	gateway_config '[journal]' 'durability = process'
	from=${EPOCHREALTIME/./}
	gateway_start || die "no gateway with $waiting events waiting"
	wait_for 120 none_open || die "$(journal open) of $waiting events still wait"
	echo "waiting_done_ms=$(((${EPOCHREALTIME/./} - from) / 1000))"
	gateway_stop
	broker_stop
}

broker default
bench_deploy
broker_stop
from=$SECONDS
for ((round = 1; round <= rounds; round++)); do
	for mode in tuned default; do
		for system in $systems; do
			[ ! -t 2 ] || printf '\r  round %d of %d, %s broker: %-10s' "$round" "$rounds" "$mode" "$system" >&2
			turn "$round" "$mode" "$system"
		done
	done
done
[ ! -t 2 ] || printf '\r%60s\r' '' >&2
case " $systems " in
*" process "*)
	measure_size >"$results/once"
	measure_start >>"$results/once"
	;;
*) : >"$results/once" ;;
esac
awk -v rounds="$rounds" -v seconds=$((SECONDS - from)) -v systems="$systems" -v waiting="$waiting" \
	-v json="$bench/durable.json" -f bench/durable/report.awk "$results"/once "$results"/[0-9]*.*.*
