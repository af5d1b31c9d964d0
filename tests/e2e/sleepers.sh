#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 10,000 events asleep in poll_oneoff in one process, and what happens where there is address space for a hundred.
. tests/e2e/lib.sh

D=$(mktemp -d)
trap 'rm -rf "$D"' EXIT
"$B/penstock" compile "$B/bench/runtime/calls.wasm" -o "$D/calls.so" >"$D/log" 2>&1 || die "cannot compile: $(cat "$D/log")"

# sleepers PRLIMIT_OPTION: rc is its exit code
sleepers() {
	prlimit "$1" -- "$B/bench/runtime/processes" sleepers "$D" "$B/penstock-sandbox" >"$D/out" 2>"$D/err"
	rc=$?
}
value() { awk -v key="$1" '$1 == key { print $2 }' "$D/out"; }

sleepers --core=0
check "10,000 sandboxes are asleep in one process at a time" "$(cat "$D/err")" [ $rc = 0 ]
check "they take less than 25 KiB each" "$(value sleeping_kb) KiB" [ "$(value sleeping_kb)" -lt 250000 ]
check "nothing is said of address space that is enough" "$(cat "$D/err")" [ ! -s "$D/err" ]

# As on a kernel with 39-bit addresses.
sleepers --as=$((512 << 30))
check "with 512 GiB of address space they wait for each other" "$(cat "$D/err")" [ $rc = 0 ]
check "and that is said" "$(cat "$D/err")" grep -q 'address space is short.*sandboxes=1[01][0-9]$' "$D/err"
