#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# TLS to mosquitto: whose certificate is what, what does not fit and how that is said, files that are replaced under a gateway.
. tests/e2e/lib.sh
command -v openssl >/dev/null || { skip "TLS" "no openssl to make certificates with"; exit 0; }

days='-days 2'
ca() { openssl req -x509 -newkey rsa:2048 -nodes -keyout "$D/$1.key" -out "$D/$1.crt" $days -subj "/CN=test $1" 2>/dev/null; }
# cert NAME CA [SUBJECT_ALT_NAME [X509_OPTION...]]
cert() {
	local name=$1 by=$2 alt=${3:-DNS:$1}
	shift $(($# < 3 ? $# : 3))
	openssl req -newkey rsa:2048 -nodes -keyout "$D/$name.key" -out "$D/$name.csr" -subj "/CN=$name" 2>/dev/null &&
		printf 'subjectAltName=%s\n' "$alt" >"$D/$name.ext" &&
		openssl x509 -req -in "$D/$name.csr" -CA "$D/$by.crt" -CAkey "$D/$by.key" -CAcreateserial \
			-extfile "$D/$name.ext" -out "$D/$name.crt" ${@:-$days} 2>/dev/null && chmod 644 "$D/$name.key"
}
# broker CERT [CONFIG_LINE...]: on $PORT
broker() {
	local cert=$1
	shift
	{
		printf 'listener %s 127.0.0.1\nallow_anonymous true\nlog_dest stderr\n' "$PORT"
		printf 'certfile %s\nkeyfile %s\ncafile %s\n' "$D/$cert.crt" "$D/$cert.key" "$D/good.crt"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$D/mosquitto.conf"
	PATH=$PATH:/usr/sbin mosquitto -c "$D/mosquitto.conf" >>"$D/mosquitto.log" 2>&1 &
	BROKER_PID=$!
	wait_for 5 port_open "$PORT" || die "no broker with TLS: $(tail -n 2 "$D/mosquitto.log")"
}
state_is() { [ "$(status '.brokers[0].state')" = "$1" ]; }
says() { status '.brokers[0].detail' | grep -qE "$1"; }
reachable() { cli status --json >/dev/null 2>&1; }
gateway_config() {
	export PENSTOCK_SOCKET=$D/run/penstock.sock
	mkdir -p "$D/state" "$D/run"
	{
		printf '[gateway]\nstate_dir = %s/state\nruntime_dir = %s/run\n[mqtt]\nbackoff_max_ms = 1000\n' "$D" "$D"
		printf '%s\n' "$@"
	} >"$D/penstock.conf"
}
# try NAME "connected"|REGEX_OF_DETAIL CONFIG_LINE...
try() {
	local name=$1 want=$2
	shift 2
	gateway_config "$@"
	gateway_ready() { reachable; }
	gateway_start || { not_ok "$name" "the gateway does not start"; return; }
	if [ "$want" = connected ]; then
		wait_for 10 state_is connected
		check "$name" "$(status '.brokers[0] | tostring')" state_is connected
	else
		wait_for 15 says "$want"
		check "$name" "detail is '$(status '.brokers[0].detail')'" says "$want"
	fi
	gateway_stop
}

local_begin
chmod 755 "$D"
PORT=$(free_port)
ca good && ca other || die "openssl makes no CA"
cert right good IP:127.0.0.1,DNS:localhost && cert elsewhere good DNS:elsewhere.example,DNS:two.example &&
	cert old good IP:127.0.0.1,DNS:localhost -not_before 20200101000000Z -not_after 20210101000000Z ||
	cert old good IP:127.0.0.1,DNS:localhost -days -1 || die "openssl makes no certificates"
cert us good && cert stranger other || die "openssl makes no certificates for us"
url="url = ssl://localhost:$PORT"

broker right
try "a certificate of our CA is accepted" connected "$url" "ca_file = $D/good.crt"
try "of another CA: which, and what to do" 'signed by no CA that ca_file .*other.crt has .*set ca_file' "$url" "ca_file = $D/other.crt"
try "of no CA of the system" 'signed by no CA that the system has' "$url"
try "a key of another certificate is named" 'key_file .*stranger.key does not belong to cert_file .*us.crt' "$url" \
	"ca_file = $D/good.crt" "cert_file = $D/us.crt" "key_file = $D/stranger.key"
try "a file without a certificate is named" 'ca_file .*good.key has no certificate' "$url" "ca_file = $D/good.key"
try "plain MQTT on a TLS port" 'does not answer as an MQTT' "url = tcp://localhost:$PORT"
broker_stop
broker elsewhere
try "a certificate of another name: which" 'for another name \(elsewhere.example, two.example\)' "$url" "ca_file = $D/good.crt"
try "... verify = no takes it" connected "$url" "ca_file = $D/good.crt" 'verify = no'
broker_stop
broker old
try "an expired certificate: since when, and what to do" 'has expired \(its own: 20.*renew it there, or check' "$url" "ca_file = $D/good.crt"
broker_stop
broker_start >/dev/null 2>&1
try "TLS on a plain port" '(does not speak TLS|hung up).*plain port.*tcp://localhost' "$url" "ca_file = $D/good.crt"
broker_stop

# ---- a certificate of ours ----

broker right 'require_certificate true'
try "the broker wants a certificate of ours" 'wants a certificate of ours, set cert_file' "$url" "ca_file = $D/good.crt"
try "it does not accept the one we have" 'does not accept our certificate, cert_file .*stranger.crt' "$url" "ca_file = $D/good.crt" \
	"cert_file = $D/stranger.crt" "key_file = $D/stranger.key"
try "it accepts one of its CA" connected "$url" "ca_file = $D/good.crt" "cert_file = $D/us.crt" "key_file = $D/us.key"

# ---- replaced under a running gateway ----

cp "$D/us.crt" "$D/mine.crt"
cp "$D/us.key" "$D/mine.key"
gateway_config "$url" "ca_file = $D/good.crt" "cert_file = $D/mine.crt" "key_file = $D/mine.key"
gateway_start || die "no gateway"
wait_for 10 state_is connected
connects() { grep -c 'msg="connected to the broker"' "$D/gateway.log"; }
before=$(connects)
more_connects() { [ "$(connects)" -gt "$before" ]; }
echo nonsense >"$D/mine.crt"
warned() { grep -q 'new files for the broker make no sense' "$D/gateway.log"; }
wait_for 20 warned
check "a new certificate that makes no sense is left alone, with a warning" "$(tail -n 3 "$D/gateway.log")" warned
check "... and the connection stays" "$(status '.brokers[0] | tostring')" [ "$(connects)" = "$before" ]
cert us2 good && cp "$D/us2.crt" "$D/mine.crt" && cp "$D/us2.key" "$D/mine.key"
wait_for 20 more_connects
check "a new certificate and key are used without a restart" "$(tail -n 3 "$D/gateway.log")" more_connects
check "... for the same session" "$(tail -n 3 "$D/gateway.log")" wait_for 5 state_is connected
gateway_stop
broker_stop

# ---- servers in turn ----

broker_start || die "no broker"
try "a list of servers: the first that answers is taken" connected "url = tcp://127.0.0.1:1 tcp://127.0.0.1:$PORT"
