/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/heap.h"

#include <errno.h>
#include <stdlib.h>

#include "sandbox/runtime/job.h"

int heap_init(struct heap *h, size_t cap, bool (*before)(const struct job *, const struct job *))
{
	*h = (struct heap){ .at = calloc(cap, sizeof(struct job *)), .cap = cap, .before = before };
	return h->at ? 0 : -ENOMEM;
}

void heap_fini(struct heap *h)
{
	free(h->at);
	*h = (struct heap){ 0 };
}

static void place(struct heap *h, struct job *j, size_t i)
{
	h->at[i] = j;
	j->heap_at = i;
}

static void sift_up(struct heap *h, struct job *j, size_t i)
{
	for (; i > 0 && h->before(j, h->at[(i - 1) / 2]); i = (i - 1) / 2)
		place(h, h->at[(i - 1) / 2], i);
	place(h, j, i);
}

static void sift_down(struct heap *h, struct job *j, size_t i)
{
	for (;;) {
		size_t child = 2 * i + 1;
		if (child + 1 < h->n && h->before(h->at[child + 1], h->at[child]))
			child++;
		if (child >= h->n || !h->before(h->at[child], j))
			break;
		place(h, h->at[child], i);
		i = child;
	}
	place(h, j, i);
}

void heap_put(struct heap *h, struct job *j)
{
	ENSURE(h->n < h->cap);
	sift_up(h, j, h->n++);
}

struct job *heap_first(const struct heap *h)
{
	return h->n > 0 ? h->at[0] : NULL;
}

void heap_remove(struct heap *h, struct job *j)
{
	size_t i = j->heap_at;
	ENSURE(i < h->n && h->at[i] == j);
	struct job *last = h->at[--h->n];
	if (last == j)
		return;
	if (i > 0 && h->before(last, h->at[(i - 1) / 2]))
		sift_up(h, last, i);
	else
		sift_down(h, last, i);
}
