#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Timers from the command line to the function: each run once, over kill -9 and over time off, by policy.
. tests/e2e/lib.sh
ROUNDS=${ROUNDS:-6}

begin
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"

journal() { sqlite3 -readonly "$D/state/journal.db" "$1"; }
# What a timer reported, as milliseconds: scheduled times of its events, in order.
scheduled() { # TOPIC
	journal "SELECT cast(round((julianday(json_extract(cast(payload AS TEXT), '\$.scheduled')) - 2440587.5) * 86400000) AS INTEGER)
		FROM events WHERE cast(topic AS TEXT) = '$1' ORDER BY id"
}
at_least() { [ "$(scheduled "$1" | wc -l)" -ge "$2" ]; } # TOPIC N

# ---- what is told ----
refused() { # WHAT ARGUMENTS
	local what=$1
	shift
	! cli bind echo "$@" >"$D/said" 2>&1 && grep -q "$what" "$D/said"
}
check "a cron expression without sense is refused with what to write" "$(cat "$D/said" 2>/dev/null)" refused "five" --cron "* * *"
check "what never comes is refused" "$(cat "$D/said")" refused "never" --cron "0 0 30 2 *"
check "an unknown time zone is refused with its package" "$(cat "$D/said")" refused tzdata --cron "* * * * *" --with zone=Europe/Atlantis
check "a time without unit is refused" "$(cat "$D/said")" refused "unit" --every 5

# ---- over kill -9: every run once ----
cli bind echo --every 100ms --with missed=all --publish ticks >/dev/null || die "cannot bind --every"
wait_for 20 at_least 100ms 5 || die "no runs"
for ((i = 0; i < ROUNDS; i++)); do
	sleep "0.$((RANDOM % 6))$((RANDOM % 10))"
	gateway_stop KILL
	sleep "0.$((RANDOM % 9))"
	gateway_start || die "does not start after kill -9"
done
runs=$(scheduled 100ms | wc -l)
wait_for 20 at_least 100ms $((runs + 10)) || die "no runs after kill -9"
# The wall clock's time of a run is known to some milliseconds only: it is told from another clock.
odd=$(scheduled 100ms | awk 'NR > 1 && ($1 - last < 90 || $1 - last > 110) { print $1 - last } { last = $1 }')
check "every 100ms, killed $ROUNDS times: each run once, none lost" "distances: $(tr '\n' ' ' <<<"$odd")" [ -z "$odd" ]

# ---- over time off: as the policy says ----
cli bind echo --every 2min --with missed=skip >/dev/null && cli bind echo --cron "* * * * *" --with missed=once >/dev/null &&
	cli bind echo --cron "*/2 * * * *" --with missed=all --with zone=Asia/Kolkata >/dev/null || die "cannot bind --cron"
cursors() { journal "SELECT count(*) FROM cursors WHERE source = '$1'"; }
now=$(date +%s)000
gateway_stop
sqlite3 "$D/state/journal.db" "INSERT OR REPLACE INTO cursors VALUES
	('every', CAST('2min ' || '{}' AS BLOB), CAST('$((now - 3570 * 1000))' AS BLOB)),
	('cron', CAST('* * * * * {\"missed\":\"once\"}' AS BLOB), CAST('$((now - 3600 * 1000))' AS BLOB)),
	('cron', CAST('*/2 * * * * {\"zone\":\"Asia/Kolkata\",\"missed\":\"all\"}' AS BLOB), CAST('$((now - 3600 * 1000))' AS BLOB))"
gateway_start || die "does not start"
check "missed=once: an hour off is one run, which says what is missing" "$(scheduled '* * * * *' | wc -l)" wait_for 20 at_least '* * * * *' 1
check "missed=all: an hour off is thirty runs" "$(scheduled '*/2 * * * *' | wc -l)" wait_for 20 at_least '*/2 * * * *' 30
missed=$(journal "SELECT json_extract(cast(payload AS TEXT), '\$.missed') FROM events WHERE cast(topic AS TEXT) = '* * * * *' ORDER BY id LIMIT 1")
check "missed=once: the run counts the others" "$missed" [ "${missed:-0}" -ge 58 ]
twice=$(scheduled '*/2 * * * *' | uniq -d)
check "missed=all: none twice" "$twice" [ -z "$twice" ]
check "missed=skip: none" "$(scheduled 2min)" [ "$(scheduled 2min | wc -l)" = 0 ]

# ---- unbound: forgotten ----
id=$(cli bindings --json | jq -r '.items[] | select(.kind == "cron" and .filter == "* * * * *") | .id')
cli unbind "$id" >/dev/null 2>&1
forgotten() { [ "$(cursors cron)" = 1 ]; }
check "where a timer was is forgotten with its binding" "$(cursors cron)" wait_for 10 forgotten
