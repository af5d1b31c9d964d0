#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a trap shows of the guest's stack: with DWARF, without, without names; recursion, inlined functions, host calls,
# other languages' debug information, both modes of bounds, no optimiser.
. tests/programs/lib.sh

build() { # NAME FLAGS...
	local name=$1
	shift
	clang-19 --target=wasm32-wasi -mbulk-memory -fno-optimize-sibling-calls "$@" -c "$SRC/traces.c" -o "$T/$name.o" &&
		clang-19 --target=wasm32-wasi "$T/$name.o" -o "$T/$name.wasm" || exit 1
}
build o0 -O0 -g
build o2 -O2 -g
build dwarf5 -O2 -gdwarf-5
build plain -O2
clang-19 --target=wasm32-wasi -Wl,--strip-all "$T/plain.o" -o "$T/stripped.wasm" || exit 1

# shows NAME MODULE OPTIONS CASE LINE...: each line of the trace is one of these regular expressions, in order, perhaps with
# others between them
shows() {
	local name=$1 module=$2 options=$3 case=$4 want line
	shift 4
	# shellcheck disable=SC2086
	"$P" run $options "$T/$module.wasm" "$case" >"$T/out" 2>"$T/err" </dev/null
	if [ $? != 134 ]; then
		not_ok "$name" "it did not trap: $(head -c 300 "$T/err")"
		return
	fi
	exec 3<"$T/err"
	for want; do
		while IFS= read -r line <&3; do
			[[ $line =~ ^$want ]] && continue 2
		done
		not_ok "$name" "no line '$want' in its place: $(head -n 40 "$T/err" | tr '\n' '|')"
		exec 3<&-
		return
	done
	exec 3<&-
	ok "$name"
}

at() { echo "(.*/)?traces\.c:$(grep -n "/\* $1 \*/" "$SRC/traces.c" | cut -d : -f 1)"; }
start="  from crt1-command\.c:[0-9]+ _start$"
for module in o0 o2 dwarf5; do
	for options in "" "--opt 0" "--bounds check"; do
		name=$module${options:+" $options"}
		shows "$name: a load" $module "$options" load "trap: memory at $(at load) check_limit$" \
			"  from $(at call-load) [a-z_]+$" "$start"
		shows "$name: a call through the table" $module "$options" divide "trap: divide-by-zero at $(at divide) divide$" \
			"  from $(at call-divide) [a-z_]+$" "$start"
		shows "$name: a function that was inlined" $module "$options" inlined \
			"trap: divide-by-zero at $(at inlined) inlined$" "  from $(at call-inlined) outer$" \
			"  from $(at call-outer) [a-z_]+$" "$start"
		shows "$name: a helper of the host" $module "$options" wipe "trap: memory at $(at wipe) wipe$" \
			"  from $(at call-wipe) [a-z_]+$" "$start"
		shows "$name: out of time" $module "--cpu-ms 20 $options" spin "trap: time at (.*/)?traces\.c:6[45] .*: the CPU budget is used up$" \
			"$start"
	done
	shows "$module: endless recursion has both ends" $module "--stack 1MiB" recurse "trap: (stack|memory) at .*traces\.c:2[4-7] down$" \
		"  from $(at recurse) down$" "  \.\.\. [0-9]+ more$" "  from $(at recurse) down$" "  from $(at call-recurse) " "$start"
done
hex='0x[0-9a-f]+'
shows "without DWARF: names, and places in the module" plain "" inlined "trap: divide-by-zero at inlined\+$hex \($hex\)$" \
	"  from outer\+$hex \($hex\)$" "  from [a-z_]+\+$hex \($hex\)$"
shows "without names: numbers of functions" stripped "" inlined "trap: divide-by-zero at f[0-9]+\+$hex \($hex\)$" \
	"  from f[0-9]+\+$hex \($hex\)$" "  from _start\+$hex \($hex\)$"

# The place in parentheses is what wasm-objdump shows before the instruction.
place=$("$P" run "$T/plain.wasm" divide 2>&1 </dev/null | sed -n '1s/.*(0x\([0-9a-f]*\))$/\1/p')
if wasm-objdump -d "$T/plain.wasm" | grep -qE "^ 0*$place: .*i32\.div_s"; then
	ok "the place of a trap is the instruction's in wasm-objdump"
else
	not_ok "the place of a trap is the instruction's in wasm-objdump" "there is no i32.div_s at '$place'"
fi

# Debug information that makes no sense is left alone, and said.
cp "$T/o2.wasm" "$T/broken.wasm"
at=$(grep -abo '\.debug_line' "$T/o2.wasm" | head -n 1 | cut -d : -f 1)
printf '\xef\xff\xff\x7f' | dd of="$T/broken.wasm" bs=1 seek=$((at + 11)) conv=notrunc status=none # a unit longer than all
shows "broken DWARF: as without" broken "" divide "trap: divide-by-zero at divide\+$hex \($hex\)$"
if "$P" compile "$T/broken.wasm" -o "$T/broken.so" --json 2>&1 |
	grep -q 'no lines in traps: the unit at offset 0x0 of .debug_line is malformed'; then
	ok "broken DWARF: the report says so"
else
	not_ok "broken DWARF: the report says so" "no note"
fi
