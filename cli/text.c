/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/rd.h"

/* ---- escaping ---- */

/* The length of the UTF-8 sequence that begins here, and its code point; 0 = none does. */
static size_t sequence(const uint8_t *s, size_t len, uint32_t *ret_code)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n > len || !span_is_utf8((struct span){ s, n }))
		return 0;
	uint32_t code = n == 1 ? s[0] : s[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++)
		code = code << 6 | (s[i] & 0x3f);
	*ret_code = code;
	return n;
}

/* Code points that change how a terminal shows what is around them. */
static bool is_unsafe(uint32_t code)
{
	static const struct {
		uint32_t from, to;
	} range[] = {
		{ 0x00, 0x1f },     { 0x7f, 0x9f },     /* C0, DEL, C1 */
		{ 0x200b, 0x200f }, { 0x2028, 0x202e }, /* invisible, separators, bidi */
		{ 0x2060, 0x206f }, { 0xfeff, 0xfeff },
	};
	for (size_t i = 0; i < ARRAY_LEN(range); i++) {
		if (code >= range[i].from && code <= range[i].to)
			return true;
	}
	return false;
}

void text_put_n(FILE *out, const void *bytes, size_t len)
{
	const uint8_t *s = bytes;
	while (len > 0) {
		uint32_t code;
		size_t n = sequence(s, len, &code);
		if (n == 0 || (code < 0x80 && is_unsafe(code)))
			(void)fprintf(out, "\\x%02x", s[0]);
		else if (is_unsafe(code))
			(void)fprintf(out, "\\u{%x}", (unsigned)code);
		else
			(void)fwrite(s, 1, n, out);
		n = n ? n : 1;
		s += n;
		len -= n;
	}
}

void text_put(FILE *out, const char *s)
{
	text_put_n(out, s, strlen(s));
}

void text_put_lines(FILE *out, const void *bytes, size_t len)
{
	const char *s = bytes;
	char last = '\n';
	while (len > 0) {
		size_t n = 0;
		while (n < len && s[n] != '\n' && s[n] != '\t')
			n++;
		text_put_n(out, s, n);
		if (n > 0)
			last = s[n - 1];
		if (n < len) {
			last = s[n];
			(void)fputc(s[n++], out);
		}
		s += n;
		len -= n;
	}
	if (last != '\n')
		(void)fputc('\n', out);
}

void text_put_quoted(FILE *out, const char *s)
{
	(void)fputc('\'', out);
	for (size_t n; *s; s += n) {
		n = strcspn(s, "'");
		text_put_n(out, s, n);
		if (s[n] == '\'') {
			(void)fputs("'\\''", out);
			n++;
		}
	}
	(void)fputc('\'', out);
}

char *text_escaped(const void *s, size_t len)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	ENSURE(f);
	text_put_n(f, s, len);
	ENSURE(fclose(f) == 0 && text);
	return text;
}

/* ---- tables ---- */

static void cell_own(struct table *t, char *escaped)
{
	char **more = realloc(t->cells, (t->ncells + 1) * sizeof(*more));
	ENSURE(more);
	t->cells = more;
	t->cells[t->ncells++] = escaped;
}

void table_init(struct table *t, const char *const *heads, unsigned columns, unsigned right)
{
	ENSURE(columns <= TABLE_COLUMNS_MAX);
	*t = (struct table){ .columns = columns, .right = right };
	for (unsigned i = 0; i < columns; i++)
		table_cell(t, heads[i]);
}

void table_fini(struct table *t)
{
	for (size_t i = 0; i < t->ncells; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){ 0 };
}

void table_cell(struct table *t, const char *s)
{
	cell_own(t, text_escaped(s, strlen(s)));
}

void table_cell_fmt(struct table *t, const char *fmt, ...)
{
	OWN_FREE char *s = NULL;
	va_list ap;
	va_start(ap, fmt);
	ENSURE(vasprintf(&s, fmt, ap) >= 0);
	va_end(ap);
	table_cell(t, s);
}

/* Columns on a terminal: code points; wide East Asian characters are not known here. */
static int width(const char *s)
{
	int n = 0;
	for (; *s; s++)
		n += ((uint8_t)*s & 0xc0) != 0x80;
	return n;
}

static void row_print(const struct table *t, char *const *cells, const int *wide, FILE *out)
{
	unsigned n = t->columns;
	while (n > 0 && cells[n - 1][0] == '\0') /* no blanks at the end of a line */
		n--;
	for (unsigned i = 0; i < n; i++) {
		int pad = wide[i] - width(cells[i]);
		bool right = t->right >> i & 1;
		(void)fprintf(out, "%*s%s", right ? pad : 0, "", cells[i]);
		if (i + 1 < n)
			(void)fprintf(out, "%*s  ", right ? 0 : pad, "");
	}
	(void)fputc('\n', out);
}

void table_print(const struct table *t, FILE *out)
{
	int wide[TABLE_COLUMNS_MAX] = { 0 };
	for (size_t i = 0; i < t->ncells; i++) {
		int w = width(t->cells[i]);
		if (w > wide[i % t->columns])
			wide[i % t->columns] = w;
	}
	for (size_t i = 0; i < t->ncells; i += t->columns)
		row_print(t, t->cells + i, wide, out);
}

/* ---- times ---- */

const char *text_us(double us, char *buf, size_t cap)
{
	if (us < 1000)
		(void)snprintf(buf, cap, "%.0f us", us);
	else if (us < 1e6)
		(void)snprintf(buf, cap, "%.1f ms", us / 1e3);
	else
		(void)snprintf(buf, cap, "%.1f s", us / 1e6);
	return buf;
}

const char *text_seconds(double s, char *buf, size_t cap)
{
	static const struct {
		double seconds;
		const char *name;
	} unit[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
	size_t i = 0;
	while (i + 1 < ARRAY_LEN(unit) && s < unit[i].seconds)
		i++;
	uint64_t big = (uint64_t)(s / unit[i].seconds);
	double rest = s - (double)big * unit[i].seconds;
	if (i + 1 < ARRAY_LEN(unit))
		(void)snprintf(buf, cap, "%llu %s %llu %s", (unsigned long long)big, unit[i].name,
			       (unsigned long long)(rest / unit[i + 1].seconds), unit[i + 1].name);
	else
		(void)snprintf(buf, cap, "%llu s", (unsigned long long)big);
	return buf;
}
