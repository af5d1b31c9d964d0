/* SPDX-License-Identifier: Apache-2.0 */
/* Words that every file uses: array length, checked results, invariants. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stdio.h>
#include <stdlib.h>

#define ARRAY_LEN(a)                  (sizeof(a) / sizeof((a)[0]))
#define MUST_USE                      __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first)       __attribute__((format(printf, fmt, first)))
#define LIKELY(c)                     __builtin_expect(!!(c), 1)
#define UNLIKELY(c)                   __builtin_expect(!!(c), 0)
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

/* An invariant of our own, never a check of input. It stays in release builds; a process that
 * aborts here is restarted by its supervisor. */
#define ENSURE(c)                                                                                  \
	do {                                                                                       \
		if (UNLIKELY(!(c))) {                                                              \
			fprintf(stderr, "%s:%d: invariant broken: %s\n", __FILE__, __LINE__, #c);  \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
