/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs in order, the first at hand; any can be taken out. Fixed capacity, no allocation. */
#ifndef RUNTIME_HEAP_H
#define RUNTIME_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/util.h"

struct job;

struct heap {
	struct job **at;
	size_t n, cap;
	bool (*before)(const struct job *a, const struct job *b);
};

int heap_init(struct heap *h, size_t cap,
	      bool (*before)(const struct job *a, const struct job *b)) MUST_USE; /* -ENOMEM */
void heap_fini(struct heap *h);
void heap_put(struct heap *h, struct job *j);    /* must not be in a heap, nor the heap full */
struct job *heap_first(const struct heap *h);    /* NULL when empty */
void heap_remove(struct heap *h, struct job *j); /* must be in it */

#endif
