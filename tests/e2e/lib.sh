# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For end-to-end tests: a broker and a gateway of their own in $D, functions to deploy, and what people would look at.
# Each test prints "ok NAME", "not ok NAME - reason" or "skip NAME - reason" for tests/run.
. tools/local.sh
FUNCTIONS=tests/e2e/functions

ok() { echo "ok $*"; }
not_ok() {
	echo "not ok $1 - $2"
	# The log once per script: what comes later is rarely the cause.
	[ -n "${LOG_SHOWN:-}" ] || [ ! -s "$D/gateway.log" ] ||
		tail -n 15 "$D/gateway.log" | cut -c 1-300 | sed 's/^/# gateway: /'
	LOG_SHOWN=1
	return 0
}
skip() { echo "skip $1 - $2"; }
# check NAME REASON COMMAND...: ok when the command succeeds
check() {
	local name=$1 reason=$2
	shift 2
	if "$@"; then ok "$name"; else not_ok "$name" "$reason"; fi
}
die() {
	not_ok "${0##*/}" "$1"
	exit 1
}

# patient MS: for a bound on how long something takes. MS where nothing else computes, much more where others do.
patient() { awk -v ms="$1" -v cores="$(nproc)" '{ busy = $1 / cores; printf "%d", busy < 1 ? ms : ms * 10 * busy }' /proc/loadavg; }

# json_is JSON JQ_CONDITION
# jq 1.6 -e is content with no input at all: an answer that never came must not pass for a true one.
jq_true() { local said; said=$(jq -e "$@" 2>/dev/null) && [ -n "$said" ]; }
json_is() { jq_true "$2" <<<"$1"; }

# begin [CONFIG_LINE...]: broker, gateway, a trusted key
begin() {
	local_begin
	broker_start || die "no broker"
	gateway_config "$@"
	gateway_start || die "no gateway"
	"$B/penstock" keygen "$D/author" >/dev/null || die "keygen failed"
	cli trust "$D/author.pub" >/dev/null || die "trust failed"
}

# wasm NAME [CLANG_FLAG...]: $D/NAME.wasm from tests/e2e/functions/NAME.c, names of functions kept
wasm() {
	local name=$1
	shift
	clang-19 --target=wasm32-wasi -O2 -Isdk/include -Wno-infinite-recursion -c -o "$D/$name.o" "$FUNCTIONS/$name.c" &&
		clang-19 --target=wasm32-wasi -Wl,--strip-debug "$@" -o "$D/$name.wasm" "$D/$name.o"
}

manifest() { # NAME [MORE_JSON_MEMBERS]
	printf '{"name":"%s","version":"1.0.0","abi":1%s}\n' "$1" "${2:+,$2}"
}

# deploy NAME FILE.wasm [MORE_MANIFEST_MEMBERS]
deploy() {
	manifest "$1" "${3:-}" >"$D/$1.json"
	"$B/penstock" sign --key "$D/author.key" --manifest "$D/$1.json" -o "$D/$1.signed.wasm" "$2" >"$D/$1.deployed" 2>&1 &&
		cli deploy --grant "$D/$1.signed.wasm" >>"$D/$1.deployed" 2>&1 || {
		cat "$D/$1.deployed" >&2
		return 1
	}
}

status() { cli status --json | jq -r "$1"; }
function_is() { # NAME JQ_CONDITION
	cli functions --json | jq_true --arg n "$1" ".items[] | select(.name == \$n) | $2"
}
function_has() { # NAME JQ_EXPRESSION
	cli functions --json | jq -r --arg n "$1" ".items[] | select(.name == \$n) | $2"
}
# bind ARGUMENTS OF penstock bind...: and waits until the broker has the subscription, when it is a new one
bind() {
	local before
	before=$(status '[.brokers[].subscriptions] | add')
	cli bind "$@" >"$D/bound" 2>&1 || { cat "$D/bound" >&2; return 1; }
	wait_for 2 subscribed $((before + 1))
	return 0
}
subscribed() { [ "$(status '[.brokers[].subscriptions] | add')" -ge "$1" ]; }

# ---- another function's events keep flowing ----

# The echo function on flow/in -> flow/out, and a probe that sends it events all the time.
flow_deploy() {
	wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" || die "cannot deploy echo"
	bind echo --mqtt flow/in --publish flow/out --qos 1 || die "cannot bind echo"
	"$B/tests/e2e/probe" "$PORT" flow/in flow/out -r 20 -n 5 >/dev/null || die "the echo function does not answer"
}
flow_begin() { # [PROBE_OPTION...]
	"$B/tests/e2e/probe" "$PORT" flow/in flow/out -r 50 -n 100000 "$@" >"$D/flow.json" &
	FLOW_PID=$!
	flow_gateway=$(status .pid)
}
# flow_end NAME [MOST_MS]: nothing was lost or late, and the gateway is still the same process
flow_end() {
	local summary
	kill -TERM "$FLOW_PID"
	wait "$FLOW_PID"
	summary=$(cat "$D/flow.json")
	check "$1: other events keep flowing, none lost" "$summary" \
		json_is "$summary" ".sent > 0 and .missing == 0 and .twice == 0 and .max_us < $(patient "${2:-1000}") * 1000"
	check "$1: the gateway is the same process" "pid was $flow_gateway" [ "$(status .pid)" = "$flow_gateway" ]
}

# leb N: N as LEB128, as printf escapes
leb() {
	local n=$1
	while [ "$n" -ge 128 ]; do
		printf '\\x%02x' $((n % 128 + 128))
		n=$((n / 128))
	done
	printf '\\x%02x' "$n"
}

# custom_section NAME PAYLOAD_FILE: a custom section, to be appended to a module
custom_section() {
	local bytes
	bytes=$(stat -c %s "$2")
	printf '\0'
	printf "$(leb $((bytes + 1 + ${#1})))$(leb ${#1})%s" "$1"
	cat "$2"
}
