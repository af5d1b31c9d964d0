/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of proto/aot_job.h, in two steps: the process that knows the module writes all but the
 * end, its parent adds what only it knows and closes the object.
 */
#ifndef COMPILER_REPORT_H
#define COMPILER_REPORT_H

#include "base/wr.h"
#include "sandbox/compiler/compile.h"

void report_module(struct wr *w, const struct wasm_module *m, const struct target *t,
		   const struct compile_result *r);
void report_close(struct wr *w, const char *extra_note, unsigned long long wall_ms);
/* As a JSON string. */
void report_string(struct wr *w, const void *p, size_t n);
/* A whole report of a failure. */
void report_failure(struct wr *w, int err, const struct why *why);

#endif
