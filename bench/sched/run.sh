#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-sched: deadlines kept beside functions that burn, and what is admitted under overload.
set -euo pipefail
B=${B:-build} out=${B:-build}/bench
seconds=10 overload_s=60
[ "${1:-}" != --quick ] || seconds=2 overload_s=6
mkdir -p "$out/sched"
"$B/penstock" compile "$out/sched/burn.wasm" -o "$out/sched/burn.so"
"$out/sched/sched" "$B/penstock-sandbox" "$out/sched/burn.so" $seconds "$out/sched/sched.part"
"$out/sched/overload" "$B/penstock-sandbox" "$out/sched/burn.so" $overload_s "$out/sched/overload.part"
printf '{%s, %s}\n' "$(cat "$out/sched/sched.part")" "$(cat "$out/sched/overload.part")" >"$out/sched.json"
echo "numbers: $out/sched.json"
