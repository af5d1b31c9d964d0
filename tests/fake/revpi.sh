# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The real penstockd with a fake piControl: what tests/e2e/revpi.sh (preloaded) and tests/vm/revpi.sh (CUSE) have in common.

pi() { "$B/tests/fake/picontrol-ctl" "$PI" "$@"; }
pi_is() { [ "$(pi get "$1")" = "$2" ]; }
pi_counts() { [ "$(pi count "$1")" "$2" "$3" ]; }
byte_is() { [ "$(od -An -tu1 -j "$1" -N 1 "$PI" | tr -d ' ')" = "$2" ]; }

told() { sed -n "s|^io/$1 ||p" "$D/told"; }
told_are() { told "$1" | jq_true -s "$2"; } # TOPIC JQ_CONDITION, over the list
told_become() { wait_for 20 told_are "$1" "$2"; }
says() { # FILTER PATTERN: the state of that binding
	cli doctor --json | jq_true --arg f "io: $1 " --arg p "$2" \
		'.items | map(select((.name | contains($f)) and (.text | test($p)))) | length > 0'
}
state_becomes() { # NAME FILTER PATTERN
	wait_for 30 says "$2" "$3" && { ok "$1"; return; }
	not_ok "$1" "$(cli doctor --json | jq -c '.items | map(select(.name | contains("io:"))) | map({name, text})')"
}
io_bind() { # NAME TOPIC OPTION...: and waits until it is looked at
	local name=$1 topic=$2 args=()
	shift 2
	for option; do args+=(--with "$option"); done
	cli bind io --io "$name" --publish "io/$topic" --qos 1 "${args[@]}" >"$D/bound" 2>&1 || cat "$D/bound" >&2
	wait_for 30 says "$name" listens
	sleep 0.2 # some samples: where it stands is no event
}

# The offsets of all modules but the first, so many bytes further on.
moved() { jq -c --argjson by "$1" '.Devices[1:] |= map(.offset += $by)' tests/fake/config.rsc; }

# The device is made by device_up, of who sources this; DEV is what penstockd opens.
revpi_begin() { # FUNCTION...
	local f
	local_begin
	PI=$D/piControl0
	cp tests/fake/config.rsc "$D/config.rsc"
	pi make "$D/config.rsc" && device_up || die "no fake piControl"
	broker_start || die "no broker"
	gateway_config '[revpi]' "device = $DEV" "config_rsc = $D/config.rsc" 'cycle_ms = 5' \
		'[output.pump]' 'io = pump' '[output.level]' 'io = OutputValue_1' 'safe = -1' '[output.led]' 'io = RevPiLED' 'safe = keep' \
		'[output.speed]' 'io = PWM_1' 'safe = 9' '[output.input]' 'io = I_1'
	gateway_start || die "no gateway"
	"$B/penstock" keygen "$D/author" >/dev/null && cli trust "$D/author.pub" >/dev/null || die "no trusted key"
	for f; do wasm $f -mexec-model=reactor && deploy $f "$D/$f.wasm" || die "$f does not deploy"; done
	mosquitto_sub -p "$PORT" -t 'io/#' -q 1 -v >"$D/told" 2>/dev/null &
	LISTENER=$!
}
local_cleanup() {
	[ -z "${LISTENER:-}" ] || end_child "$LISTENER"
	if declare -F device_down >/dev/null; then device_down; fi
}

revpi_outputs() {
	pi set O_1 1 # another program's
	cli bind echo --io t_start --publish '$output/pump' >/dev/null || die "cannot bind t_start"
	wait_for 30 says t_start listens
	sleep 0.2
	for level in 1 0 1; do
		pi set t_start $level
		check "input -> function -> output: the pump goes to $level" "$(cli outputs 2>&1)" wait_for 20 pi_is pump $level
	done
	check "other bits of its byte stay what they are" "O_1 is $(pi get O_1)" pi_is O_1 1
	if [ "$DEV" = "$PI" ]; then
		cli output set -- level -1000 >/dev/null
		check "an output of 16 bits, below zero" "$(cli outputs)" wait_for 20 pi_is OutputValue_1 64536
	else
		skip "an output of 16 bits" "CUSE does not hand on where a pwrite is to go; tests/e2e/revpi.sh has it"
	fi
	cli output set speed 200 >/dev/null
	check "an output of 8 bits" "$(cli outputs)" wait_for 20 pi_is PWM_1 200
	got=$(cli output set level 65536 2>&1)
	check "a value beyond its bits is refused, with what they hold" "$got" grep -q '16 bits: -32768 to 65535' <<<"$got"
	got=$(cli output set input 1 2>&1)
	check "an input is not set" "$got" grep -q 'is an input of RevPi DIO' <<<"$got"
}

revpi_inputs() {
	pi set notaus_ok 1
	io_bind notaus_ok stop
	pi set notaus_ok 0
	check "an edge says its device and its name" "$(told stop)" told_become stop \
		'length == 1 and .[0].value == 0 and .[0].edge == "falling" and .[0].device == "RevPi DIO, position 32" and
		 .[0].bits == 1 and .[0].name == "notaus_ok" and .[0].type == "io.penstock.io.change"'
	io_bind InputValue_1 level deadband=100 signed=yes
	for v in 100 65500 64000; do pi set InputValue_1 $v; sleep 0.1; done
	check "a value beyond its dead band, with its sign" "$(told level)" told_become level \
		'length == 1 and .[0].value == -1536 and .[0].change == -1536'
	pi set Counter_1 4294967000
	io_bind Counter_1 count counter=yes
	pi set Counter_1 4294967290
	pi set Counter_1 10
	check "a counter goes on over its wrap" "$(told count)" told_become count \
		'length > 1 and .[0].change == 0 and (map(.change) | add) == 306 and .[-1].value == 10'
	cli bind io --io I_99 --publish io/none >/dev/null
	state_becomes "a name that is not there" I_99 'no "I_99" among the 21 names.*PiCtory'
	cli bind io --io InputMode_1 --publish io/none >/dev/null
	state_becomes "a setting is no input" InputMode_1 'is a setting of RevPi DIO'
}

revpi_reset() {
	cp tests/fake/config.rsc "$D/before"
	moved 200 >"$D/config.rsc"
	cli bind io --io I_14 --publish io/later >/dev/null
	state_becomes "saved in PiCtory and not reset: said, and not used" I_14 'driver not reset; piTest -x'
	pi stop
	state_becomes "a bridge that is being reset is a state" notaus_ok 'being reset'
	pi reset "$D/config.rsc"
	state_becomes "after the reset the names are looked up again" I_14 listens
	for level in 1 0; do
		pi set t_start $level
		check "input -> function -> output where they are now: $level" "$(cli outputs)" wait_for 20 pi_is pump $level
	done
	check "nothing was written where the output was: byte 81" "$(od -An -tu1 -j 81 -N 1 "$PI")" byte_is 81 3
	check "no edge came of the move" "$(told stop)" told_are stop 'length <= 2'
	pi set Counter_1 15
	check "the counter goes on" "$(told count)" told_become count '.[-1].value == 15'
}

# With [revpi] watchdog_ms.
revpi_watchdog() { # WATCHDOG_MS
	gateway_stop
	pi set pump 0
	sed -i "s/^cycle_ms.*/&\nwatchdog_ms = $1/" "$D/penstock.conf"
	gateway_start || die "no gateway with a watchdog"
	check "a watchdog is armed when the first output is set, not before" "armed: $(pi count armed)" pi_counts armed = 0
	cli output set pump 1 >/dev/null
	check "the output is set" "$(cli outputs)" wait_for 20 pi_is pump 1
	check "and the watchdog is armed" "armed: $(pi count armed)" pi_counts armed = 1
	pi set O_1 1
	sleep "$(($1 / 1000 + 1))" # longer than the watchdog has
	check "who does nothing keeps up the watchdog" "pump is $(pi get pump), O_1 is $(pi get O_1)" eval 'pi_is pump 1 && pi_is O_1 1'
	kill -STOP "$GATEWAY_PID"
	check "one that hangs: the driver switches off every module's outputs" "pump is $(pi get pump), O_1 is $(pi get O_1)" \
		wait_for 30 eval 'pi_is pump 0 && pi_is O_1 0'
	kill -CONT "$GATEWAY_PID"
	check "which is said" "nothing in the log" wait_for 20 grep -q 'output watchdog refreshed too late' "$D/gateway.log"
	sleep 0.5
	check "and not undone" "pump is $(pi get pump)" pi_is pump 0
	cli output set pump 1 >/dev/null
	wait_for 20 pi_is pump 1
	pi set O_1 1
	gateway_stop
	check "a planned end: its own output goes to its safe state, another program's stays" \
		"pump is $(pi get pump), O_1 is $(pi get O_1)" eval 'pi_is pump 0 && pi_is O_1 1'
	gateway_start || die "no gateway"
	cli output set pump 1 >/dev/null
	wait_for 20 pi_is pump 1
	end_child "$GATEWAY_PID" KILL
	check "kill -9: the driver switches off every module's outputs" "pump is $(pi get pump), O_1 is $(pi get O_1)" \
		wait_for 30 eval 'pi_is pump 0 && pi_is O_1 0'
	GATEWAY_PID=''
	check "exported outputs are never used: a pause would switch them off" "exported: $(pi count exported)" pi_counts exported = 0
}

revpi_restart() {
	local before
	before=$(told count | wc -l)
	end_child "$GATEWAY_PID" KILL
	pi set Counter_1 115
	gateway_start || die "no gateway after kill -9"
	check "what it counted while the gateway was dead is told" "$(told count | tail -n +$((before + 1)))" told_become count \
		'.[-1].value == 115 and .[-1].previous == 15 and .[-1].change == 100'
}
