/* SPDX-License-Identifier: Apache-2.0 */
/* What stack a module takes when it is compiled for this machine. */
#ifndef CLI_INSPECT_STACK_H
#define CLI_INSPECT_STACK_H

#include <jansson.h>
#include <stdio.h>

#include "sandbox/wasm/module.h"

/* {"largest_frame": {"function", "bytes"}, "bound_bytes": n | null, "entry": NAME | "unbounded":
 * REASON}, or {"unknown": REASON} where it cannot be compiled. */
json_t *inspect_stack(const struct wasm_module *m);
/* Lines of people's output; NULL: nothing. */
void inspect_stack_print(const json_t *stack, int label_column, FILE *out);

#endif
