/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <llvm-c/ErrorHandling.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/child.h"
#include "base/own.h"
#include "proto/aot_job.h"
#include "sandbox/compiler/report.h"

/* What the child tells of a failure, through a pipe: the number and the reason. */
struct failure {
	int err;
	struct why why;
};

static int write_all(int fd, const void *p, size_t n)
{
	const char *at = p;
	while (n > 0) {
		ssize_t done = write(fd, at, n);
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			at += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

static int write_results(const struct attempt *a, const struct wasm_module *m,
			 const struct compile_result *r, struct why *why)
{
	int rc = write_all(a->object_fd, LLVMGetBufferStart(r->object),
			   LLVMGetBufferSize(r->object));
	if (rc < 0)
		return why_set(why, rc, "cannot write the object: %s", strerror(-rc));
	OWN_FREE void *buf = malloc(AOT_REPORT_BYTES_MAX);
	if (!buf)
		return why_set(why, -ENOMEM, "no memory for the report");
	/* Room for what the parent adds. */
	struct wr w = wr_into(buf, AOT_REPORT_BYTES_MAX - 4096);
	report_module(&w, m, a->target, r);
	if (!wr_ok(&w))
		return why_set(why, -E_LIMIT,
			       "the names of imports and exports take more than %d bytes; export "
			       "only what the host calls",
			       AOT_REPORT_BYTES_MAX);
	rc = write_all(a->report_fd, w.buf, w.len);
	return rc < 0 ? why_set(why, rc, "cannot write the report: %s", strerror(-rc)) : 0;
}

static int compile(const struct attempt *a, struct why *why)
{
	struct arena arena;
	const struct wasm_module *m;
	arena_init(&arena, (size_t)a->limits.memory_mb << 18); /* a quarter of it */
	int rc = module_decode(a->wasm, a->len, &arena, &m, why);
	if (rc < 0)
		return rc;
	struct compile_result result = { 0 };
	rc = compile_module(m, a->target, &a->options, &result, why);
	return rc < 0 ? rc : write_results(a, m, &result, why);
}

/* LLVM's own "fatal error": no exit handlers, no stack trace that would open files. */
static void on_llvm_error(const char *text)
{
	(void)!write(2, text, strlen(text));
	(void)!write(2, "\n", 1);
	abort();
}

/* Nothing is freed: the process ends here. */
static void child(const struct attempt *a, int failure_fd, pid_t parent)
{
	struct failure f = { 0 };
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) /* it died before the line above */
		_exit(1);
	(void)prctl(PR_SET_DUMPABLE, 0);
	LLVMInstallFatalErrorHandler(on_llvm_error);
	const int keep[] = { 2, failure_fd, a->object_fd, a->report_fd };
	/* Whatever the parent has open beside these stays out of reach. */
	f.err = child_close_others(0, keep, ARRAY_LEN(keep));
	if (f.err == 0)
		f.err = jail_enter(&a->limits, &f.why);
	if (f.err == 0)
		f.err = compile(a, &f.why);
	if (f.err < 0)
		(void)write_all(failure_fd, &f, sizeof(f));
	_exit(f.err < 0);
}

/* Why a child that says nothing ended. Out of memory LLVM aborts, or dies of the null pointer. */
static int diagnose(const struct attempt *a, int status, const struct rusage *used, struct why *why)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	bool much = (unsigned long)used->ru_maxrss / 1024 > a->limits.memory_mb / 2;
	if (sig == SIGXCPU || sig == SIGKILL)
		return why_set(why, -E_TIME, "compiling took more than %u s of CPU time",
			       a->limits.cpu_seconds);
	if (sig == SIGXFSZ || ((sig == SIGABRT || sig == SIGSEGV) && much))
		return why_set(why, -ENOMEM, "compiling needs more than %u MB of memory",
			       a->limits.memory_mb);
	if (sig == SIGSYS)
		return why_set(why, -E_GONE,
			       "the compiler made a system call that its jail forbids");
	return why_set(why, -E_GONE, "the compiler died (status 0x%x, signal %d %s)", status, sig,
		       sig ? strsignal(sig) : "-");
}

int attempt_run(const struct attempt *a, unsigned *ret_cpu_ms, struct why *why)
{
	int pipe_fds[2];
	*ret_cpu_ms = 0;
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return why_set(why, -errno, "pipe: %s", strerror(errno));
	OWN_FD from = pipe_fds[0];
	OWN_FD to = pipe_fds[1];
	pid_t self = getpid(), pid = fork();
	if (pid < 0)
		return why_set(why, -errno, "fork: %s", strerror(errno));
	if (pid == 0)
		child(a, to, self);
	own_fd_close(&to);
	to = -1;
	int status;
	struct rusage used;
	while (wait4(pid, &status, 0, &used) < 0) {
		if (errno != EINTR)
			return why_set(why, -errno, "wait4: %s", strerror(errno));
	}
	*ret_cpu_ms = (unsigned)((used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
				 (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	/* Smaller than a pipe's buffer: it arrived whole or not at all. */
	struct failure f;
	if (read(from, &f, sizeof(f)) != (ssize_t)sizeof(f) || f.err >= 0)
		return diagnose(a, status, &used, why);
	f.why.text[sizeof(f.why.text) - 1] = '\0';
	return why_set(why, f.err, "%s", why_text(&f.why, f.err));
}
