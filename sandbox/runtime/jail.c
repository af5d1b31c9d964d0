/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/jail.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/landlock.h"
#include "sandbox/runtime/ucontext_arch.h"

static const int allowed[] = {
	/* the descriptors it has */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmmsg),
	/* large results */
	SCMP_SYS(memfd_create),
	/* memory */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	/* threads that exist, and their signals and clocks */
	SCMP_SYS(futex),
	SCMP_SYS(sched_getaffinity), /* malloc() counts processors */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(timer_settime),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* What guests' memory and code need; nothing here may be raised again. */
static const struct {
	__rlimit_resource_t what;
	rlim_t most;
} limits[] = {
	{ RLIMIT_CORE, 0 },
	{ RLIMIT_NOFILE, 4096 },
	{ RLIMIT_MEMLOCK, 0 },
};

/* The one file that has a name; signal handlers get no argument. */
static struct {
	const char *path;
	int fd;
} named;

void jail_name(int fd, const char *path)
{
	named.fd = fd;
	named.path = path;
}

static long copy_of(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	/* A copy shares its position: whoever opens a file reads it from the start. */
	return copy >= 0 && lseek(copy, 0, SEEK_SET) == 0 ? copy : -errno;
}

/* openat() for dlopen(), the only one who needs it: nothing but /proc/self/fd/N, which is a copy of
 * a descriptor that we have, and the one that has a name. The kernel's openat() is forbidden altogether, because a filter cannot
 * look at names, and not every kernel has Landlock. */
static long open_again(const char *path)
{
	static const char own[] = "/proc/self/fd/";
	char *end;
	if (named.path && strcmp(path, named.path) == 0)
		return copy_of(named.fd);
	if (strncmp(path, own, sizeof(own) - 1) != 0 ||
	    !isdigit((unsigned char)path[sizeof(own) - 1]))
		return -EACCES;
	unsigned long fd = strtoul(path + sizeof(own) - 1, &end, 10);
	if (*end != '\0' || fd > INT_MAX)
		return -EACCES;
	return copy_of((int)fd);
}

/* newfstatat() for fstat(), which the C library makes of it: of a descriptor, never of a name, so that
 * nobody learns which files exist. */
static long stat_of(int fd, const char *path, struct stat *st, uintptr_t flags)
{
	if (*path != '\0' || flags != AT_EMPTY_PATH)
		return -EACCES;
	return syscall(SYS_fstat, fd, st) < 0 ? -errno : 0;
}

static void on_forbidden(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	int saved = errno;
	(void)sig;
	long result = -EPERM;
	const char *path = (const char *)ucontext_syscall_arg(uc, 1);
	if (info->si_code > 0 && info->si_syscall == SYS_openat)
		result = open_again(path);
	else if (info->si_code > 0 && info->si_syscall == SYS_newfstatat)
		result = stat_of((int)ucontext_syscall_arg(uc, 0), path,
				 (struct stat *)ucontext_syscall_arg(uc, 2),
				 ucontext_syscall_arg(uc, 3));
	ucontext_syscall_return(context, result);
	errno = saved;
}

int jail_process(const int *keep, size_t n, struct why *why)
{
	int err = child_close_others(STDERR_FILENO + 1, keep, n);
	if (err < 0)
		return why_set(why, err, "closing other descriptors");
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rlimit r;
		if (getrlimit(limits[i].what, &r) < 0)
			return why_set(why, -errno, "reading a resource limit");
		r.rlim_max = r.rlim_max < limits[i].most ? r.rlim_max : limits[i].most;
		r.rlim_cur = r.rlim_max;
		if (setrlimit(limits[i].what, &r) < 0)
			return why_set(why, -errno, "setting a resource limit");
	}
	const struct sigaction forbidden = { .sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO };
	if (sigaction(SIGSYS, &forbidden, NULL) < 0)
		return why_set(why, -errno, "a signal handler");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return why_set(why, -errno, "giving up privileges");
	return 0;
}

static struct scmp_arg_cmp arg_is(unsigned arg, scmp_datum_t value)
{
	return (struct scmp_arg_cmp){ arg, SCMP_CMP_EQ, value, 0 };
}

static struct scmp_arg_cmp arg_has(unsigned arg, scmp_datum_t mask, scmp_datum_t value)
{
	return (struct scmp_arg_cmp){ arg, SCMP_CMP_MASKED_EQ, mask, value };
}

/* No page can be written and run at a time, and what could be written never becomes code: code is
 * mapped from a descriptor, which is how dlopen() does it. (Whoever runs here already could write code
 * of his own into a new memfd; he would be no further than he is.) */
static int memory_rules(scmp_filter_ctx f)
{
	int err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, arg_has(2, PROT_EXEC, 0));
	if (err == 0)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
				       arg_has(2, PROT_WRITE | PROT_EXEC, PROT_EXEC),
				       arg_has(3, MAP_SHARED | MAP_ANONYMOUS, 0));
	if (err == 0)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       arg_has(2, PROT_EXEC, 0));
	return err;
}

static int filter_rules(scmp_filter_ctx f)
{
	static const int fcntls[] = { F_ADD_SEALS, F_GET_SEALS, F_GETFL,
				      F_GETFD,     F_SETFD,     F_DUPFD_CLOEXEC };
	int err = 0;
	for (size_t i = 0; i < ARRAY_LEN(allowed) && err == 0; i++)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < ARRAY_LEN(fcntls) && err == 0; i++)
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				       arg_is(1, (scmp_datum_t)fcntls[i]));
	if (err == 0)
		err = memory_rules(f);
	if (err == 0)
		err = seccomp_rule_add(f, SCMP_ACT_TRAP, SCMP_SYS(openat), 0);
	if (err == 0)
		err = seccomp_rule_add(f, SCMP_ACT_TRAP, SCMP_SYS(newfstatat), 0);
	if (err == 0) /* isatty() */
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, arg_is(1, TCGETS));
	if (err == 0) /* asking only, which AddressSanitizer does */
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 1, arg_is(0, 0));
	if (err == 0) /* abort() and raise() */
		err = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				       arg_is(0, (scmp_datum_t)getpid()));
	return err;
}

int jail_thread(struct why *why)
{
	int err = landlock_enter(NULL, 0, why); /* nothing can be opened by name */
	if (err < 0)
		return err;
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!f)
		return why_set(why, -ENOMEM, "no memory for a seccomp filter");
	err = filter_rules(f);
	if (err == 0)
		err = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (err == 0)
		err = seccomp_load(f);
	seccomp_release(f);
	return err < 0 ? why_set(why, err, "the seccomp filter cannot be installed") : 0;
}
