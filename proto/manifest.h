/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function says of itself: JSON in the custom section "penstock.manifest", under the
 * signature. Unknown keys are errors (a typo in "publish" must not become "may publish nothing",
 * nor a later version's restriction be ignored). Absent section: defaults and no capabilities.
 *
 *	{ "name": "overheat", "version": "1.0.0", "abi": 1, "description": "...",
 *	  "limits": { "memory": "2MiB", "cpu_ms": 50, "deadline_ms": 1000, "stack": "256KiB",
 *	              "output": "64KiB", "events_per_s": 100, "concurrency": 8,
 *	              "host_calls": 10000, "log_lines_per_s": 10 },
 *	  "criticality": "normal",
 *	  "capabilities": { "publish": ["alerts/#"], "state": true, "buckets": [], "io": ["lamp"], "models": [],
 *	                    "http": [] },
 *	  "bindings": [ { "mqtt": "sensors/+/temperature", "publish": "alerts/{1}" } ] }
 */
#ifndef PROTO_MANIFEST_H
#define PROTO_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/rd.h"
#include "base/why.h"

#define MANIFEST_SECTION "penstock.manifest"

enum {
	MANIFEST_BYTES_MAX = 64 * 1024,
	MANIFEST_NAME_MAX = 63,    /* [a-z0-9][a-z0-9_-]* */
	MANIFEST_VERSION_MAX = 63, /* semantic version */
	MANIFEST_LIST_MAX = 256,
	MANIFEST_ABI = 1,
	MANIFEST_BUCKET_MAX = 64,
};

/* Who gives way when there is more to do than can be done. */
enum criticality { CRITICALITY_NORMAL, CRITICALITY_LOW, CRITICALITY_HIGH, CRITICALITIES };

struct manifest_limits {
	uint64_t memory_bytes;    /* linear memory; default 16 MiB */
	uint64_t stack_bytes;     /* default 256 KiB */
	uint64_t output_bytes;    /* default 1 MiB */
	uint32_t cpu_ms;          /* default 100 */
	uint32_t deadline_ms;     /* wall clock from arrival; default 10000 */
	uint32_t events_per_s;    /* default: as many as come */
	uint32_t concurrency;     /* events at work at a time; default 128 */
	uint32_t host_calls;      /* of one event; default 1000000 */
	uint32_t log_lines_per_s; /* default 200 */
	uint32_t criticality;     /* enum criticality; no bound, but it travels with them */
};

struct manifest_binding {
	const char *mqtt;    /* topic filter */
	const char *publish; /* topic template or NULL */
	uint8_t qos;
};

struct manifest {
	const char *name, *version, *description; /* NUL-terminated UTF-8, in the arena */
	struct manifest_limits limits;
	const char *const *publish; /* MQTT topic filters */
	size_t npublish;
	/* io: names of outputs */
	const char *const *io, *const *models, *const *http;
	size_t nio, nmodels, nhttp;
	bool state;                 /* a bucket of its own */
	const char *const *buckets; /* and shared ones */
	size_t nbuckets;
	const struct manifest_binding *bindings;
	size_t nbindings;
};

/* The most that this gateway grants; what asks for more is refused, naming field, wish and most. */
extern const struct manifest_limits manifest_limits_default, manifest_limits_most;
/* Where no gateway is asked: what none of them could grant. */
extern const struct manifest_limits manifest_limits_any;

/* What holds without a manifest: no name, no capabilities, the default limits, or where this gateway
 * grants less, those. */
void manifest_default(const struct manifest_limits *most, struct manifest *ret);

/* Reads JSON. -E_INVALID with line and reason, -E_LIMIT where more is asked than `most` allows. */
int manifest_parse(struct span json, const struct manifest_limits *most, struct arena *arena,
		   struct manifest *ret, struct why *why) MUST_USE;
/* The same from a module. Without the section: name = "", version = "0.0.0", defaults. Two such
 * sections are -E_INVALID. *ret_json (may be NULL) is the section's payload, in the module. */
int manifest_from_module(struct span module, const struct manifest_limits *most,
			 struct arena *arena, struct manifest *ret, struct span *ret_json,
			 struct why *why) MUST_USE;
/* A malloc'd module with this JSON as its only manifest section, at the end; a signature in it is
 * removed (it would not match). Checks the JSON first. */
int manifest_embed(struct span module, struct span json, uint8_t **ret_bytes, size_t *ret_len,
		   struct why *why) MUST_USE;

bool manifest_name_ok(const char *name);
const char *criticality_name(uint32_t criticality); /* "normal", "low", "high" */
bool criticality_parse(const char *name, uint32_t *ret);

/* "2MiB", "256KiB", "1GiB", "4096"; and back, with the largest unit that divides it. */
bool manifest_size_parse(const char *s, uint64_t *ret_bytes);
const char *manifest_size_text(uint64_t bytes, char *buf, size_t cap);

#endif
