/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/run_replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int run_replay_read(int fd, struct kept_event *ret, struct why *why)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return why_set(why, -errno, "the event's descriptor");
	if (st.st_size <= 0 || st.st_size > KEPT_EVENT_BYTES_MAX)
		return why_set(why, -E_INVALID, "the event has %lld bytes", (long long)st.st_size);
	size_t len = (size_t)st.st_size;
	uint8_t *bytes = malloc(len);
	if (!bytes)
		return why_set(why, -ENOMEM, "no memory for the event");
	for (size_t at = 0; at < len;) {
		ssize_t n = pread(fd, bytes + at, len - at, (off_t)at);
		if (n <= 0)
			return why_set(why, n < 0 ? -errno : -EIO, "reading the event");
		at += (size_t)n;
	}
	return kept_event_parse((struct span){ bytes, len }, ret, why);
}

void run_replay_begin(struct host *h, const struct kept_event *e)
{
	h->attrs = e->attrs;
	h->payload = e->payload;
	h->told = &e->told;
	h->has_event = true;
	trace_replay(&h->trace, e->told.trace);
}

/* One line each, control characters as \xNN. */
static void line_put(const char *mark, struct span s)
{
	(void)fputs(mark, stderr);
	if (!s.at)
		(void)fputs("(nothing)", stderr);
	for (size_t i = 0; s.at && i < s.len; i++) {
		if (s.at[i] < ' ' || s.at[i] == 0x7f)
			(void)fprintf(stderr, "\\x%02x", s.at[i]);
		else
			(void)fputc(s.at[i], stderr);
	}
	(void)fputc('\n', stderr);
}

static void differs(void *arg, const char *what, struct span then, struct span now)
{
	(void)arg;
	(void)fprintf(stderr, "different: %s\n", what);
	line_put("  - ", then);
	line_put("  + ", now);
}

int run_replay_end(const struct host *h, const struct kept_event *e, uint32_t status, int32_t code)
{
	uint8_t room[IPC_STATE_BYTES];
	struct wr state = wr_into(room, sizeof(room));
	state_put(&h->state, &state);
	const struct outcome now = {
		.status = status,
		.code = code,
		.reply = { h->reply.p, h->reply.len },
		.effects = { h->effects.p, h->effects.len },
		.state = { room, state.len },
	};
	if (h->strayed)
		(void)fputs(
			"note: it read state that it did not read in the gateway; here there is "
			"none\n",
			stderr);
	if (outcome_compare(&e->outcome, &now, differs, NULL) > 0)
		return 1;
	(void)fputs("same as in the gateway\n", stderr);
	return 0;
}
