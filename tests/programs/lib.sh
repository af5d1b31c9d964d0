# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests of `penstock run`: build a program twice, run it natively and as Wasm, compare. Results are lines
# "ok NAME", "not ok NAME - reason", "skip NAME - reason" for tests/run.
B=${B:-build}
case $B in /*) ;; *) B=$PWD/$B ;; esac
SRC=tests/programs/src
P=${PENSTOCK:-$B/penstock}
T=$(mktemp -d "${TMPDIR:-/tmp}/penstock-programs.XXXXXX")
trap 'rm -rf "$T"' EXIT

ok() { echo "ok $*"; }
not_ok() { echo "not ok $1 - $2"; }
skip() { echo "skip $1 - $2"; }

# same NAME STATUS-WANTED STATUS-GOT: compares $T/want.* with $T/got.*
same() {
	local part
	for part in out err; do
		if ! cmp -s "$T/want.$part" "$T/got.$part"; then
			not_ok "$1" "std$part differs"
			diff -a "$T/want.$part" "$T/got.$part" | head -n 10 | sed 's/^/# /'
			return 1
		fi
	done
	if [ "$2" != "$3" ]; then
		not_ok "$1" "exit code is $3, natively $2"
		return 1
	fi
	ok "$1"
}

# compare NAME INPUT ENV ARGS...: $T/NAME against $T/NAME.wasm; ENV is NAME=VALUE or empty
compare() {
	local name=$1 input=$2 env=$3 want got
	shift 3
	env -i ${env:+"$env"} "$T/$name" "$@" <"$input" >"$T/want.out" 2>"$T/want.err"
	want=$?
	"$P" run ${env:+--env "$env"} "$T/$name.wasm" "$@" <"$input" >"$T/got.out" 2>"$T/got.err"
	got=$?
	same "$name: as natively" $want $got
}

# expect NAME STATUS STDOUT STDERR-REGEX COMMAND...
expect() {
	local name=$1 status=$2 out=$3 err=$4 got
	shift 4
	"$@" >"$T/out" 2>"$T/err" </dev/null
	got=$?
	if [ $got != "$status" ]; then
		not_ok "$name" "exit code is $got, not $status: $(head -c 300 "$T/err" | tr '\n' ' ')"
	elif [ "$out" != "$(cat "$T/out")" ]; then
		not_ok "$name" "stdout is '$(head -c 300 "$T/out")', not '$out'"
	elif [ -z "$err" ] && [ -s "$T/err" ]; then
		not_ok "$name" "stderr should be empty: $(head -c 300 "$T/err")"
	elif ! grep -qE -- "$err" "$T/err" && [ -n "$err" ]; then
		not_ok "$name" "stderr '$(head -c 300 "$T/err" | tr '\n' ' ')' does not match '$err'"
	else
		ok "$name"
	fi
}

wat() { wat2wasm "$@"; }
