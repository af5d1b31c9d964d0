/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles, with a stand-in for penstock-aot beside this test: whatever that program does, its
 * caller gets a sealed object and a report, or one clear reason. The stand-in is a shell script that
 * executes what it is given as a module.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/aot_job.h"

static char stand_in[PATH_MAX + 16];

static const char script[] = "#!/bin/sh\n"
			     "export PATH=/usr/bin:/bin\n"
			     "args=\"$*\"\n"
			     "eval \"$(cat <&0)\"\n";

/* A file with these words, as the module. */
static int module_of(const char *words)
{
	int fd = memfd_create("module", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, words, strlen(words)), (ssize_t)strlen(words));
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static const struct aot_job_options usual = { .opt = -1 };

static void a_finished_compile_is_sealed_and_reported(void **state)
{
	(void)state;
	int wasm = module_of("printf ELF; printf '{\"ok\":true,\"n\":1}' >&3"), so = -1;
	char *report = NULL;
	struct why why = { 0 };
	if (aot_job_run(wasm, &usual, &so, &report, &why) != 0)
		fail_msg("%s", why.text);
	assert_string_equal(report, "{\"ok\":true,\"n\":1}");
	char got[4] = "";
	assert_int_equal(pread(so, got, 4, 0), 3);
	assert_string_equal(got, "ELF");
	assert_int_equal(write(so, "x", 1), -1);
	assert_int_equal(ftruncate(so, 0), -1);
	assert_true(fcntl(so, F_GETFD) & FD_CLOEXEC);
	close(so);
	close(wasm);
	free(report);
}

static void options_become_a_command_line(void **state)
{
	(void)state;
	const struct aot_job_options o = {
		.target = "aarch64-linux-gnu",
		.cpu = "cortex-a72",
		.bounds_check = true,
		.opt = 1,
		.cpu_seconds = 7,
		.memory_mb = 9,
	};
	int wasm = module_of("printf x; printf '{\"ok\":true,\"args\":\"%s\"}' \"$args\" >&3"),
	    so = -1;
	char *report = NULL;
	assert_int_equal(aot_job_run(wasm, &o, &so, &report, NULL), 0);
	assert_non_null(strstr(report, "--target aarch64-linux-gnu --cpu cortex-a72 --opt 1 "
				       "--bounds check --cpu-seconds 7 --memory-mb 9"));
	close(so);
	close(wasm);
	free(report);
}

static void whatever_goes_wrong_has_one_reason(void **state)
{
	(void)state;
	static const struct {
		const char *does;
		int err;
		const char *why;
	} row[] = {
		{ "printf '{\"ok\":false,\"error\":\"E_INVALID\",\"reason\":\"at 0x1: bad\"}' >&3; "
		  "exit 65",
		  -E_INVALID, "at 0x1: bad" },
		{ "printf '{\"ok\":false,\"error\":\"E_UNSUPPORTED\",\"reason\":\"a\\\\nb\"}' >&3; "
		  "exit 65",
		  -E_UNSUPPORTED, "a b" },
		{ "printf '{\"ok\":false,\"error\":\"E_LIMIT\",\"reason\":\"big\"}' >&3; exit 65",
		  -E_LIMIT, "big" },
		{ "printf '{\"ok\":false}' >&3; exit 65", -E_INVALID, "gave no reason" },
		{ "exit 65", -E_GONE, "code 65" },
		{ "printf '{\"ok\":false,\"reason\":\"slow\"}' >&3; exit 75", -E_LIMIT, "slow" },
		{ "exit 75", -E_LIMIT, "30 s of CPU or 1024 MiB" },
		{ "echo 'assertion x' >&2; echo more >&2; kill -ABRT $$", -E_GONE,
		  "SIGABRT: assertion x" },
		{ "kill -KILL $$", -E_GONE, "SIGKILL" },
		{ "kill -XCPU $$", -E_TIME, "30 s of CPU" },
		{ "exit 70", -E_GONE, "code 70" },
		{ "exit 0", -E_GONE, "code 0" },
		{ "printf '{\"ok\":true}' >&3", -E_GONE, "it is empty" },
		{ "printf ELF; printf '{\"ok\":false}' >&3", -E_GONE, "code 0" },
		{ "printf ELF; printf '{\"ok\":true' >&3", -E_GONE, "code 0" },
		{ "printf ELF; printf '[true]' >&3", -E_GONE, "code 0" },
		{ "printf ELF; printf '{\"ok\":true,\"ok\":true}' >&3", -E_GONE, "code 0" },
		{ "printf ELF; head -c 5000000 /dev/zero >&3", -E_GONE, "code 0" },
	};
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		int wasm = module_of(row[i].does), so = -1;
		char *report = NULL;
		struct why why = { 0 };
		int err = aot_job_run(wasm, &usual, &so, &report, &why);
		if (err != row[i].err || !strstr(why.text, row[i].why))
			fail_msg("%s: %d \"%s\"", row[i].does, err, why.text);
		assert_int_equal(so, -1);
		assert_null(report);
		close(wasm);
	}
}

static void a_cancelled_compile_is_gone(void **state)
{
	(void)state;
	int wasm = module_of("exec sleep 100");
	struct aot_job *j;
	assert_int_equal(aot_job_start(wasm, &usual, &j, NULL), 0);
	pid_t pid = aot_job_pid(j);
	assert_int_equal(aot_job_wall_limit_ms(j), 70000);
	aot_job_cancel(j);
	aot_job_cancel(NULL);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	close(wasm);
}

static int setup(void **state)
{
	(void)state;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -1;
	self[n] = '\0';
	(void)snprintf(stand_in, sizeof(stand_in), "%s/penstock-aot", dirname(self));
	int fd = open(stand_in, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	bool ok = fd >= 0 && write(fd, script, sizeof(script) - 1) == (ssize_t)sizeof(script) - 1;
	return close(fd) == 0 && ok ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(stand_in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_finished_compile_is_sealed_and_reported),
		cmocka_unit_test(options_become_a_command_line),
		cmocka_unit_test(whatever_goes_wrong_has_one_reason),
		cmocka_unit_test(a_cancelled_compile_is_gone),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
