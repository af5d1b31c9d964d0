/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <inttypes.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/why.h"
#include "base/wr.h"

static struct {
	void (*sink)(void *arg, const struct log_line *line);
	void *arg;
	enum log_level most_verbose;
} out = { .most_verbose = LOG_INFO };

void log_set_sink(void (*sink)(void *arg, const struct log_line *line), void *arg)
{
	out.sink = sink;
	out.arg = arg;
}

void log_set_level(enum log_level most_verbose)
{
	out.most_verbose = most_verbose;
}

bool log_level_parse(const char *name, enum log_level *ret_level)
{
	static const struct {
		const char *name;
		enum log_level level;
	} level[] = { { "error", LOG_ERR },
		      { "warning", LOG_WARN },
		      { "notice", LOG_NOTE },
		      { "info", LOG_INFO },
		      { "debug", LOG_DEBUG } };
	for (size_t i = 0; i < ARRAY_LEN(level); i++) {
		if (strcmp(name, level[i].name) == 0) {
			*ret_level = level[i].level;
			return true;
		}
	}
	return false;
}

static void quoted(struct wr *w, const char *s, size_t n)
{
	wr_u8(w, '"');
	for (size_t i = 0; i < n; i++) {
		/* Room for the longest escape, the dots, the quote and the newline. */
		if (w->cap - w->len < 12) {
			wr_str(w, "...");
			break;
		}
		uint8_t c = (uint8_t)s[i];
		if (c == '"' || c == '\\')
			wr_fmt(w, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			wr_fmt(w, "\\x%02x", c);
		else
			wr_u8(w, c);
	}
	wr_u8(w, '"');
}

static void field(struct wr *w, const struct log_field *f)
{
	if (w->cap - w->len < strlen(f->key) + 48)
		return; /* a line this long has said enough */
	wr_fmt(w, " %s=", f->key);
	switch (f->kind) {
	case LOG_F_STR:
		quoted(w, f->p ? f->p : "", f->p ? strlen(f->p) : 0);
		break;
	case LOG_F_BYTES:
		quoted(w, f->p, f->len);
		break;
	case LOG_F_U64:
		wr_fmt(w, "%" PRIu64, f->u);
		break;
	case LOG_F_I64:
		wr_fmt(w, "%" PRId64, (int64_t)f->u);
		break;
	case LOG_F_ERR:
		wr_str(w, why_name((int)(int64_t)f->u));
		break;
	}
}

bool log_field_says(const struct log_field *f)
{
	return !f->is_optional || f->u != 0 || f->len != 0;
}

void log_write(enum log_level level, const char *msg, const struct log_field *f, size_t n)
{
	if (level > out.most_verbose)
		return;
	char line[LOG_LINE_BYTES];
	struct wr w = wr_into(line, sizeof(line));
	wr_str(&w, "msg=");
	quoted(&w, msg, strlen(msg));
	for (size_t i = 0; i < n; i++)
		if (log_field_says(&f[i]))
			field(&w, &f[i]);
	if (out.sink)
		out.sink(out.arg, &(struct log_line){ level, msg, f, n, line, w.len });
	char prio[3] = { '<', (char)('0' + level), '>' };
	char newline[1] = { '\n' };
	struct iovec iov[] = { { prio, sizeof(prio) }, { line, w.len }, { newline, 1 } };
	/* A lost log line must not stop the gateway. */
	(void)!writev(STDERR_FILENO, iov, ARRAY_LEN(iov));
}
