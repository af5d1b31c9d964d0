/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/run_event.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, ATTR_NAME_MAX = 64 };

static int read_payload(struct host *h, struct why *why)
{
	struct outbuf all = { 0 };
	ssize_t n;
	do {
		if (!outbuf_reserve(&all, READ_BYTES))
			return why_set(why, -ENOMEM, "no memory for the payload");
		n = read(STDIN_FILENO, all.p + all.len, READ_BYTES);
		all.len += n > 0 ? (size_t)n : 0;
		if (all.len > IPC_PAYLOAD_BYTES)
			return why_set(why, -E_LIMIT, "the payload on stdin has more than %d bytes",
				       IPC_PAYLOAD_BYTES);
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return why_set(why, -errno, "reading the payload from stdin");
	h->payload = (struct span){ all.p, all.len };
	return 0;
}

static void attr_put(struct wr *w, const char *name, struct span value)
{
	const struct ipc_attr a = { { (const uint8_t *)name, strlen(name) }, value };
	ipc_attr_put(w, &a);
}

/* host_environ() backwards. */
static void attr_of_env(struct wr *w, struct span s)
{
	static const char ce[] = "CE_", topic[] = "MQTT_TOPIC=";
	char name[ATTR_NAME_MAX] = "";
	const uint8_t *eq = memchr(s.at, '=', s.len);
	size_t len = eq ? (size_t)(eq - s.at) : 0;
	if (!eq)
		return;
	const struct span value = { eq + 1, s.len - len - 1 };
	if (s.len >= sizeof(topic) - 1 && memcmp(s.at, topic, sizeof(topic) - 1) == 0)
		attr_put(w, "topic", value);
	if (len < sizeof(ce) || len >= sizeof(name) || memcmp(s.at, ce, sizeof(ce) - 1) != 0)
		return;
	for (size_t i = sizeof(ce) - 1; i < len; i++)
		name[i - (sizeof(ce) - 1)] = (char)tolower(s.at[i]);
	attr_put(w, name, value);
}

int run_event_read(struct host *h, struct span env, struct why *why)
{
	struct span s, left = env;
	size_t cap = 1024 + 2 * env.len; /* a head of a few bytes for each */
	while (host_next_string(&left, &s))
		cap += 64;
	struct wr w = wr_into(malloc(cap), cap);
	if (!w.buf)
		return why_set(why, -ENOMEM, "no memory for the event");
	/* The first of a name counts, so what the user gives comes first. */
	while (host_next_string(&env, &s))
		attr_of_env(&w, s);
	attr_put(&w, "id", (struct span){ (const uint8_t *)"1", 1 });
	attr_put(&w, "source", (struct span){ (const uint8_t *)"penstock-run", 12 });
	attr_put(&w, "type", (struct span){ (const uint8_t *)"io.penstock.run", 15 });
	ENSURE(wr_ok(&w));
	h->attrs = (struct span){ w.buf, w.len };
	return read_payload(h, why);
}

void run_event_print_log(const struct host *h)
{
	static const char *const levels[] = { "error", "warning", "notice", "info", "debug" };
	const uint8_t *at = h->log.p, *end = at + h->log.len;
	while (at < end) {
		const uint8_t *nl = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((nl ? nl : end) - at);
		if (len > 0 && *at >= '3' && *at <= '7')
			(void)fprintf(stderr, "%s: %.*s\n", levels[*at - '3'], (int)len - 1,
				      (const char *)at + 1);
		at += len + 1;
	}
}

/* Text as it is, control characters as \xNN: a line is a message. */
static void put_escaped(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < ' ' || s.at[i] == 0x7f)
			(void)printf("\\x%02x", s.at[i]);
		else
			(void)putchar(s.at[i]);
	}
}

/* Nothing remembers them here. */
static void print_state(const struct state *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		const struct state_entry *e = &s->entries[i];
		if (e->what != IPC_STATE_PUT && e->what != IPC_STATE_DELETE)
			continue;
		(void)fputs(e->what == IPC_STATE_PUT ? "state put " : "state delete ", stdout);
		if (e->bucket.len > 0) {
			put_escaped(state_span(s, e->bucket));
			(void)putchar('/');
		}
		put_escaped(state_span(s, e->key));
		if (e->what == IPC_STATE_PUT) {
			(void)fputs(": ", stdout);
			put_escaped(state_span(s, e->value));
		}
		(void)putchar('\n');
	}
}

static void print_attrs(struct span attrs)
{
	struct rd list = rd_from(attrs.at, attrs.len);
	for (struct ipc_attr a; ipc_attr_next(&list, &a);) {
		(void)putchar(' ');
		put_escaped(a.name);
		(void)putchar('=');
		put_escaped(a.value);
	}
}

bool run_event_print(const struct host *h)
{
	struct rd list = rd_from(h->effects.p, h->effects.len);
	struct ipc_effect e;
	(void)fwrite(h->reply.p, 1, h->reply.len, stdout);
	while (ipc_effect_next(&list, &e)) {
		(void)fputs("emit ", stdout);
		if (e.topic.len > 0)
			put_escaped(e.topic);
		else
			(void)fputs("(the binding's topic)", stdout);
		(void)fputs(e.retain ? " (retained)" : "", stdout);
		print_attrs(e.attrs);
		(void)fputs(": ", stdout);
		put_escaped(e.payload);
		(void)putchar('\n');
	}
	print_state(&h->state);
	return fflush(stdout) == 0 && !ferror(stdout);
}
