#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make bench-gpio: from an edge of a GPIO line to the function's start, and to the output that it sets, beside a bare poll
# loop; simulated lines in the VM of tests/vm. They take turns with every edge.
set -euo pipefail

usage() {
	cat <<-'END'
		usage: [B=build] [VM_KERNEL=DIR] bench/gpio/run.sh [--quick] [--edges N]
		  --quick    30 edges
		  --edges N  of each system (300)
		Prints a table; writes B/bench/gpio.json and B/bench/gpio/turns (every edge).
	END
}

edges=300
while [ $# -gt 0 ]; do
	case $1 in
	--quick) edges=30 ;;
	--edges) edges=${2:?--edges wants a number} && shift ;;
	--help | -h) usage && exit ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done

cd "$(dirname "$0")/../.."
B=$(realpath "${B:-build}")
VM_KERNEL=${VM_KERNEL:-$B/vm/kernel}
export B VM_KERNEL
bench=$B/bench out=$B/vm/out
die() {
	echo "bench: $*" >&2
	exit 1
}

mkdir -p "$bench/gpio" "$B/vm"
[ -e "$VM_KERNEL/.done" ] || echo "making the VM: 280 MB of packages, some minutes" >&2
{ tools/deps.sh vm "$B" && tests/vm/kernel "$VM_KERNEL"; } >"$B/vm/kernel.log" 2>&1 || die "no VM here: $(tail -n 1 "$B/vm/kernel.log")"
exec 8>"$B/vm/lock" # one VM at a time has this folder
flock 8
echo "$edges" >"$bench/gpio/edges.n"
tests/vm/run bench/gpio/edges.sh >"$B/vm/run.log" 2>&1 || die "the VM failed: $(tail -n 3 "$out/console")"
[ "$(cat "$out/edges.rc")" = 0 ] || die "in the VM: $(cat "$out/edges.out")"
! grep '^skip ' "$out/edges.out" >&2 || exit 1
cp "$out/edges.out" "$bench/gpio/turns"
awk -v edges="$edges" -v emulated="$([ -e "$out/emulated" ] && echo 1 || echo 0)" -v json="$bench/gpio.json" \
	-f bench/gpio/report.awk "$bench/gpio/turns"
