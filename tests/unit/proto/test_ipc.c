/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: what one side writes the other reads; anything else is refused without harm. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/aot_abi.h"
#include "proto/ipc.h"

static struct span text(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

static void assert_span(struct span s, const char *want)
{
	assert_int_equal(s.len, strlen(want));
	assert_memory_equal(s.at, want, s.len);
}

/* ---- one good packet of each kind ---- */

static uint8_t list_bytes[256];

static bool make_hello(struct wr *w)
{
	return ipc_put_hello(w, &(struct ipc_hello){ .version = AOT_ABI_VERSION, .workers = 4 });
}

static bool make_load(struct wr *w)
{
	const struct ipc_load m = {
		.function = 7,
		.memory_pages = 32,
		.stack_bytes = 262144,
		.output_bytes = 65536,
		.cpu_ns = 50000000,
		.name = text("a@1"),
		.env = text("A=b"),
		.args = text("a"),
	};
	return ipc_put_load(w, &m);
}

static bool make_loaded(struct wr *w)
{
	const struct ipc_loaded m = { .function = 7, .err = -E_LIMIT, .why = text("too big") };
	return ipc_put_loaded(w, &m);
}

static bool make_unload(struct wr *w)
{
	return ipc_put_unload(w, 7);
}

static bool make_invoke(struct wr *w)
{
	struct wr list = wr_into(list_bytes, sizeof(list_bytes));
	ipc_attr_put(&list, &(struct ipc_attr){ text("id"), text("17") });
	ipc_attr_put(&list, &(struct ipc_attr){ text("topic"), text("sensors/p1/t") });
	const struct ipc_invoke m = {
		.event = UINT64_C(1) << 63,
		.deadline_ns = 12345,
		.function = 7,
		.nattrs = 2,
		.attrs = { list.buf, list.len },
		.payload = text("{\"t\":99}"),
	};
	return ipc_put_invoke(w, &m);
}

static bool make_result(struct wr *w)
{
	struct wr list = wr_into(list_bytes, sizeof(list_bytes));
	ipc_effect_put(&list, &(struct ipc_effect){ 1, 0, text("alerts/p1"), text("hot"), { 0 } });
	uint8_t attrs[64];
	struct wr a = wr_into(attrs, sizeof(attrs));
	ipc_attr_put(&a, &(struct ipc_attr){ text("subject"), text("p1") });
	ipc_attr_put(&a, &(struct ipc_attr){ text("expiry"), text("60") });
	ipc_effect_put(&list, &(struct ipc_effect){ 2, 1, text(""), text(""), { a.buf, a.len } });
	const struct ipc_result m = {
		.event = 17,
		.status = IPC_FAILED,
		.code = -3,
		.neffects = 2,
		.queue_ns = 1,
		.run_ns = 2,
		.cpu_ns = 3,
		.memory_bytes = 65536,
		.why = text("exit code 3"),
		.log = text("6hello\n"),
		.reply = text("ok"),
		.effects = { list.buf, list.len },
		.nstate = 2,
	};
	struct ipc_result with = m;
	struct wr state = wr_into(list_bytes + list.len, sizeof(list_bytes) - list.len);
	ipc_state_put(&state, &(struct ipc_state_op){ IPC_STATE_READ, 7, 0, text(""), text("k"),
						      text("") });
	ipc_state_put(&state, &(struct ipc_state_op){ IPC_STATE_PUT, IPC_STATE_ANY, 60000,
						      text("shared"), text("n"), text("41") });
	with.state = (struct span){ state.buf, state.len };
	return ipc_put_result(w, &with);
}

static bool make_ask(struct wr *w)
{
	return ipc_put_state_ask(w, &(struct ipc_state_ask){ 17, 3, 1, 1000, text("shared"),
							     text("pumps/"), text("pumps/2") });
}

static bool make_tell(struct wr *w)
{
	return ipc_put_state_tell(w, &(struct ipc_state_tell){ 3, 0, 9, text("value") });
}

static bool make_cancel(struct wr *w)
{
	return ipc_put_cancel(w, 99);
}

static bool make_quit(struct wr *w)
{
	return ipc_put_quit(w);
}

static const struct {
	enum ipc_type type;
	enum ipc_side from;
	bool (*make)(struct wr *w);
} rows[] = {
	{ IPC_HELLO, IPC_SANDBOX, make_hello },   { IPC_LOAD, IPC_GATEWAY, make_load },
	{ IPC_LOADED, IPC_SANDBOX, make_loaded }, { IPC_UNLOAD, IPC_GATEWAY, make_unload },
	{ IPC_INVOKE, IPC_GATEWAY, make_invoke }, { IPC_RESULT, IPC_SANDBOX, make_result },
	{ IPC_CANCEL, IPC_GATEWAY, make_cancel }, { IPC_QUIT, IPC_GATEWAY, make_quit },
	{ IPC_STATE_ASK, IPC_SANDBOX, make_ask }, { IPC_STATE_TELL, IPC_GATEWAY, make_tell },
};

static size_t packet(size_t row, uint8_t *buf, size_t cap)
{
	struct wr w = wr_into(buf, cap);
	assert_true(rows[row].make(&w));
	return w.len;
}

/* Reads every list of a parsed message, as its receiver would. */
static void walk(const struct ipc_msg *m)
{
	struct ipc_attr a;
	struct ipc_effect e;
	uint32_t n = 0;
	if (m->type == IPC_INVOKE) {
		struct rd r = rd_from(m->invoke.attrs.at, m->invoke.attrs.len);
		for (; ipc_attr_next(&r, &a); n++)
			assert_true(a.name.len > 0);
		assert_int_equal(n, m->invoke.nattrs);
	}
	if (m->type == IPC_RESULT && m->result.fd_bytes == 0) {
		struct rd r = rd_from(m->result.effects.at, m->result.effects.len);
		for (; ipc_effect_next(&r, &e); n++)
			assert_true(e.qos <= 2);
		assert_int_equal(n, m->result.neffects);
	}
}

/* ---- rules ---- */

static void every_message_comes_back_as_it_was_sent(void **state)
{
	(void)state;
	uint8_t buf[1024], again[1024];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = packet(i, buf, sizeof(buf));
		struct ipc_msg m;
		assert_int_equal(ipc_parse(rows[i].from, buf, len, &m, NULL), 0);
		assert_int_equal(m.type, rows[i].type);
		assert_int_equal(m.nfds, m.type == IPC_LOAD);
		walk(&m);
		assert_int_equal(packet(i, again, sizeof(again)), len);
		assert_memory_equal(buf, again, len);
	}
}

static void fields_keep_their_values(void **state)
{
	(void)state;
	uint8_t buf[1024];
	struct ipc_msg m;
	struct wr w = wr_into(buf, sizeof(buf));
	assert_true(make_invoke(&w));
	assert_int_equal(ipc_parse(IPC_GATEWAY, buf, w.len, &m, NULL), 0);
	assert_true(m.invoke.event == UINT64_C(1) << 63);
	assert_int_equal(m.invoke.deadline_ns, 12345);
	assert_int_equal(m.invoke.function, 7);
	assert_span(m.invoke.payload, "{\"t\":99}");
	struct rd list = rd_from(m.invoke.attrs.at, m.invoke.attrs.len);
	struct ipc_attr a;
	assert_true(ipc_attr_next(&list, &a) && ipc_attr_next(&list, &a));
	assert_span(a.name, "topic");
	assert_span(a.value, "sensors/p1/t");

	w = wr_into(buf, sizeof(buf));
	assert_true(make_result(&w));
	assert_int_equal(ipc_parse(IPC_SANDBOX, buf, w.len, &m, NULL), 0);
	assert_int_equal(m.result.status, IPC_FAILED);
	assert_int_equal(m.result.code, -3);
	assert_int_equal(m.result.cpu_ns, 3);
	assert_span(m.result.why, "exit code 3");
	assert_span(m.result.log, "6hello\n");
	assert_span(m.result.reply, "ok");
	struct ipc_effect e;
	list = rd_from(m.result.effects.at, m.result.effects.len);
	assert_true(ipc_effect_next(&list, &e));
	assert_span(e.topic, "alerts/p1");
	assert_span(e.payload, "hot");
	assert_int_equal(e.attrs.len, 0);
	assert_true(ipc_effect_next(&list, &e));
	assert_int_equal(e.retain, 1);
	list = rd_from(e.attrs.at, e.attrs.len);
	assert_true(ipc_attr_next(&list, &a) && ipc_attr_next(&list, &a));
	assert_span(a.name, "expiry");
	assert_span(a.value, "60");
}

static void an_effect_with_attributes_that_no_function_may_set_is_refused(void **state)
{
	static const struct {
		const char *name, *value;
		bool ok;
	} row[] = {
		{ "colour", "red", true },
		{ "expiry", "4294967295", true },
		{ "expiry", "4294967296", false },
		{ "expiry", "-1", false },
		{ "responsetopic", "a/+", false },
		{ "payloadformat", "2", false },
		{ "correlationdata", "\xff", true },
		{ "colour", "\xff", false },
		{ "id", "1", false },
		{ "penstock-hops", "0", false },
		{ "", "x", false },
		{ "a=b", "x", false },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint8_t attrs[64], buf[1024];
		struct wr a = wr_into(attrs, sizeof(attrs)), w = wr_into(buf, sizeof(buf));
		struct wr list = wr_into(list_bytes, sizeof(list_bytes));
		struct ipc_msg m;
		ipc_attr_put(&a, &(struct ipc_attr){ text(row[i].name), text(row[i].value) });
		ipc_effect_put(&list, &(struct ipc_effect){
					      1, 0, text("t"), text("p"), { a.buf, a.len } });
		assert_true(ipc_put_result(
			&w,
			&(struct ipc_result){ .neffects = 1, .effects = { list.buf, list.len } }));
		assert_int_equal(ipc_parse(IPC_SANDBOX, buf, w.len, &m, NULL),
				 row[i].ok ? 0 : -E_PROTO);
	}
}

static void a_message_from_the_wrong_side_is_refused(void **state)
{
	(void)state;
	uint8_t buf[1024];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = packet(i, buf, sizeof(buf));
		struct ipc_msg m;
		struct why why = { 0 };
		enum ipc_side wrong = rows[i].from == IPC_GATEWAY ? IPC_SANDBOX : IPC_GATEWAY;
		assert_int_equal(ipc_parse(wrong, buf, len, &m, &why), -E_PROTO);
		assert_non_null(strstr(why.text, ipc_name(rows[i].type)));
	}
}

static void every_truncation_and_every_extra_byte_is_refused(void **state)
{
	(void)state;
	uint8_t buf[1024];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = packet(i, buf, sizeof(buf));
		struct ipc_msg m;
		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *exact = malloc(cut ? cut : 1); /* so that ASan sees the end */
			memcpy(exact, buf, cut);
			assert_int_equal(ipc_parse(rows[i].from, exact, cut, &m, NULL), -E_PROTO);
			free(exact);
		}
		buf[len] = 0;
		int want = rows[i].type == IPC_HELLO ? 0 : -E_PROTO; /* HELLO may grow */
		assert_int_equal(ipc_parse(rows[i].from, buf, len + 1, &m, NULL), want);
	}
}

static void descriptors_that_a_message_does_not_bring_are_refused(void **state)
{
	(void)state;
	uint8_t buf[1024];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = packet(i, buf, sizeof(buf));
		struct ipc_msg m;
		for (uint8_t nfds = 0; nfds < 3; nfds++) {
			buf[2] = nfds; /* the head is u16 type, u16 descriptors */
			int want = nfds == (rows[i].type == IPC_LOAD) ? 0 : -E_PROTO;
			assert_int_equal(ipc_parse(rows[i].from, buf, len, &m, NULL), want);
		}
	}
}

static void no_changed_byte_does_harm(void **state)
{
	(void)state;
	uint8_t buf[1024];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = packet(i, buf, sizeof(buf));
		for (size_t at = 0; at < len * 256; at++) {
			uint8_t *copy = malloc(len);
			memcpy(copy, buf, len);
			copy[at / 256] = (uint8_t)at;
			struct ipc_msg m;
			if (ipc_parse(rows[i].from, copy, len, &m, NULL) == 0)
				walk(&m);
			free(copy);
		}
	}
}

static void counts_that_the_bytes_cannot_hold_are_refused(void **state)
{
	(void)state;
	static const struct {
		uint32_t neffects, fd_bytes;
		bool with_reply;
		int want;
	} row[] = {
		{ 0, 0, false, 0 },
		{ 1, 0, false, -E_PROTO },
		{ UINT32_MAX, 0, false, -E_PROTO },
		{ 1, 100, false, 0 }, /* they lie in the memfd */
		{ IPC_EFFECTS_MAX + 1, 100, false, -E_PROTO },
		{ 1, 100, true, -E_PROTO },
		{ 1, IPC_PAYLOAD_BYTES + 1, false, -E_PROTO },
	};
	uint8_t buf[1024];
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct wr w = wr_into(buf, sizeof(buf));
		const struct ipc_result r = { .neffects = row[i].neffects,
					      .fd_bytes = row[i].fd_bytes,
					      .reply = text(row[i].with_reply ? "x" : "") };
		struct ipc_msg m;
		assert_true(ipc_put_result(&w, &r));
		assert_int_equal(ipc_parse(IPC_SANDBOX, buf, w.len, &m, NULL), row[i].want);
	}
}

static void what_does_not_fit_is_not_written(void **state)
{
	(void)state;
	uint8_t small[16];
	static uint8_t big[IPC_PACKET_BYTES * 2], payload[IPC_PACKET_BYTES];
	struct wr w = wr_into(small, sizeof(small));
	assert_false(make_invoke(&w));
	w = wr_into(big, sizeof(big));
	const struct ipc_invoke m = { .payload = { payload, sizeof(payload) } };
	assert_false(ipc_put_invoke(&w, &m)); /* over the table's most */
}

static void a_result_by_memfd_is_checked_like_one_inline(void **state)
{
	(void)state;
	uint8_t buf[256];
	struct wr w = wr_into(buf, sizeof(buf));
	wr_u32(&w, 5);
	wr_str(&w, "reply");
	ipc_effect_put(&w, &(struct ipc_effect){ 1, 0, text("t"), text("p"), { 0 } });
	struct ipc_result m = { .neffects = 1, .fd_bytes = (uint32_t)w.len };
	assert_int_equal(ipc_result_unpack(&m, buf, w.len, NULL), 0);
	assert_span(m.reply, "reply");
	for (size_t cut = 0; cut < w.len; cut++) {
		struct ipc_result n = { .neffects = 1, .fd_bytes = (uint32_t)cut };
		assert_int_equal(ipc_result_unpack(&n, buf, cut, NULL), -E_PROTO);
	}
	m.neffects = 2;
	assert_int_equal(ipc_result_unpack(&m, buf, w.len, NULL), -E_PROTO);
}

/* ---- the socket ---- */

static void pair_make(int sock[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock), 0);
}

static void packets_and_descriptors_pass(void **state)
{
	(void)state;
	int s[2], fd;
	uint8_t buf[1024];
	pair_make(s);
	assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), &fd, false), -EAGAIN);
	struct span parts[] = { text("hello "), text("world") };
	int mem = ipc_memfd("test", parts, 2);
	assert_true(mem >= 0);
	struct wr w = wr_into(buf, sizeof(buf));
	assert_true(make_load(&w));
	size_t len = w.len;
	assert_int_equal(ipc_send(s[0], &w, &mem, 1, true), 0);
	assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), &fd, true), len);
	assert_true(fd >= 0 && fd != mem);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	const void *map;
	assert_int_equal(ipc_memfd_map(fd, 12, &map), -E_PROTO);
	assert_int_equal(ipc_memfd_map(fd, 11, &map), 0);
	assert_memory_equal(map, "hello world", 11);
	assert_int_equal(munmap((void *)map, 11), 0);
	close(fd);
	close(mem);
	close(s[0]);
	assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), &fd, true), 0);
	w = wr_into(buf, sizeof(buf));
	assert_true(make_quit(&w));
	assert_int_equal(ipc_send(s[1], &w, NULL, 0, true), -EPIPE);
	close(s[1]);
}

static void a_cut_packet_or_a_second_descriptor_is_refused_and_closed(void **state)
{
	(void)state;
	int s[2], fd;
	uint8_t buf[64] = { 0 };
	pair_make(s);
	assert_int_equal(send(s[0], buf, 64, 0), 64);
	assert_int_equal(ipc_recv(s[1], buf, 63, &fd, true), -E_PROTO);
	assert_int_equal(fd, -1);

	int before = dup(0);
	close(before);
	union {
		struct cmsghdr h;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} c = { 0 };
	for (unsigned n = 2; n <= 8; n += 6) {
		struct iovec iov = { buf, 4 };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = &c,
				      .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
		c.h = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
					.cmsg_type = SCM_RIGHTS,
					.cmsg_len = CMSG_LEN(n * sizeof(int)) };
		memset(CMSG_DATA(&c.h), 0, n * sizeof(int));
		assert_int_equal(sendmsg(s[0], &msg, 0), 4);
		assert_int_equal(ipc_recv(s[1], buf, sizeof(buf), &fd, true), -E_PROTO);
		assert_int_equal(fd, -1);
	}
	int after = dup(0);
	close(after);
	assert_int_equal(after, before); /* nothing leaked */
	close(s[0]);
	close(s[1]);
}

static void batches_pass_whole_and_in_order(void **state)
{
	enum { SENT = IPC_BATCH + 4, WITH_FD = 5 };
	(void)state;
	int s[2], before = dup(0);
	close(before);
	pair_make(s);
	struct ipc_inbox *in = ipc_inbox_new();
	struct ipc_packet got[IPC_BATCH];
	uint8_t bytes[SENT][4];
	struct span packets[SENT];
	assert_non_null(in);
	assert_int_equal(ipc_inbox_recv(in, s[1], got), -EAGAIN);
	for (unsigned i = 0; i < SENT; i++) {
		memset(bytes[i], (int)i, sizeof(bytes[i]));
		packets[i] = (struct span){ bytes[i], 1 + i % 4 };
	}
	assert_int_equal(ipc_send_all(s[0], packets, WITH_FD), 0);
	struct wr w = wr_into(bytes[WITH_FD], 4);
	w.len = packets[WITH_FD].len;
	assert_int_equal(ipc_send(s[0], &w, &s[0], 1, true), 0);
	assert_int_equal(ipc_send_all(s[0], packets + WITH_FD + 1, SENT - WITH_FD - 1), 0);
	for (unsigned at = 0; at < SENT;) {
		int n = ipc_inbox_recv(in, s[1], got);
		assert_int_equal(n, at == 0 ? IPC_BATCH : SENT - IPC_BATCH);
		for (int i = 0; i < n; i++, at++) {
			assert_int_equal(got[i].err, 0);
			assert_int_equal(got[i].len, packets[at].len);
			assert_memory_equal(got[i].bytes, packets[at].at, packets[at].len);
			assert_int_equal(got[i].fd >= 0, at == WITH_FD);
			if (got[i].fd >= 0)
				close(got[i].fd);
		}
	}
	ipc_inbox_free(in);
	close(s[0]);
	close(s[1]);
	int after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

static void a_batch_ends_at_the_peers_end_and_marks_a_cut_packet(void **state)
{
	static uint8_t big[IPC_PACKET_BYTES + 1];
	(void)state;
	int s[2];
	pair_make(s);
	struct ipc_inbox *in = ipc_inbox_new();
	struct ipc_packet got[IPC_BATCH];
	assert_non_null(in);
	assert_int_equal(send(s[0], big, sizeof(big), 0), sizeof(big));
	assert_int_equal(send(s[0], big, 8, 0), 8);
	close(s[0]);
	assert_int_equal(ipc_inbox_recv(in, s[1], got), 2);
	assert_int_equal(got[0].err, -E_PROTO);
	assert_int_equal(got[1].err, 0);
	assert_int_equal(ipc_inbox_recv(in, s[1], got), 0);
	const struct span one = { big, 8 };
	assert_int_equal(ipc_send_all(s[1], &one, 1), -EPIPE);
	ipc_inbox_free(in);
	close(s[1]);
}

static void an_unsealed_memfd_is_refused(void **state)
{
	(void)state;
	const void *map;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, "abcd", 4), 4);
	assert_int_equal(ipc_memfd_map(fd, 4, &map), -E_PROTO);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW), 0);
	assert_int_equal(ipc_memfd_map(fd, 4, &map), -E_PROTO);
	close(fd);
	int p[2];
	assert_int_equal(pipe(p), 0);
	assert_int_equal(ipc_memfd_map(p[0], 4, &map), -E_PROTO);
	close(p[0]);
	close(p[1]);
}

static void a_full_queue_says_try_again(void **state)
{
	(void)state;
	int s[2];
	uint8_t buf[1024];
	pair_make(s);
	struct wr w = wr_into(buf, sizeof(buf));
	assert_true(make_cancel(&w));
	int err = 0;
	for (int i = 0; i < 1000000 && err == 0; i++)
		err = ipc_send(s[0], &w, NULL, 0, false);
	assert_int_equal(err, -EAGAIN);
	close(s[0]);
	close(s[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_comes_back_as_it_was_sent),
		cmocka_unit_test(fields_keep_their_values),
		cmocka_unit_test(an_effect_with_attributes_that_no_function_may_set_is_refused),
		cmocka_unit_test(a_message_from_the_wrong_side_is_refused),
		cmocka_unit_test(every_truncation_and_every_extra_byte_is_refused),
		cmocka_unit_test(descriptors_that_a_message_does_not_bring_are_refused),
		cmocka_unit_test(no_changed_byte_does_harm),
		cmocka_unit_test(counts_that_the_bytes_cannot_hold_are_refused),
		cmocka_unit_test(what_does_not_fit_is_not_written),
		cmocka_unit_test(a_result_by_memfd_is_checked_like_one_inline),
		cmocka_unit_test(packets_and_descriptors_pass),
		cmocka_unit_test(batches_pass_whole_and_in_order),
		cmocka_unit_test(a_batch_ends_at_the_peers_end_and_marks_a_cut_packet),
		cmocka_unit_test(a_cut_packet_or_a_second_descriptor_is_refused_and_closed),
		cmocka_unit_test(an_unsealed_memfd_is_refused),
		cmocka_unit_test(a_full_queue_says_try_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
