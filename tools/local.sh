# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A private broker and a private gateway on free loopback ports and a temporary folder, for the demo and the tests.
# Source it, call local_begin first. Sets: D (the folder), PORT (of the broker), and after gateway_start the CLI's
# environment. Everything started here ends with the shell that sourced it, on every way out.

B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac

local_begin() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
	BROKER_PID='' GATEWAY_PID=''
	trap local_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

local_end() {
	local rc=$?
	trap - EXIT INT TERM HUP
	gateway_stop 2>/dev/null
	broker_stop 2>/dev/null
	if declare -F local_cleanup >/dev/null; then local_cleanup; fi
	if [ "${KEEP_DIR:-0}" = 1 ]; then
		echo "kept: $D" >&2
	else
		rm -rf --one-file-system "$D"
	fi
	exit $rc
}

# The value of an expression that becomes true: wait_for SECONDS COMMAND...
wait_for() {
	local until=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt $until ] || return 1
		sleep 0.02
	done
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
	local port
	for _ in {1..50}; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		port_open $port || { echo $port; return; }
	done
	echo "no free loopback port" >&2
	return 1
}

# broker_start [CONFIG_LINE...]: mosquitto as Debian ships it, on $PORT (kept over a restart).
broker_start() {
	PORT=${PORT:-$(free_port)}
	{
		printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\nlog_type error\nlog_type warning\n' "$PORT"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$D/mosquitto.conf"
	PATH=$PATH:/usr/sbin mosquitto -c "$D/mosquitto.conf" >>"$D/mosquitto.log" 2>&1 &
	BROKER_PID=$!
	if ! wait_for 20 port_open "$PORT"; then
		echo "mosquitto did not start:" >&2
		tail -n 5 "$D/mosquitto.log" >&2
		return 1
	fi
}

# Ends a child of ours and waits until it is gone: end_child PID [SIGNAL]
end_child() {
	kill -s "${2:-TERM}" "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

broker_stop() {
	[ -n "$BROKER_PID" ] && end_child "$BROKER_PID" "$@"
	BROKER_PID=''
}

# ---- the gateway ----

# gateway_config [LINE...]: writes $D/penstock.conf. LINEs go to its end; a LINE "[section]" begins another section.
# The broker is on $PORT, or behind a relay on $MQTT_PORT.
gateway_config() {
	export PENSTOCK_SOCKET=$D/run/penstock.sock
	mkdir -p "$D/state" "$D/run"
	{
		printf '[gateway]\nstate_dir = %s/state\nruntime_dir = %s/run\n' "$D" "$D"
		printf '[mqtt]\nurl = tcp://127.0.0.1:%s\nbackoff_max_ms = 1000\n' "${MQTT_PORT:-$PORT}"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$D/penstock.conf"
}

# What starts a gateway on $D/penstock.conf, for those who start it themselves.
gateway_command() { COMMAND=("$B/penstockd" --config "$D/penstock.conf"); }

cli() { "$B/penstock" "$@"; }

gateway_ready() {
	cli status --json 2>/dev/null | grep -qE '"ready": ?true'
}

# Starts it in the background, log in $D/gateway.log, and waits until it is connected and serves.
gateway_start() {
	[ -e "$D/penstock.conf" ] || gateway_config
	gateway_command
	"${COMMAND[@]}" >>"$D/gateway.log" 2>&1 &
	GATEWAY_PID=$!
	if ! wait_for 30 gateway_ready; then
		echo "penstockd did not become ready:" >&2
		tail -n 10 "$D/gateway.log" >&2
		return 1
	fi
}

gateway_stop() {
	[ -n "$GATEWAY_PID" ] && end_child "$GATEWAY_PID" "$@"
	GATEWAY_PID=''
}
