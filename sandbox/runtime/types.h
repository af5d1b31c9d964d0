/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Function types of the whole process: equal signatures get equal ids, so that call_indirect and
 * linking compare two integers. A module holds a reference to each of its types; an id whose last
 * reference is gone is given out again.
 */
#ifndef RUNTIME_TYPES_H
#define RUNTIME_TYPES_H

#include "base/util.h"
#include "base/why.h"
#include "base/wr.h"
#include "proto/aot_abi.h"

struct types;

enum { TYPES_MAX = 1 << 20 };

struct types *types_new(void) MUST_USE;
void types_free(struct types *ts);

/* The id of a signature, with one more reference. -ENOMEM, -E_LIMIT (TYPES_MAX in use). */
int types_ref(struct types *ts, const struct aot_functype *ft, uint32_t *ret_id) MUST_USE;
void types_unref(struct types *ts, uint32_t id);

/* "(i32, i64) -> (f32)" */
void types_text(const struct aot_functype *ft, struct wr *w);
void types_text_of_id(struct types *ts, uint32_t id, struct wr *w);
const char *types_value_name(uint8_t type); /* "i32"; "?" */

#endif
