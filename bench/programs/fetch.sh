#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fetch.sh DIR PACKAGE...: Debian's source of each package, unpacked in DIR/PACKAGE with Debian's patches, checked against the
# archive's key. With lists and a cache of its own: nothing of the system's apt is changed, and no root is needed.
# What is there already stays. Exit code 1, and a line that says why, where one cannot be had. DEBIAN_MIRROR, DEBIAN_SUITE.
set -euo pipefail
dir=${1:?usage: fetch.sh DIR PACKAGE...}
shift
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

missing=()
for package; do [ -e "$dir/$package/debian/changelog" ] || missing+=("$package"); done
[ ${#missing[@]} -gt 0 ] || exit 0

fail() { echo "no Debian sources: $*" && exit 1; }
for tool in apt-get dpkg-source; do
	command -v $tool >/dev/null || fail "there is no $tool (package dpkg-dev)"
done

key=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $key ] || fail "there is no $key (package debian-archive-keyring)"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
echo "deb-src [signed-by=$key] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} ${DEBIAN_SUITE:-bookworm} main" >"$dir/apt/sources.list"
apt() {
	apt-get -q -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User= \
		-o APT::Get::List-Cleanup=false -o Acquire::Languages=none -o Acquire::http::Timeout=20 \
		-o Acquire::Retries=1 "$@" >>"$dir/apt/log" 2>&1 </dev/null
}
: >"$dir/apt/log"
apt -o APT::Update::Error-Mode=any update || fail "$(grep -m 1 '^E:' "$dir/apt/log" || echo "apt-get update fails"), see $dir/apt/log"
for package in "${missing[@]}"; do
	work=$dir/$package.new
	rm -rf "$work" "${dir:?}/$package" && mkdir "$work"
	(cd "$work" && apt source "$package") || fail "$package: $(grep -m 1 '^E:' "$dir/apt/log"), see $dir/apt/log"
	mv "$work"/*/ "$dir/$package" && rm -rf "$work"
done
