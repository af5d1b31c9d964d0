/* SPDX-License-Identifier: Apache-2.0 */
/* Making a binding, for bind and deploy --bind. */
#ifndef CLI_BIND_H
#define CLI_BIND_H

#include "cli/client.h"

/* body: as doc/API.md wants it (NULL: not UTF-8). What there is now goes to say, or as JSON to c->out
 * when say is NULL; warnings to c->err. One that is there already is no error. Returns an exit code. */
int binding_make(struct cli *c, struct client *k, const json_t *body, FILE *say);

#endif
