#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Refuses code that knows the system's page size: a Raspberry Pi 5 has 16 KiB, other arm64 kernels 64.
#   check-pages.sh [FILE...]     default: all C sources of the product but tests and benches
set -euo pipefail
if [ $# -gt 0 ]; then files=("$@"); else
	mapfile -t files < <(git ls-files -co --exclude-standard -- base proto sandbox ethosu_bridge triggers gateway cli |
		grep '\.[chS]$' | while read -r f; do [ -e "$f" ] && echo "$f"; done)
fi
if grep -nE '\bPAGE_(SIZE|SHIFT|MASK)\b|\bgetpagesize\b|\b4095\b|[<>]{2} 12\b' "${files[@]}"; then
	echo "check-pages: ask sysconf(_SC_PAGESIZE), or align to 64 KiB where it is only alignment"
	exit 1
fi
