/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as wast2json writes them: {"type": "f32", "value": "1065353216"}. Numbers are bit patterns
 * in decimal, a v128 is an array of them with a "lane_type"; a float that is expected may also be
 * "nan:canonical" or "nan:arithmetic". An externref is the number that the host gave it.
 */
#ifndef SPEC_VALUE_H
#define SPEC_VALUE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/wr.h"
#include "proto/aot_abi.h"

/* False when it is not such a value, or one that only makes sense as an expectation. */
bool spec_value_parse(const json_t *j, uint8_t *ret_type, union aot_value *ret) MUST_USE;
bool spec_value_matches(const json_t *want, uint8_t type, const union aot_value *got);
void spec_value_want(const json_t *want, struct wr *w);
/* A v128 is shown in the lanes of `want`, which may be NULL. */
void spec_value_got(uint8_t type, const union aot_value *got, const json_t *want, struct wr *w);

#endif
