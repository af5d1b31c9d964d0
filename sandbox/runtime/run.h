/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock-sandbox run`: one compiled module in the foreground, as any Wasm runtime does. */
#ifndef RUNTIME_RUN_H
#define RUNTIME_RUN_H

#include <stdint.h>

#include "base/rd.h"
#include "base/util.h"
#include "base/why.h"

enum { RUN_EXIT_USAGE = 64, RUN_EXIT_REFUSED = 65, RUN_EXIT_INTERNAL = 70, RUN_EXIT_TRAP = 134 };

struct run_options {
	int so_fd;
	const char *so_path;   /* NULL, or where that file is, for debuggers */
	struct span env, args; /* NUL-separated; args: the program's, its name first */
	uint64_t cpu_ns;       /* 0 = no limit */
	uint32_t memory_pages, stack_bytes;
	int replay_fd;            /* -1, or of an event to be run again (proto/kept_event.h) */
	const char *invoke;       /* NULL = on_event, with stdin as the event, else _start */
	char *const *invoke_args; /* NULL-terminated */
};

/* Returns the exit code of the process; says on stderr why when it is not the program's own. */
int run(const struct run_options *o);

#endif
