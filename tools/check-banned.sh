#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Refuses calls that cannot be used safely, by what the objects really need (a macro cannot hide it).
#   check-banned.sh BUILD_DIR
set -euo pipefail
banned='strcpy|strcat|strncpy|strncat|stpcpy|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|system|popen|tmpnam|mktemp|rand|srand|alloca|setjmp|longjmp|getcontext|swapcontext|makecontext'
mapfile -t objects < <(find "$1" -path "$1/san" -prune -o -path "$1/fuzz" -prune -o -path '*/tests/*' -prune -o -path '*/bench/*' -prune -o \
	-name '*.c.o' -print | sort)
[ ${#objects[@]} -gt 0 ] || { echo "check-banned: no objects in $1; build first"; exit 1; }
found=$(nm -u --print-file-name "${objects[@]}" | sed -E 's/^([^:]*):.* U (.*)$/\1 \2/' |
	grep -E " (__)?($banned)(_chk)?(@.*)?\$" || true)
[ -z "$found" ] && exit 0
while read -r object symbol; do
	source=${object#"$1"/}
	echo "${source%.o}: calls $symbol, which STYLE bans; use the bounded readers and writers of base/"
done <<<"$found"
exit 1
