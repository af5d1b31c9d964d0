#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# GPIO lines of a simulated chip.
. tests/vm/lib.sh
need gpio-sim
chip=/sys/kernel/config/gpio-sim/first
mkdir $chip $chip/bank $chip/bank/line3
echo 8 >$chip/bank/num_lines
echo START >$chip/bank/line3/name
echo 1 >$chip/live
check "the kernel has gpio-sim" "no chip" [ -e /dev/gpiochip0 ]
