#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 420
# What goes wrong around a gateway, one after the other, under numbered events of QoS 1 and 2 that tests/torture/torture.c
# sends and checks: none lost, none counted twice, none at QoS 2 repeated, and the gateway the same process.
. tests/e2e/lib.sh
. tests/torture/lib.sh
EVENTS=${EVENTS:-4000} RATE=${RATE:-1000}
round=0

local_cleanup() { umount "$D/state" 2>/dev/null; }
gateway_command() {
	COMMAND=(env LD_PRELOAD="$B/tests/torture/preload.so" FAULT_PATH=/journal.db FAULT_FILE="$D/fault" CLOCK_FILE="$D/clock"
		"$B/penstockd" --config "$D/penstock.conf")
}
# through NAME QOS COMMAND...: a round, and the command in its midst
through() {
	local name=$1 qos=$2 pid
	shift 2
	round=$((round + 1))
	"$B/tests/torture/torture" "$PORT" $round -q "$qos" -n "$EVENTS" -r "$RATE" -w 30000 >"$D/round.json" &
	pid=$!
	sleep 0.7
	"$@"
	wait $pid
	check "$name, QoS $qos: nothing lost, repeated or counted twice" "$(cat "$D/round.json")" [ $? = 0 ]
}
said() { grep -aqF "$1" "$D/gateway.log"; }
journal_is() { [ "$(status .journal.state)" = "$1" ]; }
set_clock() { printf "$(printf '\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)) $(($1 >> 32 & 255)) $(($1 >> 40 & 255)) $(($1 >> 48 & 255)) $(($1 >> 56 & 255)))" | dd of="$D/clock" conv=notrunc status=none; }

disk_full() {
	dd if=/dev/zero of="$D/state/filler" bs=64k status=none 2>/dev/null
	# Later there is room within its own files.
	[ $round -gt 1 ] || wait_for 20 said "the journal cannot be written" || not_ok "a full disk is reported" "$(status '.journal|tostring')"
	sleep 1
	rm "$D/state/filler"
	wait_for 30 journal_is ok || not_ok "the disk has room again: reported" "$(status '.journal|tostring')"
}
write_errors() {
	local n
	for n in {1..24}; do
		echo "5 $n" >"$D/fault"
		wait_for 1 [ ! -e "$D/fault" ]
	done
	rm -f "$D/fault"
}
writes_fail_for_a_while() { echo "28 0" >"$D/fault"; sleep 1.5; rm "$D/fault"; }
locked() { sqlite3 "$D/state/journal.db" 'begin immediate' '.shell sleep 1.5' rollback; }
broker_away() { broker_stop; sleep "${AWAY:-3}"; broker_begin; }
broker_deaf() { kill -STOP "$BROKER_PID"; sleep "${DEAF:-7}"; kill -CONT "$BROKER_PID"; }
clock_steps() { local s; for s in 86400 -86400 0; do set_clock $s; sleep 0.8; done; }
# Another client takes the gateway's name and session for a moment, and acknowledges nothing.
taken_over() {
	local id
	id=$(sed -nE 's/.*client_id="([^"]*)".*/\1/p' "$D/gateway.log" | tail -n 1)
	exec 7<>"/dev/tcp/127.0.0.1/$PORT"
	printf "\\x10\\x$(printf %02x $((18 + ${#id})))\\0\\4MQTT\\5\\0\\0\\0\\5\\x11\\0\\1\\x51\\x80\\0\\x$(printf %02x ${#id})%s" "$id" >&7
	sleep 0.3
	exec 7>&-
}

local_begin
mkdir -p "$D/state"
head -c 8 /dev/zero >"$D/clock"
small_disk=1
mount -t tmpfs -o size=64m none "$D/state" 2>/dev/null || small_disk=0
torture_begin '[journal]' 'keep_bytes = 4MiB'
gateway=$(status .pid)

for q in 1 2; do
	if [ $small_disk = 1 ]; then
		through "disk full, and free again" $q disk_full
	else
		skip "disk full, QoS $q" "no tmpfs can be mounted here"
	fi
	through "each write and sync in turn fails" $q write_errors
	through "all writes fail for a while" $q writes_fail_for_a_while
	through "the database is locked" $q locked
	through "the broker is away" $q broker_away
	through "the broker does not answer" $q broker_deaf
	through "the clock steps a day both ways" $q clock_steps
	through "another client takes the session" $q taken_over
done
check "the gateway is the same process" "was $gateway" [ "$(status .pid)" = "$gateway" ]
