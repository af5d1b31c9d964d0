#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A penstockd with few descriptors, and a neighbour who takes them: connections to the API that say nothing, large payloads (each a
# memfd) while they are held. It says no or waits, does not spin, loses nothing that it accepted, and is whole again
# as soon as they are gone.
# Would fail: with an accept() that is asked again and again while it says EMFILE (processor time), or an event that is lost for it.
. tests/attack/lib.sh

attacked_begin || die "cannot begin"
wasm echo -mexec-model=reactor && deploy echo "$D/echo.wasm" '"limits":{"output":"1MiB"}' || die "cannot deploy"
bind echo --mqtt flow/in --publish flow/out --qos 1 || die "cannot bind"
gateway_stop
least=96
gateway_command() { COMMAND=(bash -c "ulimit -n $least; exec \"\$@\"" limited "$D/bin/penstockd" --config "$D/penstock.conf"); }
gateway_start || die "does not start with $least descriptors: $(tail -n 2 "$D/gateway.log")"
[ "$(awk '/Max open files/ { print $4 }' "/proc/$GATEWAY_PID/limits")" = "$least" ] || die "the limit is not in force"
flows 5 || die "it does not answer with $least descriptors"
before=$(fds_of "$GATEWAY_PID")
ticks() { local f; read -ra f <"/proc/$1/stat"; echo $((f[13] + f[14])); }

cat >"$D/hold.py" <<'E_PY'
import socket, sys, time
held = []
for _ in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(0.2)
    try:
        s.connect(sys.argv[1])
    except OSError:
        continue
    held.append(s)
print(len(held), flush=True)
time.sleep(float(sys.argv[3]))
E_PY
python3 "$D/hold.py" "$PENSTOCK_SOCKET" 200 4 >"$D/held" &
holder=$!
wait_for 20 test -s "$D/held"
from=$(ticks "$GATEWAY_PID")
got=$("$B/tests/e2e/probe" "$PORT" flow/in flow/out -q 1 -n 20 -r 50 -w 2000)
check "held connections: events go on" "$got" json_is "$got" '.answered == 20'
head -c 400000 /dev/zero | tr '\0' x >"$D/large"
mosquitto_sub -p "$PORT" -t flow/out -q 1 -C 10 -W 15 -F %l >"$D/large.heard" &
reader=$!
sleep 0.3
for ((i = 0; i < 10; i++)); do mosquitto_pub -p "$PORT" -q 1 -t flow/in -f "$D/large" & done
wait $reader
large=$(wc -l <"$D/large.heard")
spent=$(($(ticks "$GATEWAY_PID") - from))
check "the neighbour held what it could get" "$(cat "$D/held")" [ "$(cat "$D/held")" -gt 30 ]
check "held connections: it does not spin" "$spent ticks of processor time" [ "$spent" -lt 150 ]
wait $holder
check "afterwards it answers at once" "$(cli status 2>&1 | tail -n 1)" wait_for 5 gateway_ready
check "large payloads go on, or are refused with a reason" "$large of 10 heard; $(function_has echo '.counts | tostring')" \
	[ "$large" = 10 -o "$(function_has echo '.counts.failed + .counts.refused')" -gt 0 ]
recovered() { [ "$(fds_of "$GATEWAY_PID")" -le $((before + 2)) ]; }
check "afterwards no descriptor is left" "$before before, $(fds_of "$GATEWAY_PID") now" wait_for 5 recovered
check "afterwards events go on" "$(tail -n 2 "$D/gateway.log")" flows 5
said=$(grep -ac "errno 24" "$D/gateway.log")
check "the log is not flooded" "$said lines" [ "$said" -lt 20 ]
check "it is the same process" "$(tail -n 2 "$D/gateway.log")" [ "$(status .pid)" = "$GATEWAY_PID" ]
check "no sanitizer complained" "$(tail -n 3 "$D/gateway.log")" unharmed
