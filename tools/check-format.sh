#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Refuses C that clang-format would lay out differently. Debian 12's clang-format (14) decides; other versions differ.
#   check-format.sh [--fix] [FILE...]
set -euo pipefail
mode=(--dry-run --Werror)
[ "${1:-}" = --fix ] && { mode=(-i); shift; }
if ! clang-format --version | grep -q 'version 14\.'; then
	echo "check-format: needs clang-format 14 (package clang-format of Debian 12), found: $(clang-format --version)"
	exit 1
fi
# proto/aot_abi.h, *.def, ...: tables that are aligned by hand carry "clang-format off" themselves.
if [ $# -gt 0 ]; then files=("$@"); else
	mapfile -t files < <(git ls-files -co --exclude-standard -- '*.c' '*.h' ':!tests/programs/*' | while read -r f; do [ -e "$f" ] && echo "$f"; done)
fi
clang-format --style=file "${mode[@]}" "${files[@]}" 2>&1 | grep -E 'warning|error' | sed -E 's/: (warning|error): code should be.*/: not as clang-format lays it out (tools\/check-format.sh --fix FILE)/' | sort -u -t: -k1,1 && exit 1
exit 0
