#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A backup of a gateway at work, put in place on a device that has nothing; and what is no backup is not.
. tests/e2e/lib.sh
command -v mosquitto_pub >/dev/null || { skip "backup" "no mosquitto_pub"; exit; }

begin
flow_deploy
wasm counter -mexec-model=reactor && deploy counter "$D/counter.wasm" '"capabilities":{"state":true}' || die "cannot deploy counter"
bind counter --mqtt 'count/+' --publish counted --qos 1 --publish-qos 1 || die "cannot bind counter"
for i in 1 2 3; do mosquitto_pub -p "$PORT" -q 1 -t count/a -m "$i"; done
three() { [ "$(cli events --json --function counter --state 'done' | jq '.items | length')" = "$1" ]; }
wait_for 10 three 3 || die "the events do not end"

flow_begin
said=$(cli backup "$D/one.tar" 2>&1)
check "a backup of a gateway at work" "$said" [ -s "$D/one.tar" ]
said=$(cli backup "$D/no/such.tar" 2>&1)
check "where it cannot be written, that is said" "$said" grep -q 'such.tar' <<<"$said"
flow_end "two backups" 300
check "nothing is left beside the state" "$(ls "$D/state")" [ ! -e "$D/state/backup.tmp" ]
check "tar lists it" "$(tar tf "$D/one.tar" 2>&1)" [ "$(tar tf "$D/one.tar" | sed 's,modules/.*,m,' | tr '\n' ' ')" = "registry.db journal.db m m SHA256SUMS " ]
mkdir "$D/look" && tar xf "$D/one.tar" -C "$D/look"
said=$(cd "$D/look" && sha256sum -c SHA256SUMS 2>&1)
check "and its checksums are those of sha256sum" "$said" [ "$(grep -c ': OK$' <<<"$said")" = 4 ]
check "the device's key is not in it" "$(tar tf "$D/one.tar")" sh -c '! tar tf "$1" | grep -q key' - "$D/one.tar"

for i in 4 5; do mosquitto_pub -p "$PORT" -q 1 -t count/a -m "$i"; done
wait_for 10 three 5 || not_ok "five" "the events do not end"
restore() { said=$("$B/penstock" restore "$1" --config "$D/penstock.conf" "${@:2}" 2>&1); }
restore "$D/one.tar" --force
check "a gateway that runs is not restored" "$said" grep -q 'another gateway uses' <<<"$said"
gateway_stop
restore "$D/one.tar"
check "nor is one that has a state" "$said" grep -q -- '--force' <<<"$said"

# What is no backup changes nothing.
sum() { (cd "$D/state" && find . -type f ! -name lock -exec sha256sum {} + | sort | sha256sum); }
before=$(sum)
bytes=$(stat -c %s "$D/one.tar")
refused=0 tried=0
refuse() {
	tried=$((tried + 1))
	restore "$D/bad.tar" --force && echo "# taken: $1"
	[ "$(sum)" = "$before" ] && grep -q 'is not restored' <<<"$said" && refused=$((refused + 1)) || echo "# $1: $said"
}
for cut in 0 1 511 512 600 $((bytes / 2)) $((bytes - 1600)); do
	head -c "$cut" "$D/one.tar" >"$D/bad.tar"
	refuse "the first $cut bytes"
done
for at in 3 130 150 700 $((bytes / 3)) $((bytes / 2)) $((bytes - 2500)) $((bytes - 1100)); do
	cp "$D/one.tar" "$D/bad.tar"
	printf '\xa5' | dd of="$D/bad.tar" bs=1 seek="$at" conv=notrunc status=none
	cmp -s "$D/one.tar" "$D/bad.tar" || refuse "byte $at changed"
done
# shellcheck disable=SC2086 # the patterns are for the other folder
pack() { (cd "$D/look" && tar cf "$D/bad.tar" --format=ustar --owner=0 --group=0 $1); }
resum() { (cd "$D/look" && sha256sum registry.db journal.db modules/* >SHA256SUMS); }
pack 'registry.db journal.db modules/* SHA256SUMS' && restore "$D/bad.tar" --force
check "packed again by tar it is one" "$said" grep -q 'restored to' <<<"$said"
before=$(sum)
pack 'journal.db registry.db modules/* SHA256SUMS' && refuse "another order"
pack 'registry.db modules/* SHA256SUMS' && refuse "no journal"
pack 'registry.db journal.db SHA256SUMS' && refuse "no modules"
ln -s /etc/passwd "$D/look/evil" && pack 'registry.db journal.db evil modules/* SHA256SUMS' && refuse "a link"
(cd "$D/look" && tar cf "$D/bad.tar" -P --format=ustar --transform 's,^evil,../../evil,' registry.db journal.db evil SHA256SUMS) && refuse "a path out of it"
sqlite3 "$D/look/registry.db" 'CREATE TRIGGER t AFTER INSERT ON keys BEGIN DELETE FROM bindings; END' 2>/dev/null &&
	resum && pack 'registry.db journal.db modules/* SHA256SUMS' && refuse "a trigger in the registry"
sqlite3 "$D/look/registry.db" 'DROP TRIGGER t; PRAGMA user_version = 99' 2>/dev/null &&
	resum && pack 'registry.db journal.db modules/* SHA256SUMS' && refuse "a registry of the future"
check "$tried archives that are no backup are refused, and change nothing" "$((tried - refused)) were taken, or changed something" [ "$refused" = "$tried" ]
check "and leave nothing" "$(ls "$D/state")" sh -c '! ls "$1" | grep -q ^restore' - "$D/state"

# On a device that has nothing.
mv "$D/state" "$D/old" && mkdir "$D/state"
restore "$D/one.tar"
check "it is restored where there is nothing" "$said" grep -q 'restored to' <<<"$said"
gateway_start || die "does not start on what was restored"
both() { function_is echo '.state == "active"' && function_is counter '.state == "active"'; }
check "its functions are compiled anew and serve" "$(cli functions)" wait_for 15 both
check "nothing is missing: bindings, keys" "$(cli bindings; cli keys)" \
	[ "$(cli bindings --json | jq '.items | length'):$(cli keys --json | jq '.items | length')" = 2:1 ]
got=$("$B/tests/e2e/probe" "$PORT" flow/in flow/out -n 20 -r 100)
check "events are served" "$got" [ "$(jq .answered <<<"$got")" = 20 ]
check "the journal is that of then" "$(cli events)" three 3
mosquitto_sub -p "$PORT" -q 1 -C 1 -W 10 -t counted >"$D/counted" &
sleep 0.3
mosquitto_pub -p "$PORT" -q 1 -t count/a -m x
wait $!
check "and what functions remember, too" "$(cat "$D/counted")" grep -q '^count/a 4 x' "$D/counted"

gateway_stop
restore "$D/one.tar" --force
aside=$(ls -d "$D/state/before-restore-"* 2>/dev/null)
check "with force the state of before is moved aside" "$said" [ -s "$aside/registry.db" ]
mkdir "$D/state/restore.new"
"$B/penstockd" --config "$D/penstock.conf" >"$D/unfinished" 2>&1
check "after a restore that was interrupted the gateway says what to do" "$(cat "$D/unfinished")" grep -q 'penstock restore FILE --force' "$D/unfinished"
restore "$D/one.tar" --force
check "and that does it" "$said" gateway_start

# A damaged journal is set aside, a damaged registry is not: what it trusts must not be guessed.
gateway_stop
printf 'garbage here' | dd of="$D/state/journal.db" bs=1 seek=0 conv=notrunc status=none
check "a gateway with a damaged journal starts" "$(tail -n 3 "$D/gateway.log")" gateway_start
check "the journal is set aside, which is logged with the way back" "$(grep -i 'journal' "$D/gateway.log" | tail -n 3)" \
	sh -c 'ls "$1"/state/journal.db.damaged-* >/dev/null && grep "set aside" "$1/gateway.log" | grep -q "penstock restore"' - "$D"
gateway_stop
printf 'garbage here' | dd of="$D/state/registry.db" bs=1 seek=0 conv=notrunc status=none
"$B/penstockd" --config "$D/penstock.conf" >"$D/damaged" 2>&1
check "a damaged registry is refused, and the way back is named" "$(cat "$D/damaged")" grep -q 'penstock restore' "$D/damaged"
