#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The WebAssembly test suite as a 64-bit ARM machine runs it: our code for it, compiled here, and our runtime, built for it, under
# qemu. (make check-spec-arm64 calls it.)
#   tests/spec/arm64.sh [core|simd|own|NAME...]    as run.sh, and with its variables
#   B         build directory (default build), with penstock-aot; what is for ARM goes to B-arm64
#   SYSROOT   where Debian's headers and libraries for ARM are (default B-arm64/sysroot: made once, 50 s and 0.4 GB)
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
arm=$B-arm64
SYSROOT=${SYSROOT:-$arm/sysroot}
packages=libc6-dev,libgcc-12-dev,linux-libc-dev,libseccomp-dev,libsodium-dev,libjansson-dev,libck-dev

for command in qemu-aarch64-static mmdebstrap; do
	command -v $command >/dev/null && continue
	echo "check-spec-arm64: no $command; install packages qemu-user-static and mmdebstrap"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
done
mkdir -p "$arm" || exit 1

if [ "$(cat "$SYSROOT/.done" 2>/dev/null)" != "$packages" ]; then
	echo "check-spec-arm64: fetching Debian's libraries for ARM into $SYSROOT"
	rm -rf "$SYSROOT"
	mmdebstrap --variant=extract --architectures=arm64 --include=$packages bookworm "$SYSROOT" >"$arm/mmdebstrap.log" 2>&1 || {
		tail -n 5 "$arm/mmdebstrap.log" >&2
		echo "check-spec-arm64: mmdebstrap failed; all it said: $arm/mmdebstrap.log" >&2
		exit 1
	}
	# Absolute links would lead to this machine's libraries.
	find "$SYSROOT/usr/lib" -type l -lname '/*' | while read -r link; do
		ln -snfr "$SYSROOT$(readlink "$link")" "$link"
	done
	echo "$packages" >"$SYSROOT/.done"
fi
export QEMU_LD_PREFIX=$SYSROOT
make --no-print-directory -j2 B="$arm" CC="clang-19 --target=aarch64-linux-gnu --sysroot=$(realpath "$SYSROOT")" LDFLAGS=-fuse-ld=lld-19 \
	"$arm/spec-run" || exit 1
# The compiler is this machine's: qemu starts programs of another kind as they are.
cp "$B/penstock-aot" "$arm/penstock-aot" || exit 1
RUNNER="qemu-aarch64-static $arm/spec-run --target aarch64-linux-gnu" CPU=${CPU:-cortex-a72} B=$arm tests/spec/run.sh "$@"
