#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The WebAssembly 2.0 test suite, SIMD, through compiler and runtime. See tests/spec/run.sh.
# seconds: 900
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/spec/lib.sh
spec_part simd
