/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and outputs against a libmodbus server: TCP on loopback, RTU over a pseudo terminal. */
#include "tests/unit/triggers/seen.h"

#include <arpa/inet.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <pty.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "triggers/guard.h"
#include "triggers/modbus.h"

enum { REGISTERS = 200, ASKED_MAX = 256 };

struct server {
	pthread_t thread;
	pthread_mutex_t lock; /* of map and asked */
	modbus_mapping_t *map;
	char asked[ASKED_MAX][32]; /* "3:40+4": function, address, count */
	unsigned nasked, connections;
	atomic_bool stop, deaf; /* deaf: never answers */
	int listen_fd, fd;      /* fd: of the serial line, or the connection */
	int port;
};

static struct server *server_begin(void)
{
	struct server *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	(void)pthread_mutex_init(&s->lock, NULL);
	s->map = modbus_mapping_new(REGISTERS, REGISTERS, REGISTERS, REGISTERS);
	s->listen_fd = s->fd = -1;
	return s;
}

static void answer(struct server *s, modbus_t *ctx, const uint8_t *q, int n)
{
	const uint8_t *pdu = q + modbus_get_header_length(ctx);
	const unsigned address = (unsigned)pdu[1] << 8 | pdu[2],
		       count = (unsigned)pdu[3] << 8 | pdu[4];
	(void)pthread_mutex_lock(&s->lock);
	if (s->nasked < ASKED_MAX)
		(void)snprintf(s->asked[s->nasked++], sizeof(s->asked[0]), "%u:%u+%u", pdu[0],
			       address, count);
	if (!atomic_load(&s->deaf)) {
		if (address == 150) /* one that is always busy */
			(void)modbus_reply_exception(ctx, q, MODBUS_EXCEPTION_SLAVE_OR_SERVER_BUSY);
		else
			(void)modbus_reply(ctx, q, n, s->map);
	}
	(void)pthread_mutex_unlock(&s->lock);
}

/* until the far side goes, a message is for another unit, or the test ends */
static void serve(struct server *s, modbus_t *ctx)
{
	uint8_t q[MODBUS_MAX_ADU_LENGTH];
	while (!atomic_load(&s->stop)) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		if (poll(&p, 1, 10) <= 0)
			continue;
		int n = modbus_receive(ctx, q);
		if (n > 0)
			answer(s, ctx, q, n);
		else if (n == 0 || s->listen_fd >= 0)
			return;
	}
}

static void *tcp_main(void *arg)
{
	struct server *s = arg;
	modbus_t *ctx = modbus_new_tcp("127.0.0.1", s->port);
	while (!atomic_load(&s->stop)) {
		struct pollfd p = { .fd = s->listen_fd, .events = POLLIN };
		if (poll(&p, 1, 10) <= 0)
			continue;
		s->fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		(void)pthread_mutex_lock(&s->lock);
		s->connections++;
		(void)pthread_mutex_unlock(&s->lock);
		(void)modbus_set_socket(ctx, s->fd);
		serve(s, ctx);
		(void)close(s->fd);
	}
	(void)close(s->listen_fd);
	modbus_free(ctx);
	return NULL;
}

/* port 0: any */
static void tcp_start(struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)s->port),
				 .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	const int one = 1;
	s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(s->listen_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->listen_fd, 4), 0);
	assert_int_equal(getsockname(s->listen_fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	atomic_store(&s->stop, false);
	assert_int_equal(pthread_create(&s->thread, NULL, tcp_main, s), 0);
}

static void server_stop(struct server *s)
{
	atomic_store(&s->stop, true);
	(void)pthread_join(s->thread, NULL);
}

static void server_end(struct server *s)
{
	server_stop(s);
	modbus_mapping_free(s->map);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

static void *rtu_main(void *arg)
{
	struct server *s = arg;
	/* Anew after a question to another unit, whose answer libmodbus would see in whatever comes next. */
	while (!atomic_load(&s->stop)) {
		modbus_t *ctx = modbus_new_rtu("/dev/null", 19200, 'E', 8, 1);
		(void)modbus_set_slave(ctx, 7);
		(void)modbus_set_socket(ctx, s->fd);
		serve(s, ctx);
		modbus_free(ctx);
	}
	(void)close(s->fd);
	return NULL;
}

static void put(struct server *s, unsigned address, uint16_t value)
{
	(void)pthread_mutex_lock(&s->lock);
	s->map->tab_registers[address] = value;
	(void)pthread_mutex_unlock(&s->lock);
}

static uint16_t get(struct server *s, unsigned address)
{
	(void)pthread_mutex_lock(&s->lock);
	uint16_t value = s->map->tab_registers[address];
	(void)pthread_mutex_unlock(&s->lock);
	return value;
}

static bool asked(struct server *s, const char *what)
{
	bool found = false;
	(void)pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < s->nasked; i++)
		found |= strcmp(s->asked[i], what) == 0;
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

/* ---- the gateway's side ---- */

static char url[96];
static struct modbus_config config = { .name = "plc", .url = url, .timeout_ms = 500 };
static struct seen seen;

static struct modbus_links *links_new(void)
{
	struct modbus_links *l;
	struct why why = { 0 };
	if (modbus_links_new(&config, 1, &l, &why) != 0)
		fail_msg("%s", why.text);
	return l;
}

static struct trigger *begin(struct modbus_links *l)
{
	struct trigger *t;
	struct why why = { 0 };
	seen_init(&seen);
	const struct trigger_sink sink = seen_as_sink(&seen);
	assert_int_equal(modbus_new(l, "plc", &sink, &t, &why), 0);
	return t;
}

static void use_tcp(const struct server *s)
{
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", s->port);
}

static struct output *output(struct modbus_links *l, const char *target, const char *options)
{
	struct output *o;
	struct why why = { 0 };
	if (output_modbus.open(target, (struct span){ (const uint8_t *)options, strlen(options) },
			       l, &o, &why) != 0)
		fail_msg("%s: %s", target, why.text);
	return o;
}

static int set(struct output *o, const char *value, struct why *why)
{
	*why = (struct why){ 0 };
	return o->ops->set(o, (struct span){ (const uint8_t *)value, strlen(value) }, why);
}

static void a_change_beyond_the_dead_band_is_an_event(void **state)
{
	struct server *s = server_begin();
	(void)state;
	tcp_start(s);
	use_tcp(s);
	put(s, 40, 100);
	struct modbus_links *l = links_new();
	struct trigger *t = begin(l);
	seen_bind(t, 1, "1/holding/40", "{\"every\":10,\"deadband\":5}");
	t->ops->start(t);
	const struct seen_event *e = seen_at(&seen, 0);
	assert_string_equal(e->payload, "100");
	assert_string_equal(e->source, "modbus:plc");
	assert_string_equal(e->type, "io.penstock.modbus.change");
	assert_string_equal(e->topic, "1/holding/40");
	assert_null(strstr(e->attrs, "previous"));
	put(s, 40, 104);
	(void)usleep(100000);
	put(s, 40, 105);
	e = seen_at(&seen, 1);
	assert_string_equal(e->payload, "105");
	assert_non_null(strstr(e->attrs, "previous=100;"));
	seen_refuse(&seen, 1);
	put(s, 40, 65535);
	assert_non_null(strstr(seen_at(&seen, 2)->attrs, "missed=1;"));
	seen_end(t);
	assert_int_equal(seen_count(&seen), 3);
	modbus_links_free(l);
	server_end(s);
}

static void registers_that_touch_are_read_in_one_request(void **state)
{
	struct server *s = server_begin();
	(void)state;
	tcp_start(s);
	use_tcp(s);
	put(s, 10, 7);
	put(s, 11, 0x41ac);
	put(s, 13, 8);
	s->map->tab_bits[3] = 1;
	struct modbus_links *l = links_new();
	struct trigger *t = begin(l);
	seen_bind(t, 3, "1/holding/13", "{\"every\":20}");
	seen_bind(t, 1, "1/holding/10", "{\"every\":20}");
	seen_bind(t, 2, "1/holding/11", "{\"every\":20,\"type\":\"f32\"}");
	seen_bind(t, 4, "1/coil/3", "{\"every\":20}");
	seen_bind(t, 5, "1/holding/14", "{\"every\":30}"); /* another period */
	t->ops->start(t);
	const char *want[] = { NULL, "7", "21.5", "8", "1", "0" };
	for (unsigned i = 0; i < 5; i++)
		assert_string_equal(seen_at(&seen, i)->payload, want[seen_at(&seen, i)->route]);
	seen_end(t);
	assert_true(asked(s, "3:10+4"));
	assert_true(asked(s, "3:14+1"));
	assert_true(asked(s, "1:3+1"));
	assert_false(asked(s, "3:10+1"));
	assert_int_equal(s->connections, 1);
	modbus_links_free(l);
	server_end(s);
}

static void one_register_that_is_refused_does_not_take_its_neighbours_along(void **state)
{
	struct server *s = server_begin();
	(void)state;
	tcp_start(s);
	use_tcp(s);
	put(s, REGISTERS - 1, 5);
	struct modbus_links *l = links_new();
	struct trigger *t = begin(l);
	seen_bind(t, 1, "1/holding/199", "{\"every\":10}");
	seen_bind(t, 2, "1/holding/200", "{\"every\":10}"); /* the server has up to 199 */
	seen_bind(t, 3, "1/holding/150", "{\"every\":10}");
	t->ops->start(t);
	assert_string_equal(seen_at(&seen, 0)->payload, "5");
	seen_state(t, 1, NULL);
	seen_state(t, 2, "illegal data address");
	seen_state(t, 3, "it is busy (exception 6)");
	seen_end(t);
	modbus_links_free(l);
	server_end(s);
}

static void a_server_that_goes_is_said_and_used_when_it_comes_back(void **state)
{
	struct server *s = server_begin();
	(void)state;
	tcp_start(s);
	use_tcp(s);
	put(s, 1, 1);
	struct modbus_links *l = links_new();
	struct trigger *t = begin(l);
	seen_bind(t, 1, "1/holding/1", "{\"every\":10}");
	t->ops->start(t);
	(void)seen_at(&seen, 0);
	server_stop(s);
	seen_state(t, 1, "[modbus.plc]");
	put(s, 1, 2);
	tcp_start(s);
	assert_string_equal(seen_at(&seen, 1)->payload, "2");
	seen_state(t, 1, NULL);
	/* It is there, but says nothing: that is another sentence. */
	atomic_store(&s->deaf, true);
	seen_state(t, 1, "no answer in time");
	atomic_store(&s->deaf, false);
	seen_state(t, 1, NULL);
	seen_end(t);
	assert_int_equal(seen_count(&seen), 2); /* what did not change is no event */
	modbus_links_free(l);
	server_end(s);
}

static void outputs_write_coils_and_registers(void **state)
{
	struct server *s = server_begin();
	struct why why;
	(void)state;
	tcp_start(s);
	use_tcp(s);
	struct modbus_links *l = links_new();
	struct output *coil = output(l, "plc/1/coil/4", "{}");
	struct output *u16 = output(l, "plc/1/holding/20", "{\"initial\":\"17\",\"safe\":\"3\"}");
	struct output *f32 = output(l, "plc/1/holding/30", "{\"type\":\"f32\",\"swap\":true}");
	assert_int_equal(set(coil, "on", &why), 0);
	assert_int_equal(s->map->tab_bits[4], 1);
	assert_int_equal(u16->ops->initial(u16, &why), 0);
	assert_int_equal(get(s, 20), 17);
	assert_int_equal(set(u16, "65535", &why), 0);
	assert_int_equal(get(s, 20), 65535);
	assert_int_equal(set(u16, "65536", &why), -ERANGE);
	assert_int_equal(set(u16, "warm", &why), -E_INVALID);
	assert_int_equal(get(s, 20), 65535);
	assert_int_equal(u16->ops->safe(u16, &why), 0);
	assert_int_equal(get(s, 20), 3);
	assert_int_equal(coil->ops->safe(coil, &why), 0); /* keep */
	assert_int_equal(s->map->tab_bits[4], 1);
	assert_int_equal(set(f32, "21.5", &why), 0);
	assert_int_equal(get(s, 30), 0);
	assert_int_equal(get(s, 31), 0x41ac);
	struct output_range range;
	assert_true(coil->ops->range(coil, &range) && range.least == 0 && range.most == 1);
	assert_true(u16->ops->range(u16, &range) && range.most == 65535 && range.whole);
	assert_true(f32->ops->range(f32, &range) && range.least < -1e38 && !range.whole);
	struct output *none = output(l, "plc/1/holding/200", "{}");
	assert_int_equal(set(none, "1", &why), -EREMOTEIO);
	assert_non_null(strstr(why.text, "exception 2"));
	struct output *busy = output(l, "plc/1/holding/150", "{}");
	assert_int_equal(set(busy, "1", &why), -EAGAIN);
	assert_int_equal(coil->ops->probe(coil, &why), 0);
	struct output *const all[] = { coil, u16, f32, none, busy };
	server_stop(s);
	why = (struct why){ 0 };
	assert_int_equal(coil->ops->probe(coil, &why), -EAGAIN);
	assert_int_equal(set(coil, "0", &why), -EAGAIN);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		all[i]->ops->close(all[i]);
	modbus_links_free(l);
	modbus_mapping_free(s->map);
	free(s);
}

/* What penstock-guard does when the gateway has died: the bytes, on the connection that is open. */
static void the_guard_can_send_the_safe_value(void **state)
{
	static const struct {
		const char *target, *options;
	} row[] = {
		{ "plc/1/coil/4", "{\"safe\":\"1\"}" },
		{ "plc/1/holding/20", "{\"safe\":\"4660\"}" },
		{ "plc/1/holding/30", "{\"type\":\"u32\",\"safe\":\"305419896\"}" },
	};
	struct server *s = server_begin();
	(void)state;
	tcp_start(s);
	use_tcp(s);
	struct modbus_links *l = links_new();
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct guard_action a = { .fd = -1 };
		struct why why;
		uint8_t reply[32];
		struct output *o = output(l, row[i].target, row[i].options);
		assert_true(i > 0 || !o->ops->guard(o, &a)); /* nothing is connected yet */
		assert_int_equal(set(o, "0", &why), 0);
		assert_true(o->ops->guard(o, &a));
		assert_int_equal(a.verb, GUARD_SEND);
		assert_int_equal(send(a.fd, a.bytes, a.length, MSG_NOSIGNAL), a.length);
		struct pollfd p = { .fd = a.fd, .events = POLLIN };
		assert_int_equal(poll(&p, 1, SEEN_SECONDS * 1000), 1);
		assert_true(recv(a.fd, reply, sizeof(reply), 0) >= 12);
		assert_int_equal(reply[7] & 0x80, 0); /* no exception */
		o->ops->close(o);
	}
	assert_int_equal(s->map->tab_bits[4], 1);
	assert_int_equal(get(s, 20), 4660);
	assert_int_equal(get(s, 30), 0x1234);
	assert_int_equal(get(s, 31), 0x5678);
	struct guard_action a;
	struct output *o = output(l, "plc/1/coil/5", "{}");
	assert_false(o->ops->guard(o, &a)); /* keep */
	o->ops->close(o);
	modbus_links_free(l);
	server_end(s);
}

static void inputs_and_outputs_share_a_serial_line(void **state)
{
	struct server *s = server_begin();
	struct why why;
	int line;
	(void)state;
	assert_int_equal(openpty(&s->fd, &line, url + 4, NULL, NULL), 0);
	memcpy(url, "rtu:", 4);
	assert_int_equal(pthread_create(&s->thread, NULL, rtu_main, s), 0);
	put(s, 2, 41);
	struct modbus_links *l = links_new();
	struct trigger *t = begin(l);
	seen_bind(t, 1, "7/holding/2", "{\"every\":10}");
	seen_bind(t, 2, "8/holding/2", "{\"every\":10}"); /* nobody is there */
	t->ops->start(t);
	assert_string_equal(seen_at(&seen, 0)->payload, "41");
	seen_state(t, 2, "no answer in time");
	struct output *o = output(l, "plc/7/holding/2", "{\"safe\":\"0\"}");
	assert_int_equal(set(o, "42", &why), 0);
	assert_string_equal(seen_at(&seen, 1)->payload, "42");
	struct guard_action a;
	assert_false(o->ops->guard(o, &a)); /* a line is not for two to write */
	assert_int_equal(seen_subscribe(t, 3, "0/holding/2", "{}", &why), -E_INVALID);
	o->ops->close(o);
	seen_end(t);
	modbus_links_free(l);
	server_end(s);
	(void)close(line);
}

static void what_makes_no_sense_is_refused_at_once(void **state)
{
	static const char *const targets[] = { "",
					       "plc",
					       "plc/",
					       "other/1/coil/1",
					       "plc/1/discrete/1",
					       "plc/1/input/1",
					       "plc/1/coil/x" };
	struct modbus_links *l;
	struct output *o;
	struct trigger *t;
	struct why why = { 0 };
	const struct trigger_sink sink = seen_as_sink(&seen);
	(void)state;
	(void)snprintf(url, sizeof(url), "tcp://127.0.0.1:1");
	l = links_new();
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		why.text[0] = '\0';
		assert_int_equal(output_modbus.open(targets[i],
						    (struct span){ (const uint8_t *)"{}", 2 }, l,
						    &o, &why),
				 -E_INVALID);
		assert_true(why.text[0] != '\0');
	}
	assert_int_equal(modbus_new(l, "other", &sink, &t, &why), -E_UNKNOWN);
	modbus_links_free(l);
	(void)snprintf(url, sizeof(url), "tcp://");
	why.text[0] = '\0';
	assert_int_equal(modbus_links_new(&config, 1, &l, &why), -E_CONFIG);
	assert_non_null(strstr(why.text, "[modbus.plc]"));
}

/* Inputs stop first; the outputs' connection may be gone by then. */
static void an_output_is_made_safe_after_inputs_have_stopped(void **state)
{
	struct server *s = server_begin();
	struct why why = { 0 };
	(void)state;
	tcp_start(s);
	use_tcp(s);
	put(s, 40, 100);
	struct modbus_links *l = links_new();
	struct trigger *t = begin(l);
	struct output *o = output(l, "plc/1/holding/40", "{\"safe\":\"7\"}");
	t->ops->start(t);
	t->ops->stop(t, 0);
	if (o->ops->safe(o, &why) != 0)
		fail_msg("%s", why.text);
	assert_int_equal(get(s, 40), 7);
	t->ops->free(t);
	o->ops->close(o);
	modbus_links_free(l);
	server_end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_beyond_the_dead_band_is_an_event),
		cmocka_unit_test(registers_that_touch_are_read_in_one_request),
		cmocka_unit_test(one_register_that_is_refused_does_not_take_its_neighbours_along),
		cmocka_unit_test(a_server_that_goes_is_said_and_used_when_it_comes_back),
		cmocka_unit_test(outputs_write_coils_and_registers),
		cmocka_unit_test(the_guard_can_send_the_safe_value),
		cmocka_unit_test(inputs_and_outputs_share_a_serial_line),
		cmocka_unit_test(an_output_is_made_safe_after_inputs_have_stopped),
		cmocka_unit_test(what_makes_no_sense_is_refused_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
