# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What run.sh and idle.sh share on top of tools/local.sh: the systems in the middle, and what their processes use.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
# shellcheck source=tools/local.sh
. tools/local.sh

bench=$B/bench
SYSTEM='' SYSTEM_PID=''

die() {
	echo "bench: $*" >&2
	exit 1
}

local_cleanup() { system_stop; }

# broker tuned|default: default is as Debian ships it, but for listener and log; tuned has no Nagle delays
broker() {
	case $1 in
	tuned) broker_start 'set_tcp_nodelay true' ;;
	default) broker_start ;;
	esac || die "no broker"
}

# system_command SYSTEM PORT: COMMAND becomes what starts it, with the broker on that port
system_command() {
	case $1 in
	penstock) PORT=$2 gateway_config && gateway_command ;;
	native) COMMAND=("$bench/native" "tcp://127.0.0.1:$2") ;;
	nodered)
		mkdir -p "$D/node-red"
		cp bench/path/nodered/settings.js bench/path/nodered/flow.json "$D/node-red/"
		COMMAND=(env "BENCH_BROKER_PORT=$2" node "$bench/node-red/node_modules/node-red/red.js" --userDir "$D/node-red"
			--settings "$D/node-red/settings.js" "$D/node-red/flow.json")
		;;
	esac
}

# system_start penstock|native|nodered|broker: sets SYSTEM_PID, the process whose tree is measured
system_start() {
	SYSTEM=$1
	if [ "$1" = broker ]; then
		SYSTEM_PID=$BROKER_PID
		return
	fi
	system_command "$1" "$PORT"
	"${COMMAND[@]}" >>"$D/$1.log" 2>&1 &
	SYSTEM_PID=$!
}

system_stop() {
	[ -z "$SYSTEM_PID" ] || [ "$SYSTEM" = broker ] || end_child "$SYSTEM_PID"
	SYSTEM='' SYSTEM_PID=''
}

# A process and all that it started, one id per line.
tree() {
	local child
	echo "$1"
	for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do tree "$child"; done
}

comma() { paste -sd, -; }

# memory FIELD: KB of a field of smaps_rollup (Rss, Pss), summed over the system's processes
memory() {
	local pid
	for pid in $(tree "$SYSTEM_PID"); do cat "/proc/$pid/smaps_rollup" 2>/dev/null; done |
		awk -v field="$1:" '$1 == field { kb += $2 } END { print kb + 0 }'
}

# One line "NAME KB" of Rss for each process of the system.
memory_each() {
	local pid
	for pid in $(tree "$SYSTEM_PID"); do
		awk -v name="$(cat "/proc/$pid/comm" 2>/dev/null)" '$1 == "Rss:" { print name, $2 }' \
			"/proc/$pid/smaps_rollup" 2>/dev/null
	done
}

# quietly COMMAND...: its output only when it fails, and then the end of everything
quietly() {
	local said
	said=$("$@" 2>&1) || die "$* failed: $said"
}

# Three functions in the state folder that every later start of the gateway finds again: overheat for QoS 0, its twins for
# QoS 1 and for a topic where nothing comes. Needs a broker.
bench_deploy() {
	local name qos prefix
	gateway_config
	gateway_start || die "no gateway"
	quietly cli keygen "$D/author"
	quietly cli trust "$D/author.pub"
	while read -r name prefix qos; do
		sed "s/\"name\": \"overheat\"/\"name\": \"$name\"/" examples/overheat/manifest.json >"$D/$name.json"
		quietly cli sign --key "$D/author.key" --manifest "$D/$name.json" -o "$D/$name.wasm" "$B/examples/overheat.wasm"
		quietly cli deploy --grant "$D/$name.wasm"
		quietly cli bind "$name" --mqtt "$prefix/sensors/+/temperature" --publish "$prefix/alerts/{1}" --qos "$qos"
	done <<-'END'
		overheat q0 0
		overheat-acknowledged q1 1
		overheat-idle elsewhere 1
	END
	gateway_stop
}
