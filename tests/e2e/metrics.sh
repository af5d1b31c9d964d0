#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is measured of functions, and what is refused before it runs: by REST, for Prometheus, in penstock status.
. tests/e2e/lib.sh

api() { curl -sS --unix-socket "$PENSTOCK_SOCKET" "http://localhost$1"; }
metrics() { api "/api/v1/functions/$1/metrics"; }
ended() { metrics echo | jq_true ".outcomes.ok + ([.refused[]] | add // 0) >= $1"; }

begin
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" '"limits": {"events_per_s": 5, "deadline_ms": 2000}' ||
	die "cannot deploy echo"
bind echo --mqtt in --publish out --deadline 500 --criticality high || die "cannot bind echo"
check "a binding has a deadline and a criticality" "$(cli bindings --json)" \
	jq_true '.items[0] | .deadline_ms == 500 and .criticality == "high"' < <(cli bindings --json)
check "a criticality that is none is refused, with those that are" "$(cli bind echo --mqtt x --criticality most 2>&1)" \
	grep -q 'low, normal or high' < <(cli bind echo --mqtt x --criticality most 2>&1)

for i in $(seq 60); do echo "$i"; done | mosquitto_pub -p "$PORT" -t in -l
wait_for 5 ended 60
got=$(metrics echo)
check "more events than its manifest allows are refused, and counted by reason" "$got" \
	json_is "$got" '.refused.rate > 40 and .outcomes.ok >= 2 and .outcomes.ok + .refused.rate == 60'
check "the log says why" "no such line" grep -q 'event refused.*limits.events_per_s' "$D/gateway.log"
check "times by stage, memory and processor time" "$got" \
	json_is "$got" '.run.count == .outcomes.ok and .run.p50_us > 0 and .run.p99_us >= .run.p50_us and .queue.count == .run.count
		and .instantiate.count == .run.count and .memory_bytes > 65536 and .cpu_s > 0 and .deadline_misses == 0'
api /metrics >"$D/scrape"
check "Prometheus gets the same numbers" "$(grep echo "$D/scrape" | head -n 5)" \
	grep -qF "penstock_function_events_total{function=\"echo\",outcome=\"ok\"} $(jq .outcomes.ok <<<"$got")" "$D/scrape"
check "in its format" "$(head -n 3 "$D/scrape")" \
	[ "$(grep -cvE '^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+)$' "$D/scrape")" = 0 ]
check "penstock status shows a line for each function" "$(cli status)" grep -qE '^echo +[0-9]+ .* (us|ms) ' < <(cli status)
check "an unknown function has none" "$(metrics nobody)" json_is "$(metrics nobody)" '.error.code == "E_UNKNOWN"'
