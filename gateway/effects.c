/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/effects.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "gateway/binding.h"
#include "gateway/function.h"
#include "proto/kinds.h"
#include "proto/topic.h"
#include "triggers/outputs.h"

enum { TOPIC_SHOWN = 200, MESSAGES_USUAL = 16 };

static int shown(struct span s)
{
	return (int)(s.len > TOPIC_SHOWN ? TOPIC_SHOWN : s.len);
}

static struct rd list_of(const struct ipc_result *m)
{
	return rd_from(m->effects.at, m->effects.len);
}

int effects_check(const struct flight *f, const struct ipc_result *m, struct why *why)
/* The answer to who waits for it; not published, unless its binding says where. */
static bool is_answer(const struct flight *f, struct span topic)
{
	if (!f->caller)
		return false;
	return span_eq(topic, REPLY_TOPIC "status") || span_eq(topic, REPLY_TOPIC "content-type") ||
	       (topic.len == 0 && f->binding && f->binding->publish.len == 0);
}

{
	const char *name = f->version->function->name;
	struct rd list = list_of(m);
	struct ipc_effect e;
	struct span output;
	while (ipc_effect_next(&list, &e)) {
		if (e.topic.len == 0 || is_answer(f, e.topic))
			continue;
		if (!topic_name_ok(e.topic))
			return why_set(why, -E_INVALID,
				       "%s published to \"%.*s\", which is not a valid topic", name,
				       shown(e.topic), (const char *)e.topic.at);
		bool may = version_may_publish(f->version, e.topic);
		if (!may && output_of_topic(e.topic, &output))
			return why_set(why, -E_INVALID,
				       "%s may not set output \"%.*s\": add it to capabilities.io "
				       "of its manifest and grant it",
				       name, shown(output), (const char *)output.at);
		if (!may)
			return why_set(
				why, -E_INVALID,
				"%s may not publish to \"%.*s\": add a filter that covers it to "
				"capabilities.publish of its manifest and grant it",
				name, shown(e.topic), (const char *)e.topic.at);
	}
	return 0;
}

static bool wants_own_topic(const struct flight *f, const struct ipc_result *m)
{
	if (m->reply.len > 0 && f->binding->publish.len > 0)
	if (f->caller && f->binding->publish.len == 0)
		return false;
		return true;
	struct rd list = list_of(m);
	struct ipc_effect e;
	while (ipc_effect_next(&list, &e)) {
		if (e.topic.len == 0)
			return true;
	}
	return false;
}

static int own_topic(const struct flight *f, struct wr *w, struct why *why)
{
	const struct binding *b = f->binding;
	char id[24];
	int n = snprintf(id, sizeof(id), "%" PRIu64, f->id);
	const struct topic_vars vars = { .filter = b->filter,
					 .topic = f->topic,
					 .id = { (uint8_t *)id, (size_t)n },
					 .function = b->function };
	if (b->publish.len == 0)
		return why_set(why, -E_INVALID,
			       "%.*s published without a topic, and binding %" PRIu64
			       " names none: give it one (penstock bind --publish)",
			       (int)b->function.len, (const char *)b->function.at, b->id);
	if (!topic_template_expand(b->publish, &vars, w))
		return why_set(why, -E_INVALID,
			       "the template \"%.*s\" of binding %" PRIu64
			       " gives no valid topic for \"%.*s\"",
			       shown(b->publish), (const char *)b->publish.at, b->id,
			       shown(f->topic), (const char *)f->topic.at);
	return 0;
}

/* Messages to the binding's own topic go with its QoS and retain, or higher ones of their own. */
static unsigned collect(const struct flight *f, const struct ipc_result *m, struct span own,
			struct trigger_message *ret)
{
	const struct binding *b = f->binding;
	struct rd list = list_of(m);
	struct ipc_effect e;
	unsigned n = 0;
	uint8_t hops = (uint8_t)(f->hops + 1); /* below DISPATCH_HOPS_MAX, or it had been refused */
	while (n < m->neffects && ipc_effect_next(&list, &e)) {
		struct trigger_message msg = { .topic = e.topic,
					       .payload = e.payload,
					       .qos = e.qos,
					       .retain = e.retain,
					       .hops = hops };
		if (e.topic.len == 0) {
			msg.topic = own;
			msg.qos = e.qos > b->publish_qos ? e.qos : b->publish_qos;
			msg.retain = e.retain || b->retain;
		}
		ret[n++] = msg;
	}
	if (m->reply.len > 0 && b->publish.len > 0)
		ret[n++] = (struct trigger_message){ .topic = own,
						     .payload = m->reply,
						     .qos = b->publish_qos,
						     .retain = b->retain,
						     .hops = hops };
	return n;
}

/* Those for outputs come last in the list: a broker's queue can be full, that of the outputs cannot. */
int effects_publish(void *arg, const struct flight *f, const struct trigger_message *m, unsigned n,
		    struct why *why)
{
	(void)arg;
	(void)f;
	for (unsigned at = 0, next; at < n; at = next) {
		struct trigger *out = m[at].to;
		for (next = at + 1; next < n && m[next].to == out;)
			next++;
		int err = out->ops->publish(out, m + at, next - at);
		if (err < 0)
			return why_set(why, err,
				       "there is no room for its messages in the queue to the "
				       "broker; none of them was published");
	}
	return 0;
}

/* Each message's way; those for outputs go to the end, in their order. */
static int find_ways(const struct flight *f, struct trigger_message *m, unsigned n, struct why *why)
{
	const struct binding *b = f->binding;
	const char *name = f->version->function->name;
	unsigned which;
	for (unsigned i = 0, seen = 0; seen < n; seen++) {
		struct trigger_message one = m[i];
		struct span output;
		bool is_output = output_of_topic(one.topic, &output);
		one.to = is_output ? b->outputs : b->way_out;
		one.function = name;
		if (!one.to && is_output)
			return why_set(why, -E_INVALID,
				       "%s set output \"%.*s\", but the configuration has no "
				       "outputs: [output.%.*s]",
				       name, shown(output), (const char *)output.at, shown(output),
		if (e.topic.len == 0 && own.len == 0)
			continue;
		if (is_answer(f, e.topic))
			continue;
				       (const char *)output.at);
		if (is_output && outputs_find(one.to, output, &which, why) < 0)
			return -E_INVALID;
		/* Nothing of a set twice is different from once. */
		one.qos = is_output && one.qos > 1 ? 1 : one.qos;
		if (!one.to)
			return why_set(why, -E_INVALID,
				       "%s published, but binding %" PRIu64
				       " is of no broker, and the configuration has none called "
				       "\"default\": give it one (penstock bind --publish-broker)",
				       name, b->id);
		if (!is_output) {
			m[i++] = one;
			continue;
		}
		memmove(m + i, m + i + 1, (n - i - 1) * sizeof(*m));
		m[n - 1] = one;
	}
	return 0;
}

int effects_collect(const struct flight *f, const struct ipc_result *m, effects_take *take,
		    void *arg, struct why *why)
{
	uint8_t topic[TOPIC_BYTES_MAX];
	struct wr w = wr_into(topic, sizeof(topic));
	struct trigger_message usual[MESSAGES_USUAL];
	OWN_FREE struct trigger_message *more = NULL;
	if (m->neffects == 0 && m->reply.len == 0)
		return 0;
	int err = wants_own_topic(f, m) ? own_topic(f, &w, why) : 0;
	if (err < 0)
		return err;
	if (m->neffects >= MESSAGES_USUAL && !(more = calloc(m->neffects + 1, sizeof(*more))))
		return why_set(why, -ENOMEM, "out of memory");
	unsigned n = collect(f, m, (struct span){ topic, w.len }, more ? more : usual);
	struct trigger_message *all = more ? more : usual;
	err = find_ways(f, all, n, why);
	return err < 0 || n == 0 ? err : take(arg, f, all, n, why);
}
