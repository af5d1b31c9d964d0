#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 400
# GPIO lines of simulated chips: the kernel's own character device, its edges, debounce, hot-plug.
. tests/vm/lib.sh
need gpio-sim
EDGES=${EDGES:-10000}

# ---- chips: sim NAME LINE=NAME...; the bank's label is NAME ----
sim() {
	local dir=/sys/kernel/config/gpio-sim/$1 name=$1 pair
	mkdir -p "$dir/bank"
	echo 8 >"$dir/bank/num_lines"
	echo "$name" >"$dir/bank/label"
	shift
	for pair; do
		mkdir "$dir/bank/line${pair%%=*}"
		echo "${pair#*=}" >"$dir/bank/line${pair%%=*}/name"
	done
	echo 1 >"$dir/live"
}
sim_file() { # CHIP OFFSET FILE
	local dir=/sys/kernel/config/gpio-sim/$1
	echo "/sys/devices/platform/$(<"$dir/dev_name")/$(<"$dir/bank/chip_name")/sim_gpio$2/$3"
}
node() { echo "/dev/$(<"/sys/kernel/config/gpio-sim/$1/bank/chip_name")"; }
set_line() { # CHIP OFFSET 0|1: the voltage
	if [ "$3" = 1 ]; then echo pull-up; else echo pull-down; fi >"$(sim_file "$1" "$2" pull)"
}
level_is() { [ "$(<"$(sim_file "$1" "$2" value)")" = "$3" ]; }

# ---- what came ----
edges_of() { sed -n "s|^edges/$1 ||p" "$D/edges"; }
edges_are() { # TOPIC JQ_CONDITION, over the list of its edges
	edges_of "$1" | jq_true -s "$2"
}
edges_become() { wait_for "${3:-20}" edges_are "$1" "$2"; }

says() { # FILTER PATTERN: the state of that binding, as doctor tells it
	cli doctor --json | jq_true --arg f "gpio: $1 " --arg p "$2" \
		'.items | map(select((.name | contains($f)) and (.text | test($p)))) | length > 0'
}
state_becomes() { # NAME FILTER PATTERN
	wait_for 20 says "$2" "$3" && { ok "$1"; return; }
	not_ok "$1" "$(cli doctor --json | jq -c '.items | map(select(.name | contains("gpio"))) | map({name, text})')"
}
edge_bind() { # LINE TOPIC OPTION...: and waits until the line is had
	local line=$1 topic=$2 args=()
	shift 2
	for option; do args+=(--with "$option"); done
	cli bind edge --gpio "$line" --publish "edges/$topic" --qos 1 "${args[@]}" >"$D/bound" 2>&1 || cat "$D/bound" >&2
	wait_for 20 says "$line" listens
}

sim plant 0=START 1=LAMP 2=COUNT 3=BOUNCE 4=LOW 5=NC 6=TAKEN 7=SIREN
sim expander 0=REMOTE 1=NC
begin '[output.lamp]' 'gpio = LAMP' 'initial = 1' '[output.siren]' 'gpio = plant/7' 'active_low = yes' 'safe = 1' \
	'[output.nowhere]' 'gpio = GPIO99' '[output.far]' 'gpio = expander/3'
for f in echo edge; do wasm $f -mexec-model=reactor && deploy $f "$D/$f.wasm" || die "$f does not deploy"; done
mosquitto_sub -p "$PORT" -t 'edges/#' -q 1 -v >"$D/edges" &

# ---- outputs ----
check "an output has its initial level from the start" "LAMP is 0" wait_for 20 level_is plant 1 1
check "active_low: 0 is high voltage" "SIREN is low" wait_for 20 level_is plant 7 1
cli output set siren 1 >/dev/null
check "active_low: 1 is low voltage" "SIREN is high" wait_for 20 level_is plant 7 0
got=$(cli output set lamp 2 2>&1)
check "a level that is none is refused, with the levels that there are" "$got" grep -q 'is 0 or 1, not 2' <<<"$got"
output_says() { cli outputs --json | jq_true --arg n "$1" --arg p "$2" '.items[] | select(.name == $n) | .detail | test($p)'; }
check "an output whose line is not there says so, and names the chips" "$(cli outputs --json)" \
	wait_for 20 output_says nowhere 'GPIO99.*not there.*plant'

# ---- an edge starts a function, whose answer sets a line ----
cli bind echo --gpio START --publish '$output/lamp' >/dev/null || die "cannot bind START"
wait_for 20 says START listens
for level in 0 1 0 1; do
	# The simulated line begins low: the first edge is the rise before.
	set_line plant 0 $((1 - level))
	wait_for 20 level_is plant 1 $((1 - level))
	set_line plant 0 $level
	check "edge -> function -> output: the lamp goes to $level" "$(cli outputs 2>&1)" wait_for 20 level_is plant 1 $level
done

# ---- edges, polarity, names ----
edge_bind plant/0 rising edge=rising
edge_bind START both
edge_bind START low active_low=yes edge=rising
for level in 0 1 0 1; do # it is 1
	set_line plant 0 $level
	sleep 0.05
done
edges_become both 'length == 4'
check "both edges, with the kernel's numbers and times" "$(edges_of both)" edges_are both \
	'map(.level) == [0, 1, 0, 1] and map(.edge) == ["falling", "rising", "falling", "rising"]'
check "every edge's number and time come after the one before" "$(edges_of both)" edges_are both \
	'[.[1:], .[:-1]] | transpose | all(.[0].sequence > .[1].sequence and .[0].time_ns > .[1].time_ns)'
check "the type is io.penstock.gpio.edge, and nothing was missed" "$(edges_of both)" edges_are both \
	'all(.type == "io.penstock.gpio.edge" and .missed == 0)'
check "a line by its chip's label and its offset; edge=rising tells rises only" "$(edges_of rising)" \
	edges_become rising 'length == 2 and all(.level == 1 and .edge == "rising")'
check "active_low: a fall of the voltage is a rise; another binding of the line has its own polarity" "$(edges_of low)" \
	edges_become low 'length == 2 and all(.level == 1 and .edge == "rising")'

# ---- debounce ----
edge_bind BOUNCE bounce debounce=1s
"$B/tests/vm/gpio_toggle" "$(sim_file plant 3 pull)" 51
check "debounce: 51 bounces are one edge" "$(edges_of bounce)" edges_become bounce 'map(.level) == [1]'
set_line plant 3 0
check "debounce: the next steady level is the next edge" "$(edges_of bounce)" edges_become bounce 'map(.level) == [1, 0]'

# ---- what is wrong is said ----
cli bind edge --gpio GPIO99 --publish edges/none >/dev/null
state_becomes "a line that is not there: the chips that are" GPIO99 'not there.*(plant|expander).*(plant|expander).*gpioinfo'
cli bind edge --gpio gpiochip0/1 --publish edges/none >/dev/null
state_becomes "chips have no numbers" gpiochip0/1 'numbers of chips change'
cli bind edge --gpio plant/8 --publish edges/none >/dev/null
state_becomes "an offset that the chip does not have" plant/8 'lines 0 to 7'
cli bind edge --gpio NC --publish edges/none >/dev/null
state_becomes "a name that several lines have: where they are" NC '2 GPIO lines.*plant/5.*expander/1'
got=$(cli bind edge --gpio START --with edge=sideways --publish edges/none 2>&1)
check "an option that makes no sense is refused at once" "$got" grep -q 'both rising falling' <<<"$got"
cli bind edge --gpio START --with bias=pull-up --publish edges/none >/dev/null
state_becomes "two bindings of a line cannot want another bias each" START 'another bias or debounce'

"$B/tests/vm/gpio_hold" "$(node plant)" 6 'pump control' >"$D/held" &
HELD=$!
wait_for 20 grep -q held "$D/held"
cli bind edge --gpio TAKEN --publish edges/taken >/dev/null
state_becomes "a busy line: who has it" TAKEN 'busy.*pump control'
end_child $HELD KILL
state_becomes "a line that was busy is used when it is free" TAKEN listens
set_line plant 6 1
check "and its edges come" "$(edges_of taken)" edges_become taken 'map(.level) == [1]'
cli bind edge --gpio LAMP --publish edges/none >/dev/null
state_becomes "a line that is an output of this gateway cannot be an input" LAMP 'busy.*of this gateway'

# ---- a chip goes and comes ----
edge_bind REMOTE remote
set_line expander 0 1
edges_become remote 'map(.level) == [1]'
cli output set far 1 >/dev/null
check "the output of a chip that will go" "$(cli outputs)" wait_for 20 level_is expander 3 1
echo 0 >/sys/kernel/config/gpio-sim/expander/live
state_becomes "a chip that went is noticed" REMOTE 'not there'
check "and the others go on" "$(edges_of taken)" eval 'set_line plant 6 0; edges_become taken "map(.level) == [1, 0]"'
echo 1 >/sys/kernel/config/gpio-sim/expander/live
state_becomes "a chip that is back is used" REMOTE listens
set_line expander 0 1
check "with a count for what nobody saw" "$(edges_of remote)" edges_become remote 'map(.level) == [1, 1] and .[1].missed == 1'
cli output set far 1 >/dev/null
check "the output is set on it, too" "$(cli outputs)" wait_for 20 level_is expander 3 1

# ---- many edges ----
edge_bind COUNT count
# On another processor, the thread of a simulated interrupt can come too late for two edges in a row, and is one.
for comm in $(grep -lx 'irq/.*-penstock' /proc/[0-9]*/comm); do
	comm=${comm#/proc/}
	taskset -cp 0 "${comm%/comm}" >/dev/null
done
began=${EPOCHREALTIME/./}
taskset -c 0 "$B/tests/vm/gpio_toggle" "$(sim_file plant 2 pull)" "$EDGES"
took=$((${EPOCHREALTIME/./} - began))
set_line plant 2 1 # the last ones tell what was missed before them
set_line plant 2 0
# The journal keeps what comes faster than the function runs, and gives it later; so they may come in another order.
# Two words for each edge: "sequence missed", by awk, because jq takes seconds for so many here.
tally() {
	edges_of count | sed -E 's/.*"sequence":([0-9]+),.*"missed":([0-9]+),.*/\1 \2/' |
		awk -v total=$((EDGES + 2)) '{ n++; missed += $2; if ($1 > last) last = $1; twice += seen[$1]++ > 0 }
			END { print n + 0, "came,", missed + 0, "are counted as missed, last number", last + 0
				exit !(n + missed == total && last == total && twice == 0) }'
}
for ((i = 0; i < 60; i++)); do # rarely: each look takes from what is looked at
	tally >/dev/null && break
	sleep 3
done
check "$EDGES edges in $((took / 1000)) ms: each came once, or is counted ($(tally))" "$(cli status --json | jq -c .things)" eval 'tally >/dev/null'

# ---- permission, safe state ----
if [ -e /sys/kernel/tracing/events ] || mount -t tracefs trace /sys/kernel/tracing; then
	echo 1 >/sys/kernel/tracing/events/gpio/gpio_value/enable
	: >/sys/kernel/tracing/trace
fi
end_child "$GATEWAY_PID" KILL
GATEWAY_PID=''
guarded() { grep -qE 'penstock-guard.* gpio_value: .*set 0' /sys/kernel/tracing/trace; }
check "after kill -9 the guard brings the line to its safe level (active_low: safe 1 is low voltage)" \
	"$(grep gpio_value /sys/kernel/tracing/trace | tail -n 5)" wait_for 20 guarded

chmod 777 "$D" && chown -R nobody "$D"/*
gateway_command() { COMMAND=(setpriv --reuid=65534 --regid=65534 --clear-groups "$B/penstockd" --config "$D/penstock.conf"); }
gateway_start || die "no gateway as nobody"
state_becomes "no permission: which group to join" COUNT 'permission denied.*group gpio'
chown nobody /dev/gpiochip*
state_becomes "permission given later is used" COUNT listens
