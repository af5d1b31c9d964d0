/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "gateway/flight.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void times_are_those_of_gmtime(void **state)
{
	static const uint64_t ms[] = { 0,
				       951782399999,
				       951782400000,
				       1709164800123,
				       1795167396001,
				       4102444799999,
				       253402300799999 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ms); i++) {
		char got[TIME_TEXT_BYTES], want[64], day[32];
		time_t s = (time_t)(ms[i] / 1000);
		struct tm tm;
		(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
		(void)snprintf(want, sizeof(want), "%s.%03uZ", day, (unsigned)(ms[i] % 1000));
		time_text(ms[i], got);
		assert_string_equal(got, want);
	}
}

static void the_pool_is_bounded_and_used_again(void **state)
{
	struct flight_pool p;
	struct flight *f[5];
	(void)state;
	assert_int_equal(flight_pool_init(&p, 4), 0);
	for (int i = 0; i < 4; i++) {
		f[i] = flight_new(&p);
		assert_non_null(f[i]);
		f[i]->id = 100 + 16 * (uint64_t)i; /* the same place in the hash */
		flight_hash(&p, f[i]);
	}
	assert_null(flight_new(&p));
	assert_ptr_equal(flight_unhash(&p, 116), f[1]);
	assert_null(flight_unhash(&p, 116));
	flight_free(&p, f[1]);
	assert_ptr_equal(flight_new(&p), f[1]);
	assert_null(flight_unhash(&p, 117));
	flight_pool_fini(&p);
}

static void queues_keep_their_order(void **state)
{
	struct flight f[3] = { { .id = 1 }, { .id = 2 }, { .id = 3 } };
	struct flight_queue q;
	(void)state;
	flight_queue_init(&q);
	assert_null(flight_queue_take(&q));
	flight_queue_put(&q, &f[1]);
	flight_queue_put(&q, &f[2]);
	flight_queue_put_front(&q, &f[0]);
	for (unsigned i = 0; i < 3; i++)
		assert_ptr_equal(flight_queue_take(&q), &f[i]);
	assert_int_equal(q.n, 0);
	static const uint64_t deadline[] = { 30, 50, 30, 20, 60, 50 };
	static const unsigned place[] = { 3, 0, 2, 1, 5, 4 };
	struct flight by[ARRAY_LEN(deadline)] = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(deadline); i++) {
		by[i].deadline_ns = deadline[i];
		flight_queue_put(&q, &by[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(deadline); i++)
		assert_ptr_equal(flight_queue_take(&q), &by[place[i]]);
	flight_queue_put_front(&q, &f[0]);
	flight_queue_put(&q, &f[1]);
	assert_ptr_equal(flight_queue_take(&q), &f[0]);
	assert_ptr_equal(flight_queue_take(&q), &f[1]);
}

static const char *attr(const struct ipc_invoke *m, const char *name)
{
	static char value[128];
	struct rd list = rd_from(m->attrs.at, m->attrs.len);
	struct ipc_attr a;
	const char *found = NULL;
	while (ipc_attr_next(&list, &a)) {
		if (!span_eq(a.name, name))
			continue;
		assert_null(found); /* each one once */
		(void)snprintf(value, sizeof(value), "%.*s", (int)a.value.len,
			       (const char *)a.value.at);
		found = value;
	}
	return found;
}

static void an_event_becomes_cloudevents_attributes(void **state)
{
	const struct event_attr more[] = { { text("site"), text("hall 3") },
					   { text("id"), text("forged") },
					   { text("a=b"), text("x") },
					   { text(""), text("x") } };
	const struct event e = { .time_wall_ms = 1709164800123,
				 .source = text("mqtt:default"),
				 .type = text("io.penstock.mqtt.message"),
				 .topic = text("s/7"),
				 .payload = text("42"),
				 .content_type = text("text/plain"),
				 .qos = 1,
				 .nattrs = ARRAY_LEN(more),
				 .attrs = more };
	static const char *const want[][2] = { { "id", "18446744073709551615" },
					       { "source", "mqtt:default" },
					       { "type", "io.penstock.mqtt.message" },
					       { "time", "2024-02-29T00:00:00.123Z" },
					       { "topic", "s/7" },
					       { "qos", "1" },
					       { "retain", "0" },
					       { "datacontenttype", "text/plain" },
					       { "site", "hall 3" } };
	struct flight_pool p;
	struct ipc_msg m;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(flight_pool_init(&p, 1), 0);
	struct flight *f = flight_new(&p);
	f->id = UINT64_MAX;
	f->deadline_ns = 99;
	assert_int_equal(flight_encode(f, 5, &e), 0);
	assert_int_equal(ipc_parse(IPC_GATEWAY, f->packet.buf, f->packet.len, &m, &why), 0);
	assert_int_equal(m.type, IPC_INVOKE);
	assert_int_equal(m.invoke.function, 5);
	assert_int_equal(m.invoke.nattrs, ARRAY_LEN(want));
	assert_true(span_eq(m.invoke.payload, "42"));
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_string_equal(attr(&m.invoke, want[i][0]), want[i][1]);
	assert_true(span_eq(f->topic, "s/7"));
	flight_free(&p, f);
	flight_pool_fini(&p);
}

static void every_size_of_payload_fits_or_goes_by_memfd(void **state)
{
	static const size_t size[] = { 0, 1, 300, 600, 5000, 59000, 60000, 61000, 1 << 20 };
	struct flight_pool p;
	uint8_t *bytes = calloc(1, 1 << 20);
	(void)state;
	assert_int_equal(flight_pool_init(&p, 1), 0);
	for (size_t i = 0; i < ARRAY_LEN(size); i++) {
		struct flight *f = flight_new(&p);
		const struct event e = { .topic = text("a"), .payload = { bytes, size[i] } };
		struct ipc_msg m;
		struct why why = { 0 };
		assert_int_equal(flight_encode(f, 1, &e), 0);
		assert_int_equal(ipc_parse(IPC_GATEWAY, f->packet.buf, f->packet.len, &m, &why), 0);
		assert_int_equal(m.invoke.payload.len + m.invoke.payload_fd_bytes, size[i]);
		assert_int_equal(f->payload_fd >= 0, m.invoke.payload_fd_bytes > 0);
		flight_free(&p, f);
	}
	/* A topic that leaves no room for the other attributes is refused, not cut. */
	struct flight *f = flight_new(&p);
	const struct event e = { .topic = { bytes, 65535 } };
	assert_int_equal(flight_encode(f, 1, &e), -E_LIMIT);
	flight_free(&p, f);
	free(bytes);
	flight_pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_those_of_gmtime),
		cmocka_unit_test(the_pool_is_bounded_and_used_again),
		cmocka_unit_test(queues_keep_their_order),
		cmocka_unit_test(an_event_becomes_cloudevents_attributes),
		cmocka_unit_test(every_size_of_payload_fits_or_goes_by_memfd),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
