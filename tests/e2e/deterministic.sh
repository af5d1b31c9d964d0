#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same Wasm, flags and CPU give the same bytes: in another process, at other addresses, in another place.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
make -s B="$B" "$B/penstock-aot" >&2 || { echo "not ok deterministic - does not build"; exit 1; }
aot=$(realpath "$B/penstock-aot")
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
mkdir "$T/elsewhere"

compile() { # RESULT WASM OPTION...
	local so=$1 wasm=$2
	shift 2
	"${prefix[@]}" "$aot" "$@" <"$wasm" 1<>"$so" 3>"$so.report"
}
# same NAME OPTION...: every module twice at random addresses, once at fixed ones from another directory and environment
same() {
	local name=$1 wasm n=0 sums
	shift
	for wasm in tests/diff/kept/*.wasm tests/fuzz/corpus/compile/*.wasm; do
		wasm=$(realpath "$wasm")
		prefix=() && compile "$T/1.so" "$wasm" "$@"
		compile "$T/2.so" "$wasm" "$@"
		prefix=(env -i TZ=Asia/Tokyo LC_ALL=C setarch -R) && (cd "$T/elsewhere" && compile "$T/3.so" "$wasm" "$@")
		if ! { cmp -s "$T/1.so" "$T/2.so" && cmp -s "$T/1.so" "$T/3.so" && [ -s "$T/1.so" ]; }; then
			echo "not ok deterministic/$name - $wasm gives other bytes"
			return
		fi
		sums="${sums:-} $(cksum <"$T/1.so")"
		n=$((n + 1))
		rm -f "$T"/?.so
	done
	# All the same because nothing is compiled? Modules that differ must give bytes that differ.
	if [ "$(tr ' ' '\n' <<<"$sums" | sort -u | wc -l)" -gt $n ]; then
		echo "ok deterministic/$name: $n modules"
	else
		echo "not ok deterministic/$name - different modules give the same bytes"
	fi
}
if ! setarch -R true 2>/dev/null; then
	echo "skip deterministic - this machine does not let addresses be fixed (setarch -R)"
	exit 0
fi
same "as it is"
same "without optimisation" --opt 0
same "with checks" --bounds check
same "for another machine" --target aarch64-linux-gnu --cpu cortex-a72
