# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For make torture and the tests of faults: a broker that keeps what it acknowledged, and the counting function behind
# torture/1/# and torture/2/#. Behind tests/e2e/lib.sh.

# local.sh starts it in the background, so its number is mosquitto's
mosquitto() { exec env LD_PRELOAD="$B/tests/torture/preload.so" DIE_AFTER_SAVE="$D/die" mosquitto "$@"; }
broker_begin() {
	broker_start 'persistence true' "persistence_location $D/broker/" 'autosave_interval 0' 'max_queued_messages 0' \
		'max_inflight_messages 100' 'log_type notice' "user $(id -un)" || die "no broker"
}
child() { # NAME: of the gateway's
	local pid
	for pid in $(cat "/proc/$GATEWAY_PID/task/$GATEWAY_PID/children" 2>/dev/null); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid"
	done
}

# torture_begin CONFIG_LINE...
torture_begin() {
	mkdir -p "$D/broker"
	broker_begin
	gateway_config "$@" '[state]' 'keys = 1000000' 'bytes = 256MiB'
	gateway_start || die "no gateway"
	"$B/penstock" keygen "$D/author" >/dev/null && cli trust "$D/author.pub" >/dev/null || die "no key"
	wasm counter -mexec-model=reactor && deploy counter "$D/counter.wasm" '"capabilities":{"state":true}' || die "cannot deploy counter"
	for q in 1 2; do
		bind counter --mqtt "torture/$q/#" --publish "tortured/$q" --qos $q || die "cannot bind"
	done
	wait_for 10 subscribed 2 || die "the broker does not have the subscriptions"
	# It is there; that the broker has confirmed its subscriptions comes behind all that was in its queue.
	gateway_ready() { cli status >/dev/null 2>&1; }
}
