#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Versions of a function: going back and forth under load, older ones refused, candidates that do well and that do not.
. tests/e2e/lib.sh

begin
flow_deploy
wasm broken -mexec-model=reactor || die "cannot build broken"

# upload VERSION FILE [OPTION...]: as the function echo
upload() {
	local version=$1 file=$2
	shift 2
	printf '{"name":"echo","version":"%s","abi":1}\n' "$version" >"$D/v.json"
	"$B/penstock" sign --key "$D/author.key" --manifest "$D/v.json" -o "$D/v.wasm" "$file" >/dev/null &&
		cli deploy --grant "$@" "$D/v.wasm" >"$D/v.said" 2>&1
}
echo_is() { cli functions echo --json | jq_true "$1"; }

flow_begin
check "a new version is deployed" "$(cat "$D/v.said" 2>/dev/null)" upload 1.1.0 "$D/echo.wasm"
from=${EPOCHREALTIME/./}
said=$(cli rollback echo 2>&1)
took=$(((${EPOCHREALTIME/./} - from) / 1000))
check "rollback goes to the version before ($took ms)" "$said" grep -q 'echo@1 (1.0.0)' <<<"$said"
check "and the list of functions says so" "$(cli functions echo)" echo_is '.revision == 1 and .version == "1.0.0"'
check "forward again" "$(cli rollback echo --to 2 2>&1)" echo_is '.revision == 2'
said=$(cli rollback echo --to 9 2>&1)
check "a revision that is not there is refused" "$said" grep -q 'no revision 9' <<<"$said"
flow_end "switching between versions"

upload 1.0.5 "$D/echo.wasm"
check "an older version is refused" "$(cat "$D/v.said")" grep -q 'older than 1.1.0' "$D/v.said"
check "and the way to have it all the same is said" "$(cat "$D/v.said")" grep -q -- --older "$D/v.said"
check "with --older it is taken" "$(cat "$D/v.said")" upload 1.0.5 "$D/echo.wasm" --older

check "a canary starts beside the active version" "$(cat "$D/v.said")" upload 1.2.0 "$D/broken.wasm" --canary 50
"$B/tests/e2e/probe" "$PORT" flow/in flow/out -r 100 -n 60 -w 200 >/dev/null # some of these fail, as they should
withdrawn() { echo_is '.rollout.state == "ended" and (.rollout.reason | test("events failed"))'; }
check "one that fails is withdrawn by the gateway, with the reason" "$(cli functions echo 2>&1 | tail -n 20)" wait_for 3 withdrawn
got=$("$B/tests/e2e/probe" "$PORT" flow/in flow/out -n 50 -r 200)
check "and all events are served again" "$got" [ "$(jq .answered <<<"$got")" = 50 ]

check "the next canary" "$(cat "$D/v.said")" upload 1.3.0 "$D/echo.wasm" --canary 30
flow_begin
some() { echo_is '.trial.candidate.ended > 5 and .trial.active.ended > 5 and .trial.candidate.failed == 0'; }
check "gets its part of the events" "$(cli functions echo --json | jq -c .trial)" wait_for 5 some
flow_end "a canary"
gateway_stop KILL
gateway_start || die "does not start after kill -9"
running() { echo_is '.rollout.state == "running" and .trial.revision == .rollout.revision'; }
check "it goes on after kill -9" "$(cli functions echo --json | jq -c '[.rollout, .trial]')" wait_for 5 running
said=$(cli promote echo 2>&1)
check "promoted, it is the active version" "$said" echo_is '.version == "1.3.0" and .rollout.state == "promoted"'
check "a candidate is withdrawn by rollback" "$(cat "$D/v.said")" upload 1.4.0 "$D/echo.wasm" --canary 5
said=$(cli rollback echo 2>&1)
check "and the active version stays" "$said" echo_is '.version == "1.3.0" and .rollout.reason == "withdrawn"'
said=$(cli promote echo 2>&1)
check "without a candidate there is nothing to promote" "$said" grep -q 'no candidate' <<<"$said"
