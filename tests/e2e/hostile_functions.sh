#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A function that misbehaves costs its own event: a clear error with reason and place, nothing half done, and another
# function's events go on.
. tests/e2e/lib.sh

begin
flow_deploy
wasm hostile -mexec-model=reactor || die "hostile does not compile"
mosquitto_sub -p "$PORT" -t 'stolen/#' -t 'valves/#' -q 1 -F '%t %l' >"$D/stolen" &
thief=$!
flow_begin

failed_once() { function_is "$1" '(.counts.failed + .counts.trapped + .counts.refused) > 0'; }

misdeed() { # NAME REGEX [MORE]: the reason must match REGEX
	local name=$1 id reason log
	id=bad-${name//_/-}
	deploy "$id" "$D/hostile.wasm" '"limits":{"memory":"2MiB","cpu_ms":100,"deadline_ms":2000,"output":"64KiB","log_lines_per_s":20}' || {
		not_ok "$name" "does not deploy"
		return
	}
	bind "$id" --mqtt "misdeeds/$name" --publish "stolen/$name"
	mosquitto_pub -p "$PORT" -t "misdeeds/$name" -q 1 -m "$name"
	if ! wait_for 8 failed_once "$id"; then
		not_ok "$name: counts as failed" "$(function_has "$id" '.counts | tostring')"
		return
	fi
	reason=$(function_has "$id" '.last_error.reason')
	check "$name: the reason says what and where" "'$2' is not in '$reason'" grep -qE -- "$2" <<<"$reason"
	log=$(cli logs --function "$id" 2>/dev/null)
	check "$name: the log names function and reason" "log of $id: $log" grep -qE -- "$2" <<<"$log"
}

misdeed endless_loop 'time.*endless_loop'
misdeed endless_recursion 'stack.*endless_recursion'
log=$(cli logs --function bad-endless-recursion 2>/dev/null)
check "a trap's log shows who called" "log: $(head -c 500 <<<"$log")" grep -qE 'from .*endless_recursion' <<<"$log"
dead() { [ "$(cli events --json --state dead --function bad-endless-recursion | jq '.items | length')" -gt 0 ]; }
wait_for 20 dead # it is tried again first
id=$(cli events --json --state dead --function bad-endless-recursion | jq -r '.items[0].id')
stack=$(cli events show "$id" 2>/dev/null)
check "and so does its dead letter" "event $id: $stack" grep -qE 'from .*endless_recursion' <<<"$stack"
misdeed memory_bomb 'unreachable.*memory_bomb'
misdeed out_of_bounds 'memory.*out_of_bounds'
misdeed unreachable 'unreachable.*unreachable'
misdeed divide_by_zero 'divide-by-zero.*divide_by_zero'
misdeed divide_overflow 'integer-overflow.*divide_overflow'
misdeed wrong_indirect_call 'indirect-call.*wrong_indirect_call'
misdeed null_call 'indirect-call.*null_call'
misdeed output_flood 'limit|output|-3'
misdeed log_flood '1'
lines=$(grep -ac 'function says.*more and more' "$D/gateway.log")
check "of a flood of lines as many are logged as the manifest allows" "$lines lines at 20 a second" [ "$lines" -ge 1 -a "$lines" -le 100 ]
misdeed forbidden_topic 'valves/main/open'
misdeed invalid_topic 'topic|-1'
misdeed host_address '-1|host|memory'

flow_end "misbehaving functions" 2000
check "none of them was quietly killed with the sandbox" "restarts: $(status .sandbox.restarts)" [ "$(status .sandbox.restarts)" = 0 ]
memory=$(cli status --json | jq '[.memory[] | select(.process == "penstock-sandbox") | .rss_kb] | add')
check "the bomb's memory was given back" "penstock-sandbox uses $memory KB" [ "$memory" -lt 100000 ]
sleep 0.3
kill $thief
wait $thief 2>/dev/null
check "nothing of a failed event was published" "$(head -n 3 "$D/stolen")" [ ! -s "$D/stolen" ]
check "a guest cannot forge a line of the log" "$(grep -a '^<0>' "$D/gateway.log" | head -n 2)" \
	[ -z "$(grep -a '^<0>msg="forged"' "$D/gateway.log")" ]
