#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 600
# A penstock-sandbox that was taken over (hostile_sandbox.c) against the real penstockd: noise, malformed and well-formed lies
# by thousands, descriptors of the wrong kind and number, memory that changes or is too small, silence. It costs that process its
# life or nothing; the gateway stays the same process, publishes nothing that was not granted, and the next honest event is served.
# Would fail: without the check of seals in ipc_memfd_map(), memory_that_shrinks ends the gateway by SIGBUS.
. tests/attack/lib.sh

attacked_begin penstock-sandbox="$B/tests/attack/hostile_sandbox"
idle_wasm || die "no module"
deploy echo "$D/idle.wasm" '"capabilities":{"publish":["flow/#"]}' || die "cannot deploy"
bind echo --mqtt flow/in --publish flow/out --qos 1 || die "cannot bind"
flows 5 || die "the honest half does not answer"
mosquitto_sub -p "$PORT" -t '#' -q 1 -F '%t' >"$D/heard" 2>/dev/null &
spy=$!
gateway=$(status .pid)
before=$(fds_of "$gateway")

# What is asked of it, and whether the gateway has to end it for that.
attacks='noise:ends oversized:ends empty:ends gateways_own:ends unknown_type:ends well_formed:any malformed:ends
answers_twice:any foreign_topics:any asks_without_end:ends memory_that_shrinks:any memory_too_small:any memory_that_lies:any
memory_too_large:any a_pipe_for_memory:any a_device_for_memory:any many_descriptors:ends a_descriptor_each:ends hello_again:ends
many_workers:any closes_its_socket:ends stops_reading:any stops:any dies:ends start-another_version:ends start-noise:ends
start-closes_its_socket:ends start-well_formed:any start-many_workers:any start-hello_again:ends'
replaced() { [ "$(status .sandbox.restarts)" -gt "$1" ]; }
for row in $attacks; do
	name=${row%:*} id=a-${name//_/-}
	deploy "$id" "$D/idle.wasm" '"limits":{"deadline_ms":1000},"capabilities":{"publish":["granted/#"]}' 2>/dev/null ||
		{ not_ok "$name" "cannot deploy: $(tail -n 1 "$D/$id.deployed")"; continue; }
	bind "$id" --mqtt "attack/$name" --publish granted/topic --qos 1
	restarts=$(status .sandbox.restarts)
	mosquitto_pub -p "$PORT" -q 1 -t "attack/$name" -m "attack $name $((RANDOM * 32768 + RANDOM))"
	[ "${row#*:}" = any ] || wait_for 60 replaced "$restarts" || not_ok "$name: costs it its life" "$(status '.sandbox | tostring')"
	check "$name: the next honest event is served" "$(cli logs 2>&1 | tail -n 3)" wait_for 60 flows 3
	[ "$(status .pid)" = "$gateway" ] || die "$name: the gateway is gone: $(grep -aE 'ERROR|runtime error' "$D/gateway.log" | head -n 2)"
done
# A function dies twice before it is in quarantine, and "start-" once more each time: the pauses add up.
pause=$(grep -ao 'restart_in_ms=[0-9]*' "$D/gateway.log" | cut -d= -f2 | sort -n | tail -n 1)
check "nobody waits longer than 2 s for a restart" "restart_in_ms=$pause" [ "$pause" -le 2000 ]
check "no sanitizer complained" "$(grep -aE -A 8 'ERROR: AddressSanitizer|runtime error:' "$D/gateway.log" | head -n 12)" unharmed
after=$(fds_of "$gateway")
own=$(cli functions --json | jq '.items | length') # each keeps its code
check "no descriptor was left open" "$before before, $after now, $own functions" [ "$after" -le $((before + own + 3)) ]
kill $spy
wait $spy 2>/dev/null
stolen() { grep -avE '^(flow|granted|attack)/|^penstock/[^/]*/status$' "$D/heard"; }
check "nothing was published that was not granted" "$(stolen | head -n 3)" [ -z "$(stolen)" ]
check "status, functions and logs are JSON still" "$(cli functions --json | head -c 200)" \
	bash -c '"$0" functions --json | jq -e . >/dev/null && "$0" status --json | jq -e . >/dev/null && "$0" logs --json | jq -e . >/dev/null' "$B/penstock"
gateway_stop
check "it ends as told" "$(tail -n 2 "$D/gateway.log")" unharmed
