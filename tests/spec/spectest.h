/* SPDX-License-Identifier: Apache-2.0 */
/* The host module `spectest` that the suite's modules import from: a module descriptor like the
 * compiler's, written by hand, so that it is linked as any other instance is. */
#ifndef SPEC_SPECTEST_H
#define SPEC_SPECTEST_H

#include "proto/aot_abi.h"

extern const struct aot_module spectest_module;

#endif
