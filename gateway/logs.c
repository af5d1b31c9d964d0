/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/logs.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/rd.h"
#include "base/wr.h"
#include "gateway/text.h"
#include "gateway/wall.h"

/* One line, in one allocation. The fields follow it, each as u8 kind, u16 key length, key, and
 * u64 value or u16 length and bytes. */
struct entry {
	uint64_t seq, at_wall_ms;
	size_t bytes; /* of the allocation */
	enum log_level level;
	uint16_t message_len, packed_len;
	uint8_t packed[]; /* message, fields */
};

struct logs {
	pthread_mutex_t lock; /* over all but the watch */
	size_t cap_bytes, used_bytes;
	uint64_t next_seq;
	size_t first, count; /* a ring in lines[] */
	struct entry *lines[LOGS_LINES_MAX];
	uv_async_t async;
	bool watched; /* under lock: the sink asks it */
	logs_wake *wake;
	void *wake_arg;
};

int logs_new(size_t cap_bytes, struct logs **ret, struct why *why)
{
	struct logs *l = calloc(1, sizeof(*l));
	if (!l)
		return why_set(why, -ENOMEM, "out of memory");
	(void)pthread_mutex_init(&l->lock, NULL);
	l->cap_bytes = cap_bytes;
	/* From the clock, so that "after" of a client that followed us before our restart stays
	 * behind; a thousand numbers for each millisecond of the clock are enough for any log. */
	l->next_seq = wall_ms() * 1000;
	*ret = l;
	return 0;
}

void logs_free(struct logs *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->count; i++)
		free(l->lines[(l->first + i) % LOGS_LINES_MAX]);
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

static void drop_oldest(struct logs *l)
{
	struct entry *e = l->lines[l->first];
	l->used_bytes -= e->bytes;
	l->first = (l->first + 1) % LOGS_LINES_MAX;
	l->count--;
	free(e);
}

static void pack_field(struct wr *w, const struct log_field *f)
{
	size_t key_len = strlen(f->key);
	bool is_text = f->kind == LOG_F_STR || f->kind == LOG_F_BYTES;
	const char *text = f->p ? f->p : "";
	size_t len = f->kind == LOG_F_STR ? strlen(text) : f->len;
	if (len > LOG_LINE_BYTES)
		len = LOG_LINE_BYTES;
	wr_u8(w, (uint8_t)f->kind);
	wr_u16(w, (uint16_t)key_len);
	wr_bytes(w, f->key, key_len);
	if (is_text) {
		wr_u16(w, (uint16_t)len);
		wr_bytes(w, text, len);
	} else {
		wr_u64(w, f->u);
	}
}

/* Fields that do not fit any more are left out whole. */
static struct entry *entry_new(const struct log_line *line)
{
	uint8_t packed[4 * LOG_LINE_BYTES];
	struct wr w = wr_into(packed, sizeof(packed));
	size_t message_len = strnlen(line->msg, LOG_LINE_BYTES);
	wr_bytes(&w, line->msg, message_len);
	for (size_t i = 0; i < line->nfields && wr_ok(&w); i++) {
		size_t before = w.len;
		if (!log_field_says(&line->fields[i]))
			continue;
		pack_field(&w, &line->fields[i]);
		if (!wr_ok(&w))
			w.len = before;
	}
	struct entry *e = malloc(sizeof(*e) + w.len);
	if (!e)
		return NULL;
	*e = (struct entry){
		.at_wall_ms = wall_ms(),
		.bytes = sizeof(*e) + w.len,
		.level = line->level,
		.message_len = (uint16_t)message_len,
		.packed_len = (uint16_t)w.len,
	};
	memcpy(e->packed, packed, w.len);
	return e;
}

void logs_sink(void *arg, const struct log_line *line)
{
	struct logs *l = arg;
	struct entry *e = entry_new(line);
	if (!e)
		return; /* it went to stderr; there is nothing more to say */
	(void)pthread_mutex_lock(&l->lock);
	while (l->count > 0 &&
	       (l->count == LOGS_LINES_MAX || l->used_bytes + e->bytes > l->cap_bytes))
		drop_oldest(l);
	e->seq = l->next_seq++;
	l->used_bytes += e->bytes;
	l->lines[(l->first + l->count++) % LOGS_LINES_MAX] = e;
	if (l->watched)
		(void)uv_async_send(&l->async);
	(void)pthread_mutex_unlock(&l->lock);
}

/* ---- waking readers ---- */

static void on_async(uv_async_t *async)
{
	struct logs *l = async->data;
	l->wake(l->wake_arg);
}

int logs_watch(struct logs *l, uv_loop_t *loop, logs_wake *wake, void *arg, struct why *why)
{
	int err = uv_async_init(loop, &l->async, on_async);
	if (err < 0)
		return why_set(why, err, "cannot watch the log: %s", uv_strerror(err));
	uv_unref((uv_handle_t *)&l->async);
	l->async.data = l;
	l->wake = wake;
	l->wake_arg = arg;
	(void)pthread_mutex_lock(&l->lock);
	l->watched = true;
	(void)pthread_mutex_unlock(&l->lock);
	return 0;
}

void logs_unwatch(struct logs *l)
{
	(void)pthread_mutex_lock(&l->lock);
	bool was = l->watched;
	l->watched = false;
	(void)pthread_mutex_unlock(&l->lock);
	if (was)
		uv_close((uv_handle_t *)&l->async, NULL);
}

/* ---- reading ---- */

static const struct {
	enum log_level level;
	const char *name;
} level_names[] = { { LOG_ERR, "error" },
		    { LOG_WARN, "warning" },
		    { LOG_NOTE, "notice" },
		    { LOG_INFO, "info" },
		    { LOG_DEBUG, "debug" } };

const char *logs_level_name(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
		if (level_names[i].level == level)
			return level_names[i].name;
	return "debug";
}

struct field {
	uint8_t kind;
	struct span key, text;
	uint64_t u;
};

static bool field_next(struct rd *r, struct field *ret)
{
	if (r->left == 0)
		return false;
	*ret = (struct field){ .kind = rd_u8(r) };
	ret->key = rd_span(r, rd_u16(r));
	if (ret->kind == LOG_F_STR || ret->kind == LOG_F_BYTES)
		ret->text = rd_span(r, rd_u16(r));
	else
		ret->u = rd_u64(r);
	return rd_ok(r);
}

/* Ids of events are text: beyond 2^53, numbers of JavaScript and jq are not exact. */
static json_t *id_json(uint64_t id)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%" PRIu64, id);
	return json_string(text);
}

static json_t *field_json(const struct field *f)
{
	switch (f->kind) {
	case LOG_F_STR:
	case LOG_F_BYTES:
		return text_json(f->text);
	case LOG_F_ERR:
		return json_string(why_name((int)(int64_t)f->u));
	default:
		if (span_eq(f->key, "event"))
			return id_json(f->u);
		return json_integer((json_int_t)f->u);
	}
}

static struct rd fields_of(const struct entry *e)
{
	return rd_from(e->packed + e->message_len, (size_t)e->packed_len - e->message_len);
}

/* A function's lines may name its revision: "overheat@3". */
static bool is_of_function(const struct entry *e, const char *function)
{
	size_t len = strlen(function);
	struct rd r = fields_of(e);
	for (struct field f; field_next(&r, &f);) {
		if (!span_eq(f.key, "function") || f.text.len < len)
			continue;
		if (memcmp(f.text.at, function, len) == 0 &&
		    (f.text.len == len || f.text.at[len] == '@'))
			return true;
	}
	return false;
}

static bool wanted(const struct entry *e, const struct logs_filter *f)
{
	return e->seq > f->after && e->level <= f->most_verbose &&
	       (!f->function || is_of_function(e, f->function));
}

static json_t *entry_json(const struct entry *e)
{
	char at[WALL_TEXT];
	json_t *fields = json_object();
	struct rd r = fields_of(e);
	for (struct field f; field_next(&r, &f);)
		(void)json_object_setn_new_nocheck(fields, (const char *)f.key.at, f.key.len,
						   field_json(&f));
	return json_pack("{s:I, s:s, s:s, s:o, s:o}", "seq", (json_int_t)e->seq, "at",
			 wall_text(e->at_wall_ms, at), "level", logs_level_name(e->level),
			 "message", text_json((struct span){ e->packed, e->message_len }), "fields",
			 fields);
}

/* Where the newest `limit` wanted lines begin. */
static size_t newest(const struct logs *l, const struct logs_filter *f)
{
	size_t i = l->count;
	for (unsigned n = 0; i > 0 && n < f->limit; i--)
		n += wanted(l->lines[(l->first + i - 1) % LOGS_LINES_MAX], f);
	return i;
}

/* Numbers follow each other without gaps, so nothing has to be searched: many clients wait here, and
 * each new line wakes them all. */
static size_t first_after(const struct logs *l, uint64_t after)
{
	const uint64_t oldest = l->next_seq - l->count;
	if (after < oldest)
		return 0;
	return after - oldest < l->count ? (size_t)(after - oldest) + 1 : l->count;
}

json_t *logs_read(struct logs *l, const struct logs_filter *f)
{
	json_t *items = json_array();
	uint64_t next = f->after;
	(void)pthread_mutex_lock(&l->lock);
	size_t i = f->after == 0 ? newest(l, f) : first_after(l, f->after);
	for (; i < l->count && json_array_size(items) < f->limit; i++) {
		const struct entry *e = l->lines[(l->first + i) % LOGS_LINES_MAX];
		if (e->seq > next)
			next = e->seq;
		if (wanted(e, f))
			(void)json_array_append_new(items, entry_json(e));
	}
	if (next == 0)
		next = l->next_seq - 1;
	(void)pthread_mutex_unlock(&l->lock);
	return json_pack("{s:o, s:I}", "items", items, "next", (json_int_t)next);
}
