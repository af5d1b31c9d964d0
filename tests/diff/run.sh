#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Differential test: random valid modules, their exports called by node and by us, everything visible compared: results,
# kinds of traps, log calls, the memory after each call. (make fuzz-diff calls it.)
#   tests/diff/run.sh [N [SEED [FIRST]]]    modules FIRST..FIRST+N-1 of that seed; default 1000 1 1
#   tests/diff/run.sh FILE.wasm...          these modules again
#   B   build directory (default build)
# Every module is run at --opt 2 with a guarded memory, every fifth also at --opt 0, the one after it also with checks.
# An optimised load that turns out to be useless may lose its trap (sandbox/compiler/keep.c). That alone is no difference:
# where node traps at memory and we go on, code with checks, which cannot lose them, has to agree with node in everything,
# and the module is counted as skipped, and kept.
# A difference leaves the module, node's .want and our .got in $B/diff/kept.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
CHUNK=40 NODE_SECONDS=120
passed=0 failed=0 skipped=0
features=(--enable-simd --enable-bulk-memory --enable-sign-ext --enable-nontrapping-float-to-int --enable-multivalue
	--enable-mutable-globals) # not reference types: binaryen 108 makes types that others reject

for command in node wasm-opt wasm2wat wat2wasm; do
	command -v $command >/dev/null && continue
	echo "fuzz-diff: no $command; install packages nodejs, binaryen and wabt"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
done
dir=$B/diff
mkdir -p "$dir/kept" || exit 1

skip() { echo "skip $1: $2"; skipped=$((skipped + 1)); }

# make_module ID: $dir/ID.wasm from $dir/ID.seed
make_module() {
	local m=$dir/$1
	wasm-opt -ttf "$m.seed" "${features[@]}" -o "$m.raw" 2>"$m.log" &&
		wasm2wat "$m.raw" -o "$m.wat" 2>>"$m.log" &&
		awk -f tests/diff/nan.awk "$m.wat" >"$m.nan" && wat2wasm "$m.nan" -o "$m.wasm" 2>>"$m.log" && return
	rm -f "$m.wasm"
	skip "$1" "cannot be made: $(tail -n 1 "$m.log")"
}

# keep FILE: its three files; sets `kept`
keep() {
	local f
	kept=$dir/kept/${seed:+$seed-}$(basename "$1")
	[ "$1" = "$kept" ] || for f in wasm want got; do cp "$1.$f" "$kept.$f"; done
}

# difference FILE.wasm [OPTION...]
difference() {
	local m=${1%.wasm}
	keep "$m"
	echo "DIFFERENCE in module $(basename "$m")${seed:+ of seed $seed} (compiled with: ${*:2})"
	diff --label node --label penstock -U 3 "$m.want" "$m.got" | head -n 30 | sed 's/^/    /'
	echo "  the module: $kept.wasm; to repeat: B=$B tests/diff/run.sh $kept.wasm"
}

# lost_only FILE.wasm: in all calls that differ node traps at memory; then with checks nothing differs
lost_only() {
	local m=${1%.wasm} rc
	awk 'FNR == 1 { file++ } /^call / { n[file]++ } { text[file, n[file]] = text[file, n[file]] "\n" $0 }
		END {
			for (i = 1; i <= n[1] || i <= n[2]; i++)
				if (text[1, i] != text[2, i] && text[1, i] !~ /\ntrap memory$/)
					exit 1
		}' "$m.want" "$m.got" || return
	cp "$m.got" "$m.guard"
	"$B/diff-run" --bounds check "$1"
	cmp -s "$m.want" "$m.got"
	rc=$?
	mv "$m.guard" "$m.got"
	return $rc
}

# compare FILE.wasm [OPTION...]: after diff-run. 0 the same, 1 not, 2 cannot be told, 3 the trap of a useless load is lost
compare() {
	local m=${1%.wasm}
	cmp -s "$m.want" "$m.got" && return
	grep -qE '^(trap time|error E_(TIME|LIMIT):)' "$m.got" && return 2
	if [[ ${*:2} != *check* ]] && lost_only "$1"; then
		keep "$m"
		return 3
	fi
	difference "$@"
	return 1
}

# run_with STATE-ARRAY-OF-FILES: the options are in the array `options`
run_with() {
	local f rc
	[ $# -gt 0 ] || return
	"$B/diff-run" "${options[@]}" "$@"
	for f in "$@"; do
		compare "$f" "${options[@]}"
		rc=$?
		[[ $rc = 1 || ${verdict[$f]:-0} = 0 ]] && verdict[$f]=$rc
	done
}

# run_all FILE.wasm...: which get a second compile is decided by the number
declare -A verdict
run_all() {
	local f n files=() zero=() check=()
	timeout "$NODE_SECONDS" node tests/diff/oracle.mjs "$@" || echo "fuzz-diff: node did not end as it should"
	for f in "$@"; do
		if [ ! -e "${f%.wasm}.want" ]; then skip "$f" "node has no result"; continue; fi
		n=$(basename "$f" .wasm)
		files+=("$f")
		[[ ! $n =~ ^[0-9]+$ || $((n % 5)) = 0 ]] && zero+=("$f")
		[[ ! $n =~ ^[0-9]+$ || $((n % 5)) = 1 ]] && check+=("$f")
	done
	verdict=()
	options=(--opt 2) && run_with "${files[@]}"
	options=(--opt 0) && run_with "${zero[@]}"
	options=(--bounds check) && run_with "${check[@]}"
	for f in "${files[@]}"; do
		case ${verdict[$f]} in
		0) passed=$((passed + 1)) ;;
		1) failed=$((failed + 1)) ;;
		3) skip "$f" "a useless load lost its trap; with checks all is the same" ;;
		*) skip "$f" "out of time or limits" ;;
		esac
	done
}

# random_modules FIRST COUNT
random_modules() {
	local id files=()
	find "$dir" -maxdepth 1 -type f -delete
	node tests/diff/bytes.mjs "$seed" "$1" "$2" "$dir" || exit 1
	for ((id = $1; id < $1 + $2; id++)); do
		make_module "$id" && [ -e "$dir/$id.wasm" ] && files+=("$dir/$id.wasm")
	done
	[ ${#files[@]} = 0 ] || run_all "${files[@]}"
}

if [ -e "${1:-}" ]; then
	seed=
	for f in "$@"; do
		n=$dir/kept/$(basename "$f")
		[ "$f" -ef "$n" ] || cp "$f" "$n" || exit 1
		rm -f "${n%.wasm}.want"
		run_all "$n"
	done
else
	total=${1:-1000} seed=${2:-1} first=${3:-1}
	[[ $total$seed$first =~ ^[0-9]+$ ]] || { echo "fuzz-diff: no such file, and not a number: $*" >&2; exit 64; }
	for ((at = 0; at < total; at += CHUNK)); do
		random_modules $((first + at)) $((total - at < CHUNK ? total - at : CHUNK))
		echo "seed $seed, before module $((first + (at + CHUNK < total ? at + CHUNK : total))): $passed passed, $failed failed, $skipped skipped"
	done
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
