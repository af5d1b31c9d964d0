/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/line.h"

#include "sandbox/runtime/job.h"

void line_init(struct line *l)
{
	l->first = NULL;
	l->end = &l->first;
}

void line_put(struct line *l, struct job *j)
{
	j->next = NULL;
	*l->end = j;
	l->end = &j->next;
}

bool line_remove(struct line *l, struct job *j)
{
	struct job **at = &l->first;
	while (*at && *at != j)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = j->next;
	if (!*at)
		l->end = at;
	return true;
}
