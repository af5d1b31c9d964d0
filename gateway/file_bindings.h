/* SPDX-License-Identifier: Apache-2.0 */
/* Bindings of the configuration's files ([binding.NAME]), and reading those files again while all goes on. */
#ifndef GATEWAY_FILE_BINDINGS_H
#define GATEWAY_FILE_BINDINGS_H

#include "gateway/gateway.h"

/* The files as they were read last; g->config stays what the process began with. */
const struct config *file_config(const struct gateway *g);
/* At the start. What makes no sense is logged, and the others go on. */
void file_bindings_start(struct gateway *g);

struct file_reload {
	unsigned added, removed, changed; /* bindings */
	unsigned later;                   /* keys that take effect at the next start, each logged */
	unsigned refused;                 /* bindings, each logged */
};
/* -E_CONFIG: the files make no sense, and all stays as it was. */
int file_reload(struct gateway *g, struct file_reload *ret, struct why *why) MUST_USE;
void file_bindings_free(struct gateway *g);

#endif
