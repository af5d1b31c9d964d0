/* SPDX-License-Identifier: Apache-2.0 */
/* The jail of the process that compiles: what it may not do, it cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "sandbox/compiler/jail.h"

enum { DONE = 0, REFUSED = 1, NO_JAIL = 2 };

static int try_open(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? REFUSED : DONE;
}

static int try_create(void)
{
	return open("/tmp/penstock-jail-test", O_CREAT | O_WRONLY, 0600) < 0 ? REFUSED : DONE;
}

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? REFUSED : DONE;
}

static int try_fork(void)
{
	return fork() < 0 ? REFUSED : DONE;
}

static int try_exec(void)
{
	(void)execl("/bin/true", "true", NULL);
	return REFUSED;
}

static int try_kill(void)
{
	return kill(getppid(), 0) < 0 ? REFUSED : DONE;
}

/* What abort() uses on itself. */
static int try_kill_thread(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 ? REFUSED : DONE;
}

static int try_raise_limits(void)
{
	struct rlimit r;
	return syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, NULL, &r) < 0 ? REFUSED : DONE;
}

static int try_open_to_write(void)
{
	return open("/dev/null", O_WRONLY) < 0 ? REFUSED : DONE;
}

static int try_library(void)
{
	return open("/usr/bin/ld.lld-19", O_RDONLY) < 0 ? REFUSED : DONE;
}

static int try_qsort(void)
{
	/* Large enough for qsort to ask the kernel for the memory size. */
	size_t n = 4 << 20;
	char *p = calloc(n, 1);
	if (!p)
		return REFUSED;
	qsort(p, n / 64, 64, (int (*)(const void *, const void *))strcmp);
	free(p);
	return DONE;
}

static int try_spin(void)
{
	for (volatile unsigned i = 0;; i++)
		;
}

static int try_hoard(void)
{
	void *volatile p = malloc((size_t)400 << 20);
	return p ? DONE : REFUSED;
}

/* How a process that enters the jail and tries this ends: its exit code, or -signal. */
static int outcome_in(int (*jail)(const struct jail_limits *l, struct why *why),
		      int (*attempt)(void))
{
	const struct jail_limits limits = { .cpu_seconds = 1, .memory_mb = 300 };
	pid_t pid = fork();
	if (pid == 0)
		_exit(jail(&limits, NULL) < 0 ? NO_JAIL : attempt());
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int outcome(int (*attempt)(void))
{
	return outcome_in(jail_enter, attempt);
}

static void what_is_forbidden_is_refused_or_fatal(void **state)
{
	(void)state;
	static int (*const forbidden[])(void) = { try_open, try_create, try_socket,     try_fork,
						  try_exec, try_kill,   try_kill_thread };
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
		int how = outcome(forbidden[i]);
		if (how != REFUSED && how != -SIGSYS)
			fail_msg("attempt %zu ended with %d", i, how);
	}
}

static void the_linker_finds_its_libraries_and_nothing_else(void **state)
{
	(void)state;
	static int (*const forbidden[])(
		void) = { try_create, try_open_to_write, try_socket,      try_fork,
			  try_kill,   try_kill_thread,   try_raise_limits };
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
		int how = outcome_in(jail_linker, forbidden[i]);
		if (how != REFUSED)
			fail_msg("attempt %zu ended with %d", i, how);
	}
	assert_int_equal(outcome_in(jail_linker, try_library), DONE);
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0)
		assert_int_equal(outcome_in(jail_linker, try_open), REFUSED);
}

static void sorting_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(outcome(try_qsort), DONE);
}

static void cpu_time_has_an_end(void **state)
{
	(void)state;
	assert_int_equal(outcome(try_spin), -SIGXCPU);
}

static void memory_has_an_end(void **state)
{
	(void)state;
#if defined(__has_feature) && __has_feature(address_sanitizer)
	skip(); /* it needs the whole address space itself */
#endif
	assert_int_equal(outcome(try_hoard), REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_forbidden_is_refused_or_fatal),
		cmocka_unit_test(the_linker_finds_its_libraries_and_nothing_else),
		cmocka_unit_test(sorting_is_allowed),
		cmocka_unit_test(cpu_time_has_an_end),
		cmocka_unit_test(memory_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
