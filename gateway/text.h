/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that guests and brokers wrote, on their way into JSON. */
#ifndef GATEWAY_TEXT_H
#define GATEWAY_TEXT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/rd.h"

/* UTF-8 without U+0000, which JSON allows and many of its readers do not. */
bool text_is_clean(struct span s);
/* A string in any case: each byte that does not belong in one becomes U+FFFD. NULL: no memory. */
json_t *text_json(struct span s);
/* o[name] when it is clean, and o[name_base64] in each case; names are short. */
void text_put_json(json_t *o, const char *name, struct span bytes);

#endif
