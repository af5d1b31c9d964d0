/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/effects.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "gateway/binding.h"
#include "gateway/direct.h"
#include "gateway/function.h"
#include "proto/kinds.h"
#include "proto/message_attrs.h"
#include "proto/topic.h"
#include "triggers/outputs.h"

enum { TOPIC_SHOWN = 200, MESSAGES_USUAL = 16, ATTR_ROOM_BYTES = 32 };

static int shown(struct span s)
{
	return (int)(s.len > TOPIC_SHOWN ? TOPIC_SHOWN : s.len);
}

static struct rd list_of(const struct ipc_result *m)
{
	return rd_from(m->effects.at, m->effects.len);
}

/* The answer to who waits for it; not published, unless its binding says where. */
static bool is_answer(const struct flight *f, struct span topic)
{
	if (!f->caller)
		return false;
	return span_eq(topic, REPLY_TOPIC "status") || span_eq(topic, REPLY_TOPIC "content-type") ||
	       (topic.len == 0 && f->binding && f->binding->publish.len == 0);
}

int effects_check(const struct flight *f, const struct ipc_result *m, struct why *why)
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
	if (f->caller && f->binding->publish.len == 0)
		return false;
	if (m->reply.len > 0 && f->binding->publish.len > 0)
		return true;
	struct rd list = list_of(m);
	struct ipc_effect e;
	while (ipc_effect_next(&list, &e)) {
		if (e.topic.len == 0)
			return true;
	}
	return false;
}

/* Of a request (MQTT 5.0, 4.10): where its answer is wanted, and what is given back with it. */
struct request {
	bool answered; /* the binding's topic is the sender's choice */
	struct span response, correlation;
};

static struct request request_of(const struct flight *f)
{
	struct request q = { .answered = topic_template_answers(f->binding->publish) };
	if (!q.answered || !f->more_attrs)
		return q;
	const struct span attrs = flight_own_attrs(f);
	(void)message_attr_find(attrs, message_attr_name(ATTR_RESPONSE_TOPIC), &q.response);
	(void)message_attr_find(attrs, message_attr_name(ATTR_CORRELATION), &q.correlation);
	return q;
}

/* Empty: it was no request, so there is nobody to answer. */
static int own_topic(const struct flight *f, const struct request *q, struct wr *w, struct why *why)
{
	const struct binding *b = f->binding;
	char id[24];
	int n = snprintf(id, sizeof(id), "%" PRIu64, f->id);
	const struct topic_vars vars = { .filter = b->filter,
					 .topic = f->topic,
					 .id = { (uint8_t *)id, (size_t)n },
					 .function = b->function,
					 .response = q->response };
	if (b->publish.len == 0)
		return why_set(why, -E_INVALID,
			       "%.*s published without a topic, and binding %" PRIu64
			       " names none: give it one (penstock bind --publish)",
			       (int)b->function.len, (const char *)b->function.at, b->id);
	if (q->answered && q->response.len == 0)
		return 0;
	if (q->answered && q->response.at[0] == '$') /* $output/NAME is not for everybody to set */
		return why_set(
			why, -E_INVALID,
			"\"%.*s\" asks for its answer at \"%.*s\"; topics that begin with $ are "
			"not given to senders",
			shown(f->topic), (const char *)f->topic.at, shown(q->response),
			(const char *)q->response.at);
	if (q->correlation.len > MESSAGE_ATTR_BYTES_MAX)
		return why_set(
			why, -E_LIMIT,
			"\"%.*s\" has %zu bytes of correlation data; at most %d are given back",
			shown(f->topic), (const char *)f->topic.at, q->correlation.len,
			MESSAGE_ATTR_BYTES_MAX);
	if (!topic_template_expand(b->publish, &vars, w))
		return why_set(why, -E_INVALID,
			       "the template \"%.*s\" of binding %" PRIu64
			       " gives no valid topic for \"%.*s\"",
			       shown(b->publish), (const char *)b->publish.at, b->id,
			       shown(f->topic), (const char *)f->topic.at);
	return 0;
}

/* The attributes of an answer: given, and the correlation data if it has none of its own. room: what is left of a
 * buffer that is large enough. */
static struct span answer_attrs(struct span given, const struct request *q, struct wr *room)
{
	const char *name = message_attr_name(ATTR_CORRELATION);
	struct span own;
	size_t from = room->len;
	if (q->correlation.len == 0 || message_attr_find(given, name, &own))
		return given;
	wr_bytes(room, given.at, given.len);
	ipc_attr_put(room,
		     &(struct ipc_attr){ { (const uint8_t *)name, strlen(name) }, q->correlation });
	ENSURE(wr_ok(room));
	return (struct span){ room->buf + from, room->len - from };
}

/* Messages to the binding's own topic go with its QoS and retain, or higher ones of their own. */
static unsigned collect(const struct flight *f, const struct ipc_result *m, struct span own,
			const struct request *q, struct wr *room, struct trigger_message *ret)
{
	const struct binding *b = f->binding;
	struct rd list = list_of(m);
	struct ipc_effect e;
	unsigned n = 0;
	uint8_t hops = (uint8_t)(f->hops + 1); /* below DISPATCH_HOPS_MAX, or it had been refused */
	while (n < m->neffects && ipc_effect_next(&list, &e)) {
		struct trigger_message msg = { .topic = e.topic,
					       .payload = e.payload,
					       .attrs = e.attrs,
					       .qos = e.qos,
					       .retain = e.retain,
					       .hops = hops };
		if (e.topic.len == 0 && own.len == 0)
			continue;
		if (is_answer(f, e.topic))
			continue;
		if (e.topic.len == 0) {
			msg.topic = own;
			msg.attrs = answer_attrs(e.attrs, q, room);
			msg.qos = e.qos > b->publish_qos ? e.qos : b->publish_qos;
			msg.retain = e.retain || b->retain;
		}
		ret[n++] = msg;
	}
	if (m->reply.len > 0 && own.len > 0)
		ret[n++] = (struct trigger_message){ .topic = own,
						     .payload = m->reply,
						     .attrs = answer_attrs((struct span){ 0 }, q,
									   room),
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

/* Whatever an output would refuse of any kind is refused before something else of the event happens. */
static int output_check(const struct flight *f, struct span output, const struct trigger_message *m,
			struct why *why)
{
	const char *name = f->version->function->name;
	unsigned which;
	if (!f->binding->outputs)
		return why_set(why, -E_INVALID,
			       "%s set output \"%.*s\", but the configuration has no outputs: "
			       "[output.%.*s]",
			       name, shown(output), (const char *)output.at, shown(output),
			       (const char *)output.at);
	if (outputs_find(f->binding->outputs, output, &which, why) < 0)
		return -E_INVALID;
	if (m->payload.len > OUTPUT_VALUE_MAX)
		return why_set(why, -E_INVALID,
			       "%s set output \"%.*s\" to a value of %zu bytes, at most %d are "
			       "allowed",
			       name, shown(output), (const char *)output.at, m->payload.len,
			       OUTPUT_VALUE_MAX);
	return 0;
}

/* Each message's way; those for outputs go to the end, in their order. */
static int find_ways(const struct flight *f, struct trigger_message *m, unsigned n, struct why *why)
{
	const struct binding *b = f->binding;
	const char *name = f->version->function->name;
	for (unsigned i = 0, seen = 0; seen < n; seen++) {
		struct trigger_message one = m[i];
		struct span output;
		bool is_output = output_of_topic(one.topic, &output);
		one.to = is_output ? b->outputs : b->way_out;
		one.function = name;
		int err = is_output ? output_check(f, output, &one, why) : 0;
		if (err < 0)
			return err;
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
	OWN_FREE uint8_t *attrs = NULL;
	OWN_FREE uint8_t *marks = NULL;
	if (m->neffects == 0 && m->reply.len == 0)
		return 0;
	bool own = wants_own_topic(f, m);
	const struct request q = own ? request_of(f) : (struct request){ 0 };
	int err = own ? own_topic(f, &q, &w, why) : 0;
	if (err < 0)
		return err;
	size_t most = q.correlation.len == 0
			      ? 0
			      : m->effects.len +
					(m->neffects + 1) * (q.correlation.len + ATTR_ROOM_BYTES);
	if (most > 0 && !(attrs = malloc(most)))
		return why_set(why, -ENOMEM, "out of memory");
	struct wr room = wr_into(attrs, most);
	size_t room_for = 2 * ((size_t)m->neffects + 1); /* each once more, directly */
	if (room_for > MESSAGES_USUAL && !(more = calloc(room_for, sizeof(*more))))
		return why_set(why, -ENOMEM, "out of memory");
	unsigned n = collect(f, m, (struct span){ topic, w.len }, &q, &room, more ? more : usual);
	struct trigger_message *all = more ? more : usual;
	err = find_ways(f, all, n, why);
	if (err == 0 && f->binding->direct &&
	    direct_copy(f->binding->direct, f->binding->way_out, all, &n, &marks) < 0)
		err = why_set(why, -ENOMEM, "out of memory");
	return err < 0 || n == 0 ? err : take(arg, f, all, n, why);
}
