/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/gateway.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "sandbox/runtime/jail.h"
#include "sandbox/runtime/load.h"

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int try_open_write(void)
{
	return open("/tmp/penstock-jail-test", O_WRONLY | O_CREAT, 0600);
}

static int try_open_read(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static int try_exec(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };
	return execv("/bin/true", argv);
}

static int try_fork(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static int try_kill(void)
{
	return kill(getppid(), 0);
}

static int try_prctl(void)
{
	return (int)syscall(SYS_setuid, 0);
}

static int try_unlink(void)
{
	return unlink("/tmp/penstock-jail-test");
}

static int try_process_vm(void)
{
	return (int)syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static int (*const forbidden[])(void) = { try_socket, try_open_write, try_open_read, try_exec,
					  try_fork,   try_ptrace,     try_kill,      try_prctl,
					  try_unlink, try_process_vm };

/* Runs f in a jailed child; its exit code. */
static int in_jail(int (*f)(int fd), int fd)
{
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		struct why why = { 0 };
		if (jail_process(&fd, 1, &why) < 0 || jail_thread(&why) < 0)
			_exit(100);
		_exit(f(fd));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* 0, or 1 + the first call that was not refused. */
static int all_forbidden(int fd)
{
	(void)fd;
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		if (forbidden[i]() >= 0 || (errno != EPERM && errno != EACCES))
			return (int)i + 1;
	return 0;
}

static void forbidden_calls_are_refused(void **state)
{
	(void)state;
	int fd = guest_so();
	assert_int_equal(in_jail(all_forbidden, fd), 0);
	(void)close(fd);
}

static int load_inside(int fd)
{
	struct why why = { 0 };
	struct module *m = NULL;
	struct types *types = types_new();
	return types && module_load(types, fd, &m, &why) == 0 ? 0 : 1;
}

static void native_code_can_still_be_loaded(void **state)
{
	(void)state;
	int fd = guest_so();
	assert_int_equal(in_jail(load_inside, fd), 0);
	(void)close(fd);
}

static void unsealed_code_is_refused(void **state)
{
	(void)state;
	int fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(in_jail(load_inside, fd), 1);
	(void)close(fd);
}

static int unsorted(int fd)
{
	struct why why = { 0 };
	int high = dup(fd), higher = dup(fd);
	const int keep[] = { higher, -1, fd };
	if (jail_process(keep, ARRAY_LEN(keep), &why) < 0)
		return 1;
	return fcntl(fd, F_GETFD) < 0 || fcntl(high, F_GETFD) >= 0 || fcntl(higher, F_GETFD) < 0;
}

static void descriptors_to_keep_come_in_any_order(void **state)
{
	(void)state;
	int fd = guest_so(), status = 0;
	pid_t pid = fork();
	if (pid == 0)
		_exit(unsorted(fd));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(fd);
}

static int fds_open(int fd)
{
	for (int i = 3; i < 64; i++)
		if ((fcntl(i, F_GETFD) >= 0) != (i == fd))
			return 1;
	return 0;
}

static void nothing_else_stays_open(void **state)
{
	(void)state;
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC), fd = guest_so();
	assert_int_equal(in_jail(fds_open, fd), 0);
	(void)close(fd);
	(void)close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden_calls_are_refused),
		cmocka_unit_test(native_code_can_still_be_loaded),
		cmocka_unit_test(unsealed_code_is_refused),
		cmocka_unit_test(nothing_else_stays_open),
		cmocka_unit_test(descriptors_to_keep_come_in_any_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
