/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a penstock-aot that was taken over could hand out as compiled code: a shared object that runs when it is loaded, inside the
 * real penstock-sandbox, as itself. It tries what such code would try next, and says on stderr, which is the gateway's log, what
 * worked: lines "native: NAME". The last line is "native: over".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/aot_abi.h"

const struct aot_module penstock_module = { .abi = AOT_ABI_VERSION };

static void say(const char *what)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "native: %s\n", what);
	(void)!write(STDERR_FILENO, line, (size_t)n);
}

/* The gateway: the peer of the socket, or whoever is the parent before that is asked. */
static long gateway_pid(void)
{
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);
	if (getsockopt(3, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0) {
		say("getsockopt");
		return who.pid;
	}
	return 1;
}

static const struct {
	const char *name;
	long call, args[6];
} tries[] = {
	{ "open a file", SYS_openat, { AT_FDCWD, (long)"/etc/passwd", O_RDONLY } },
	{ "open a library",
	  SYS_openat,
	  { AT_FDCWD, (long)"/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY } },
	{ "open the working directory",
	  SYS_openat,
	  { AT_FDCWD, (long)".", O_RDONLY | O_DIRECTORY } },
	{ "open its own memory", SYS_openat, { AT_FDCWD, (long)"/proc/self/mem", O_RDWR } },
	{ "open its parent's memory",
	  SYS_openat,
	  { AT_FDCWD, (long)"/proc/self/task/../../1/mem", O_RDWR } },
	{ "open what descriptor 1 is",
	  SYS_openat,
	  { AT_FDCWD, (long)"/proc/self/fd/../../../etc/passwd", O_RDONLY } },
	{ "ask whether a file exists",
	  SYS_newfstatat,
	  { AT_FDCWD, (long)"/etc/passwd", (long)"0123456789abcdef", 0 } },
#ifdef SYS_open
	{ "open, the old way", SYS_open, { (long)"/etc/passwd", O_RDONLY } },
	{ "stat, the old way", SYS_stat, { (long)"/etc/passwd", 0 } },
	{ "fork, the old way", SYS_fork, { 0 } },
	{ "vfork", SYS_vfork, { 0 } },
#endif
	{ "openat2", SYS_openat2, { AT_FDCWD, (long)"/etc/passwd", 0, 0 } },
	{ "socket", SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	{ "unix socket", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ "socketpair", SYS_socketpair, { AF_UNIX, SOCK_STREAM, 0, 0 } },
	{ "process", SYS_clone, { SIGCHLD, 0 } },
	{ "process by clone3", SYS_clone3, { 0, 88 } },
	{ "program", SYS_execve, { (long)"/bin/true", 0, 0 } },
	{ "program by descriptor", SYS_execveat, { 1, (long)"", 0, 0, AT_EMPTY_PATH } },
	{ "ptrace", SYS_ptrace, { PTRACE_TRACEME } },
	{ "namespace", SYS_unshare, { 0x10000000 } },
	{ "io_uring", SYS_io_uring_setup, { 1, (long)"" } },
	{ "bpf", SYS_bpf, { 0, 0, 0 } },
	{ "perf", SYS_perf_event_open, { 0, 0, -1, -1, 0 } },
	{ "userfaultfd", SYS_userfaultfd, { O_CLOEXEC } },
	{ "key ring", SYS_keyctl, { 0, -3, 1 } },
	{ "core dumps", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ "its name", SYS_prctl, { PR_SET_NAME, (long)"penstockd" } },
	{ "a filter of its own", SYS_seccomp, { 1, 0, 0 } },
	{ "limits",
	  SYS_prlimit64,
	  { 0, RLIMIT_NOFILE, (long)(struct rlimit[]){ { 65536, 65536 } }, 0 } },
	{ "priority", SYS_setpriority, { PRIO_PROCESS, 0, -20 } },
	{ "nonblocking", SYS_fcntl, { 3, F_SETFL, O_NONBLOCK } },
	{ "signals by descriptor", SYS_fcntl, { 3, F_SETOWN, 1 } },
	{ "a terminal's input", SYS_ioctl, { 2, TIOCSTI, (long)"x" } },
	{ "writable code",
	  SYS_mmap,
	  { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
	{ "code of its own",
	  SYS_mmap,
	  { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
	{ "shared memory", SYS_shmget, { 0, 4096, 01600 } },
	{ "a message queue", SYS_msgget, { 0, 01600 } },
	{ "a timer", SYS_timer_create, { 1, 0, (long)"01234567" } },
	{ "watching files", SYS_inotify_init1, { 0 } },
	{ "the clock", SYS_settimeofday, { (long)"0123456789abcdef", 0 } },
	{ "a handle",
	  SYS_name_to_handle_at,
	  { AT_FDCWD, (long)"/", (long)"01234567", (long)"0123", 0 } },
	{ "chroot", SYS_chroot, { (long)"/" } },
	{ "mount", SYS_mount, { 0, (long)"/", 0, 0, 0 } },
	{ "the kernel's log", SYS_syslog, { 3, (long)"x", 1 } },
	{ "a user", SYS_setuid, { 0 } },
};

static void try_calls(void)
{
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		const long *a = tries[i].args;
		errno = 0;
		if (syscall(tries[i].call, a[0], a[1], a[2], a[3], a[4], a[5]) >= 0)
			say(tries[i].name);
		else if (errno != EPERM && errno != EACCES)
			say(tries[i].name); /* it came as far as its arguments */
	}
}

static void try_gateway(void)
{
	long pid = gateway_pid();
	char byte = 0;
	struct iovec here = { &byte, 1 }, there = { (void *)0x10000, 1 };
	if (syscall(SYS_kill, pid, 0) == 0 || syscall(SYS_tgkill, pid, pid, 0) == 0)
		say("a signal to the gateway");
	if (syscall(SYS_process_vm_readv, pid, &here, 1, &there, 1, 0) >= 0 || errno != EPERM)
		say("the gateway's memory");
	if (syscall(SYS_pidfd_open, pid, 0) >= 0)
		say("a descriptor of the gateway");
	if (syscall(SYS_getppid) > 0)
		say("its parent's number");
}

/* Pages that were writable become code, and the other way round. */
static void try_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0)
		say("data that becomes code");
	uintptr_t code = (uintptr_t)try_memory & ~(uintptr_t)4095;
	if (mprotect((void *)code, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0)
		say("code that becomes writable");
}

static void try_descriptors(void)
{
	struct stat st;
	char what[64];
	for (int fd = 0; fd < 4096; fd++) {
		if (fstat(fd, &st) < 0 || fd == STDERR_FILENO || S_ISSOCK(st.st_mode) ||
		    S_ISCHR(st.st_mode))
			continue; /* its log, its peer, /dev/null */
		if ((st.st_mode & S_IFMT) == 0)
			continue; /* an eventfd, to wake its own threads */
		/* What is left are memfds with code: no file of that name, and no writing. */
		if (!S_ISREG(st.st_mode) || st.st_nlink > 0 || write(fd, "x", 1) >= 0 ||
		    ftruncate(fd, 0) == 0) {
			(void)snprintf(what, sizeof(what), "descriptor %d of kind %o", fd,
				       st.st_mode & S_IFMT);
			say(what);
		}
	}
}

__attribute__((constructor)) static void run(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	say("runs");
	if (envp && envp[0])
		say("an environment");
	try_calls();
	try_gateway();
	try_memory();
	try_descriptors();
	say("over");
}
