# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For attacks on whole programs: a gateway in $D/bin whose neighbours can be replaced, with sanitizers where it is built so.
. tests/e2e/lib.sh

# programs NAME=FILE...: penstockd and its neighbours in $D/bin; a NAME that is given is that FILE instead
programs() {
	local name given
	mkdir -p "$D/bin"
	for name in penstockd penstock-aot penstock-sandbox; do cp "$B/$name" "$D/bin/$name"; done
	[ ! -x "$B/san/penstockd" ] || cp "$B/san/penstockd" "$D/bin/penstockd"
	for given; do cp "${given#*=}" "$D/bin/${given%%=*}"; done
	gateway_command() { COMMAND=("$D/bin/penstockd" --config "$D/penstock.conf"); }
	export ASAN_OPTIONS=detect_leaks=0:exitcode=99
}

# attacked_begin [NAME=FILE...] [-- CONFIG_LINE...]: as begin, with these programs
attacked_begin() {
	local given=()
	local_begin
	while [ $# -gt 0 ] && [ "$1" != -- ]; do given+=("$1"); shift; done
	[ $# = 0 ] || shift
	programs "${given[@]+"${given[@]}"}"
	broker_start || die "no broker"
	gateway_config "$@"
	gateway_start || die "no gateway"
	"$B/penstock" keygen "$D/author" >/dev/null || die "keygen failed"
	cli trust "$D/author.pub" >/dev/null || die "trust failed"
}

fds_of() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
rss_kb_of() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

# One event through the function behind flow/in, within SECONDS
flows() { "$B/tests/e2e/probe" "$PORT" flow/in flow/out -q 1 -n 1 -r 1 -w $((${1:-1} * 1000)) >/dev/null 2>&1; }
# No sanitizer complained, nothing was ENSUREd in vain
unharmed() { ! grep -aqE 'ERROR: AddressSanitizer|runtime error:|Assertion|ENSURE' "$D/gateway.log"; }

# A reactor that does nothing, for those who only need a function: $D/idle.wasm
idle_wasm() {
	echo '(module (memory (export "memory") 1) (func (export "on_event") (result i32) (i32.const 0)))' >"$D/idle.wat"
	wat2wasm "$D/idle.wat" -o "$D/idle.wasm"
}
