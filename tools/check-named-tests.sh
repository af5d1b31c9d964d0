#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# doc/SANDBOX.md argues with tests: the files and test functions that it names are there.
set -uo pipefail
doc=doc/SANDBOX.md bad=0
while read -r path; do
	[ -e "tests/$path" ] || [ -e "$path" ] || [ -e "sandbox/compiler/$path" ] || { echo "$doc: there is no $path" && bad=1; }
done < <(grep -oE '`[a-z_0-9/]+\.(c|h|sh|wast)`' $doc | tr -d '`' | sort -u)
while read -r name; do
	grep -rqE "\b$name\(void \*\*state\)" tests/unit || { echo "$doc: there is no test $name" && bad=1; }
done < <(grep -E '`unit/' $doc | sed 's/`[^`]*`//g' | grep -oE '\b[a-z0-9]+(_[a-z0-9]+){3,}\b' | sort -u)
exit $bad
