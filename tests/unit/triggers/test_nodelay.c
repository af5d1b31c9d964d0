/* SPDX-License-Identifier: Apache-2.0 */
/* The socket calls as Paho sees them: the same bytes in the same order, with the options set. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "triggers/nodelay.h"

/* A connected pair over loopback; *ret_far is the accepting end. */
static int pair(int *ret_far)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	*ret_far = accept(listener, NULL, NULL);
	assert_true(*ret_far >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	(void)close(listener);
	return fd;
}

static int readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, timeout_ms);
}

static void connect_sets_nodelay(void **state)
{
	int far, fd = pair(&far), on = 0;
	socklen_t len = sizeof(on);
	(void)state;
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_true(on);
	assert_int_equal(nodelay_last_connected(), fd);
	(void)close(fd);
	(void)close(far);
}

static void bytes_that_were_read_ahead_are_polled_and_read_in_order(void **state)
{
	int far, fd = pair(&far);
	char buf[32] = "";
	(void)state;
	assert_int_equal(readable(fd, 0), 0);
	assert_int_equal(send(far, "abcdefgh", 8, 0), 8);
	assert_int_equal(readable(fd, 1000), 1);
	assert_int_equal(recv(fd, buf, 1, 0), 1);
	assert_int_equal(buf[0], 'a');
	assert_int_equal(readable(fd, 0), 1); /* nothing is left in the kernel, but here */
	assert_int_equal(recv(fd, buf, 3, 0), 3);
	assert_memory_equal(buf, "bcd", 3);
	assert_int_equal(send(far, "ij", 2, 0), 2);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 6); /* both, in one call */
	assert_memory_equal(buf, "efghij", 6);
	assert_int_equal(readable(fd, 0), 0);
	assert_int_equal(recv(fd, buf, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	(void)close(far);
	assert_int_equal(readable(fd, 1000), 1);
	assert_int_equal(recv(fd, buf, 1, 0), 0);
	(void)close(fd);
}

static void large_reads_go_around_the_buffer(void **state)
{
	static char out[300000], in[300000];
	int far, fd = pair(&far);
	size_t got = 0;
	(void)state;
	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 31 + i / 255);
	for (size_t sent = 0; got < sizeof(in);) {
		if (sent < sizeof(out)) {
			ssize_t n = send(far, out + sent, sizeof(out) - sent, MSG_DONTWAIT);
			sent += n > 0 ? (size_t)n : 0;
		}
		/* Odd sizes, small and large in turn. */
		size_t want = got % 3 ? 7 : 50001;
		if (want > sizeof(in) - got)
			want = sizeof(in) - got;
		ssize_t n = recv(fd, in + got, want, 0);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_memory_equal(in, out, sizeof(in));
	(void)close(fd);
	(void)close(far);
}

/* Tests of what the reader does run on a thread of their own: being one is for life. */
static void on_a_thread(void *(*test)(void *))
{
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, test, NULL), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
}

static void *cut(void *arg)
{
	static char big[8 << 20];
	int far, fd = pair(&far);
	struct iovec iov = { big, 1 };
	assert_false(
		nodelay_writable(fd, 100)); /* nothing was written yet: it may not be connected */
	assert_int_equal(writev(fd, &iov, 1), 1);
	assert_true(nodelay_writable(fd, 100));
	iov.iov_len = sizeof(big);
	ssize_t n = writev(fd, &iov, 1);
	assert_true(n > 0 && (size_t)n < sizeof(big));
	assert_false(nodelay_writable(fd, 100));
	assert_int_equal(readable(fd, 2000), 0); /* not so long: the write must go on */
	char sink[65536];
	while (recv(far, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	assert_false(nodelay_writable(fd, 100)); /* room again, but the rest has to go first */
	iov.iov_len = 1;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(writev(fd, &iov, 1), 1);
	assert_true(nodelay_writable(fd, 100));
	p.revents = 0;
	assert_int_equal(poll(&p, 1, 0), 1); /* Paho reads only from what can be written */
	assert_int_equal(p.revents, POLLOUT);
	(void)close(fd);
	(void)close(far);
	assert_false(nodelay_writable(fd, 100));
	return arg;
}

static void a_cut_write_is_remembered_until_one_goes_out_whole(void **state)
{
	(void)state;
	on_a_thread(cut);
}

/* Makes fd established, and this thread its reader. */
static void begin_reading(int fd, int far)
{
	struct iovec iov = { (char *)"!", 1 };
	char c;
	assert_int_equal(writev(fd, &iov, 1), 1);
	assert_int_equal(recv(far, &c, 1, 0), 1);
	assert_int_equal(readable(fd, 1), 0);
	assert_true(nodelay_reads());
}

static void say(int fd, const char *text)
{
	struct iovec iov = { (char *)text, strlen(text) };
	assert_true(nodelay_writable(fd, iov.iov_len));
	assert_int_equal(writev(fd, &iov, 1), iov.iov_len);
}

static void expect(int far, const char *text)
{
	char buf[64] = "";
	ssize_t n = recv(far, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	assert_string_equal(n > 0 ? buf : "", text);
}

static void *hold_back(void *arg)
{
	int far, fd = pair(&far);
	char c;
	begin_reading(fd, far);
	say(fd, "abc");
	say(fd, "def");
	expect(far, "");
	assert_int_equal(readable(fd, 1), 0); /* slept */
	expect(far, "abcdef");
	say(fd, "gh");
	assert_int_equal(send(far, "xy", 2, 0), 2);
	assert_int_equal(readable(fd, 1000), 1);
	expect(far, "gh");
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	assert_true(nodelay_more(fd));
	say(fd, "1");
	assert_int_equal(readable(fd, 1000), 1); /* from memory: does not sleep */
	expect(far, "");
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	assert_false(nodelay_more(fd));
	assert_int_equal(recv(fd, &c, 1, 0), -1); /* asks the kernel: a new batch */
	expect(far, "1");
	(void)close(fd);
	(void)close(far);
	return arg;
}

static void the_readers_writes_go_out_before_it_reads_more_or_sleeps(void **state)
{
	(void)state;
	on_a_thread(hold_back);
}

static void *stall(void *arg)
{
	static char block[4000], got[65536];
	int far, fd = pair(&far);
	size_t sent = 0, back = 0;
	begin_reading(fd, far);
	while (nodelay_writable(fd, sizeof(block))) { /* until kernel and memory are full */
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (char)((sent + i) % 251);
		struct iovec iov = { block, sizeof(block) };
		assert_int_equal(writev(fd, &iov, 1), sizeof(block)); /* never cut */
		sent += sizeof(block);
		assert_true(sent < 64 << 20);
	}
	struct iovec iov = { block,
			     8000 }; /* what Paho itself writes may not overtake, nor be lost */
	assert_int_equal(writev(fd, &iov, 1), -1);
	assert_int_equal(errno, EAGAIN);
	while (back < sent) {
		ssize_t n = recv(far, got, sizeof(got), MSG_DONTWAIT);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal((uint8_t)got[i], (back + (size_t)i) % 251);
		back += n > 0 ? (size_t)n : 0;
		assert_int_equal(readable(fd, 2), 0); /* the reader sleeps, and so the rest goes */
	}
	(void)close(fd);
	(void)close(far);
	return arg;
}

static void a_far_end_that_stalls_gets_every_byte_in_order_later(void **state)
{
	(void)state;
	on_a_thread(stall);
}

static void *cork(void *arg)
{
	int far, fd = pair(&far);
	struct iovec iov = { (char *)"!", 1 };
	assert_int_equal(writev(fd, &iov, 1), 1);
	expect(far, "!");
	nodelay_cork();
	say(fd, "ab");
	say(fd, "c");
	expect(far, "");
	nodelay_uncork(fd);
	expect(far, "abc");
	say(fd, "d");
	expect(far, "d");
	(void)close(fd);
	(void)close(far);
	return arg;
}

static void what_a_corked_thread_writes_goes_out_at_uncork(void **state)
{
	(void)state;
	on_a_thread(cork);
}

static void drained(void *arg)
{
	say(*(int *)arg, "drained");
}

static void *drain(void *arg)
{
	int far, fd = pair(&far);
	begin_reading(fd, far);
	assert_true(nodelay_add_drain(drained, &fd));
	assert_int_equal(readable(fd, 1), 0);
	expect(far, "drained");
	nodelay_remove_drain(&fd);
	assert_int_equal(readable(fd, 1), 0);
	expect(far, "");
	(void)close(fd);
	(void)close(far);
	return arg;
}

static void drains_run_before_the_reader_sleeps(void **state)
{
	(void)state;
	on_a_thread(drain);
}

static void a_number_used_again_starts_afresh(void **state)
{
	int far, fd = pair(&far);
	char c;
	(void)state;
	assert_int_equal(send(far, "old", 3, 0), 3);
	assert_int_equal(readable(fd, 1000), 1);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	(void)close(fd);
	(void)close(far);
	int again = pair(&far);
	assert_int_equal(readable(again, 0), 0);
	assert_int_equal(send(far, "n", 1, 0), 1);
	assert_int_equal(readable(again, 1000), 1);
	assert_int_equal(recv(again, &c, 1, 0), 1);
	assert_int_equal(c, 'n');
	(void)close(again);
	(void)close(far);
}

static void other_descriptors_are_left_alone(void **state)
{
	int p[2];
	char c;
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	assert_int_equal(send(p[0], "xy", 2, 0), 2);
	assert_int_equal(recv(p[1], &c, 1, 0), 1);
	assert_int_equal(recv(p[1], &c, 1, MSG_PEEK), 1); /* still in the kernel */
	assert_false(nodelay_writable(p[1], 100));
	assert_false(nodelay_writable(-1, 100));
	assert_false(nodelay_writable(100000, 100));
	(void)close(p[0]);
	(void)close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connect_sets_nodelay),
		cmocka_unit_test(bytes_that_were_read_ahead_are_polled_and_read_in_order),
		cmocka_unit_test(large_reads_go_around_the_buffer),
		cmocka_unit_test(a_cut_write_is_remembered_until_one_goes_out_whole),
		cmocka_unit_test(the_readers_writes_go_out_before_it_reads_more_or_sleeps),
		cmocka_unit_test(a_far_end_that_stalls_gets_every_byte_in_order_later),
		cmocka_unit_test(what_a_corked_thread_writes_goes_out_at_uncork),
		cmocka_unit_test(drains_run_before_the_reader_sleeps),
		cmocka_unit_test(a_number_used_again_starts_afresh),
		cmocka_unit_test(other_descriptors_are_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
