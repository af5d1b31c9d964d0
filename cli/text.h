/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign text on a terminal, and tables. What a guest, a broker or a file says cannot move the
 * cursor, colour or reverse the line, or look like a line of ours.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>
#include <stdio.h>

#include "base/util.h"

/* Control characters, bidirectional overrides and what is no UTF-8 appear as \xNN or \u{N}. */
void text_put(FILE *out, const char *s);
void text_put_n(FILE *out, const void *s, size_t len);
/* Several lines: newlines and tabs stay, and a last line ends. */
void text_put_lines(FILE *out, const void *s, size_t len);
/* The same as one word of a shell, in quotes: a command that people copy must not be two. */
void text_put_quoted(FILE *out, const char *s);
/* As text_put_n, a malloc'd string; aborts when out of memory (a command line ends then anyhow). */
char *text_escaped(const void *s, size_t len);

enum { TABLE_COLUMNS_MAX = 12 };

/* Rows of cells, printed with columns as wide as they need. */
struct table {
	char **cells;
	size_t ncells;
	unsigned columns, right; /* right: bit i set = column i is aligned to the right */
};

/* heads: one word per column */
void table_init(struct table *t, const char *const *heads, unsigned columns, unsigned right);
void table_fini(struct table *t);
/* A cell after the other, in rows; escaped here. */
void table_cell(struct table *t, const char *s);
void table_cell_fmt(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void table_print(const struct table *t, FILE *out);

/* "3.2 ms", "17 us", "2 h 3 min" */
const char *text_us(double us, char *buf, size_t cap);
const char *text_seconds(double s, char *buf, size_t cap);

#endif
