#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 600
# zlib, bzip2 and lz4 from Debian's source packages: as Wasm they compute what they do natively. So does SQLite, which takes
# longer to compile than all of them: make bench-programs.
. tests/programs/lib.sh

programs="zlib bzip2 lz4"
# shellcheck disable=SC2086 # three words
if ! reason=$(bench/programs/fetch.sh "$B/bench/sources" $programs); then
	skip "libraries from Debian's sources" "$reason"
	exit 0
fi
if ! ${MAKE:-make} --no-print-directory -s B="$B" programs-bins-small "$B/bench/kernels/sealed" >"$T/log" 2>&1; then
	not_ok "libraries from Debian's sources" "do not compile: $(tail -n 3 "$T/log" | tr '\n' ' ')"
	exit 1
fi
B=$B PROGRAMS=$programs bench/programs/run.sh --same
