#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What an event saw is kept: it runs again to the same end, by another version to another one, here and on a laptop.
. tests/e2e/lib.sh
command -v mosquitto_pub >/dev/null || { skip "replay" "no mosquitto_pub"; exit; }

begin
# upload VERSION [CLANG_FLAG...] [-- OPTION...]: version of dice
upload() {
	local version=$1 flags=()
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		flags+=("$1")
		shift
	done
	[ $# = 0 ] || shift
	clang-19 --target=wasm32-wasi -O2 -Isdk/include "${flags[@]}" -mexec-model=reactor -o "$D/dice-$version.wasm" "$FUNCTIONS/dice.c" &&
		printf '{"name":"dice","version":"%s","abi":1,"capabilities":{"state":true}}\n' "$version" >"$D/v.json" &&
		"$B/penstock" sign --key "$D/author.key" --manifest "$D/v.json" -o "$D/v.wasm" "$D/dice-$version.wasm" >/dev/null &&
		cli deploy --grant "$@" "$D/v.wasm" >"$D/v.said" 2>&1
}
upload 1.0.0 || die "cannot deploy dice: $(cat "$D/v.said")"
bind dice --mqtt dice/in --publish dice/out --qos 1 --publish-qos 1 --retry 0 || die "cannot bind dice"
mosquitto_sub -p "$PORT" -q 1 -t dice/out >"$D/out" &
SUB=$!
pub() { mosquitto_pub -p "$PORT" -q 1 -t dice/in -m "$1"; }
ended() { [ "$(cli events --json --state "$1" | jq '.items | length')" = "$2" ]; }
event() { cli events --json | jq -r --arg p "$1" '[.items[] | select(.payload_bytes == ($p | length))][0].id'; }
replay() { said=$(cli replay "$@" 2>&1); }
sleep 0.3
for p in a bb ccc dddd; do pub $p; done
wait_for 10 ended 'done' 4 || die "events do not end"
id=$(event ccc)

replay "$id"
check "an event is repeated to the same end" "$said" grep -q '^same' <<<"$said"
check "and its exit code says so" "$said" replay "$id"
check "a repetition publishes nothing" "$(cat "$D/out")" [ "$(wc -l <"$D/out")" = 4 ]
count=$(cli state --function dice --json 2>/dev/null | jq -r '.items[0].value // empty' | head -n 1)

check "a second version is deployed" "$(cat "$D/v.said")" upload 2.0.0 -DV2
replay "$id"
check "by default it runs by the version of then, which is loaded for it" "$said" grep -q '^same' <<<"$said"
replay "$id" --version 2.0.0
check "another version does something else" "$said" [ $? = 1 ]
check "and the differences are shown" "$said" grep -q '^  - put count: ' <<<"$said"
check "message by message" "$said" grep -q '^  + (the binding.s topic): 4 ' <<<"$said"
said=$(cli replay --since 1h --function dice --version 1 --json 2>&1)
check "all of an hour, by the version that ran them" "$said" json_is "$said" '.same == 4 and .different == 0'
said=$(cli replay --since 1h --function dice --version 2.0.0 --diff 2>&1)
check "and by the next one" "$said" grep -q '^different *4, of which 0 fail' <<<"$said"

pub crash
pub fail
wait_for 10 ended dead 2 || not_ok "dead letters" "$(cli events)"
crashed=$(cli events --json | jq -r '[.items[] | select(.status == "trapped")][0].id')
replay "$crashed"
check "a trap is repeated, too" "$said" grep -q '^same' <<<"$said"
fn=$(cli functions dice --json)
check "repetitions count for nothing" "$fn" json_is "$fn" '.counts.trapped == 1 and .counts.failed == 1 and .counts.ok == 4'

cli events export "$id" -o "$D/event.json" >/dev/null || not_ok "export" "failed"
then=$(sed -n 3p "$D/out")
said=$("$B/penstock" run --replay "$D/event.json" "$D/dice-1.0.0.wasm" 2>"$D/run.err")
code=$?
check "an exported event gives the same bytes on a laptop" "$said $(cat "$D/run.err")" grep -qF ": $then" <<<"$said"
check "and the same changes of state" "$said" grep -q '^state put count: ' <<<"$said"
check "and that is said, with code 0" "$code $(cat "$D/run.err")" [ "$code:$(tail -n 1 "$D/run.err")" = "0:same as in the gateway" ]
"$B/penstock" run --replay "$D/event.json" "$D/dice-2.0.0.wasm" >/dev/null 2>"$D/run.err"
check "another version there: code 1, and what is different" "$? $(cat "$D/run.err")" grep -q '^different: state 1' "$D/run.err"
cli events export "$crashed" -o "$D/crash.json" >/dev/null
"$B/penstock" run --replay "$D/crash.json" "$D/dice-1.0.0.wasm" >/dev/null 2>"$D/run.err"
check "a trap there, too" "$? $(cat "$D/run.err")" grep -q '^same as in the gateway' "$D/run.err"
head -c 300 "$D/event.json" >"$D/short.json"
said=$("$B/penstock" run --replay "$D/short.json" "$D/dice-1.0.0.wasm" 2>&1)
check "half a file is refused" "$said" grep -q 'short.json' <<<"$said"

# Shadows repeat live events: what does the same is seen to, what does not is withdrawn.
trial() { cli functions dice --json | jq_true "$1"; }
check "a shadow that does the same starts beside it" "$(cat "$D/v.said")" upload 2.0.1 -DV2 -Wl,--no-gc-sections -- --shadow 100
for i in 1 2 3 4 5 6; do pub "live $i"; done
check "and is compared, without a difference" "$(cli functions dice --json | jq -c .trial)" \
	wait_for 10 trial '.trial.candidate.compared >= 6 and .trial.candidate.differing == 0'
check "the next one does something else" "$(cat "$D/v.said")" upload 2.0.2 -- --shadow 100
for i in 1 2 3 4 5 6; do pub "more $i"; done
check "for which it is withdrawn" "$(cli functions dice --json | jq -c '[.trial, .rollout]')" \
	wait_for 10 trial '.version == "2.0.0" and .rollout.state == "ended" and (.rollout.reason | test("other effects"))'
all=$(wc -l <"$D/out")
check "shadows publish nothing" "$all" [ "$all" = 16 ]

replay "$id" --commit
check "commit runs it for real" "$said" grep -q 'for real' <<<"$said"
more() { [ "$(wc -l <"$D/out")" = 17 ]; }
check "and its message goes out" "$(cat "$D/out")" wait_for 10 more
check "by the active version, with the state of now" "$(tail -n 1 "$D/out")" grep -q '^30 .* ccc$' <(tail -n 1 "$D/out")
replay "$id" --commit --version 1
check "commit by another version is refused" "$said" grep -q 'active version' <<<"$said"
replay 12345
check "what is not there is refused" "$said" grep -q 'no event 12345' <<<"$said"
upload 3.0.0 -DV2 || not_ok "a third version" "$(cat "$D/v.said")"
cli untrust "$(cli keys --json | jq -r '.items[0].id')" >/dev/null || not_ok "untrust" "failed"
replay "$id" --version 2.0.0
check "a version whose key is trusted no more is not loaded for it" "$said" grep -q 'not trusted' <<<"$said"
kill $SUB
