/* SPDX-License-Identifier: Apache-2.0 */
/* Children: descriptors by number, nothing else inherited, errors reported, no one left behind. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/child.h"

enum { LONG_MS = 20000 };

/* A file with these words, at exactly this descriptor number. */
static void file_at(int number, const char *words)
{
	char name[] = "/tmp/penstock-test-XXXXXX";
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, words, strlen(words)), (ssize_t)strlen(words));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	if (fd != number) {
		assert_int_equal(dup3(fd, number, O_CLOEXEC), number);
		close(fd);
	}
}

static int shell(const char *script, const int *fds, unsigned nfds, const char *const *envp)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	struct child_spec spec = { .path = "/bin/sh", .argv = argv, .envp = envp, .nfds = nfds };
	memcpy(spec.fds, fds, nfds * sizeof(*fds));
	pid_t pid;
	int status;
	struct why why = { 0 };
	assert_int_equal(child_start(&spec, 1, &pid, &why), 0);
	assert_int_equal(child_wait(pid, LONG_MS, &status, &why), 0);
	return status;
}

static void assert_output(int fd, const char *want)
{
	char got[256] = "";
	assert_true(pread(fd, got, sizeof(got) - 1, 0) >= 0);
	assert_string_equal(got, want);
}

static void descriptors_arrive_even_when_their_numbers_overlap(void **state)
{
	(void)state;
	/* Two numbers of one file share its offset: the second cat finds the end. */
	static const struct {
		int fds[5];
		const char *want;
	} row[] = {
		{ { 0, 7, 2, 3, 4 }, "zero,three,four," },
		{ { 0, 7, 2, 4, 3 }, "zero,four,three," },
		{ { 3, 7, 4, 1, 0 }, "three,one,zero," },
		{ { 4, 7, 3, 3, 3 }, "four,three," },
		{ { -1, 7, -1, 4, 3 }, "four,three," },
	};
	int saved0 = fcntl(0, F_DUPFD_CLOEXEC, 20), saved1 = fcntl(1, F_DUPFD_CLOEXEC, 20);
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		file_at(0, "zero,");
		file_at(1, "one,");
		file_at(3, "three,");
		file_at(4, "four,");
		file_at(7, "");
		int status = shell("cat; cat <&3; cat <&4", row[i].fds, 5, NULL);
		char got[64] = "";
		ssize_t n = pread(7, got, sizeof(got) - 1, 0);
		dup2(saved0, 0);
		dup2(saved1, 1);
		assert_true(n >= 0);
		assert_int_equal(status, 0);
		assert_string_equal(got, row[i].want);
	}
	close(3);
	close(4);
	close(7);
	close(saved0);
	close(saved1);
}

static void nothing_else_is_inherited(void **state)
{
	(void)state;
	int stray = open("/dev/zero", O_RDONLY); /* without O_CLOEXEC, on purpose */
	char name[] = "/tmp/penstock-test-XXXXXX";
	int out = mkstemp(name);
	unlink(name);
	setenv("SECRET", "1", 1);
	const int fds[] = { -1, out, 2 };
	const char *const envp[] = { "PATH=/usr/bin:/bin", "A=b", NULL };
	/* The shell itself opens none; the glob's own descriptor is closed when echo runs. */
	assert_int_equal(
		shell("for f in /proc/$$/fd/*; do [ -e $f ] && printf '%s ' ${f##*/}; done; "
		      "echo \"$A$SECRET\"",
		      fds, 3, envp),
		0);
	assert_output(out, "0 1 2 b\n");
	close(out);
	close(stray);
}

static void a_failed_exec_is_reported_with_its_errno(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		int err;
	} row[] = { { "/nonexistent/program", -ENOENT }, { "/etc/passwd", -EACCES } };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		const char *argv[] = { "x", NULL };
		const struct child_spec spec = {
			.path = row[i].path, .argv = argv, .fds = { -1, -1, -1 }, .nfds = 3
		};
		pid_t pid = 0;
		struct why why = { 0 };
		assert_int_equal(child_start(&spec, 0, &pid, &why), row[i].err);
		assert_non_null(strstr(why.text, row[i].path));
		assert_int_equal(pid, 0);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	assert_int_equal(errno, ECHILD);
}

static void a_bad_descriptor_is_reported(void **state)
{
	(void)state;
	const char *argv[] = { "true", NULL };
	const struct child_spec spec = {
		.path = "/bin/true", .argv = argv, .fds = { -1, -1, 999 }, .nfds = 3
	};
	pid_t pid;
	struct why why = { 0 };
	assert_int_equal(child_start(&spec, 0, &pid, &why), -EBADF);
	assert_non_null(strstr(why.text, "descriptors"));
}

static void signals_are_default_and_unblocked(void **state)
{
	(void)state;
	sigset_t set, before;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &before);
	signal(SIGUSR1, SIG_IGN);
	const int fds[] = { -1, -1, 2 };
	int term = shell("kill -TERM $$; exit 1", fds, 3, NULL);
	int usr = shell("kill -USR1 $$; exit 1", fds, 3, NULL);
	sigset_t now;
	sigprocmask(SIG_SETMASK, &before, &now);
	signal(SIGUSR1, SIG_DFL);
	assert_true(WIFSIGNALED(term) && WTERMSIG(term) == SIGTERM);
	assert_true(WIFSIGNALED(usr) && WTERMSIG(usr) == SIGUSR1);
	assert_true(sigismember(&now, SIGTERM)); /* ours is as it was */
}

static void a_child_that_takes_too_long_is_killed(void **state)
{
	(void)state;
	const char *argv[] = { "sleep", "100", NULL };
	const struct child_spec spec = {
		.path = "/bin/sleep", .argv = argv, .fds = { -1, -1, -1 }, .nfds = 3
	};
	pid_t pid;
	int status;
	struct why why = { 0 };
	assert_int_equal(child_start(&spec, 1, &pid, NULL), 0);
	assert_int_equal(child_wait(pid, 50, &status, &why), -E_TIME);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_non_null(strstr(why.text, "50 ms"));
}

static void a_child_dies_with_its_parent(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t parent = fork();
	if (parent == 0) {
		const char *argv[] = { "sleep", "100", NULL };
		const struct child_spec spec = {
			.path = "/bin/sleep", .argv = argv, .fds = { -1, ends[1], -1 }, .nfds = 3
		};
		pid_t pid;
		_exit(child_start(&spec, 1, &pid, NULL) == 0 ? 0 : 1);
	}
	int status;
	char c;
	close(ends[1]);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &c, 1), 0); /* the sleep held the other end */
	close(ends[0]);
}

static void a_sibling_is_found_beside_this_program(void **state)
{
	(void)state;
	struct why why = { 0 };
	char *path = child_sibling("test_child", &why);
	assert_non_null(path);
	assert_int_equal(path[0], '/');
	free(path);
	assert_null(child_sibling("no-such-program", &why));
	assert_non_null(strstr(why.text, "no-such-program"));
}

static void only_what_is_kept_stays_open(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		int keep[3] = { -1, fcntl(0, F_DUPFD, 40), fcntl(0, F_DUPFD, 60) };
		int other = fcntl(0, F_DUPFD, 41), last = fcntl(0, F_DUPFD, 900);
		bool ok =
			child_close_others(3, keep, ARRAY_LEN(keep)) == 0 && fcntl(2, F_GETFD) >= 0;
		ok = ok && fcntl(keep[1], F_GETFD) >= 0 && fcntl(keep[2], F_GETFD) >= 0;
		_exit(ok && fcntl(other, F_GETFD) < 0 && fcntl(last, F_GETFD) < 0 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_arrive_even_when_their_numbers_overlap),
		cmocka_unit_test(nothing_else_is_inherited),
		cmocka_unit_test(only_what_is_kept_stays_open),
		cmocka_unit_test(a_failed_exec_is_reported_with_its_errno),
		cmocka_unit_test(a_bad_descriptor_is_reported),
		cmocka_unit_test(signals_are_default_and_unblocked),
		cmocka_unit_test(a_child_that_takes_too_long_is_killed),
		cmocka_unit_test(a_child_dies_with_its_parent),
		cmocka_unit_test(a_sibling_is_found_beside_this_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
