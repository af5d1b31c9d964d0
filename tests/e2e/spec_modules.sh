#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every module of the WebAssembly 2.0 test suite through the decoder and validator: valid ones are
# accepted, invalid and malformed ones refused.
#   B         build directory (default build)
#   SPEC_DIR  the suite's *.wast files (default ../shared/spec)
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
SPEC_DIR=${SPEC_DIR:-../shared/spec}

if [ ! -e "$SPEC_DIR/i32.wast" ]; then
	echo "skip spec_modules - no test suite at $SPEC_DIR; set SPEC_DIR"
	exit 0
fi
if ! command -v wast2json >/dev/null; then
	echo "skip spec_modules - no wast2json; install package wabt"
	exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
make -s B="$B" "$B/tests/tool/spec_modules" >&2 || { echo "not ok spec_modules - does not build"; exit 1; }
find "$SPEC_DIR" -name '*.wast' | sort | while read -r wast; do
	name=$(basename "$wast" .wast)
	wast2json "$wast" -o "$dir/$name.json" >"$dir/$name.log" 2>&1 ||
		# wabt 1.0.32 aborts on (module quote ...) outside of an assertion: comments.wast
		echo "skip spec_modules/$name - wast2json: $(head -n 1 "$dir/$name.log")"
done 2>/dev/null
"$B/tests/tool/spec_modules" "$dir"/*.json
