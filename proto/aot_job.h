/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking penstock-aot for one compile; the command line and descriptors of that program are defined
 * here, for it and for those who start it (gateway, cli).
 *
 *	penstock-aot [--target TRIPLE] [--cpu NAME] [--bounds guard|check] [--opt 0|1|2|3]
 *	             [--debug] [--details] [--cpu-seconds N] [--memory-mb N]
 *	             [--objects] [--chunk-bytes N]
 *	descriptor 0: the Wasm bytes (a file or memfd, read from offset 0)
 *	descriptor 1: the shared object is written here (empty on failure)
 *	descriptor 2: messages for people
 *	descriptor 4, with --objects: an archive of the objects that an earlier compile left there, or
 *	  nothing. Those that fit are taken as they are, unread: it must come from where nobody else
 *	  writes. It is replaced by the objects of this compile, or left empty.
 *	--chunk-bytes: compile in chunks of about so much Wasm code; for tests, the default is good
 *	descriptor 3: the report: JSON, one object (also on failure):
 *	  { "ok": true, "compiler": "LLVM 19.1.7 penstock 0.1", "target": "...", "cpu": "...",
 *	    "functions": n, "code_bytes": n, "memory_min_pages": n, "memory_max_pages": n,
 *	    "is_reactor": bool, "is_command": bool, "wall_ms": n,
 *	    "chunks": n, "reused": n,
 *	    "imports": [ { "module": "..", "name": "..", "kind": "func|table|memory|global" } ],
 *	    "exports": [ { "name": "..", "kind": ".." } ],  "notes": [ "..." ],
 *	    "phases": [ { "name": "optimise", "cpu_us": n } ],
 *	    with --details also "details": null (too many) or { "functions": [ { "index": n, "name": "..",
 *	      "wasm_bytes": n, "code_bytes": n, "frame_bytes": n } ], "remarks": [ "..." ] } }
 *	  { "ok": false, "error": "E_INVALID", "reason": "..." }
 * Exit code 0, 65 (the module is refused, reason in the report), 64 usage, 70 internal error,
 * 75 out of the time or memory given.
 */
#ifndef PROTO_AOT_JOB_H
#define PROTO_AOT_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/why.h"

enum {
	AOT_JOB_CPU_SECONDS = 30,
	AOT_JOB_MEMORY_MB = 1024,
	AOT_EXIT_REFUSED = 65,
	AOT_EXIT_USAGE = 64,
	AOT_EXIT_INTERNAL = 70,
	AOT_EXIT_LIMIT = 75,
	AOT_REPORT_BYTES_MAX = 4 << 20,
};

struct aot_job_options {
	const char *target; /* NULL = this machine */
	const char *cpu;    /* NULL = this CPU ("native"); "generic" ... */
	bool bounds_check;  /* --bounds=check */
	int opt;            /* -1 = default (2) */
	bool debug;         /* keep DWARF, for gdb */
	bool details;       /* in the report */
	bool has_objects;   /* objects_fd is one: --objects, borrowed */
	int objects_fd;
	unsigned chunk_bytes;            /* 0 = default */
	unsigned cpu_seconds, memory_mb; /* 0 = defaults above; wall clock limit = 2 * cpu + 10 s */
};

struct aot_job; /* one running compile */

/* Starts penstock-aot on the bytes of wasm_fd (borrowed, any offset). Returns 0 and the job, or
 * -errno. Its memfds are not yet sealed. */
int aot_job_start(int wasm_fd, const struct aot_job_options *o, struct aot_job **ret_job,
		  struct why *why) MUST_USE;
/* For event loops: the process to watch. */
pid_t aot_job_pid(const struct aot_job *j);
uint64_t aot_job_wall_limit_ms(const struct aot_job *j);

/* What came of it, with the status of waitpid(). 0: *ret_so_fd is the shared object (memfd, sealed
 * against change, close-on-exec, the caller's) and *ret_report the report (malloc'd, valid JSON,
 * NUL-terminated). Else -E_INVALID, -E_UNSUPPORTED, -E_LIMIT, -E_TIME, -E_GONE (it crashed), with
 * the reason. Frees the job in each case. */
int aot_job_finish(struct aot_job *j, int status, int *ret_so_fd, char **ret_report,
		   struct why *why) MUST_USE;
/* Start, wait and finish in one call; kills it at the wall clock limit. */
int aot_job_run(int wasm_fd, const struct aot_job_options *o, int *ret_so_fd, char **ret_report,
		struct why *why) MUST_USE;
/* Kills and frees; NULL is fine. */
void aot_job_cancel(struct aot_job *j);

#endif
