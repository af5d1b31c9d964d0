/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api/event_copy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct copying {
	struct event_copy *c;
	bool there;
};

static uint32_t count_attrs(struct span list)
{
	struct rd r = rd_from(list.at, list.len);
	struct ipc_attr a;
	uint32_t n = 0;
	while (ipc_attr_next(&r, &a))
		n++;
	return n;
}

static int take(void *arg, const struct journal_row *r)
{
	struct copying *x = arg;
	struct event_copy *c = x->c;
	const struct span reason = { (const uint8_t *)r->reason, strlen(r->reason) };
	const struct span from[] = { r->topic, r->attrs, r->payload, r->output, r->trace, reason };
	struct span *const to[] = { &c->topic,  &c->attrs, &c->payload,
				    &c->output, &c->trace, &c->reason };
	size_t all = 1;
	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		all += from[i].len;
	c->bytes = malloc(all);
	if (!c->bytes)
		return -ENOMEM;
	struct wr w = wr_into(c->bytes, all);
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		*to[i] = (struct span){ w.buf + w.len, from[i].len };
		wr_bytes(&w, from[i].at, from[i].len);
	}
	c->id = r->id;
	c->state = r->state;
	c->revision = r->revision;
	c->attempts = r->attempts;
	c->arrived_wall_ms = r->arrived_wall_ms;
	c->outcome = (struct outcome){ .status = r->status, .code = r->code };
	c->nattrs = count_attrs(c->attrs);
	(void)snprintf(c->function, sizeof(c->function), "%s", r->function);
	x->there = true;
	return 0;
}

int event_copy(const struct api_request *q, struct event_copy *ret, struct why *why)
{
	struct copying x = { ret, false };
	struct journal *j = path_journal(q->g->path);
	struct journal_query jq = { .state = -1 };
	const char *id = q->arg;
	*ret = (struct event_copy){ 0 };
	int err = request_event(q, &jq.id, why);
	if (err == 0 && j)
		err = journal_events(j, &jq, take, &x, why);
	if (err == -ENOMEM)
		return why_set(why, err, "out of memory");
	if (err < 0)
		return err;
	if (!x.there)
		return why_set(why, -E_UNKNOWN, "the journal has no event %.24s (any more)", id);
	if (ret->revision > 0 && ret->output.len > 0 && outcome_parse(ret->output, &ret->outcome))
		return 0;
	err = ret->revision == 0 || ret->output.len == 0
		      ? why_set(why, -E_UNKNOWN,
				"event %.24s has not run yet, so there is nothing to repeat", id)
		      : why_set(why, -E_INVALID, "what came of event %.24s is damaged", id);
	event_copy_fini(ret);
	return err;
}

void event_copy_fini(struct event_copy *c)
{
	free(c->bytes);
	*c = (struct event_copy){ 0 };
}
