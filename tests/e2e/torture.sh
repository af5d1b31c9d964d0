#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 420
# make torture in short, and that it can fail: without a journal kill -9 of the gateway does damage (events lost, or run twice), and it says so.
. tools/local.sh
out=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$out"' EXIT

said() { sed 's/^/# /' "$out/log"; }
# torture ROUNDS NAME: with what stands before it in the environment
torture() {
	local total
	ROUNDS=$1 KILLS=2 WAIT_MS=20000 KEEP=$out/kept bash tests/torture/run.sh >"$out/log" 2>&1
	total=$(grep '^torture: ' "$out/log")
	case $total in
	*', lost 0, state wrong 0, repeated 0') echo "ok $2: $total" ;;
	*) echo "not ok $2 - ${total:-no total}"; said ;;
	esac
}
WAYS='gateway sandbox both' EVENTS=1500 RATE=1500 torture 15 "15 rounds of kill -9 of ours"
WAYS=broker EVENTS=1500 RATE=1500 torture 5 "5 rounds of kill -9 of mosquitto"

WAYS=gateway DURABILITY=off WAIT_MS=3000 ROUNDS=2 EVENTS=9000 RATE=2000 KILLS=3 KEEP=$out/kept bash tests/torture/run.sh >"$out/log" 2>&1 </dev/null
total=$(grep '^torture: ' "$out/log")
case $total in
*', lost 0, state wrong 0, repeated 0' | '') echo "not ok without the journal kill -9 does damage, and that is seen - ${total:-no total}"; said ;;
*) echo "ok without the journal kill -9 does damage, and that is seen: $total" ;;
esac
