/* SPDX-License-Identifier: Apache-2.0 */
/* Which proposals, beyond the first version of WebAssembly, a module makes use of. */
#ifndef WASM_FEATURES_H
#define WASM_FEATURES_H

#include "sandbox/wasm/module.h"

/* FEATURE(id, name as in the tool conventions' target_features) */
#define WASM_FEATURES(FEATURE)                                                                     \
	FEATURE(MUTABLE_GLOBALS, "mutable-globals")                                                \
	FEATURE(SIGN_EXT, "sign-ext")                                                              \
	FEATURE(SATURATING, "nontrapping-fptoint")                                                 \
	FEATURE(MULTIVALUE, "multivalue")                                                          \
	FEATURE(BULK_MEMORY, "bulk-memory")                                                        \
	FEATURE(REFERENCE_TYPES, "reference-types")                                                \
	FEATURE(SIMD, "simd128")

enum wasm_feature {
#define FEATURE(id, name) WASM_FEATURE_##id,
	WASM_FEATURES(FEATURE)
#undef FEATURE
		WASM_FEATURE_COUNT
};

/* Bit i is set where feature i is used. */
uint32_t wasm_features(const struct wasm_module *m);
const char *wasm_feature_name(enum wasm_feature f);

#endif
