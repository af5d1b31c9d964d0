#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The WebAssembly 2.0 test suite, all but SIMD, and scripts of our own, through compiler and runtime. See tests/spec/run.sh.
# seconds: 900
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/spec/lib.sh
spec_part own
spec_part core

# A runner that can only say yes proves nothing: with wrong expectations every assertion has to fail.
json=$B/spec/core/i32.json
[ -e "$json" ] || exit 0
jq '.commands |= map(if .type == "assert_return" then .expected[0].value = "12345"
	elif .type == "assert_trap" then .text = "unreachable" else select(.type == "module") end)' \
	"$json" >"$B/spec/core/wrong.json"
last=$("$B/spec-run" "$B/spec/core/wrong.json" | tail -n 1)
case $last in
"0 passed, "[1-9]*) echo "ok spec/wrong expectations all fail" ;;
*) echo "not ok spec/wrong expectations all fail - $last" ;;
esac
