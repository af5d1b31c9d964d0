/* SPDX-License-Identifier: Apache-2.0 */
/* The one struct of penstockd, built in main.c and handed down. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "gateway/config.h"
#include "gateway/deploy.h"
#include "gateway/logs.h"
#include "gateway/path.h"
#include "gateway/registry.h"
#include "gateway/seal.h"
#include "gateway/store.h"

struct api;

struct gateway {
	struct config config;
	bool has_config;         /* config needs its fini */
	const char *config_file; /* NULL: there is none */
	struct config reloaded;  /* file_bindings.h */
	bool has_reloaded;
	uint64_t started_wall_ms, started_ns;
	int lock_fd; /* STATE_DIR/lock */
	uv_loop_t loop;
	bool has_loop;
	uv_signal_t signals[3];
	unsigned nsignals;
	struct logs *logs;
	struct registry *registry;
	struct store *store;
	struct seal *seal;
	struct path *path;
	struct deployer *deployer;
	struct api *api;
	bool backing_up; /* GET /backup is under way */
};

#endif
