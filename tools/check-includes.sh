#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Refuses an #include that goes up or sideways in the table of dependencies (doc/ARCHITECTURE.md).
#   check-includes.sh [FILE...]     default: all C sources of the product
set -euo pipefail
declare -A may=(
	[base]="base"
	[proto]="base proto"
	[sandbox/wasm]="base proto sandbox/wasm"
	[sandbox/compiler]="base proto sandbox/wasm sandbox/compiler"
	[sandbox/runtime]="base proto sandbox/runtime"
	[ethosu_bridge]="base proto ethosu_bridge"
	[guard]="base proto guard"
	[triggers]="base proto triggers"
	[gateway]="base proto triggers gateway"
	[cli]="base proto sandbox/wasm ethosu_bridge cli"
)
part_of() {
	case $1 in
	sandbox/*/*) echo "${1%"${1#*/*/}"}" | sed 's,/$,,' ;;
	*/*) echo "${1%%/*}" ;;
	esac
}
bad=0
[ $# -gt 0 ] || mapfile -t files < <(git ls-files -co --exclude-standard -- 'base/*.[ch]' 'proto/*.[ch]' 'sandbox/*.[ch]' \
	'ethosu_bridge/*.[ch]' 'guard/*.[ch]' 'triggers/*.[ch]' 'gateway/*.[ch]' 'cli/*.[ch]')
[ $# -gt 0 ] && files=("$@")
while IFS=: read -r file line text; do
	included=${text#*\"}
	included=${included%%\"*}
	from=$(part_of "$file") to=$(part_of "$included")
	[ -z "$to" ] && [ ! -e "$(dirname "$file")/$included" ] && continue # made by the build, in $(B)/gen
	if [ -z "$to" ]; then
		echo "$file:$line: name the include \"$included\" from the top of the tree"
		bad=1
	elif [ -n "${may[$to]:-}" ] && [[ " ${may[$from]} " != *" $to "* ]]; then
		echo "$file:$line: $from may not include $to ($included); it may use: ${may[$from]}"
		bad=1
	fi
done < <(grep -nHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "${files[@]}")
exit $bad
