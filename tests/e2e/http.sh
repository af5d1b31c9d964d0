#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 200
# Requests over HTTP: functions answer them, or they are accepted; what is refused, and how.
. tests/e2e/lib.sh

HTTP=$(free_port)
invoke_token=$(mktemp "${TMPDIR:-/tmp}/penstock-token.XXXXXX")
local_cleanup() { rm -f "$invoke_token"; }
begin '[http]' "listen = 127.0.0.1:$HTTP" 'invoke = yes' "token_file = $invoke_token" \
	'max_body = 64KiB' 'max_connections = 40' 'max_per_address = 20' 'header_timeout_ms = 1500' 'body_timeout_ms = 1500' 'idle_timeout_ms = 4000'
wasm web -mexec-model=reactor && deploy web "$D/web.wasm" \
	'"limits":{"deadline_ms":1500,"cpu_ms":1000},"capabilities":{"state":true,"publish":["web/out"]}' || die "cannot deploy web"
wasm echo_command && deploy shout "$D/echo_command.wasm" || die "cannot deploy a command"
url=http://127.0.0.1:$HTTP
echo open-sesame >"$D/bound.token"
echo invoke-me >"$invoke_token"
http_bind() { cli bind "$@" >"$D/bound" 2>&1 || die "bind $*: $(cat "$D/bound")"; }
http_bind web --http /web/+
http_bind web --http /get/+ --with method=GET
http_bind web --http /any/thing --with method=any
http_bind web --http /stored/+ --with reply=accept
http_bind web --http /locked --with token_file="$D/bound.token"
http_bind web --http /missing --with token_file="$D/none.token"
http_bind web --http /rated --with rate=1
http_bind shout --http /shout
wait_for 5 port_open "$HTTP" || die "HTTP does not listen"

# ask PATH [CURL_ARGUMENT...]: $status, $body, $head
ask() {
	local path=$1
	shift
	status=$(curl -sS --max-time 20 -o "$D/body" -D "$D/head" -w '%{http_code}' "$@" "$url$path" 2>"$D/curl.err")
	body=$(tr -d '\0' <"$D/body") head=$(tr -d '\r' <"$D/head")
}
# answers NAME STATUS PATH [CURL_ARGUMENT...]
answers() {
	local name=$1 want=$2
	shift 2
	ask "$@"
	check "$name" "status $status, body '$body', $(cat "$D/curl.err")" [ "$status" = "$want" ]
}
header() { grep -qi "^$1: $2" <<<"$head"; }

# ---- answers ----
answers 'a bound path answers' 200 '/web/a%20b?x=1&y=%20' -d '{"a":1}' -H 'Content-Type: application/json' -H 'traceparent: 00-1-2-03'
check 'the function sees the request' "$body" json_is "$body" \
	'.path == "/web/a b" and .method == "POST" and .query == "x=1&y=%20" and .type == "application/json" and .bytes == 7 and .from == "127.0.0.1" and .trace == "00-1-2-03"'
check 'JSON is told as JSON, with the number of the event' "$head" header content-type application/json
event=$(sed -n 's/^[Pp]enstock-[Ee]vent: //p' <<<"$head")
check 'that event is in the journal, with its end' "$(cli events show "$event" --json 2>&1)" \
	json_is "$(cli events show "$event" --json)" '.state == "done" and .source == "http" and .topic == "/web/a b"'
answers 'the output of a command is the answer' 200 /shout -d 'hello'
check 'the output of a command is all of the answer' "$body" [ "$body" = hello ]
check 'text is told as text' "$head" header content-type 'text/plain; charset=utf-8'
answers 'a function chooses status and type' 410 /web/gone -d ''
check 'a function chooses the content type' "$head" header content-type text/csv
answers 'an answer can be empty' 200 /web/nothing -d ''
check 'an empty answer has length 0' "$head" header content-length 0
answers 'a GET binding answers GET' 200 /get/x
answers 'any method' 200 /any/thing -X PATCH -d x
head -c 60000 /dev/urandom | base64 -w0 | head -c 60000 >"$D/large"
answers 'a large body comes whole' 200 /web/echo --data-binary "@$D/large"
check 'a large body comes back whole' "other bytes" cmp -s "$D/large" "$D/body"
answers 'a chunked body comes whole' 200 /web/echo -H 'Transfer-Encoding: chunked' --data-binary "@$D/large"
check 'a chunked body comes back whole' "other bytes" cmp -s "$D/large" "$D/body"
answers 'after 100-continue' 200 /web/echo -H 'Expect: 100-continue' --data-binary "@$D/large"
check 'after 100-continue: all' "other bytes" cmp -s "$D/large" "$D/body"
for want in 1 2 3; do ask /web/count -d ''; done
check 'state is committed before the answer' "count is $body" [ "$body" = 3 ]

# ---- effects ----
mosquitto_sub -p "$PORT" -t web/# -v -W 60 >"$D/out" &
sub=$!
hears() { mosquitto_pub -p "$PORT" -t web/ready -m x; grep -q '^web/ready' "$D/out"; }
wait_for 20 hears || die "no subscriber"
answers 'what it publishes goes out as well' 200 /web/publish -d ''
check 'its message reaches the broker' "$(cat "$D/out")" wait_for 20 grep -q '^web/out on$' "$D/out"
kill "$sub"

# ---- failures ----
answers 'a function that fails is 502' 502 /web/fail -d ''
check 'the reason and the event are told' "$body" json_is "$body" '.error.code == "E_FAILED" and (.error.event | tonumber > 0)'
answers 'a trap is 502' 502 /web/trap -d ''
answers 'no answer in time is 504' 504 /web/slow -d ''
answers 'what it may not do fails it' 502 /web/secret -d ''
ask /web/fail -d ''
event=$(jq -r .error.event <<<"$body")
check 'an event whose caller was told is not tried again' "$(cli events show "$event" --json)" \
	json_is "$(cli events show "$event" --json)" '.state == "done" and .attempts == 1'

# ---- accept ----
answers 'accepted: 202' 202 /stored/publish -d ''
event=$(jq -r .event <<<"$body")
event_done() { json_is "$(cli events show "$event" --json)" '.state == "dead" or .state == "done"'; }
check 'what was accepted runs, and says how it went' "$(cli events show "$event" --json)" wait_for 20 event_done

# ---- who may ----
answers 'without the token: 401' 401 /locked -d ''
check '401 says how' "$head" header www-authenticate Bearer
answers 'with a wrong token: 401' 401 /locked -d '' -H 'Authorization: Bearer open-sesam'
answers 'with the token' 200 /locked -d '' -H 'Authorization: Bearer open-sesame'
answers 'a token file that is missing lets nobody in' 401 /missing -d '' -H 'Authorization: Bearer '
echo other-word >"$D/bound.token"
sleep 1.1
answers 'the old token is not good any more' 401 /locked -d '' -H 'Authorization: Bearer open-sesame'
answers 'a changed token file counts' 200 /locked -d '' -H 'Authorization: Bearer other-word'
answers '/f/NAME without its token' 401 /f/web -d ''
answers '/f/NAME' 200 /f/web -d '' -H 'Authorization: Bearer invoke-me'
answers '/f/NAME of nobody' 404 /f/nobody -d '' -H 'Authorization: Bearer invoke-me'

# ---- what is refused ----
answers 'an unbound path is 404' 404 /nobody -d ''
check '404 lists nothing' "$body" json_is "$body" '(.error | keys) == ["code", "message"]'
answers 'another method is 405' 405 /web/x
check '405 says which' "$head" header allow POST
answers 'HEAD is 405' 405 /get/x -I
answers 'OPTIONS is 405' 405 /any/thing -X OPTIONS
check 'OPTIONS says which' "$head" header allow 'GET, POST, PUT, DELETE'
head -c 70000 /dev/zero >"$D/huge"
answers 'a body that is too large is 413' 413 /web/echo --data-binary "@$D/huge"
answers 'so is a chunked one' 413 /web/echo -H 'Transfer-Encoding: chunked' --data-binary "@$D/huge"
answers 'headers that are too large are 431' 431 /web/x -d '' -H "x-long: $(head -c 20000 /dev/zero | tr '\0' a)"
ask /rated -d ''
answers 'too often is 429' 429 /rated -d ''
check '429 says when' "$head" header retry-after 1

# ---- slow clients ----
# raw BYTES...: sends them (printf), prints what comes until the server closes
raw() { timeout 15 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"; printf "$1" >&3; cat <&3' "$HTTP" "$1"; }
answer=$(raw 'POST /web/x HTTP/1.1\r\nHost: x\r\nX: ')
check 'a head that does not come ends in 408' "$answer" grep -q '^HTTP/1.1 408' <<<"$answer"
answer=$(raw 'POST /web/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12')
check 'a body that does not come ends in 408' "$answer" grep -q '^HTTP/1.1 408' <<<"$answer"
silent=()
for _ in {1..25}; do exec {fd}<>"/dev/tcp/127.0.0.1/$HTTP"; silent+=("$fd"); done
answers 'more connections than one address may have are turned away' 503 /web/x -d ''
for fd in "${silent[@]}"; do exec {fd}>&-; done
again() { ask /web/x -d ''; [ "$status" = 200 ]; }
check 'and then let in again' "status $status" wait_for 10 again
answer=$(raw 'POST /shout HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nonePOST /shout HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo')
check 'requests sent ahead are answered in order' "$answer" [ "$(grep -o 'one\|two' <<<"$answer" | tr '\n' ' ')" = 'one two ' ]

# ---- a burst ----
seq 400 | xargs -P 8 -I{} curl -sS --max-time 20 -o /dev/null -w '%{http_code}\n' -d x "$url/web/count" >"$D/codes" 2>&1
ask /web/count -d ''
good=$(grep -c '^200$' "$D/codes")
check 'what was answered with 200 happened, once' "count $body, $good of 400 were 200: $(sort "$D/codes" | uniq -c | tr '\n' ' ')" \
	[ "$body" = "$((3 + good + 1))" ]

# ---- a sandbox that dies ----
seq 400 | xargs -P 8 -I{} curl -sS --max-time 30 -o /dev/null -w '%{http_code}\n' -d x "$url/web/x" >"$D/codes" 2>&1 &
asking=$!
half() { [ "$(wc -l <"$D/codes")" -ge 100 ]; }
wait_for 60 half
kill -9 "$(status .sandbox.pid)"
wait "$asking"
check 'each request is answered, also while the sandbox dies' "$(sort "$D/codes" | uniq -c | tr '\n' ' ')" \
	[ "$(grep -cE '^(200|502|503|504)$' "$D/codes")" = 400 ]
check 'and answered well afterwards' "status $status" wait_for 30 again

# ---- the configuration ----
printf '[http]\nlisten = 0.0.0.0:8080\n' >"$D/open.conf"
said=$("$B/penstockd" --check-config --config "$D/open.conf" 2>&1)
check 'an address that others can reach is refused, and why' "$said" grep -q 'insecure = yes' <<<"$said"
printf 'insecure = yes\n' >>"$D/open.conf"
check 'unless it is said to be wanted' "refused" "$B/penstockd" --check-config --config "$D/open.conf"
