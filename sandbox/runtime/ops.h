/* SPDX-License-Identifier: Apache-2.0 */
/* The helpers that generated code calls (struct aot_ops): memory and table instructions. */
#ifndef RUNTIME_OPS_H
#define RUNTIME_OPS_H

#include "proto/aot_abi.h"

extern const struct aot_ops ops_table;

#endif
