# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests in the VM: all of tests/e2e/lib.sh, and the kernel's modules.
. tests/e2e/lib.sh
[ -n "${IN_VM:-}" ] || { skip "${0##*/}" "for the VM: make check-vm, or tests/run $0"; exit 0; }

# need MODULE...: loads them, or the test ends as skipped
need() {
	local m said
	for m in "$@"; do
		said=$(modprobe "$m" 2>&1) || { skip "${0##*/}" "this kernel has no $m: $said"; exit 0; }
	done
}

# Those of tests/e2e/functions were built before the VM was: clang is slow here. wasm NAME [CLANG_FLAG...]
wasm() { cp "$B/vm/functions/$1.wasm" "$D/$1.wasm"; }

# An emulated processor needs more time for everything.
eval "$(declare -f wait_for | sed '1s/wait_for/wait_for_quick/')"
wait_for() { local s=$1; shift; wait_for_quick $((s * 4)) "$@"; }
