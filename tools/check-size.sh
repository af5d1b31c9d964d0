#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Refuses files over 600 lines, headers over 250, functions over 80. tools/size-exceptions: FILE[:FUNCTION] REASON
#   check-size.sh [FILE...]     default: all C sources of the product, tests included
set -euo pipefail
here=$(dirname "$0")
if [ $# -gt 0 ]; then files=("$@"); else
	mapfile -t files < <(git ls-files -co --exclude-standard -- '*.c' '*.h' | while read -r f; do [ -e "$f" ] && echo "$f"; done)
fi
awk -v exceptions="$here/size-exceptions" '
	BEGIN { while ((getline line < exceptions) > 0) if (line !~ /^#/ && split(line, w, " ") > 1) ok[w[1]] = 1 }
	function check_file() {
		most = file ~ /\.h$/ ? 250 : 600
		if (file != "" && lines > most && !(file in ok)) { printf "%s: %d lines; at most %d\n", file, lines, most; bad = 1 }
	}
	FNR == 1 { check_file(); file = FILENAME; name = "" }
	{ lines = FNR }
	/^[A-Za-z_].*\(/ && !/;[ \t]*$/ { split($0, part, "("); n = split(part[1], w, /[ *]/); name = w[n] }
	/^\{/ { start = FNR }
	/^\}/ && start {
		if (FNR - start - 1 > 80 && !((file ":" name) in ok)) {
			printf "%s:%d: %s is %d lines; at most 80\n", file, start, name, FNR - start - 1; bad = 1 }
		start = 0
	}
	END { check_file(); exit bad }' "${files[@]}"
