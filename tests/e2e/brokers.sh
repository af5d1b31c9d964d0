#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Brokers that ask for a password or speak TLS, and configuration files that make no sense.
. tests/e2e/lib.sh

state_is() { [ "$(status '.brokers[0].state')" = "$1" ]; }
explained() { status '.brokers[0].detail' | grep -qiE "$REASON"; }
reachable() { cli status --json >/dev/null 2>&1; }
# try NAME connected|waiting CONFIG_LINE...: a gateway with this configuration gets that far
try() {
	local name=$1 want=$2
	shift 2
	gateway_config "$@"
	gateway_ready() { reachable; }
	gateway_start || { not_ok "$name" "the gateway does not start"; return; }
	if [ "$want" = connected ]; then
		check "$name" "$(status '.brokers[0] | tostring')" wait_for 30 state_is connected
	else
		wait_for 30 explained
		detail=$(status '.brokers[0].detail')
		check "$name" "state is $(status '.brokers[0].state'), detail '$detail'" [ "$(status '.brokers[0].state')" != connected ]
		check "$name, and says why" "detail is '$detail'" grep -qiE "$REASON" <<<"$detail"
	fi
	gateway_stop
}

local_begin
printf 'pump:secret\n' >"$D/users"
chmod 600 "$D/users"
mosquitto_passwd -U "$D/users"
chmod 644 "$D/users"
chmod 755 "$D"
PORT=$(free_port)
{
	printf 'listener %s 127.0.0.1\nallow_anonymous false\npassword_file %s\nlog_dest stderr\n' "$PORT" "$D/users"
} >"$D/mosquitto.conf"
PATH=$PATH:/usr/sbin mosquitto -c "$D/mosquitto.conf" >>"$D/mosquitto.log" 2>&1 &
BROKER_PID=$!
wait_for 5 port_open "$PORT" || die "no broker with passwords: $(tail -n 2 "$D/mosquitto.log")"
echo secret >"$D/password"
echo wrong >"$D/wrong"
chmod 600 "$D/password" "$D/wrong"
REASON='password|user|authori|credential'
for version in 3 5; do
	try "version $version: the right password is let in" connected "version = $version" 'username = pump' "password_file = $D/password"
	try "version $version: a wrong password is not" waiting "version = $version" 'username = pump' "password_file = $D/wrong"
done
broker_stop

cert() { # NAME SUBJECT_ALT_NAME
	openssl req -newkey rsa:2048 -nodes -keyout "$D/$1.key" -out "$D/$1.csr" -subj "/CN=$1" 2>/dev/null &&
		printf 'subjectAltName=%s\n' "$2" >"$D/$1.ext" &&
		openssl x509 -req -in "$D/$1.csr" -CA "$D/ca.crt" -CAkey "$D/ca.key" -CAcreateserial -days 2 \
			-extfile "$D/$1.ext" -out "$D/$1.crt" 2>/dev/null && chmod 644 "$D/$1.key"
}
if command -v openssl >/dev/null; then
	for ca in ca other; do
		openssl req -x509 -newkey rsa:2048 -nodes -keyout "$D/$ca.key" -out "$D/$ca.crt" -days 2 -subj "/CN=test $ca" 2>/dev/null
	done
	cert right IP:127.0.0.1,DNS:localhost
	cert elsewhere DNS:elsewhere.example
	for who in right elsewhere; do
		port=$(free_port)
		printf 'listener %s 127.0.0.1\nallow_anonymous true\ncertfile %s\nkeyfile %s\ncafile %s\nlog_dest stderr\n' \
			"$port" "$D/$who.crt" "$D/$who.key" "$D/ca.crt" >"$D/mosquitto.conf"
		PATH=$PATH:/usr/sbin mosquitto -c "$D/mosquitto.conf" >>"$D/mosquitto.log" 2>&1 &
		BROKER_PID=$!
		wait_for 5 port_open "$port" || die "no broker with TLS: $(tail -n 2 "$D/mosquitto.log")"
		tls="url = ssl://localhost:$port"
		REASON='certificate|TLS|SSL|verif'
		gateway_config() {
			mkdir -p "$D/state" "$D/run"
			{
				printf '[gateway]\nstate_dir = %s/state\nruntime_dir = %s/run\n[mqtt]\n%s\n' "$D" "$D" "$tls"
				printf '%s\n' "$@"
			} >"$D/penstock.conf"
		}
		if [ $who = right ]; then
			try "TLS: a certificate of our CA is accepted" connected "ca_file = $D/ca.crt"
			try "TLS: one of another CA is not" waiting "ca_file = $D/other.crt"
			try "TLS: one that no CA of the system signed is not" waiting
		else
			try "TLS: a certificate of another host is not accepted" waiting "ca_file = $D/ca.crt"
			try "TLS: ... unless verify = no says so" connected "ca_file = $D/ca.crt" 'verify = no'
		fi
		broker_stop
	done
else
	skip "TLS" "no openssl to make certificates with"
fi

bad_config() { # NAME REGEX LINES
	printf '%b' "[gateway]\nstate_dir = $D/state\nruntime_dir = $D/run\n$3" >"$D/bad.conf"
	local err rc
	err=$(timeout 5 "$B/penstockd" --config "$D/bad.conf" 2>&1 </dev/null)
	rc=$?
	if [ $rc = 0 ] || [ $rc = 124 ]; then not_ok "$1" "it started ($rc)"; else
		check "$1" "says: $err" grep -qE -- "$2" <<<"$err"
	fi
}
bad_config "an unknown key is an error with file, line and key" 'bad.conf:5.*rocket' '[mqtt]\nrocket = 1\n'
bad_config "an unknown section is an error" 'bad.conf:[45].*mqqt' '[mqqt]\nurl = x\n'
bad_config "a number out of bounds is an error" 'bad.conf:5.*workers' '[sandbox]\nworkers = 100000\n'
bad_config "a value of the wrong kind is an error" 'bad.conf:5.*payload_bytes' '[limits]\npayload_bytes = lots\n'
check "--help-config names every key" "$("$B/penstockd" --help-config 2>&1 | head -n 3)" \
	grep -q backoff_max_ms <("$B/penstockd" --help-config 2>&1)
