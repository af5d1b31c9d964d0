#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 1500
# zlib, bzip2, lz4 and SQLite from Debian's source packages: as Wasm they compute what they do natively.
. tests/programs/lib.sh

sources=$B/bench/sources
if ! reason=$(bench/programs/fetch.sh "$sources" zlib bzip2 lz4 sqlite3); then
	skip "libraries from Debian's sources" "$reason"
	exit 0
fi
if ! command -v tclsh >/dev/null; then
	skip "libraries from Debian's sources" "SQLite's one file is made by tclsh (package tcl)"
	exit 0
fi
if ! ${MAKE:-make} --no-print-directory -s B="$B" programs-bins "$B/bench/kernels/sealed" >"$T/log" 2>&1; then
	not_ok "libraries from Debian's sources" "do not compile: $(tail -n 3 "$T/log" | tr '\n' ' ')"
	exit 1
fi
B=$B bench/programs/run.sh --same
