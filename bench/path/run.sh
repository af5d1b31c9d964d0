#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-path: sensor message -> function -> alert. The gateway, a native C client, Node-RED and the broker alone take
# turns in every round, each with a broker of its own; medians over the rounds.
set -euo pipefail

usage() {
	cat <<-'END'
		usage: [B=build] bench/path/run.sh [--quick] [--rounds N] [--systems "penstock native nodered broker"]
		  --quick     one short round: a minute or two instead of some eight
		  --rounds N  how often each takes its turn (3)
		  --systems L only these
		Prints a table; writes B/bench/path.json (numbers) and B/bench/path/ (every run).
	END
}

rounds=3 warm_ms=1500 single_ms=2000 sparse_ms=1000 flood_ms=2000 idle=()
systems='penstock native nodered broker'
while [ $# -gt 0 ]; do
	case $1 in
	--quick) rounds=1 warm_ms=700 single_ms=700 sparse_ms=400 flood_ms=800 idle=(--rounds 3) ;;
	--rounds) rounds=${2:?--rounds wants a number} && shift ;;
	--systems) systems=${2:?--systems wants a list} && shift ;;
	--help | -h) usage && exit ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done

# shellcheck source=bench/path/lib.sh
. "$(dirname "$0")/lib.sh"
local_begin
results=$bench/path
rm -rf "$results" && mkdir -p "$results"

# load_qos QOS FILE: what the generator measures of the running system
load_qos() {
	local in=q$1/sensors/press-4/temperature out=q$1/alerts/+
	[ "$SYSTEM" != broker ] || out=$in
	"$bench/load" --port "$PORT" --qos "$1" --in "$in" --out "$out" --pids "$(tree "$SYSTEM_PID" | comma)" \
		--warm-ms $warm_ms --single-ms $single_ms --sparse-ms $sparse_ms --flood-ms $flood_ms >"$2" ||
		die "$SYSTEM gave no alerts; its log ends: $(tail -n 5 "$D/$SYSTEM.log" 2>/dev/null)"
}

# turn ROUND BROKER SYSTEM
turn() {
	local file=$results/$1.$2.$3
	broker "$2"
	system_start "$3"
	# Its processes are counted from now on: all have to be there.
	[ "$3" != penstock ] || wait_for 10 gateway_ready || die "the gateway does not get ready"
	load_qos 0 "$file.qos0"
	load_qos 1 "$file.qos1"
	memory_each >"$file.rss"
	system_stop
	broker_stop
}

idle_systems=''
for system in $systems; do
	case $system in penstock | native | nodered) idle_systems+="$system " ;; esac
done
B=$B bench/path/idle.sh "${idle[@]}" --systems "$idle_systems"
for system in $systems; do
	[ "$system" = penstock ] || continue
	broker default
	bench_deploy
	broker_stop
done
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
awk -v rounds="$rounds" -v seconds=$((SECONDS - from)) -v systems="$systems" -v json="$bench/path.json" \
	-v idle="$bench/idle.json" -f bench/path/report.awk "$results"/*.qos? "$results"/*.rss
