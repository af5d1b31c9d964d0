#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-http: from a request to its reply, under wrk, on one machine: nginx with a file of 256 bytes, and a function
# that makes the same bytes, with each request in the journal (process) or not (off). They take turns in every round.
set -euo pipefail

usage() {
	cat <<-'END'
		usage: [B=build] bench/http/run.sh [--quick] [--rounds N] [--ms N]
		  --quick     one round of 2 seconds each
		  --rounds N  how often each takes its turn (3)
		  --seconds N of each turn (5)
		Prints a table; writes B/bench/http.json (medians over the rounds) and B/bench/http/turns (every run).
	END
}

rounds=3 seconds=5
while [ $# -gt 0 ]; do
	case $1 in
	--quick) rounds=1 seconds=2 ;;
	--rounds) rounds=${2:?--rounds wants a number} && shift ;;
	--seconds) seconds=${2:?--seconds wants a number} && shift ;;
	--help | -h) usage && exit ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done

# shellcheck source=bench/path/lib.sh
. "$(dirname "$0")/../path/lib.sh"
local_begin
results=$bench/http
mkdir -p "$results"
: >"$results/turns"
NGINX_PID=''
local_cleanup() { [ -z "$NGINX_PID" ] || end_child "$NGINX_PID" QUIT; }

# ---- nginx, with one file ----
nginx_start() {
	NGINX=$(free_port)
	mkdir -p "$D/www"
	printf '{"pump":"p-4","state":"running","note":"%s"}' "$(printf '%214s' '' | tr ' ' .)" >"$D/www/file"
	[ "$(stat -c %s "$D/www/file")" = 256 ] || die "the file has not 256 bytes"
	chmod -R a+rX "$D"
	cat >"$D/nginx.conf" <<-END
		daemon off;
		pid $D/nginx.pid;
		worker_processes auto;
		error_log $D/nginx.log;
		events { worker_connections 1024; }
		http {
			access_log off;
			sendfile on;
			tcp_nopush on;
			keepalive_requests 1000000000;
			client_body_temp_path $D/nginx-body;
			proxy_temp_path $D/nginx-proxy;
			fastcgi_temp_path $D/nginx-fastcgi;
			uwsgi_temp_path $D/nginx-uwsgi;
			scgi_temp_path $D/nginx-scgi;
			server { listen 127.0.0.1:$NGINX; root $D/www; }
		}
	END
	PATH=$PATH:/usr/sbin nginx -e "$D/nginx.log" -c "$D/nginx.conf" &
	NGINX_PID=$!
	wait_for 5 port_open "$NGINX" || die "nginx does not start: $(tail -n 3 "$D/nginx.log")"
}

# ---- the gateway, without a broker ----
penstock_start() {
	HTTP=$(free_port)
	PORT=1 gateway_config '[http]' "listen = 127.0.0.1:$HTTP"
	sed -i '/^\[mqtt\]/,/^backoff/d' "$D/penstock.conf"
	gateway_start || die "no gateway"
	cli keygen "$D/author" >/dev/null && cli trust "$D/author.pub" >/dev/null
	printf '{"name":"hello","version":"1.0.0","abi":1}\n' >"$D/hello.json"
	cli sign --key "$D/author.key" --manifest "$D/hello.json" -o "$D/hello.wasm" "$B/bench/hello.wasm" >/dev/null
	cli deploy --grant "$D/hello.wasm" >"$D/deployed" || die "$(cat "$D/deployed")"
	cli bind hello --http /process --durability process >/dev/null
	cli bind hello --http /off --durability off >/dev/null
	wait_for 5 port_open "$HTTP" || die "HTTP does not listen"
}

# turn SYSTEM CONNECTIONS
turn() {
	local port=$HTTP path=/$1 method=post line
	[ "$1" = nginx ] && port=$NGINX path=/file method=get
	line=$(wrk -t1 -c"$2" -d"${seconds}s" -s bench/http/load.lua "http://127.0.0.1:$port$path" -- $method | grep '^result ') ||
		die "wrk has no result for $1"
	echo "$1 $2 ${line#result }" >>"$results/turns"
}

nginx_start
penstock_start
for ((round = 1; round <= rounds; round++)); do
	for connections in 1 16 64; do
		for system in nginx off process; do
			[ ! -t 2 ] || printf '\r  round %d of %d, %d connections: %-10s' "$round" "$rounds" "$connections" "$system" >&2
			turn "$system" "$connections"
		done
	done
done
[ ! -t 2 ] || printf '\r%60s\r' '' >&2
awk -v json="$bench/http.json" -f bench/http/report.awk "$results/turns"
