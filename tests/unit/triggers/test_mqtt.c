/* SPDX-License-Identifier: Apache-2.0 */
/* The MQTT trigger against brokers that behave badly, over real sockets. */
#include "tests/unit/triggers/bad_broker.h"

static void messages_of_one_event_are_queued_all_or_none(void **state)
{
	static const struct {
		unsigned n;
		const char *payload;
		int err;
		unsigned queued, dropped;
	} steps[] = {
		{ 3, "a", 0, 3, 0 },
		{ 2, "b", -E_LIMIT, 3, 2 }, /* one would fit */
		{ 1,
		  "more than a hundred bytes with the topics of those that wait already "
		  "........................",
		  -E_LIMIT, 3, 3 },
		{ 1, "c", 0, 4, 3 },
		{ 1, "d", -E_LIMIT, 4, 4 },
	};
	char url[64];
	struct trigger *t = client(1, url); /* never started */
	struct trigger_status s;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct trigger_message m[3];
		for (unsigned k = 0; k < 3; k++)
			m[k] = (struct trigger_message){ .topic = text("t/1"),
							 .payload = text(steps[i].payload),
							 .qos = 1 };
		assert_int_equal(t->ops->publish(t, m, steps[i].n), steps[i].err);
		t->ops->status(t, &s);
		assert_int_equal(s.queued, steps[i].queued);
		assert_int_equal(s.dropped, steps[i].dropped);
	}
	t->ops->stop(t, 0);
	t->ops->free(t);
}

static void one_bad_topic_stops_all_messages_of_an_event(void **state)
{
	static const struct span bad[] = { { (const uint8_t *)"a\0b", 3 },
					   { (const uint8_t *)"\xff", 1 },
					   { (const uint8_t *)"a/+", 3 },
					   { (const uint8_t *)"", 0 } };
	char url[64];
	struct trigger *t = client(1, url);
	struct trigger_status s;
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct trigger_message m[] = { { .topic = text("good"),
						       .payload = text("x") },
						     { .topic = bad[i], .payload = text("x") } };
		assert_int_equal(t->ops->publish(t, m, 2), -E_INVALID);
	}
	t->ops->status(t, &s);
	assert_int_equal(s.queued, 0);
	t->ops->stop(t, 0);
	t->ops->free(t);
}

static void what_only_mqtt_5_has_is_refused_at_3_1_1_with_what_to_do(void **state)
{
	static const struct {
		unsigned version;
		const char *filter, *options;
		const char *says; /* NULL: it is taken */
	} row[] = {
		{ 3, "a/#", "{}", NULL },
		{ 3, "a/#", "{\"no_local\":true}", "version = 5" },
		{ 3, "a/#", "{\"retain_as_published\":true}", "version = 5" },
		{ 3, "a/#", "{\"retain_handling\":\"never\"}", "version = 5" },
		{ 3, "$share/g/a/#", "{}", "shared subscription needs MQTT 5" },
		{ 5, "a/#", "{\"no_local\":true,\"retain_handling\":\"always\"}", NULL },
		{ 5, "$share/g/a/#", "{\"retain_as_published\":true}", NULL },
		{ 5, "$share/g/a/#", "{\"no_local\":true}", "no no_local for a shared" },
		{ 5, "$share/g", "{}", "not a topic filter" },
		{ 5, "a/#", "{\"nonsense\":true}", "nonsense" },
	};
	char url[64];
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct mqtt_options o = options(1, url);
		struct why why = { 0 };
		o.version = row[i].version;
		struct trigger *t = client_of(&o, &(struct trigger_sink){ .event = on_event });
		const struct trigger_route r = { .id = 1,
						 .filter = text(row[i].filter),
						 .options = text(row[i].options) };
		assert_int_equal(t->ops->subscribe(t, &r, &why), row[i].says ? -E_INVALID : 0);
		if (row[i].says)
			assert_non_null(strstr(why.text, row[i].says));
		t->ops->stop(t, 0);
		t->ops->free(t);
	}
}

static void a_broker_that_does_not_answer_does_not_delay_the_end(void **state)
{
	static const enum manner manners[] = { SILENT, GREETS };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(manners); i++) {
		struct broker b;
		struct why why = { 0 };
		const struct trigger_route route = { .id = 1, .filter = text("a/#"), .qos = 1 };
		char url[64];
		begin(&b, manners[i]);
		struct trigger *t = client(b.port, url);
		assert_int_equal(t->ops->subscribe(t, &route, &why), 0);
		t->ops->start(t);
		/* It waits for CONNACK, or has sent SUBSCRIBE and waits for SUBACK. */
		AWAIT(b.heard >= (manners[i] == GREETS ? 2 : 1));
		nap(50);
		uint64_t before = ms();
		t->ops->stop(t, 100);
		t->ops->free(t);
		uint64_t took = ms() - before;
		finish(&b);
		assert_int_equal(b.greeted, manners[i] == GREETS);
		assert_in_range(took, 0, 5000); /* Paho would wait for 10 s */
	}
}

static void who_is_thrown_out_again_and_again_comes_back_more_slowly(void **state)
{
	struct broker b;
	char url[64];
	(void)state;
	begin(&b, GREETS_AND_LEAVES);
	struct trigger *t = client(b.port, url);
	t->ops->start(t);
	AWAIT(b.greeted >= 4);
	t->ops->stop(t, 0);
	t->ops->free(t);
	finish(&b);
	assert_in_range(b.greeted, 4, GREETINGS);
	/* Pauses by chance, of 50 ms at the least (test_mqtt5 has their bounds), and what a busy machine takes. */
	for (unsigned i = 0; i < 3; i++)
		assert_true(b.greeted_ms[i + 1] - b.greeted_ms[i] >= 50);
}

/* As after an acknowledgement that the broker threw away. */
static void a_message_that_is_not_acknowledged_is_sent_on_a_new_connection(void **state)
{
	const struct trigger_message m = { .topic = text("t/1"), .payload = text("x"), .qos = 1 };
	struct broker b;
	char url[64];
	(void)state;
	begin(&b, GREETS);
	struct trigger *t = client(b.port, url);
	t->ops->start(t);
	AWAIT(b.greeted >= 1);
	uint64_t sent = ms();
	int err = t->ops->publish(t, &m, 1);
	AWAIT(b.greeted >= 2);
	uint64_t took = ms() - sent;
	t->ops->stop(t, 0);
	t->ops->free(t);
	finish(&b);
	assert_int_equal(err, 0);
	assert_int_equal(b.greeted, 2);
	assert_in_range(took, 4900, WAIT_MS);
}

struct sender { /* an outbox with one message */
	struct trigger *t;
	bool sent;
};

static void on_writable(void *arg)
{
	static const struct trigger_message m = { .topic = { (const uint8_t *)"t/2", 3 },
						  .qos = 1,
						  .token = 7 };
	struct sender *s = arg;
	if (!s->sent)
		s->sent = s->t->ops->send(s->t, &m) == 0;
}

/* Both need a packet identifier, and the window is narrow. */
static void those_with_a_token_and_those_without_do_not_wait_for_each_other(void **state)
{
	const struct trigger_message m = { .topic = text("t/1"), .payload = text("x"), .qos = 1 };
	struct broker b;
	struct sender s = { 0 };
	struct trigger_status st;
	const struct trigger_sink sink = { .event = on_event, .writable = on_writable, .arg = &s };
	char url[64];
	(void)state;
	begin(&b, ACKNOWLEDGES);
	b.patient = true;
	s.t = client_with(b.port, url, &sink, 1);
	s.sent = true; /* not yet */
	s.t->ops->start(s.t);
	AWAIT((s.t->ops->status(s.t, &st), strcmp(st.state, "connected") == 0));
	int err = 0;
	for (unsigned i = 0; i < 3; i++)
		err |= s.t->ops->publish(s.t, &m, 1);
	s.sent = false;
	on_writable(&s);
	b.patient = false;
	AWAIT((s.t->ops->status(s.t, &st), st.queued == 0 && s.sent));
	s.t->ops->stop(s.t, 500);
	s.t->ops->free(s.t);
	finish(&b);
	assert_int_equal(err, 0);
	assert_true(s.sent);
	assert_int_equal(st.queued, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_one_event_are_queued_all_or_none),
		cmocka_unit_test(one_bad_topic_stops_all_messages_of_an_event),
		cmocka_unit_test(what_only_mqtt_5_has_is_refused_at_3_1_1_with_what_to_do),
		cmocka_unit_test(a_broker_that_does_not_answer_does_not_delay_the_end),
		cmocka_unit_test(who_is_thrown_out_again_and_again_comes_back_more_slowly),
		cmocka_unit_test(a_message_that_is_not_acknowledged_is_sent_on_a_new_connection),
		cmocka_unit_test(those_with_a_token_and_those_without_do_not_wait_for_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
