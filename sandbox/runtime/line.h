/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that wait in order of arrival. */
#ifndef RUNTIME_LINE_H
#define RUNTIME_LINE_H

#include <stdbool.h>

struct job;

struct line {
	struct job *first, **end;
};

void line_init(struct line *l);
void line_put(struct line *l, struct job *j);
bool line_remove(struct line *l, struct job *j); /* false = not in it */

#endif
