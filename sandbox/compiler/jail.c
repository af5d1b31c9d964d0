/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/landlock.h"

/* The sanitizers reserve terabytes of address space, and look at /proc when they report. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JAIL_SANITIZED 1
#endif
#endif
#ifndef JAIL_SANITIZED
#define JAIL_SANITIZED 0
#endif

enum { STACK_MB = 64 }; /* LLVM recurses along chains of values */

static const int allowed[] = {
	/* memory; mmap and mprotect by their protection */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	/* the descriptors it has */
	SCMP_SYS(write),
	/* itself */
	SCMP_SYS(futex),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getrusage),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(restart_syscall),
	/* qsort() asks how much memory there is */
	SCMP_SYS(sysinfo),
};

/* What libraries try and can do without: refused, but not worth dying for. */
static const int refused[] = {
	SCMP_SYS(openat),
	SCMP_SYS(readlinkat),
	SCMP_SYS(faccessat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstat),
	SCMP_SYS(getcwd),
	SCMP_SYS(ioctl),
	SCMP_SYS(fcntl),
	SCMP_SYS(uname),
	SCMP_SYS(prlimit64),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(read),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(getrandom),
	SCMP_SYS(sched_yield),
};

static const int linker_allowed[] = {
	SCMP_SYS(execve),
	/* the start of a program */
	SCMP_SYS(set_tid_address),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(getrandom),
	SCMP_SYS(sigaltstack),
	/* files by name: those that Landlock leaves */
	SCMP_SYS(newfstatat),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(uname),
	SCMP_SYS(sched_getaffinity),
#ifdef __x86_64__
	SCMP_SYS(access),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(readlink),
#endif
};

static int add_rules(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = seccomp_rule_add(filter, action, calls[i], 0);
	return rc;
}

static struct scmp_arg_cmp bits(unsigned arg, scmp_datum_t mask, scmp_datum_t value)
{
	return (struct scmp_arg_cmp){ arg, SCMP_CMP_MASKED_EQ, mask, value };
}

/* Memory is data: what is compiled here does not run here. */
static int data_rules(scmp_filter_ctx filter)
{
	int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, bits(2, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      bits(2, PROT_EXEC, 0));
	return rc;
}

static int compiler_rules(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp asking = { 0, SCMP_CMP_EQ, 0, 0 };
	/* AddressSanitizer asks where its signal stack is; the others are refused there anyway. */
	if (JAIL_SANITIZED)
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sigaltstack), 1, asking);
	return add_rules(filter, SCMP_ACT_ERRNO(EPERM), refused, ARRAY_LEN(refused));
}

/* On top of what a compile may do: to be executed, to load libraries, to look at files. */
static int linker_rules(scmp_filter_ctx filter)
{
	const unsigned for_change = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | __O_TMPFILE;
	const struct scmp_arg_cmp only_read = { 2, SCMP_CMP_MASKED_EQ, for_change, O_RDONLY };
	const struct scmp_arg_cmp itself = { 0, SCMP_CMP_EQ, 0, 0 };
	int rc = add_rules(filter, SCMP_ACT_ALLOW, linker_allowed, ARRAY_LEN(linker_allowed));
	/* Libraries are mapped from their files. */
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
				      bits(2, PROT_WRITE | PROT_EXEC, PROT_EXEC),
				      bits(3, MAP_SHARED | MAP_ANONYMOUS, 0));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, only_read);
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, itself);
	return rc;
}

static int filter_load(uint32_t otherwise, int (*more)(scmp_filter_ctx filter), struct why *why)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	/* abort(); to other processes it would be kill() */
	const struct scmp_arg_cmp to_itself = { 0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0 };
	int rc = filter ? 0 : -ENOMEM;
	if (rc == 0)
		rc = add_rules(filter, SCMP_ACT_ALLOW, allowed, ARRAY_LEN(allowed));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, to_itself);
	if (rc == 0)
		rc = data_rules(filter);
	if (rc == 0)
		rc = more(filter);
	if (rc == 0)
		rc = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	if (rc < 0)
		return why_set(why, rc,
			       "cannot load the system call filter: %s; the kernel needs "
			       "CONFIG_SECCOMP_FILTER",
			       strerror(-rc));
	return 0;
}

static int limit(int what, rlim_t soft, rlim_t hard, struct why *why)
{
	struct rlimit old, new = { soft, hard };
	if (getrlimit((__rlimit_resource_t)what, &old) == 0 && old.rlim_max < new.rlim_max) {
		new.rlim_max = old.rlim_max;
		if (new.rlim_cur > new.rlim_max)
			new.rlim_cur = new.rlim_max;
	}
	if (setrlimit((__rlimit_resource_t)what, &new) < 0)
		return why_set(why, -errno, "cannot set resource limit %d to %llu: %s", what,
			       (unsigned long long)soft, strerror(errno));
	return 0;
}

static int limits_set(const struct jail_limits *l, struct why *why)
{
	rlim_t bytes = (rlim_t)l->memory_mb << 20;
	int rc = limit(RLIMIT_CPU, l->cpu_seconds, l->cpu_seconds + 1, why);
	if (rc == 0 && !JAIL_SANITIZED)
		rc = limit(RLIMIT_AS, bytes, bytes, why);
	if (rc == 0)
		rc = limit(RLIMIT_FSIZE, bytes, bytes, why);
	if (rc == 0)
		rc = limit(RLIMIT_CORE, 0, 0, why);
	if (rc == 0)
		rc = limit(RLIMIT_STACK, (rlim_t)STACK_MB << 20, (rlim_t)STACK_MB << 20, why);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = why_set(why, -errno, "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
	return rc;
}

int jail_enter(const struct jail_limits *l, struct why *why)
{
	uint32_t otherwise = JAIL_SANITIZED ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_KILL_PROCESS;
	int rc = limits_set(l, why);
	if (rc == 0)
		rc = limit(RLIMIT_NOFILE, 0, 0, why);
	if (rc == 0)
		rc = filter_load(otherwise, compiler_rules, why);
	return rc;
}

int jail_linker(const struct jail_limits *l, struct why *why)
{
	static const char *const readable[] = { "/usr", "/lib", "/lib64", "/etc/ld.so.cache" };
	int rc = limits_set(l, why);
	if (rc == 0)
		rc = landlock_enter(readable, ARRAY_LEN(readable), why);
	if (rc == 0)
		rc = filter_load(SCMP_ACT_ERRNO(EPERM), linker_rules, why);
	return rc;
}
