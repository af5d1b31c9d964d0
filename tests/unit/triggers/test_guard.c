/* SPDX-License-Identifier: Apache-2.0 */
/* The guard itself, as penstockd starts it: what it does when its socket ends, and what not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "tests/unit/triggers/guard_program.h"
#include "triggers/guard.h"

static struct guard *start(void)
{
	struct guard *g;
	struct why why = { 0 };
	if (guard_start(guard_program(), &g, &why) < 0)
		fail_msg("%s", why.text);
	return g;
}

static void tell(struct guard *g, const struct guard_action *a)
{
	struct why why = { 0 };
	if (guard_tell(g, a, &why) < 0)
		fail_msg("%s", why.text);
}

static struct guard_action write_of(unsigned output, int fd, const char *text)
{
	struct guard_action a = { .verb = GUARD_WRITE,
				  .output = output,
				  .fd = fd,
				  .length = (uint32_t)strlen(text),
				  .name = "lamp" };
	memcpy(a.bytes, text, a.length);
	return a;
}

static int file(void)
{
	int fd = memfd_create("brightness", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "1", 1), 1);
	return fd;
}

static char first_byte(int fd)
{
	char c = 0;
	assert_int_equal(pread(fd, &c, 1, 0), 1);
	return c;
}

static void when_its_socket_ends_it_does_all(void **state)
{
	int ends[2];
	char got[8] = "";
	(void)state;
	OWN_FD one = file();
	OWN_FD two = file();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	OWN_FD ours = ends[0];
	OWN_FD its = ends[1];
	struct guard *g = start();
	struct guard_action a = write_of(0, one, "0");
	tell(g, &a);
	/* One that cannot be done keeps none of the others from being done: a memfd is no GPIO line. */
	a = (struct guard_action){ .verb = GUARD_GPIO, .output = 1, .fd = two, .value = 1 };
	tell(g, &a);
	a = write_of(2, its, "off");
	a.verb = GUARD_SEND;
	tell(g, &a);
	a = write_of(3, two, "5");
	tell(g, &a);
	a = write_of(3, two, "7"); /* replaces it */
	tell(g, &a);
	guard_stop(g, false);
	assert_int_equal(first_byte(one), '0');
	assert_int_equal(first_byte(two), '7');
	assert_int_equal(recv(ours, got, sizeof(got), MSG_DONTWAIT), 3);
	assert_string_equal(got, "off");
}

struct drain {
	int fd;
	bool said; /* what the guard sends was seen */
};

static void drain(struct drain *d)
{
	char room[4096];
	for (ssize_t n; (n = recv(d->fd, room, sizeof(room), MSG_DONTWAIT)) > 0;)
		d->said |= memchr(room, '!', (size_t)n) != NULL;
}

static void *drain_later(void *arg)
{
	(void)usleep(50000);
	drain(arg);
	return NULL;
}

/* A connection whose buffer is full, a driver that is just being reset. */
static void what_is_busy_is_tried_again(void **state)
{
	int ends[2];
	pthread_t thread;
	(void)state;
	OWN_FD one = file();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	OWN_FD ours = ends[0];
	OWN_FD its = ends[1];
	struct drain d = { .fd = ours };
	while (send(its, "full", 4, MSG_DONTWAIT) > 0)
		;
	struct guard *g = start();
	struct guard_action a = write_of(0, its, "!");
	a.verb = GUARD_SEND;
	tell(g, &a);
	a = write_of(1, one, "0");
	tell(g, &a);
	assert_int_equal(pthread_create(&thread, NULL, drain_later, &d), 0);
	guard_stop(g, false);
	(void)pthread_join(thread, NULL);
	drain(&d);
	assert_true(d.said);
	assert_int_equal(first_byte(one), '0');
}

static void a_planned_end_does_nothing(void **state)
{
	(void)state;
	OWN_FD one = file();
	struct guard *g = start();
	const struct guard_action a = write_of(0, one, "0");
	tell(g, &a);
	guard_stop(g, true);
	assert_int_equal(first_byte(one), '1');
}

static void what_is_forgotten_is_not_done(void **state)
{
	(void)state;
	OWN_FD one = file();
	struct guard *g = start();
	struct guard_action a = write_of(0, one, "0");
	tell(g, &a);
	a = (struct guard_action){ .verb = GUARD_FORGET, .fd = -1 };
	tell(g, &a);
	guard_stop(g, false);
	assert_int_equal(first_byte(one), '1');
}

/* Jailed, it has blocked them: until then they would end it. */
static bool is_jailed(pid_t pid)
{
	char path[64], line[256];
	bool jailed = false;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		jailed |= strncmp(line, "Seccomp:\t2", 10) == 0;
	(void)fclose(f);
	return jailed;
}

static void signals_do_not_end_it(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGPIPE };
	(void)state;
	OWN_FD one = file();
	struct guard *g = start();
	const struct guard_action a = write_of(0, one, "0");
	tell(g, &a);
	pid_t pid = guard_pid();
	for (int i = 0; i < 10000 && !is_jailed(pid); i++)
		(void)usleep(1000);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		assert_int_equal(kill(pid, signals[i]), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = guard_fd(g), .events = POLLIN }, 1, 50), 0);
	guard_stop(g, false);
	assert_int_equal(first_byte(one), '0');
}

static void one_that_died_is_noticed(void **state)
{
	struct why why = { 0 };
	(void)state;
	OWN_FD one = file();
	struct guard *g = start();
	const struct guard_action a = write_of(0, one, "0");
	assert_int_equal(kill(guard_pid(), SIGKILL), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = guard_fd(g), .events = POLLIN }, 1, 10000),
			 1);
	assert_int_equal(guard_tell(g, &a, &why), -E_GONE);
	guard_stop(g, true);
}

static void a_program_that_is_not_there_is_said(void **state)
{
	struct guard *g;
	struct why why = { 0 };
	(void)state;
	assert_int_equal(guard_start("/nonexistent/penstock-guard", &g, &why), -ENOENT);
	assert_non_null(strstr(why.text, "/nonexistent"));
}

int main(void)
{
	const struct CMUnitTest rules[] = {
		cmocka_unit_test(when_its_socket_ends_it_does_all),
		cmocka_unit_test(what_is_busy_is_tried_again),
		cmocka_unit_test(a_planned_end_does_nothing),
		cmocka_unit_test(what_is_forgotten_is_not_done),
		cmocka_unit_test(signals_do_not_end_it),
		cmocka_unit_test(one_that_died_is_noticed),
		cmocka_unit_test(a_program_that_is_not_there_is_said),
	};
	return cmocka_run_group_tests(rules, NULL, NULL);
}
