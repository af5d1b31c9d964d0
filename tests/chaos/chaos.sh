#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SECS seconds (default 600) of random kill -9 of penstock-sandbox, of hostile functions and of hostile uploads, beside one
# function that does its work on a real broker. That one misses nothing and says nothing twice: its events in flight at a kill
# are tried again. Memory stays bounded. The last line is a summary. RATE: its events per second; SEED: for the same again.
. tests/e2e/lib.sh
SECS=${SECS:-600}
RATE=${RATE:-50}
SEED=${SEED:-$RANDOM}
RANDOM=$SEED

misdeeds=(endless_loop endless_recursion memory_bomb out_of_bounds unreachable divide_by_zero wrong_indirect_call null_call
	output_flood log_flood forbidden_topic invalid_topic host_address)
limits='"limits":{"memory":"2MiB","cpu_ms":50,"deadline_ms":2000,"output":"64KiB","log_lines_per_s":50,"events_per_s":20}'
quarantined=0 kills=0 misdone=0 uploads=0 accepted=0
MISDEED_PIDS=()

begin '[limits]' 'module_bytes = 1MiB'
flow_deploy
wasm hostile -mexec-model=reactor || die "hostile does not compile"
for name in "${misdeeds[@]}"; do
	deploy "bad-${name//_/-}" "$D/hostile.wasm" "$limits" || die "cannot deploy $name"
	bind "bad-${name//_/-}" --mqtt "misdeeds/$name" --publish "stolen/$name" >/dev/null || die "cannot bind $name"
done
mosquitto_sub -p "$PORT" -t 'stolen/#' -t 'valves/#' -q 1 -F '%t' >"$D/stolen" 2>/dev/null &
thief=$!
gateway=$(status .pid)

rss_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status" 2>/dev/null || echo 0; }
# Memory of the gateway and of the sandbox, once a second; lines of kilobytes.
watch_memory() {
	while sleep 1; do
		echo "$(rss_kb "$gateway") $(rss_kb "$(pgrep -P "$gateway" -x penstock-sandbo | head -n 1)")"
	done >"$D/memory"
}
watch_memory &
watcher=$!
local_cleanup() { kill $watcher $thief "${FLOW_PID:-}" 2>/dev/null; }

misbehave() {
	local name=${misdeeds[RANDOM % ${#misdeeds[@]}]}
	mosquitto_pub -p "$PORT" -q $((RANDOM % 2)) -t "misdeeds/$name" -m "$name" && misdone=$((misdone + 1))
}
kill_one() {
	local pid
	pid=$(pgrep -P "$gateway" -x penstock-sandbo | head -n 1)
	[ -n "$pid" ] || return
	# Every other time it is stopped before, so that events are in flight for sure.
	[ $((kills % 2)) = 0 ] || { kill -STOP "$pid" && sleep 0.05; }
	kill -9 "$pid" && kills=$((kills + 1))
}
# A module with a few bytes changed, signed by somebody whom the gateway trusts
upload() {
	local i size
	cp "$D/hostile.wasm" "$D/upload.wasm"
	size=$(stat -c %s "$D/upload.wasm")
	for ((i = RANDOM % 6; i >= 0; i--)); do
		printf "\\x$(printf %02x $((RANDOM % 256)))" |
			dd of="$D/upload.wasm" bs=1 seek=$(((RANDOM * 32768 + RANDOM) % size)) conv=notrunc status=none
	done
	"$B/tests/e2e/sign_raw" "$D/author.key" "$D/upload.wasm" "$D/upload.signed.wasm" >/dev/null 2>&1
	timeout 20 "$B/penstock" deploy --grant --name upload "$D/upload.signed.wasm" >/dev/null 2>&1 && accepted=$((accepted + 1))
	uploads=$((uploads + 1))
}
# Who was in flight at two deaths in a row is out; it gets in again, so that the attack goes on.
revive() {
	local name
	for name in $(cli functions --json | jq -r '.items[] | select(.state == "quarantined") | .name'); do
		[ "$name" = echo ] && die "the well-behaved function is in quarantine: $(function_has echo .reason)"
		quarantined=$((quarantined + 1))
		deploy "$name" "$D/hostile.wasm" "$limits" 2>/dev/null
	done
}

flow_begin -r "$RATE" -q 1 -w 15000
until=$((SECONDS + SECS))
next_kill=$((SECONDS + 2 + RANDOM % 4))
while [ $SECONDS -lt $until ]; do
	misbehave
	sleep "0.$((1 + RANDOM % 3))"
	[ $((RANDOM % 20)) != 0 ] || upload
	[ $SECONDS -ge $next_kill ] || continue
	kill_one
	next_kill=$((SECONDS + 1 + RANDOM % 6))
	revive
	kill -0 "$gateway" 2>/dev/null || die "the gateway is gone"
done
sleep 1
kill -TERM "$FLOW_PID"
wait "$FLOW_PID"
flow=$(cat "$D/flow.json")
events=$(status '.events | tostring')
kill $watcher $thief 2>/dev/null
wait $watcher $thief 2>/dev/null

read -r first last sandbox < <(awk '
	{ g[NR] = $1; if ($2 > s) s = $2 }
	END {
		third = int(NR / 3)
		for (i = 1; i <= third; i++) if (g[i] > a) a = g[i]
		for (i = NR - third + 1; i <= NR; i++) if (g[i] > b) b = g[i]
		print a + 0, b + 0, s + 0
	}' "$D/memory")
check "chaos: the well-behaved function misses nothing" "$flow" json_is "$flow" ".sent > $((SECS * RATE / 2)) and .missing == 0"
check "chaos: it says nothing twice" "$flow" json_is "$flow" '.twice == 0'
check "chaos: the gateway is the same process" "was $gateway" [ "$(status .pid)" = "$gateway" ]
check "chaos: there were kills, and events in flight at them" "$kills kills, $events" [ "$kills" -gt 0 -a "$(status .events.retried)" -gt 0 ]
check "chaos: the hostile did what they do" "$events" json_is "$events" '.trapped > 0 and .failed > 0'
check "chaos: nothing of a failed event was published" "$(sort "$D/stolen" | uniq -c | head -n 3)" [ ! -s "$D/stolen" ]
check "chaos: the gateway's memory does not grow" "most of the first third: $first KB, of the last: $last KB" \
	[ "$last" -le $((first + first / 4 + 4096)) ]
check "chaos: the sandbox's memory is bounded" "$sandbox KB" [ "$sandbox" -lt 150000 ]
echo "chaos: $SECS s, seed $SEED: $kills kills, $misdone hostile events, $uploads hostile uploads ($accepted valid all the same), $quarantined quarantines;" \
	"well-behaved: $(jq -r '"\(.sent) sent, \(.missing) missing, \(.twice) twice, slowest \(.max_us / 1000 | round) ms"' <<<"$flow")," \
	"$(status .events.retried) retried; memory: gateway $first -> $last KB, sandbox at most $sandbox KB"
