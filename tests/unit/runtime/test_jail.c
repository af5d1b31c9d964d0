/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/runtime/gateway.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "sandbox/runtime/jail.h"
#include "sandbox/runtime/load.h"

enum { SYSCALLS_MAX = 1024, REFUSED = EPERM };

/* Every system call that a guest which has broken out could make. Others are refused by number, so
 * that a call of next year's kernel is, too; those of conditional[] by their arguments. */
static const int allowed[] = {
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_close,
	SYS_fstat,
	SYS_lseek,
	SYS_ppoll,
	SYS_sendmsg,
	SYS_recvmmsg,
	SYS_sendmmsg,
	SYS_memfd_create,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_futex,
	SYS_sched_getaffinity,
	SYS_rt_sigreturn,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_timer_settime,
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_restart_syscall,
	SYS_getrandom,
	SYS_gettid,
	SYS_getpid,
	SYS_exit,
	SYS_exit_group,
#ifdef SYS_poll
	SYS_poll,
#endif
};

static const struct {
	long number, args[4];
} conditional[] = {
	{ SYS_openat, { AT_FDCWD, (long)"/etc/passwd", O_RDONLY } },
	{ SYS_openat, { AT_FDCWD, (long)"/proc/self/mem", O_RDWR } },
	{ SYS_openat, { AT_FDCWD, (long)"/proc/self/fd/", O_RDONLY } },
	{ SYS_openat, { AT_FDCWD, (long)"/proc/self/fd/0/../../exe", O_RDONLY } },
	{ SYS_openat, { AT_FDCWD, (long)"/proc/self/fd/-1", O_RDONLY } },
	{ SYS_openat, { AT_FDCWD, (long)"/proc/self/fd/4000", O_RDONLY } },
	{ SYS_openat, { 0, (long)"", O_RDONLY } },
	{ SYS_newfstatat, { AT_FDCWD, (long)"/etc/passwd", (long)&(struct stat){ 0 }, 0 } },
	{ SYS_newfstatat,
	  { AT_FDCWD, (long)"/etc/passwd", (long)&(struct stat){ 0 }, AT_EMPTY_PATH } },
	{ SYS_newfstatat, { AT_FDCWD, (long)"", (long)&(struct stat){ 0 }, AT_EMPTY_PATH } },
	{ SYS_mmap, { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS } },
	{ SYS_mmap, { 0, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS } },
	{ SYS_mmap, { 0, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE } },
	{ SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED } },
	{ SYS_mprotect, { 0, 4096, PROT_READ | PROT_EXEC } },
	{ SYS_mprotect, { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC } },
	{ SYS_fcntl, { 0, F_SETFL, O_NONBLOCK } },
	{ SYS_fcntl, { 0, F_SETOWN, 1 } },
	{ SYS_fcntl, { 0, F_SETSIG, SIGKILL } },
	{ SYS_fcntl, { 0, F_SETLEASE, F_WRLCK } },
	{ SYS_ioctl, { 0, TIOCSTI, (long)"x" } },
	{ SYS_ioctl, { 0, TIOCGPGRP, 0 } },
	{ SYS_sigaltstack, { (long)"0123456789abcdef01234567", 0 } },
	{ SYS_tgkill, { 1, 1, 0 } },
};

/* Runs f in a jailed child; its exit code. */
static int in_jail(int (*f)(int fd), int fd)
{
	static const int deadly[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS };
	int status = 0;
	pid_t pid = fork();
	if (pid == 0) {
		struct why why = { 0 };
		if (jail_process(&fd, 1, &why) < 0 || jail_thread(&why) < 0)
			_exit(100);
		/* cmocka would go on with the next test after a signal, in here. */
		for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
			(void)signal(deadly[i], SIG_DFL);
		_exit(f(fd));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* uretprobe and uprobe of x86-64 never come to the filter, and are a signal for everybody who is not
 * the kernel's own trampoline. */
static bool is_uprobe(long number)
{
#ifdef __x86_64__
	return number == 335 || number == 336;
#else
	(void)number;
	return false;
#endif
}

static bool is_listed(long number)
{
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		if (allowed[i] == number)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(conditional); i++)
		if (conditional[i].number == number)
			return true;
	return false;
}

/* Tells on stderr, which cmocka shows. */
static int unlisted_calls(int fd)
{
	int bad = 0;
	(void)fd;
	for (long n = 0; n < SYSCALLS_MAX; n++) {
		if (is_listed(n) || is_uprobe(n) ||
		    (syscall(n, -1, -1, -1, -1, -1, -1) < 0 && errno == REFUSED))
			continue;
		bad = 1;
		(void)fprintf(stderr, "system call %ld is not refused\n", n);
	}
	return bad;
}

static int bad_arguments(int fd)
{
	int bad = 0;
	(void)fd;
	for (size_t i = 0; i < ARRAY_LEN(conditional); i++) {
		const long *a = conditional[i].args;
		if (syscall(conditional[i].number, a[0], a[1], a[2], a[3]) < 0 &&
		    (errno == EPERM || errno == EACCES || errno == EBADF))
			continue;
		bad = 1;
		(void)fprintf(stderr, "row %zu is not refused\n", i);
	}
	return bad;
}

static void only_listed_system_calls_are_allowed(void **state)
{
	(void)state;
	int fd = guest_so();
	assert_int_equal(in_jail(unlisted_calls, fd), 0);
	assert_int_equal(in_jail(bad_arguments, fd), 0);
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

/* Two objects at once, and one after the other in the same place. */
static int load_several(int fd)
{
	struct why why = { 0 };
	struct module *a = NULL, *b = NULL;
	struct types *types = types_new();
	int second = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	for (int i = 0; i < 3; i++) {
		if (module_load(types, fd, &a, &why) < 0 ||
		    module_load(types, second, &b, &why) < 0)
			return 1;
		second = fcntl(b->fd, F_DUPFD_CLOEXEC, 10);
		int again = fcntl(a->fd, F_DUPFD_CLOEXEC, 20);
		module_free(a);
		module_free(b);
		if (fcntl(fd, F_GETFD) >= 0) /* free again, so the next load uses its name */
			return 2;
		if (fcntl(again, F_DUPFD_CLOEXEC, fd) != fd)
			return 3;
		(void)close(again);
	}
	return 0;
}

static void code_is_loaded_again_under_a_name_used_before(void **state)
{
	(void)state;
	int fd = guest_so();
	assert_int_equal(in_jail(load_several, fd), 0);
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
		cmocka_unit_test(only_listed_system_calls_are_allowed),
		cmocka_unit_test(native_code_can_still_be_loaded),
		cmocka_unit_test(code_is_loaded_again_under_a_name_used_before),
		cmocka_unit_test(unsealed_code_is_refused),
		cmocka_unit_test(nothing_else_stays_open),
		cmocka_unit_test(descriptors_to_keep_come_in_any_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
