#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Five times the work that can be done: what is admitted ends in time, memory stays, and it is over within a second.
# make bench-sched does the same for longer, on a machine that has nothing else to do.
. tests/e2e/lib.sh

T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
"${MAKE:-make}" --no-print-directory B="$B" "$B/bench/sched/overload" "$B/bench/sched/burn.wasm" >"$T/make" 2>&1 &&
	"$B/penstock" compile "$B/bench/sched/burn.wasm" -o "$T/burn.so" >>"$T/make" 2>&1 || {
	not_ok "overload: builds" "$(tail -n 3 "$T/make")"
	exit
}
"$B/bench/sched/overload" "$B/penstock-sandbox" "$T/burn.so" 3 "$T/part" >"$T/said" 2>&1
got="{$(cat "$T/part")}"
check "overload: most is refused at once" "$(cat "$T/said")" json_is "$got" '.overload_refused > .overload_admitted'
check "overload: what is admitted is in time, but for what the machine holds up" "$got" \
	json_is "$got" '.overload_late * 4 <= .overload_admitted and .overload_admitted > 50'
# Of 120; on a busy machine even these cannot always be in time, and are refused then.
check "overload: high criticality gets through" "$got" json_is "$got" '.vital_refused <= 60 and .vital_late <= 6'
check "overload: memory stays" "$got" json_is "$got" '.overload_growth_kb < 4096'
check "overload: over within a second" "$got" json_is "$got" ".overload_recovery_ms < $(patient 1000)"
