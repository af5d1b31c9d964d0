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
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* Everything that the filters allow; whatever else there is, and will be, is refused by number. The
 * second half is the linker's alone. openat, mmap, mprotect, tgkill, prlimit64: by their arguments. */
static const int listed[] = {
	SYS_brk,          SYS_munmap,         SYS_mremap,        SYS_madvise,
	SYS_write,        SYS_futex,          SYS_exit,          SYS_exit_group,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,  SYS_getpid,
	SYS_gettid,       SYS_getrusage,      SYS_clock_gettime, SYS_restart_syscall,
	SYS_sysinfo,
};
static const int listed_linker[] = {
	SYS_execve,     SYS_set_tid_address, SYS_set_robust_list,   SYS_rseq,
	SYS_read,       SYS_pread64,         SYS_pwrite64,          SYS_lseek,
	SYS_close,      SYS_fstat,           SYS_getrandom,         SYS_sigaltstack,
	SYS_newfstatat, SYS_faccessat,       SYS_faccessat2,        SYS_readlinkat,
	SYS_getcwd,     SYS_uname,           SYS_sched_getaffinity,
#ifdef SYS_arch_prctl
	SYS_access,     SYS_arch_prctl,      SYS_readlink,
#endif
};

static bool in(long number, const int *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == number)
			return true;
	return false;
}

/* The first call that is not refused, by exit code: 100 + its number / 16; else REFUSED. */
static int try_all(bool linker)
{
	for (long n = 0; n < 1024; n++) {
#ifdef __x86_64__
		if (n == 335 || n == 336) /* uretprobe and uprobe: never come to the filter */
			continue;
#endif
		if (in(n, listed, ARRAY_LEN(listed)) ||
		    (linker && in(n, listed_linker, ARRAY_LEN(listed_linker))))
			continue;
		if (n == SYS_prlimit64 && linker) /* its own limits */
			continue;
		long at = n == SYS_openat ? O_RDWR : -1;
		if (syscall(n, -1, -1, at, -1, -1, -1) < 0 && errno == EPERM)
			continue;
		(void)dprintf(STDERR_FILENO, "system call %ld is not refused\n", n);
		return DONE;
	}
	return REFUSED;
}

#if defined(__has_feature) && __has_feature(address_sanitizer)
static int try_all_compiling(void)
{
	return try_all(false);
}
#endif

static int try_all_linking(void)
{
	return try_all(true);
}

static int try_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0)
		return DONE;
	p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? REFUSED : DONE;
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

static void no_other_system_call_is_allowed(void **state)
{
	(void)state;
#if defined(__has_feature) && __has_feature(address_sanitizer)
	/* Without, the first one is the end of a compile. */
	assert_int_equal(outcome(try_all_compiling), REFUSED);
#endif
	assert_int_equal(outcome_in(jail_linker, try_all_linking), REFUSED);
}

static void data_does_not_become_code(void **state)
{
	(void)state;
	int how = outcome(try_code);
	assert_true(how == REFUSED || how == -SIGSYS);
	assert_int_equal(outcome_in(jail_linker, try_code), REFUSED);
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
		cmocka_unit_test(no_other_system_call_is_allowed),
		cmocka_unit_test(data_does_not_become_code),
		cmocka_unit_test(sorting_is_allowed),
		cmocka_unit_test(cpu_time_has_an_end),
		cmocka_unit_test(memory_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
