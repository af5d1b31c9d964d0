#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Modules made to exhaust a compiler (bombs.mjs): within the default limits each is compiled, or compiled with less effort,
# and the report says so, or refused with the reason. Prints what each one takes.
# seconds: 2700
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
CPU_SECONDS=32 MEMORY_KB=$((1100 * 1024)) # 30 s and 1 GiB, and what the processes around take
command -v node >/dev/null || { echo "skip bombs - no node; install package nodejs"; exit 0; }
make -s B="$B" "$B/penstock-aot" >&2 || { echo "not ok bombs - does not build"; exit 1; }
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
node tests/e2e/bombs.mjs "$T" || { echo "not ok bombs - they cannot be made"; exit 1; }

for wasm in "$T"/*.wasm; do
	name=bombs/$(basename "$wasm" .wasm)
	/usr/bin/time -q -o "$T/time" -f '%U %S %M' "$B/penstock-aot" <"$wasm" 1<>"$T/so" 3>"$T/report" 2>"$T/messages"
	code=$?
	read -r seconds kb < <(awk '{ printf "%.1f %d\n", $1 + $2, $3 }' "$T/time")
	took="$(stat -c %s "$wasm") bytes, $seconds s, $((kb >> 10)) MB"
	said=$(jq -r 'if .ok then (.notes | join("; ")) else .error + ": " + .reason end' "$T/report")
	case $code:$said in
	0:) outcome=compiled ;;
	0:*) outcome="compiled, $said" ;;
	65:E_LIMIT:* | 75:E_TIME:* | 75:ENOMEM:*) outcome="refused, ${said#*: }" ;;
	*) outcome= ;;
	esac
	if [ -z "$outcome" ]; then
		echo "not ok $name - exit code $code ($took): $said $(head -c 200 "$T/messages")"
	elif [ $code = 0 ] && [ ! -s "$T/so" ]; then
		echo "not ok $name - success, but no code"
	elif [ "${seconds%.*}" -gt $CPU_SECONDS ] || [ "$kb" -gt $MEMORY_KB ]; then
		echo "not ok $name - it takes more than the limits give: $took"
	else
		echo "ok $name: $took; $outcome"
	fi
	: >"$T/so"
done
