#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fuzz.sh SECONDS: runs each fuzz target that long (built by `make fuzz`) on its corpus. What breaks
# one lies in build/fuzz/found/NAME/; put it into tests/fuzz/corpus/NAME/ together with the fix.
set -uo pipefail
secs=${1:-60}
B=${B:-build}
bad=0
for src in tests/fuzz/*/fuzz_*.c; do
	name=${src##*/fuzz_} name=${name%.c}
	found=$B/fuzz/found/$name
	mkdir -p "$found" "$B/fuzz/corpus/$name"
	corpus=()
	[ -d "tests/fuzz/corpus/$name" ] && corpus=("tests/fuzz/corpus/$name")
	if "$B/fuzz/${src%.c}.fuzz" -max_total_time="$secs" -timeout=10 -rss_limit_mb=1024 -artifact_prefix="$found/" \
		"$B/fuzz/corpus/$name" "${corpus[@]}" >"$B/fuzz/$name.log" 2>&1; then
		echo "ok      $name: $(grep -c . "$B/fuzz/$name.log") lines in $B/fuzz/$name.log, $(grep -oE '^#[0-9]+' "$B/fuzz/$name.log" | tail -1) runs"
	else
		bad=1
		echo "NOT OK  $name: see $B/fuzz/$name.log and $found/"
		tail -n 20 "$B/fuzz/$name.log" | sed 's/^/        | /'
	fi
done
exit $bad
