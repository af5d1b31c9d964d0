#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 500
# In the VM, for bench/gpio/run.sh: edges of simulated lines, on each of which something sets a line of its own. Prints
# "SYSTEM start|output NS" for each edge. The kernel's clock is asked everywhere: for an edge the time stamp of its event
# (start) or the entry of its interrupt in the kernel's trace, for an output the set in the trace.
. tests/vm/lib.sh
need gpio-sim
EDGES=$(<"$B/bench/gpio/edges.n")
WARM=10 # edges at the beginning, of each system, that count for nothing
SYSTEMS=(loop off process start_off start_process)

chip=/sys/kernel/config/gpio-sim/bench
mkdir -p "$chip/bank"
echo $((2 * ${#SYSTEMS[@]})) >"$chip/bank/num_lines"
echo bench >"$chip/bank/label"
echo 1 >"$chip/live"
sim_file() { echo "/sys/devices/platform/$(<"$chip/dev_name")/$(<"$chip/bank/chip_name")/sim_gpio$1/$2"; }

trace=/sys/kernel/tracing
[ -e $trace/events ] || mount -t tracefs trace $trace || die "no tracefs"
echo mono >$trace/trace_clock
echo 'name ~ "penstock*"' >$trace/events/irq/irq_handler_entry/filter
echo 1 >$trace/events/irq/irq_handler_entry/enable
echo 1 >$trace/events/gpio/gpio_value/enable
echo 8192 >$trace/buffer_size_kb

# ---- the gateway, without a broker: lines 2*I and 2*I+1 are input and output of SYSTEMS[I] ----
local_begin
config=()
for ((i = 1; i < ${#SYSTEMS[@]}; i++)); do config+=("[output.${SYSTEMS[i]}]" "gpio = bench/$((2 * i + 1))"); done
PORT=1 gateway_config "${config[@]}"
sed -i '/^\[mqtt\]/,/^backoff/d' "$D/penstock.conf"
gateway_start || die "no gateway"
"$B/penstock" keygen "$D/author" >/dev/null && cli trust "$D/author.pub" >/dev/null || die "no key"
for ((i = 1; i < ${#SYSTEMS[@]}; i++)); do
	name=${SYSTEMS[i]}
	case $name in start_*) function=start ;; *) function=level ;; esac
	deploy "$name" "$B/bench/gpio/$function.wasm" || die "$name does not deploy"
	cli bind "$name" --gpio "bench/$((2 * i))" --publish "\$output/$name" --durability "${name#start_}" >/dev/null || die "cannot bind $name"
done
listen() { [ "$(cli doctor --json | jq '.items | map(select((.name | contains("gpio")) and (.text | contains("listens")))) | length')" = $((${#SYSTEMS[@]} - 1)) ]; }
wait_for 30 listen || die "the gateway does not listen: $(cli doctor)"

# ---- the loop ----
"$B/bench/gpio/loop" "/dev/$(<"$chip/bank/chip_name")" 0 1 >"$D/loop" &
LOOP_PID=$!
local_cleanup() { end_child $LOOP_PID KILL; }
taken() { grep -q 'penstock-bench.*out' /sys/kernel/debug/gpio; }
wait_for 10 taken || die "the loop has no lines"

lines=()
for ((i = 0; i < ${#SYSTEMS[@]}; i++)); do lines+=("${SYSTEMS[i]}" "$(sim_file $((2 * i)) pull)" "$(sim_file $((2 * i + 1)) value)"); done
: >$trace/trace
"$B/bench/gpio/edges" $((WARM + EDGES)) $trace/trace_marker "${lines[@]}" || die "not all edges came through: $(tail -n 5 "$D/gateway.log")"

# ---- results ----
cp $trace/trace /vm/edges.trace # for who wants to look
sed -nE 's/.*function says.*start_(off|process).*started after ([0-9]+) ns.*/\1 start \2/p' "$D/gateway.log" |
	awk -v warm=$WARM '++n[$1] > warm'
tail -n +$((WARM + 1)) "$D/loop"
awk -v warm=$WARM -f bench/gpio/trace.awk /vm/edges.trace
