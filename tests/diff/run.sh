#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Differential test: random programs, run by node and by us, everything visible compared. (make fuzz-diff calls it.)
#   tests/diff/run.sh [N [SEED [FIRST]]]    modules FIRST..FIRST+N-1 of that seed; default 1000 1 1
#   tests/diff/run.sh FILE.wasm...          these modules again, in every mode
#   B       build directory (default build)
#   BOUNDS  guard or check: all of them again in that mode, in no other
#   LOOPS   after how many modules comes one of loops over memory (default 5; 0: none; loops.mjs), in every mode of those
#   CSMITH  after how many modules comes a C program by csmith (default 250; 0: none; csmith.sh)
# Every module is run at --opt 2 with a guarded memory; MODES says which ones again in another way. Compared are results,
# kinds of traps, log calls, and the memory after each call. A run that was stopped goes on where it was, with the same
# numbers and the same compiler. What differs is kept in $B/diff/kept: the module, node's .want and our .got.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
CHUNK=96 NODE_SECONDS=240
# Modules whose number modulo the second is the third.
MODES=('--opt 0|10|0' '--bounds check|10|1' '--opt 3|40|6' '--opt 1|40|26')
# Loops are what most of the optimiser's work and all of the checks' is about.
LOOP_MODES=('--opt 1' '--opt 3' '--bounds check --opt 1' '--bounds check --opt 2' '--bounds check --opt 3')
[ -z "${BOUNDS:-}" ] || MODES=("--bounds $BOUNDS|1|0") LOOP_MODES=("--bounds $BOUNDS --opt 1" "--bounds $BOUNDS --opt 3")
passed=0 failed=0 skipped=0 begun=$SECONDS
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

# is_loops FILE.wasm|ID
is_loops() {
	local n
	n=$(basename "$1" .wasm)
	[[ $loops != 0 && $n =~ ^[0-9]+$ ]] && ((n % loops == 0))
}

# make_module ID: $dir/ID.wasm from $dir/ID.seed
make_module() {
	local m=$dir/$1
	if is_loops "$1"; then
		node tests/diff/loops.mjs "$seed" "$dir" "$1" && wat2wasm "$m.wat" -o "$m.wasm" && return
		exit 1
	fi
	wasm-opt -ttf "$m.seed" "${features[@]}" -o "$m.raw" 2>"$m.log" &&
		wasm2wat "$m.raw" -o "$m.wat" 2>>"$m.log" &&
		awk -f tests/diff/nan.awk "$m.wat" >"$m.nan" && wat2wasm "$m.nan" -o "$m.wasm" 2>>"$m.log" && return
	rm -f "$m.wasm"
	skip "$1" "cannot be made: $(tail -n 1 "$m.log")"
}

# difference FILE.wasm [OPTION...]
difference() {
	local m=${1%.wasm} f
	kept=$dir/kept/${seed:+$seed-}$(basename "$m")
	[ "$m" = "$kept" ] || for f in wasm want got; do cp "$m.$f" "$kept.$f"; done
	echo "DIFFERENCE in module $(basename "$m")${seed:+ of seed $seed} (compiled with: ${*:2})"
	diff --label node --label penstock -U 3 "$m.want" "$m.got" | head -n 30 | sed 's/^/    /'
	echo "  the module: $kept.wasm; to repeat: B=$B tests/diff/run.sh $kept.wasm; to make it smaller: B=$B tests/diff/reduce.sh $kept.wasm ${*:2}"
}

# compare FILE.wasm [OPTION...]: after diff-run. 0 the same, 1 not, 2 cannot be told
compare() {
	local m=${1%.wasm}
	cmp -s "$m.want" "$m.got" && return
	grep -qE '^(trap time|error E_(TIME|LIMIT):)' "$m.got" && return 2
	difference "$@"
	return 1
}

# run_with FILE.wasm...: the options are in the array `options`
declare -A verdict
run_with() {
	local f rc
	[ $# -gt 0 ] || return
	"$B/diff-run" "${options[@]}" "$@" || { echo "fuzz-diff: diff-run ${options[*]} failed"; exit 1; }
	for f in "$@"; do
		compare "$f" "${options[@]}"
		rc=$?
		[[ $rc = 1 || ${verdict[$f]:-0} = 0 ]] && verdict[$f]=$rc
	done
}

# in_mode MODULO REST FILE.wasm...: sets `chosen`; what has no number is in every mode
in_mode() {
	local modulo=$1 rest=$2 f n
	shift 2
	chosen=()
	for f in "$@"; do
		n=$(basename "$f" .wasm)
		[[ ! $n =~ ^[0-9]+$ || $((n % modulo)) = "$rest" ]] && chosen+=("$f")
	done
}

run_all() { # FILE.wasm...
	local f mode text modulo rest files=() others=() of_loops=() chosen
	# Node's first compiler alone: it is another one than the optimising one, and needs half the time.
	timeout "$NODE_SECONDS" node --liftoff-only tests/diff/oracle.mjs "$@" || echo "fuzz-diff: node did not end as it should"
	for f in "$@"; do
		if [ ! -e "${f%.wasm}.want" ]; then skip "$f" "node has no result"; continue; fi
		files+=("$f")
		if is_loops "$f"; then of_loops+=("$f"); else others+=("$f"); fi
	done
	verdict=()
	options=(--opt 2)
	[ -n "$seed" ] || options+=(--job) # a few can afford the way of an upload
	run_with "${files[@]}"
	for mode in "${MODES[@]}"; do
		IFS='|' read -r text modulo rest <<<"$mode"
		in_mode "$modulo" "$rest" "${others[@]}"
		read -ra options <<<"$text"
		run_with "${chosen[@]}"
	done
	for mode in "${LOOP_MODES[@]}"; do
		read -ra options <<<"$mode"
		run_with "${of_loops[@]}"
	done
	for f in "${files[@]}"; do
		case ${verdict[$f]} in
		0) passed=$((passed + 1)) ;;
		1) failed=$((failed + 1)) ;;
		*) skip "$f" "out of time or limits" ;;
		esac
	done
}

# random_modules FIRST COUNT
random_modules() {
	local id files=()
	find "$dir" -maxdepth 1 -type f ! -name state -delete
	node tests/diff/bytes.mjs "$seed" "$1" "$2" "$dir" || exit 1
	for ((id = $1; id < $1 + $2; id++)); do
		make_module "$id" && [ -e "$dir/$id.wasm" ] && files+=("$dir/$id.wasm")
	done
	[ ${#files[@]} = 0 ] || run_all "${files[@]}"
}

# c_programs FIRST COUNT: for each number that $csmith divides
c_programs() {
	local id rc
	[ "$csmith" = 0 ] && return
	for ((id = $1; id < $1 + $2; id++)); do
		[ $((id % csmith)) = 0 ] || continue
		B=$B tests/diff/csmith.sh "$seed" "$id"
		rc=$?
		case $rc in
		0) programs=$((programs + 1)) passed=$((passed + 1)) ;;
		1) failed=$((failed + 1)) ;;
		*) skipped=$((skipped + 1)) ;;
		esac
	done
}

report() { # MODULES-DONE
	local rate=$((($1 - resumed) * 10 / (SECONDS - begun > 0 ? SECONDS - begun : 1)))
	echo "seed $seed, $1 of $total modules and $programs C programs ($((rate / 10)).$((rate % 10)) a second): $passed passed, $failed failed, $skipped skipped"
}

# The numbers of this run, and how far it has come.
run_numbers() {
	local key at=0 count
	key="$seed $first $total $csmith $loops $(cksum <"$B/diff-run")"
	if [ "$(head -n 1 "$dir/state" 2>/dev/null)" = "$key" ]; then
		read -r at passed failed skipped programs < <(tail -n 1 "$dir/state")
		echo "fuzz-diff: going on after $at modules; to begin anew: rm $dir/state"
	fi
	resumed=$at
	for (( ; at < total; at += count)); do
		count=$((total - at < CHUNK ? total - at : CHUNK))
		random_modules $((first + at)) $count
		c_programs $((first + at)) $count
		printf '%s\n' "$key" "$((at + count)) $passed $failed $skipped $programs" >"$dir/state"
		report $((at + count))
	done
	rm -f "$dir/state"
}

programs=0 loops=${LOOPS:-5}
if [ -e "${1:-}" ]; then
	seed=
	for f in "$@"; do
		n=$dir/kept/$(basename "$f")
		[ "$f" -ef "$n" ] || cp "$f" "$n" || exit 1
		rm -f "${n%.wasm}.want"
		run_all "$n"
	done
else
	total=${1:-1000} seed=${2:-1} first=${3:-1} csmith=${CSMITH:-250}
	[[ $total$seed$first$csmith$loops =~ ^[0-9]+$ ]] || { echo "fuzz-diff: no such file, and not a number: $*" >&2; exit 64; }
	run_numbers
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
