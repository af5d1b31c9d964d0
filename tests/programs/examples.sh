#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The commands among the five forms of overheat, on the same readings, under `penstock run`: one answer.
. tests/programs/lib.sh

forms=(overheat-command overheat-rust overheat-assemblyscript)
for form in "${forms[@]}"; do
	if [ ! -e "$B/examples/$form.wasm" ]; then
		skip "$form: answers as the C command does" "not built here"
		continue
	fi
	while IFS= read -r reading; do
		printf '%s' "$reading" | "$P" run "$B/examples/$form.wasm" 2>&1
		echo " [$?]"
	done <tests/programs/readings.txt >"$T/$form"
	if [ "$form" = overheat-command ]; then
		want='{"alert":"overheat","sensor":"boiler-1","celsius":93.4,"limit":90} [0]'
		if [ "$(head -n 1 "$T/$form")" = "$want" ]; then ok "$form: the alert"; else
			not_ok "$form: the alert" "$(head -n 1 "$T/$form")"; fi
	elif cmp -s "$T/overheat-command" "$T/$form"; then
		ok "$form: answers as the C command does"
	else
		not_ok "$form: answers as the C command does" "differs"
		diff "$T/overheat-command" "$T/$form" | head -n 10 | sed 's/^/# /'
	fi
done
