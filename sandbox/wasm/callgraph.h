/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How deep calls can nest: the heaviest way through the call graph, where that has no cycle.
 *
 * A call_indirect may reach every function of its type that the module takes a reference of, in a
 * segment, a global's start value or an export; what the tables really hold is not looked at. Calls
 * of imports end here. A function that the compiler inlines has no frame of its own while its
 * caller's has grown, so frames as compiled, along calls as written, are an upper bound.
 */
#ifndef WASM_CALLGRAPH_H
#define WASM_CALLGRAPH_H

#include "sandbox/wasm/module.h"

enum callgraph_result {
	CALLGRAPH_BOUNDED,        /* bytes */
	CALLGRAPH_RECURSION,      /* func calls itself, perhaps through others */
	CALLGRAPH_IMPORTED_TABLE, /* others decide what func calls */
};

struct callgraph_bound {
	enum callgraph_result result;
	uint64_t bytes;
	uint32_t func;
};

/* From every export and the start function. frame_bytes: by function index. Temporary data is
 * malloc'd; -ENOMEM. */
int callgraph_bound(const struct wasm_module *m, const uint64_t *frame_bytes,
		    struct callgraph_bound *ret) MUST_USE;

#endif
