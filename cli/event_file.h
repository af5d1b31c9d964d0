/* SPDX-License-Identifier: Apache-2.0 */
/* A file of `penstock events export` (doc/API.md, GET /events/ID/export): foreign bytes. */
#ifndef CLI_EVENT_FILE_H
#define CLI_EVENT_FILE_H

#include "cli/file.h"
#include "proto/kept_event.h"
#include "proto/manifest.h"

enum { EVENT_FILE_MAX = 96 << 20 };

struct event_file {
	char function[MANIFEST_NAME_MAX + 1];
	struct bytes packed; /* as proto/kept_event.h, checked */
};

/* -E_INVALID, -E_LIMIT with the reason. event_file_fini in each case. */
int event_file_parse(struct span json, struct event_file *ret, struct why *why) MUST_USE;
void event_file_fini(struct event_file *f);
#define OWN_EVENT_FILE __attribute__((cleanup(event_file_fini))) struct event_file

#endif
