/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/host.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_LOOK_BYTES = 2 * IPC_LOG_BYTES };

static void outbuf_reset(struct outbuf *b)
{
	b->len = 0;
	if (b->cap > HOST_KEEP_BYTES) {
		free(b->p);
		*b = (struct outbuf){ 0 };
	}
}

static struct outbuf *const *buffers(struct host *h, struct outbuf *ret[4])
{
	ret[0] = &h->reply;
	ret[1] = &h->effects;
	ret[2] = &h->log;
	ret[3] = &h->environ;
	return ret;
}

void host_reset(struct host *h)
{
	struct outbuf *all[4];
	(void)buffers(h, all);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		outbuf_reset(all[i]);
	for (int i = 0; i < HOST_FDS; i++)
		h->fds[i] = (enum host_stream)i;
	h->payload = h->attrs = (struct span){ 0 };
	h->payload_read = 0;
	h->neffects = 0;
	state_reset(&h->state);
	trace_reset(&h->trace);
	h->event = 0;
	h->told = NULL;
	h->strayed = false;
	h->has_event = false;
	h->environ_made = h->log_full = h->log_mid_line = false;
}

void host_fini(struct host *h)
{
	struct outbuf *all[4];
	(void)buffers(h, all);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		free(all[i]->p);
	state_fini(&h->state);
	trace_fini(&h->trace);
	*h = (struct host){ 0 };
}

bool outbuf_reserve(struct outbuf *b, size_t more)
{
	size_t need, cap = b->cap ? b->cap : 1024;
	if (__builtin_add_overflow(b->len, more, &need) || need > SIZE_MAX / 2)
		return false;
	while (cap < need)
		cap *= 2;
	if (cap == b->cap)
		return true;
	uint8_t *grown = realloc(b->p, cap);
	if (!grown)
		return false;
	b->p = grown;
	b->cap = cap;
	return true;
}

bool outbuf_put(struct outbuf *b, const void *p, size_t n)
{
	if (!outbuf_reserve(b, n))
		return false;
	if (n > 0)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	return true;
}

size_t host_output_left(const struct host *h)
{
	size_t used = h->reply.len + h->effects.len;
	return used < h->output_bytes ? h->output_bytes - used : 0;
}

/* One piece without newline. */
static void log_piece(struct host *h, char level, const uint8_t *text, size_t len)
{
	static const char mark[] = "...\n";
	size_t room = IPC_LOG_BYTES - sizeof(mark);
	size_t head = h->log_mid_line ? 0 : 1;
	if (h->log_full)
		return;
	if (h->log.len + head + len + 1 > room) {
		size_t left = h->log.len + head < room ? room - h->log.len - head : 0;
		h->log_full = true;
		if ((head == 0 || outbuf_put(&h->log, &level, 1)) &&
		    outbuf_put(&h->log, text, len < left ? len : left))
			(void)outbuf_put(&h->log, mark, sizeof(mark) - 1);
		return;
	}
	if (head > 0)
		h->log_mid_line = outbuf_put(&h->log, &level, 1);
	(void)outbuf_put(&h->log, text, len);
}

static void log_newline(struct host *h)
{
	if (!h->log_full && h->log_mid_line)
		(void)outbuf_put(&h->log, "\n", 1);
	h->log_mid_line = false;
}

static void log_lines(struct host *h, char level, const uint8_t *text, size_t len)
{
	/* More than the whole log takes is not even looked at: a guest's text may have gigabytes. */
	len = len < LOG_LOOK_BYTES ? len : LOG_LOOK_BYTES;
	while (len > 0) {
		const uint8_t *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;
		if (n > 0 || h->log_mid_line)
			log_piece(h, level, text, n);
		if (nl)
			log_newline(h);
		text += nl ? n + 1 : n;
		len -= nl ? n + 1 : n;
	}
}

void host_log(struct host *h, char level, const uint8_t *text, size_t len)
{
	log_newline(h);
	log_lines(h, level, text, len);
	log_newline(h);
}

void host_log_last(struct host *h, char level, const uint8_t *text, size_t len)
{
	size_t need = len + sizeof("...\n");
	for (size_t i = 0; i < len; i++)
		need += text[i] == '\n';
	log_newline(h);
	if (h->log.len + need > IPC_LOG_BYTES) {
		h->log.len = need < IPC_LOG_BYTES ? IPC_LOG_BYTES - need : 0;
		while (h->log.len > 0 && h->log.p[h->log.len - 1] != '\n')
			h->log.len--;
	}
	h->log_full = false;
	log_lines(h, level, text, len);
	log_newline(h);
}

void host_log_stream(struct host *h, const uint8_t *text, size_t len)
{
	log_lines(h, '6', text, len);
}

bool host_next_string(struct span *list, struct span *ret)
{
	if (list->len == 0)
		return false;
	const uint8_t *nul = memchr(list->at, '\0', list->len);
	size_t n = nul ? (size_t)(nul - list->at) : list->len;
	*ret = (struct span){ list->at, n };
	n += nul ? 1 : 0;
	list->at += n;
	list->len -= n;
	return true;
}

static bool put_env(struct outbuf *b, const char *prefix, struct span name, struct span value)
{
	/* A NUL inside would end the entry early and begin one of the sender's choice. */
	if (memchr(value.at, '\0', value.len) && value.len > 0)
		return true;
	if (!outbuf_put(b, prefix, strlen(prefix)))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = (char)(isalnum(name.at[i]) ? toupper(name.at[i]) : '_');
		if (!outbuf_put(b, &c, 1))
			return false;
	}
	return outbuf_put(b, "=", 1) && outbuf_put(b, value.at, value.len) && outbuf_put(b, "", 1);
}

static bool make_environ(struct host *h)
{
	struct span env = h->env, s;
	struct rd attrs = rd_from(h->attrs.at, h->attrs.len);
	struct ipc_attr a;
	while (host_next_string(&env, &s))
		if (!outbuf_put(&h->environ, s.at, s.len) || !outbuf_put(&h->environ, "", 1))
			return false;
	while (ipc_attr_next(&attrs, &a)) {
		if (!put_env(&h->environ, "CE_", a.name, a.value))
			return false;
		if (span_eq(a.name, "topic") &&
		    !put_env(&h->environ, "MQTT_TOPIC", (struct span){ 0 }, a.value))
			return false;
	}
	return true;
}

struct span host_environ(struct host *h)
{
	if (!h->environ_made && !make_environ(h))
		h->environ.len = 0;
	h->environ_made = true;
	return (struct span){ h->environ.p, h->environ.len };
}
