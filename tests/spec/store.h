/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instances of one test script: modules compiled by penstock-aot, instantiated and run by the
 * gateway's own runtime, found by the names that the script gave them. Nothing is ever freed: a
 * function of an instance may live on in another's table, and the process ends with the script.
 */
#ifndef SPEC_STORE_H
#define SPEC_STORE_H

#include "proto/aot_job.h"
#include "sandbox/runtime/worker.h"

enum { STORE_VALUES_MAX = 64 };

struct store;

struct store_outcome {
	enum aot_trap trap;     /* AOT_TRAP_NONE: it returned */
	uint8_t trap_text[512]; /* NUL-terminated */
	uint32_t n;             /* results, of these types */
	const uint8_t *types;
	union aot_value values[STORE_VALUES_MAX]; /* arguments before the call */
};

/* Makes the calling thread the one that runs guests, and the module spectest. The options are
 * borrowed for good. */
struct store *store_new(const struct aot_job_options *o, struct why *why) MUST_USE;

/* Compiles a file as an upload is compiled. 0, or the compiler's refusal. */
int store_compile(struct store *s, const char *path, struct module **ret, struct why *why) MUST_USE;
/* Resolves imports among registered instances and allocates; see instance_new(). */
int store_instantiate(struct store *s, const struct module *m, struct instance **ret,
		      struct why *why) MUST_USE;
/* Copies segments and calls the start function. */
void store_start(struct store *s, struct instance *in, struct store_outcome *o);

/* A module that is part of this program, for import by others under that name. */
int store_adopt(struct store *s, const char *name, const struct aot_module *aot,
		struct why *why) MUST_USE;
/* Code that this process has already loaded. */
int store_adopt_module(struct store *s, const struct aot_module *aot, struct module **ret,
		       struct why *why) MUST_USE;
/* For import by others under that name. */
int store_register(struct store *s, const char *name, size_t len, struct instance *in) MUST_USE;

/* -E_UNKNOWN (no such export), -E_INVALID (the arguments are of other types; why says which). */
int store_invoke(struct store *s, struct instance *in, const char *name, size_t len,
		 struct store_outcome *o, const uint8_t *arg_types, uint32_t nargs,
		 struct why *why) MUST_USE;
int store_get(struct instance *in, const char *name, size_t len, struct store_outcome *o,
	      struct why *why) MUST_USE;

#endif
