#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The WebAssembly 2.0 test suite through penstock-aot and the runtime (make check-spec calls it).
#   tests/spec/run.sh [core|simd|own|NAME...]   a part, or files by name without .wast; default core and simd, which are
#   the suite. own: tests/spec/own, scripts for what the suite does not reach.
#   B         build directory (default build)
#   SPEC_DIR  the suite's *.wast files (default ../shared/spec)
#   BOUNDS    guard or check
#   OPT, CPU, CHUNK_BYTES  as penstock-aot takes them (default: its own)
#   RUNNER    the command that runs scripts (default B/spec-run; arm64.sh sets another)
#   JOBS      files at a time (default 2)
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
SPEC_DIR=${SPEC_DIR:-../shared/spec}

absent() {
	echo "check-spec: $1"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}
command -v wast2json >/dev/null || absent "no wast2json; install package wabt"
[ "${1:-}" = own ] || [ -e "$SPEC_DIR/i32.wast" ] || absent "no test suite at $SPEC_DIR. To get it:
  git clone --depth 1 --branch wg-2.0 https://github.com/WebAssembly/spec
  make check-spec SPEC_DIR=\$PWD/spec/test/core"

wanted=" ${*:-core simd} "
json=$B/spec/${1:-all}
rm -rf "$json"
mkdir -p "$json" || exit 1
files=() unconverted=0
while read -r wast; do
	name=$(basename "$wast" .wast)
	case $wast in tests/spec/own/*) part=own ;; */simd/*) part=simd ;; *) part=core ;; esac
	[[ $wanted == *" $name "* || $wanted == *" $part "* ]] || continue
	# In a shell of its own: that reports a crash, and not this one.
	if (wast2json "$wast" -o "$json/$name.json") >"$json/$name.log" 2>&1; then
		files+=("$json/$name.json")
	else
		# wabt 1.0.32 aborts on (module quote ...) outside of an assertion: comments.wast
		echo "skip $name.wast: wast2json cannot convert it: $(head -n 1 "$json/$name.log")"
		unconverted=$((unconverted + 1))
	fi
done < <(find tests/spec/own "$SPEC_DIR" -name '*.wast' | sort) 2>/dev/null
[ ${#files[@]} -gt 0 ] || { echo "check-spec: no such file: $*" >&2; exit 64; }
${RUNNER:-"$B/spec-run"} --bounds "${BOUNDS:-guard}" ${OPT:+--opt "$OPT"} ${CPU:+--cpu "$CPU"} ${CHUNK_BYTES:+--chunk-bytes "$CHUNK_BYTES"} --jobs "${JOBS:-2}" "${files[@]}" |
	while IFS= read -r line; do # not awk, which keeps lines back
		[[ $line =~ ^([0-9]+ passed, [0-9]+ failed, )([0-9]+)(.*) ]] &&
			line=${BASH_REMATCH[1]}$((BASH_REMATCH[2] + unconverted))${BASH_REMATCH[3]}
		printf '%s\n' "$line"
	done
exit "${PIPESTATUS[0]}"
