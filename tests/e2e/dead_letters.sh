#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Retry, dead letters, order, and a broker that is away: what waits goes on, what failed can be tried again.
. tests/e2e/lib.sh

begin '[journal]' 'dead_rows = 3'
wasm refuse -mexec-model=reactor && deploy refuse "$D/refuse.wasm" || die "cannot deploy refuse"
cli bind refuse --mqtt 'dead/in' --publish dead/out --qos 1 --retry 2 --backoff 50 >/dev/null || die "cannot bind"
wait_for 5 subscribed 1

pub() { mosquitto_pub -p "$PORT" -q 1 -t dead/in -m "$1"; }
events() { cli events --json "$@" | jq '.items | length'; }
has() { [ "$(events --state "$1")" = "$2" ]; }
if ! command -v mosquitto_pub >/dev/null; then
	skip "dead letters" "no mosquitto_pub"
	exit
fi
pub bad
check "an event that fails is tried again and then put aside" "$(cli events)" wait_for 15 has dead 1
story=$(cli events --json --state dead | jq '.items[0]')
check "its letter says how often and why" "$story" json_is "$story" '.attempts == 3 and .status == "failed" and (.reason | length) > 0'
id=$(jq -r .id <<<"$story")
for i in 1 2 3 4 5; do pub "good $i"; done
check "a poison event does not hold up the others" "$(cli events)" wait_for 10 has 'done' 5
check "show tells its story" "$(cli events show "$id")" grep -q '^payload *bad' <(cli events show "$id")
cli events retry "$id" >/dev/null
again() { [ "$(cli events --json --state dead | jq '.items[0].attempts')" = 3 ] && has dead 1; }
check "retry runs it again" "$(cli events)" wait_for 15 again
cli events drop "$id" >/dev/null
check "drop puts it away" "$(cli events)" has dropped 1
said=$(cli events retry 12345 2>&1)
check "what is no dead letter is refused" "$said" grep -q 'no event' <<<"$said"
for i in 1 2 3 4 5 6; do pub "bad $i"; done
said_so() { grep -aq 'the oldest dead letters were forgotten' "$D/gateway.log"; }
check "of too many dead letters (journal.dead_rows) the oldest go, and the log says so" "$(cli events)" wait_for 30 said_so
check "the others stay" "$(cli events)" wait_for 15 has dead 3
