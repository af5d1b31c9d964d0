# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests/e2e/spec_*.sh: a part of the WebAssembly test suite as tests for tests/run, one a file.

# spec_part core|simd|own
spec_part() {
	local log
	B=${B:-build}
	command -v wast2json >/dev/null || { echo "skip spec - no wast2json; install package wabt"; return; }
	if [ "$1" != own ] && [ ! -e "${SPEC_DIR:-../shared/spec}/i32.wast" ]; then
		echo "skip spec - no test suite at ${SPEC_DIR:-../shared/spec}; make check-spec says how to get it"
		return
	fi
	make -s B="$B" "$B/penstock-aot" "$B/spec-run" >&2 || { echo "not ok spec - does not build"; return 1; }
	log=$B/spec-$1.log
	B=$B JOBS=1 tests/spec/run.sh "$1" >"$log" 2>&1
	awk '
		/^FAIL/ || /^     / { print "# " $0; next }
		/^skip / { sub(/:/, " -"); print; next }
		NF >= 6 && $6 == "s" {
			if ($2 + $3 + $4 == 0) next # modules only
			if ($2 + $3 == 0) { files++; assertions += $4; next }
			printf "%s spec/%s - %d passed, %d failed, %d skipped\n", $3 ? "not ok" : "ok", $1, $2, $3, $4
		}
		/^[0-9]+ passed, / { ended = 1 }
		/^skipped: / { reasons = reasons (reasons ? "; " : "") substr($0, 10) }
		END {
			if (files) printf "skip spec/%d files, %d assertions - of all: %s\n", files, assertions, reasons
			if (!ended) print "not ok spec - the runner did not come to its end"
		}' "$log"
}
