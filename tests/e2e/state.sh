#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What functions remember: counted exactly under load by several workers, committed with the event or not at all, kept over
# kill -9 and over deploys, private unless granted, and to be looked at by people.
. tests/e2e/lib.sh

begin
wasm counter -mexec-model=reactor && deploy counter "$D/counter.wasm" '"capabilities":{"state":true}' || die "cannot deploy counter"
bind counter --mqtt 'cnt/+' --publish counted --qos 1 || die "cannot bind counter"

# burst TOPIC N: so many readings at once
burst() { seq "$2" | mosquitto_pub -p "$PORT" -t "$1" -q 1 -l; }
# What the function itself lists: "cnt/a=200 cnt/b=200 "
list() {
	cli invoke counter --topic cnt/list --payload list --json 2>/dev/null | jq -r '.effects[0].payload'
}
counted() { [ "$(list)" = "$1" ]; }

pids=()
for sensor in a b c; do
	burst cnt/$sensor 300 &
	pids+=($!)
done
wait "${pids[@]}"
check "900 readings of three sensors at once are counted exactly" "$(list)" wait_for 20 counted "cnt/a=300 cnt/b=300 cnt/c=300 "
mosquitto_pub -p "$PORT" -t cnt/a -q 1 -m fail
burst cnt/b 1
check "an event that fails changes nothing" "$(list)" wait_for 5 counted "cnt/a=300 cnt/b=301 cnt/c=300 "

gateway_stop KILL
gateway_start || die "does not start after kill -9"
check "it is all there after kill -9" "$(list)" wait_for 5 counted "cnt/a=300 cnt/b=301 cnt/c=300 "
printf '{"name":"counter","version":"1.1.0","abi":1,"capabilities":{"state":true}}\n' >"$D/v.json"
"$B/penstock" sign --key "$D/author.key" --manifest "$D/v.json" -o "$D/v.wasm" "$D/counter.wasm" >/dev/null && cli deploy "$D/v.wasm" >/dev/null 2>&1
burst cnt/c 1
check "and for the next version" "$(list)" wait_for 5 counted "cnt/a=300 cnt/b=301 cnt/c=301 "

said=$(cli state counter 2>&1)
check "penstock state shows it" "$said" grep -q 'cnt/b' <<<"$said"
said=$(cli state counter --delete cnt/b 2>&1)
check "and takes a key away" "$said" wait_for 2 counted "cnt/a=300 cnt/c=301 "

deploy curious "$D/counter.wasm" >/dev/null || die "cannot deploy curious"
got=$(cli invoke curious --topic cnt/a --payload x --json 2>/dev/null)
check "without the capability it is refused" "$got" json_is "$got" '.status == "failed" and .code == 4'
deploy other "$D/counter.wasm" '"capabilities":{"state":true}' >/dev/null || die "cannot deploy other"
got=$(cli invoke other --topic cnt/a --payload list --json 2>/dev/null | jq -r '.effects[0].payload')
check "another function has a bucket of its own" "$got" [ "$got" = "" ]

wasm remember -mexec-model=reactor && deploy remember "$D/remember.wasm" '"capabilities":{"state":true,"buckets":["line"]}' &&
	deploy friend "$D/remember.wasm" '"capabilities":{"state":true,"buckets":["line"]}' || die "cannot deploy remember"
bind remember --mqtt 'do/#' --publish did --qos 1 || die "cannot bind remember"
mosquitto_sub -p "$PORT" -t did -q 1 >"$D/did" &
reader=$!
sleep 0.3
# says WANT PAYLOAD [TOPIC]: what the event answers
says() {
	local before
	before=$(wc -l <"$D/did")
	mosquitto_pub -p "$PORT" -t "${3:-do/it}" -q 1 -m "$2"
	came() { [ "$(wc -l <"$D/did")" -gt "$before" ]; }
	wait_for 5 came
	check "$2${3:+ in the shared bucket}: $1" "$(tail -n 1 "$D/did")" [ "$(tail -n 1 "$D/did")" = "$1" ]
}
says +0 "put k one"
says one "get k"
says -5 "cas k two three"
says +0 "cas k one two"
says two "get k"
says -5 "new k x"
says +0 "new fresh x"
says x "get fresh"
says +0 "delete k"
says -2 "get k"
says +0 "ttl soon gone"
says gone "get soon"
sleep 1.2
says -2 "get soon"
says +0 "put shared yes" do/line
says -2 "get shared"
got=$(cli invoke friend --topic do/line --payload "get shared" --json 2>/dev/null | jq -r '.effects[0].payload')
check "who was granted the shared bucket sees it" "$got" [ "$got" = yes ]
kill "$reader"
