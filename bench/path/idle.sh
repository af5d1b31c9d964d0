#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-idle: memory of an idle gateway with three functions, and the time from its start until the broker has
# acknowledged its subscriptions; the same of the peers.
set -euo pipefail

usage() {
	cat <<-'END'
		usage: [B=build] bench/path/idle.sh [--rounds N] [--systems "penstock native nodered"]
		  --rounds N  starts of each, the median counts (5)
		Prints a table; writes B/bench/idle.json.
	END
}

rounds=5 systems='penstock native nodered'
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=${2:?--rounds wants a number} && shift ;;
	--systems) systems=${2?--systems wants a list} && shift ;;
	--help | -h) usage && exit ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done

# shellcheck source=bench/path/lib.sh
. "$(dirname "$0")/lib.sh"
local_begin

declare -A ending=([penstock]='' [native]=_native [nodered]=_nodered)
declare -A title=([penstock]=penstock [native]='native C client' [nodered]=Node-RED)
declare -A filters=([penstock]=3 [native]=2 [nodered]=1)

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# start_ms SYSTEM: one start, through the relay
start_ms() {
	local relay
	relay=$(free_port)
	system_command "$1" "$relay"
	"$bench/started" --port "$relay" --broker "$PORT" --filters "${filters[$1]}" -- "${COMMAND[@]}" 2>>"$D/$1.log" |
		sed -n 's/^start_ms=//p'
}

# idle_kb SYSTEM: PSS of all its processes, two seconds after nothing happened
idle_kb() {
	system_start "$1"
	sleep 3
	pss=$(memory Pss) rss=$(memory Rss)
	system_stop
}

broker default
json=''
printf 'Idle, with three functions bound; start: until all filters are acknowledged, median of %d\n' "$rounds"
printf '  %-17s%9s%9s%10s\n' '' 'PSS MB' 'RSS MB' 'start ms'
for system in $systems; do
	if [ "$system" = penstock ]; then bench_deploy; fi
	idle_kb "$system"
	ms=$(for ((i = 0; i < rounds; i++)); do start_ms "$system" || exit; done | median) || true
	[ -n "$ms" ] || die "$system did not subscribe; its log ends: $(tail -n 5 "$D/$system.log")"
	e=${ending[$system]}
	json+=$(awk -v e="$e" -v pss="$pss" -v rss="$rss" -v ms="$ms" \
		'BEGIN { printf "\t\"idle_pss_mb%s\": %.1f,\n\t\"idle_rss_mb%s\": %.1f,\n\t\"start_ms%s\": %s,\n", e, pss / 1024, e, rss / 1024, e, ms }')$'\n'
	awk -v t="${title[$system]}" -v pss="$pss" -v rss="$rss" -v ms="$ms" \
		'BEGIN { printf "  %-17s%9.1f%9.1f%10.0f\n", t, pss / 1024, rss / 1024, ms }'
done
printf '{\n%s\n}\n' "${json%,*}" >"$bench/idle.json"
