/* SPDX-License-Identifier: Apache-2.0 */
/* Wasm values as people write them: decimal or hex, nan, inf, null. */
#ifndef RUNTIME_VALUES_H
#define RUNTIME_VALUES_H

#include <stdbool.h>

#include "base/util.h"
#include "base/wr.h"
#include "proto/aot_abi.h"

/* False when text is not a value of that type. Integers may be given signed or unsigned. */
bool value_parse(const char *text, uint8_t type, union aot_value *ret) MUST_USE;
/* Integers signed, floats with as many digits as bring the same value back, references as "null"
 * or "ref", v128 in hex, lane 0 last: 0x and 32 digits. */
void value_print(const union aot_value *v, uint8_t type, struct wr *w);

#endif
