#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# seconds: 120
# A penstock-aot that was taken over by a module. What it hands out as code and report: noise, nothing, too much, lies, a file that
# it goes on changing; and code that runs when it is loaded (src/native_code.c) and tries everything from inside the sandbox.
# The gateway refuses, or the sandbox's own jail holds; other functions go on.
# Would fail: with SCMP_ACT_ALLOW for any of the calls, native_code says it worked.
. tests/attack/lib.sh

real=$B/penstock-aot
cat >"${TMPDIR:-/tmp}/penstock-aot.$$" <<AOT
#!/bin/bash
PATH=/usr/bin:/bin
how=\$(cat "\${BASH_SOURCE[0]}.how" 2>/dev/null)
ok() { echo '{"ok":true,"compiler":"hostile","is_reactor":true,"functions":1}' >&3; }
case \$how in
noise) head -c 20000 /dev/urandom; ok ;;
nothing) ok ;;
elf) head -c 5000 /bin/true; ok ;;
program) cat /bin/true; ok ;;
flood) ok; for ((i = 0; i < 600; i++)); do head -c 1048576 /dev/zero || exit 1; done ;;
report_flood) cat /bin/true; head -c 6000000 /dev/zero | tr '\0' '[' >&3 ;;
report_nested) cat /bin/true; { head -c 100000 /dev/zero | tr '\0' '['; } >&3 ;;
report_noise) cat /bin/true; head -c 3000 /dev/urandom >&3 ;;
report_lies) cat /bin/true; echo '{"ok":true,"is_reactor":7,"functions":-1e300,"notes":{"a":1},"imports":"x"}' >&3 ;;
failing_ok) ok; exit 65 ;;
no_report) cat "\${BASH_SOURCE[0]}.so" ;;
killed) kill -9 \$\$ ;;
changes) cat "\${BASH_SOURCE[0]}.so"; ok; (for ((i = 0; i < 300; i++)); do printf x; sleep 0.01; done) 2>/dev/null & ;;
native) cat "\${BASH_SOURCE[0]}.so"; ok ;;
*) exec "$real" "\$@" ;;
esac
AOT
chmod +x "${TMPDIR:-/tmp}/penstock-aot.$$"
attacked_begin penstock-aot="${TMPDIR:-/tmp}/penstock-aot.$$"
rm -f "${TMPDIR:-/tmp}/penstock-aot.$$"
how() { printf '%s' "$1" >"$D/bin/penstock-aot.how"; }
clang-19 -std=gnu17 -D_GNU_SOURCE -I. -O1 -fPIC -shared -o "$D/bin/penstock-aot.so" tests/attack/src/native_code.c || die "no native code"
flow_deploy
idle_wasm || die "no module"
gateway=$(status .pid)
before=$(fds_of "$gateway")
for mode in noise nothing elf program flood report_flood report_nested report_noise report_lies failing_ok no_report killed; do
	how $mode
	manifest "x-$mode" >"$D/x.json"
	cp "$D/idle.wasm" "$D/x.wasm" # other bytes each time: what was compiled before is not compiled again
	printf '%s' "$mode" >"$D/payload"
	custom_section ballast "$D/payload" >>"$D/x.wasm"
	"$B/penstock" sign --key "$D/author.key" --manifest "$D/x.json" -o "$D/x.signed.wasm" "$D/x.wasm" >/dev/null
	if cli deploy --grant "$D/x.signed.wasm" >"$D/out" 2>&1; then
		not_ok "$mode: refused" "deployed: $(cat "$D/out")"
	else
		check "$mode: refused, with a reason" "$(cat "$D/out")" grep -qE 'compil|code|report|symbol|load|bytes' "$D/out"
	fi
done
check "others go on" "$(cli logs | tail -n 2)" flows 3
# A library that was cut off is a bus error where its pages end; tried twice, then it is refused.
check "the sandbox died of none but the cut one" "$(status '.sandbox | tostring')" [ "$(status .sandbox.restarts)" -le 3 ]

how native
printf 'native' >"$D/payload"
cp "$D/idle.wasm" "$D/native.wasm"
custom_section ballast "$D/payload" >>"$D/native.wasm"
deploy native "$D/native.wasm" 2>"$D/native.err"
check "native code was run" "$(tail -n 3 "$D/native.err")" wait_for 5 grep -aq '^native: over' "$D/gateway.log"
worked=$(grep -a '^native: ' "$D/gateway.log" | grep -avE ': (runs|over)$' | sort -u)
check "nothing of what it tried worked" "$(tr '\n' ';' <<<"$worked")" [ -z "$worked" ]
how ''
check "others go on after it" "$(cli logs | tail -n 2)" wait_for 10 flows 3
check "the gateway is the same process" "was $gateway" [ "$(status .pid)" = "$gateway" ]
check "no descriptor was left open" "$before before, $(fds_of "$gateway") now" [ "$(fds_of "$gateway")" -le $((before + 4)) ]
check "no sanitizer complained" "$(grep -aE -A 8 'ERROR: AddressSanitizer|runtime error:' "$D/gateway.log" | head -n 12)" unharmed
