/* SPDX-License-Identifier: Apache-2.0 */
/* The MQTT trigger with MQTT 5, against a broker that says what the table has: what it refuses, what it can take,
 * what no broker may say. The last are the cases of Mosquitto's tests of client libraries, in our words. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/triggers/mqtt_scripted.h"
#include "triggers/mqtt_impl.h"

/* Paho loses some bytes with each packet that it did not ask for. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:MQTTPacket_\nleak:readUTFlen\nleak:ListInitialize\n";
}

#define WELCOME "\x20\3\0\0\0"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

struct sink {
	struct trigger *t;
	atomic_uint good, events;
	atomic_uint acknowledged;
	char refused[128];
};

static int on_event(void *arg, const struct event *e, const uint32_t *routes, unsigned nroutes,
		    bool more)
{
	struct sink *s = arg;
	(void)routes;
	(void)nroutes;
	(void)more;
	atomic_fetch_add(&s->events, 1);
	if (span_eq(e->topic, "good"))
		atomic_fetch_add(&s->good, 1);
	return 0;
}

static void on_acknowledged(void *arg, uint64_t token, const char *refused)
{
	struct sink *s = arg;
	(void)token;
	(void)snprintf(s->refused, sizeof(s->refused), "%s", refused ? refused : "");
	atomic_fetch_add(&s->acknowledged, 1);
}

static void on_writable(void *arg)
{
	(void)arg;
}

static struct mqtt_options options(const char *url)
{
	return (struct mqtt_options){ .name = "test",
				      .url = url,
				      .client_id = "us",
				      .version = 5,
				      .username = "",
				      .password_file = "",
				      .ca_file = "",
				      .cert_file = "",
				      .key_file = "",
				      .keepalive_s = 30,
				      .connect_timeout_s = 10,
				      .backoff_min_ms = 20,
				      .backoff_max_ms = 100,
				      .inflight = 10,
				      .payload_bytes = 100,
				      .outbox_messages = 100,
				      .outbox_bytes = 100000,
				      .session_expiry_s = 77 };
}

static void start(struct sink *s, const struct mqtt_options *o)
{
	struct why why = { 0 };
	const struct trigger_sink sink = { .event = on_event,
					   .acknowledged = on_acknowledged,
					   .writable = on_writable,
					   .arg = s };
	memset(s, 0, sizeof(*s));
	assert_int_equal(mqtt_new(o, &sink, &s->t, &why), 0);
	s->t->ops->start(s->t);
}

static void stop(struct sink *s)
{
	s->t->ops->stop(s->t, 500);
	s->t->ops->free(s->t);
}

static bool is_connected(struct sink *s)
{
	struct trigger_status st;
	s->t->ops->status(s->t, &st);
	return strcmp(st.state, "connected") == 0;
}

static void url_of(const struct scripted *b, char url[64])
{
	(void)snprintf(url, 64, "tcp://127.0.0.1:%u", b->port);
}

static bool heard(const struct scripted *b, unsigned i, const char *part, size_t len)
{
	return memmem(b->heard[i].at, b->heard[i].len, part, len) != NULL;
}

/* ---- rules ---- */

static void the_pause_is_by_chance_and_its_bounds_double(void **state)
{
	static const struct {
		unsigned failures;
		uint64_t least, most;
	} row[] = {
		{ 0, 0, 200 }, { 1, 50, 400 }, { 2, 50, 800 }, { 5, 50, 5000 }, { 99, 50, 5000 }
	};
	struct mqtt m = { .o = { .backoff_min_ms = 200, .backoff_max_ms = 5000 } };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint64_t lowest = UINT64_MAX, highest = 0;
		m.failures = row[i].failures;
		for (unsigned k = 0; k < 2000; k++) {
			uint64_t ms = mqtt_pause_ms(&m);
			lowest = ms < lowest ? ms : lowest;
			highest = ms > highest ? ms : highest;
		}
		uint64_t tenth = (row[i].most - row[i].least) / 10;
		assert_in_range(lowest, row[i].least, row[i].least + tenth);
		assert_in_range(highest, row[i].most - tenth, row[i].most);
	}
}

static void who_is_refused_hears_why_and_what_to_do(void **state)
{
	static const struct {
		struct bytes connack;
		const char *says;
	} row[] = {
		{ BYTES("\x20\3\0\x8a\0"), "banned" },
		{ BYTES("\x20\3\0\x97\0"), "quota is exceeded" },
		{ BYTES("\x20\3\0\x87\0"), "not authorized; check username" },
		{ BYTES("\x20\x0d\0\x9d\x0a\x1c\0\7b.local"),
		  "it has moved; change url (code 157); it names b.local" },
		{ BYTES("\x20\x0d\0\x9c\x0a\x1c\0\7a\nlocal"),
		  "another server is to be used for now (code 156); it names a?local" },
		{ BYTES("\x20\3\0\x9a\0"), "status_topic empty" },
		{ BYTES("\x20\3\0\x90\0"), "status_topic" },
		{ BYTES("\x20\3\0\x95\0"), "packet was larger" },
		{ BYTES("\x20\3\0\xee\0"), "code 238" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct script script = { .connack = row[i].connack };
		struct scripted b;
		struct trigger_status st = { 0 };
		struct sink s;
		char url[64];
		scripted_begin(&b, &script);
		url_of(&b, url);
		const struct mqtt_options o = options(url);
		start(&s, &o);
		WAIT_FOR((s.t->ops->status(s.t, &st), strstr(st.detail, row[i].says)));
		stop(&s);
		scripted_end(&b);
		if (!strstr(st.detail, row[i].says))
			fail_msg("row %zu says: %s", i, st.detail);
	}
}

static void the_first_server_that_answers_is_taken(void **state)
{
	static const struct script script = { .connack = BYTES(WELCOME) };
	struct scripted b;
	struct sink s;
	char url[200];
	(void)state;
	scripted_begin(&b, &script);
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:1 tcp://127.0.0.1:2  tcp://127.0.0.1:%u",
		       b.port);
	struct mqtt_options o = options(url);
	o.backoff_min_ms = o.backoff_max_ms = 60000; /* no pause between servers */
	start(&s, &o);
	WAIT_FOR(is_connected(&s));
	bool connected = is_connected(&s);
	stop(&s);
	scripted_end(&b);
	assert_true(connected);
}

static void the_status_is_said_at_connect_at_the_end_and_by_the_will(void **state)
{
	static const struct script script = { .connack = BYTES(WELCOME) };
	struct scripted b;
	struct sink s;
	char url[64];
	(void)state;
	scripted_begin(&b, &script);
	url_of(&b, url);
	struct mqtt_options o = options(url);
	o.status_topic = "st/us";
	start(&s, &o);
	WAIT_FOR(b.nheard >= 2);
	stop(&s);
	WAIT_FOR(b.nheard >= 3);
	scripted_end(&b);
	assert_int_equal(b.nheard, 3);
	assert_int_equal(b.heard[0].at[9] & 0x3c, 0x24); /* of CONNECT: will, QoS 0, retained */
	assert_true(heard(&b, 0, "\0\5st/us\0\7offline", 16));
	assert_true(heard(&b, 0, "\x11\0\0\0\x4d", 5)); /* session expiry */
	assert_int_equal(b.heard[1].at[0], 0x31);
	assert_true(heard(&b, 1, "\0\5st/us\0online", 14));
	assert_int_equal(b.heard[2].at[0], 0x31);
	assert_true(heard(&b, 2, "\0\5st/us\0offline", 15));
}

static void what_the_broker_cannot_take_is_not_sent_to_it(void **state)
{
	static const struct {
		struct bytes connack;
		struct trigger_message m;
		uint8_t first; /* of PUBLISH; 0: none comes */
		const char *refused;
	} row[] = {
#define TEXT(s) { (const uint8_t *)(s), sizeof(s) - 1 }
		{ BYTES(WELCOME),
		  { .topic = TEXT("t"), .payload = TEXT("x"), .qos = 1, .retain = 1 },
		  0x33,
		  "" },
		{ BYTES("\x20\5\0\0\2\x24\0"),
		  { .topic = TEXT("t"), .payload = TEXT("x"), .qos = 1 },
		  0x30,
		  "" },
		{ BYTES("\x20\5\0\0\2\x24\1"),
		  { .topic = TEXT("t"), .payload = TEXT("x"), .qos = 2 },
		  0x32,
		  "" },
		{ BYTES("\x20\5\0\0\2\x25\0"),
		  { .topic = TEXT("t"), .payload = TEXT("x"), .qos = 1, .retain = 1 },
		  0x32,
		  "" },
		{ BYTES("\x20\x08\0\0\5\x27\0\0\0\x20"),
		  { .topic = TEXT("t"), .payload = TEXT("more than thirty-two bytes"), .qos = 1 },
		  0,
		  "larger than the broker" },
		{ BYTES(WELCOME),
		  { .topic = TEXT("t"),
		    .payload = TEXT("late"),
		    .qos = 1,
		    .time_wall_ms = 1000,
		    .attrs = TEXT("\6\0expiry\2\0\0\0"
				  "60") },
		  0,
		  "expir" },
#undef TEXT
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct script script = { .connack = row[i].connack, .acknowledges = true };
		struct scripted b;
		struct sink s;
		char url[64];
		scripted_begin(&b, &script);
		url_of(&b, url);
		const struct mqtt_options o = options(url);
		struct trigger_message m = row[i].m;
		m.token = 7;
		start(&s, &o);
		WAIT_FOR(is_connected(&s));
		int err = -EAGAIN;
		WAIT_FOR((err = s.t->ops->send(s.t, &m)) != -EAGAIN);
		if (err == 0)
			WAIT_FOR(s.acknowledged == 1);
		if (row[i].first)
			WAIT_FOR(b.nheard >= 2);
		stop(&s);
		scripted_end(&b);
		bool is_expired = strcmp(row[i].refused, "expir") == 0;
		if (b.nheard != (row[i].first ? 2 : 1) ||
		    (row[i].first && b.heard[1].at[0] != row[i].first) ||
		    (is_expired ? err != -ETIME : err < 0 || !strstr(s.refused, row[i].refused)))
			fail_msg("row %zu: %u heard, first byte %02x, error %d, refused \"%s\"", i,
				 b.nheard, b.heard[1].at[0], err, s.refused);
	}
}

static void a_topic_goes_as_an_alias_from_the_second_time_on(void **state)
{
	static const struct script script = { .connack = BYTES("\x20\6\0\0\3\x22\0\2") };
	static const struct {
		const char *topic;
		struct bytes has;
	} row[] = {
		{ "one", BYTES("\0\3one\3\x23\0\1x") },
		{ "two", BYTES("\0\3two\3\x23\0\2x") },
		{ "one", BYTES("\0\0\3\x23\0\1x") },
		{ "three", BYTES("\0\5three\0x") }, /* it takes two */
		{ "two", BYTES("\0\0\3\x23\0\2x") },
	};
	struct scripted b;
	struct sink s;
	char url[64];
	(void)state;
	scripted_begin(&b, &script);
	url_of(&b, url);
	struct mqtt_options o = options(url);
	o.topic_aliases = 8;
	start(&s, &o);
	WAIT_FOR(is_connected(&s));
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct trigger_message m = { .topic = text(row[i].topic),
						   .payload = text("x") };
		assert_int_equal(s.t->ops->publish(s.t, &m, 1), 0);
	}
	WAIT_FOR(b.nheard >= 1 + ARRAY_LEN(row));
	stop(&s);
	scripted_end(&b);
	assert_int_equal(b.nheard, 1 + ARRAY_LEN(row));
	for (unsigned i = 0; i < ARRAY_LEN(row); i++)
		assert_true(heard(&b, i + 1, row[i].has.at, row[i].has.len));
}

/* At most so many unacknowledged ones as the broker can take. */
static void no_more_is_under_way_than_the_broker_receives(void **state)
{
	static const struct script script = { .connack = BYTES("\x20\6\0\0\3\x21\0\3") };
	const struct trigger_message m = { .topic = text("t"), .payload = text("x"), .qos = 1 };
	struct scripted b;
	struct sink s;
	char url[64];
	(void)state;
	scripted_begin(&b, &script);
	url_of(&b, url);
	const struct mqtt_options o = options(url);
	start(&s, &o);
	WAIT_FOR(is_connected(&s));
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(s.t->ops->publish(s.t, &m, 1), 0);
	WAIT_FOR(b.nheard >= 1 + 3);
	(void)poll(NULL, 0, 300);
	unsigned under_way = b.nheard - 1;
	stop(&s);
	scripted_end(&b);
	assert_int_equal(under_way, 3);
}

static void whatever_a_broker_says_the_next_honest_message_comes(void **state)
{
	static const struct {
		const char *what;
		struct bytes then;
	} row[] = {
		{ "PUBACK of nothing", BYTES("\x40\2\0\5") },
		{ "PUBACK of 0", BYTES("\x40\2\0\0") },
		{ "PUBREC of nothing", BYTES("\x50\2\0\5") },
		{ "PUBREL of nothing", BYTES("\x62\2\0\5") },
		{ "PUBCOMP of nothing", BYTES("\x70\2\0\5") },
		{ "SUBACK of nothing", BYTES("\x90\4\0\5\0\0") },
		{ "UNSUBACK of nothing", BYTES("\xb0\4\0\5\0\0") },
		{ "PINGRESP unasked", BYTES("\xd0\0") },
		{ "CONNACK again", BYTES(WELCOME) },
		{ "CONNECT", BYTES("\x10\x0d\0\4MQTT\5\0\0\0\0\0\0") },
		{ "SUBSCRIBE", BYTES("\x82\7\0\1\0\0\1a\0") },
		{ "PINGREQ", BYTES("\xc0\0") },
		{ "DISCONNECT: server moved", BYTES("\xe0\x0b\x9d\x09\x1c\0\6b.host") },
		{ "DISCONNECT: session taken over", BYTES("\xe0\2\x8e\0") },
		{ "type 0", BYTES("\0\0") },
		{ "AUTH unasked", BYTES("\xf0\2\x18\0") },
		{ "PUBACK cut short", BYTES("\x40\1\0") },
		{ "SUBACK cut short", BYTES("\x90\1\0") },
		{ "PUBLISH: QoS 3", BYTES("\x36\7\0\1t\0\1\0x") },
		{ "PUBLISH: unknown property", BYTES("\x30\6\0\1t\2\x7f\1") },
		{ "PUBLISH: a property of CONNACK", BYTES("\x30\7\0\1t\3\x21\0\1") },
		{ "PUBLISH: properties beyond the packet", BYTES("\x30\5\0\1t\x7fx") },
		{ "PUBLISH: user property beyond the properties", BYTES("\x30\x0a\0\1t\6\x26\0\xff"
									"abc") },
		{ "PUBLISH: topic with U+0000", BYTES("\x30\6\0\3t\0t\0") },
		{ "PUBLISH: topic with a wildcard", BYTES("\x30\5\0\2t#\0") },
		{ "PUBLISH: topic no UTF-8", BYTES("\x30\5\0\2t\xff\0") },
		{ "PUBLISH: topic beyond the packet", BYTES("\x30\4\0\x7ft\0") },
		{ "PUBLISH: alias that was not allowed", BYTES("\x30\7\0\1t\3\x23\0\1") },
		{ "PUBLISH: alias and no topic", BYTES("\x30\6\0\0\3\x23\0\1") },
		{ "PUBLISH: nothing at all", BYTES("\x30\0") },
		{ "PUBLISH: QoS 1 without identifier", BYTES("\x32\4\0\1t\0") },
		{ "PUBLISH: QoS 1, identifier 0", BYTES("\x32\7\0\1t\0\0\0x") },
		{ "a length of five bytes", BYTES("\x30\xff\xff\xff\xff\x7f") },
		{ "32 MiB announced, and nothing comes", BYTES("\x30\x80\x80\x80\x10") },
		{ "a text", BYTES("HTTP/1.1 400 Bad Request\r\n\r\n") },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const struct script script = { .connack = BYTES(WELCOME),
					       .then = row[i].then,
					       .honest = BYTES("\x30\7\0\4good\0") };
		struct scripted b;
		struct sink s;
		char url[64];
		scripted_begin(&b, &script);
		url_of(&b, url);
		struct mqtt_options o = options(url);
		o.keepalive_s = 1; /* that is how the silent ones are found */
		start(&s, &o);
		WAIT_FOR(s.good > 0);
		unsigned good = s.good;
		stop(&s);
		scripted_end(&b);
		if (good == 0)
			fail_msg("%s: no message came after it, %u connects", row[i].what,
				 b.connects);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pause_is_by_chance_and_its_bounds_double),
		cmocka_unit_test(who_is_refused_hears_why_and_what_to_do),
		cmocka_unit_test(the_first_server_that_answers_is_taken),
		cmocka_unit_test(the_status_is_said_at_connect_at_the_end_and_by_the_will),
		cmocka_unit_test(what_the_broker_cannot_take_is_not_sent_to_it),
		cmocka_unit_test(a_topic_goes_as_an_alias_from_the_second_time_on),
		cmocka_unit_test(no_more_is_under_way_than_the_broker_receives),
		cmocka_unit_test(whatever_a_broker_says_the_next_honest_message_comes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
