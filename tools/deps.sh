#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tools/deps.sh PURPOSE [BUILD_DIR]: installs the Debian packages of tools/packages that PURPOSE (build, demo, check,
# bench, vm) needs and that are missing. Asks nothing; does nothing, quickly, when all are there.
set -euo pipefail
purpose=${1:?usage: tools/deps.sh build|demo|check|bench|vm [BUILD_DIR]}
build=${2:-build}
list=$(dirname "$0")/packages
stamp=$build/.deps-$purpose
status=/var/lib/dpkg/status

# Looked at already, and no package came or went since?
if [ "$stamp" -nt "$list" ] && [ "$stamp" -nt "$status" ]; then exit 0; fi
if [ ! -e "$status" ]; then
	echo "tools/deps.sh: no dpkg here; needed is what $list names" >&2
	exit 0
fi

case $purpose in
build) purposes=build ;;
demo) purposes="build demo" ;;
check) purposes="build demo check" ;;
bench) purposes="build demo bench" ;;
vm) purposes="build demo check vm vm-$(dpkg --print-architecture)" ;;
*) echo "tools/deps.sh: no purpose '$purpose'; there are build, demo, check, bench, vm" >&2; exit 64 ;;
esac

declare -A installed
while read -r state name; do
	[ "$state" = ii ] && installed[${name%%:*}]=1
done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n')

missing=()
while read -r for package command; do
	[[ " $purposes " == *" $for "* ]] || continue
	[ -n "${installed[$package]:-}" ] && continue
	[ -n "$command" ] && command -v "$command" >/dev/null && continue
	[[ " ${missing[*]-} " == *" $package "* ]] || missing+=("$package")
done < <(grep -v '^#' "$list")

if [ ${#missing[@]} -gt 0 ]; then
	sudo=()
	command=(apt-get install -y --no-install-recommends "${missing[@]}")
	if [ "$(id -u)" != 0 ]; then
		if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
			sudo=(sudo -n)
		else
			printf 'Packages are missing, and this user may not install them. Please run:\n  sudo %s\n' \
				"${command[*]}" >&2
			exit 1
		fi
	fi
	printf '  APT     %s\n' "${missing[*]}"
	mkdir -p "$build"
	log=$build/deps-$purpose.log
	# RUNLEVEL=1: on a machine without systemd the packages' services are not started.
	apt() { "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o Dpkg::Use-Pty=0 "$@"; }
	if ! { apt update && apt "${command[@]:1}"; } >"$log" 2>&1 </dev/null; then
		tail -n 15 "$log" >&2
		printf 'Installing failed (all of it: %s). To try by hand:\n  sudo apt-get update && sudo %s\n' \
			"$log" "${command[*]}" >&2
		exit 1
	fi
fi
mkdir -p "$build"
touch "$stamp"
