#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 420
# make torture in short, and that it can fail: without a journal kill -9 of the gateway loses events, and it says so.
. tools/local.sh
out=$(mktemp -d "${TMPDIR:-/tmp}/penstock.XXXXXX")
trap 'rm -rf "$out"' EXIT

torture() { ROUNDS=$1 EVENTS=${EVENTS:-1500} RATE=1500 KILLS=2 WAIT_MS=20000 bash tests/torture/run.sh; }
said() { sed 's/^/# /' "$out/log"; }
torture 20 >"$out/log" 2>&1
total=$(grep '^torture: ' "$out/log")
case $total in
*', lost 0, state wrong 0, repeated 0') echo "ok 20 rounds of kill -9: $total" ;;
*) echo "not ok 20 rounds of kill -9 - ${total:-no total}"; said ;;
esac

WAYS=gateway DURABILITY=off WAIT_MS=3000 ROUNDS=2 EVENTS=3000 RATE=3000 KILLS=2 KEEP=$out/kept bash tests/torture/run.sh >"$out/log" 2>&1 </dev/null
total=$(grep '^torture: ' "$out/log")
case $total in
*', lost 0,'* | '') echo "not ok without the journal events are lost, and that is seen - ${total:-no total}"; said ;;
*) echo "ok without the journal events are lost, and that is seen: $total" ;;
esac
