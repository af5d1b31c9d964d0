/* SPDX-License-Identifier: Apache-2.0 */
/*
 * penstock-aot: one run, one module; the command line and descriptors are in proto/aot_job.h.
 *
 * This process sees no module, only bytes: it starts a jailed child that decodes, validates and
 * compiles, then the linker, and reports. A child that runs out of time or crashes in the optimiser
 * gets a second chance without it: hostile or merely huge code ends with a slow function or with a
 * clear refusal, never with nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>

#include "base/own.h"
#include "proto/aot_job.h"
#include "sandbox/compiler/attempt.h"
#include "sandbox/compiler/link.h"
#include "sandbox/compiler/report.h"

enum { OUT_FD = 1, REPORT_FD = 3, OBJECTS_FD = 4 };

struct options {
	const char *target, *cpu;
	bool keeps_objects; /* OBJECTS_FD is there */
	struct compile_options compile;
	struct jail_limits limits;
};

struct run {
	struct options o;
	struct target target;
	void *wasm, *previous; /* NULL: no objects of an earlier compile */
	size_t len;
	int object_fd, report_fd;
	char note[160]; /* empty, or what went otherwise than asked */
	uint64_t start_ms;
};

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void usage(void)
{
	fputs("usage: penstock-aot [--target TRIPLE] [--cpu NAME] [--bounds guard|check] "
	      "[--opt 0|1|2|3]\n"
	      "                    [--debug] [--details] [--cpu-seconds N] [--memory-mb N]\n"
	      "                    [--objects] [--chunk-bytes N]\n"
	      "  reads a Wasm module from descriptor 0, writes a shared object to 1 and a report\n"
	      "  (JSON) to 3. With --objects, 4 has the objects of an earlier compile, or "
	      "nothing,\n"
	      "  and gets those of this one. `penstock compile` is the command for people.\n",
	      stderr);
}

/* A decimal number in [low, high], or -1. */
static long number(const char *text, long low, long high)
{
	char *end;
	errno = 0;
	long v = strtol(text, &end, 10);
	return errno || end == text || *end || v < low || v > high ? -1 : v;
}

static int option(struct options *o, int c, const char *arg)
{
	long n;
	switch (c) {
	case 't':
		o->target = arg;
		return 0;
	case 'c':
		o->cpu = arg;
		return 0;
	case 'b':
		o->compile.bounds_check = strcmp(arg, "check") == 0;
		return o->compile.bounds_check || strcmp(arg, "guard") == 0 ? 0 : -1;
	case 'o':
		n = number(arg, 0, 3);
		o->compile.opt = (int)n;
		return n < 0 ? -1 : 0;
	case 'g':
		o->compile.keep_debug = true; /* in the shared object, for debuggers */
		return 0;
	case 'k':
		o->keeps_objects = true;
		return 0;
	case 'n':
		n = number(arg, 1, INT_MAX);
		o->compile.chunk_bytes = (unsigned)n;
		return n < 0 ? -1 : 0;
	case 'd':
		o->compile.details = true;
		return 0;
	case 's':
		n = number(arg, 1, 3600);
		o->limits.cpu_seconds = (unsigned)n;
		return n < 0 ? -1 : 0;
	case 'm':
		n = number(arg, 256, 65536);
		o->limits.memory_mb = (unsigned)n;
		return n < 0 ? -1 : 0;
	default:
		return -1;
	}
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "target", required_argument, NULL, 't' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "bounds", required_argument, NULL, 'b' },
		{ "opt", required_argument, NULL, 'o' },
		{ "debug", no_argument, NULL, 'g' },
		{ "details", no_argument, NULL, 'd' },
		{ "objects", no_argument, NULL, 'k' },
		{ "chunk-bytes", required_argument, NULL, 'n' },
		{ "cpu-seconds", required_argument, NULL, 's' },
		{ "memory-mb", required_argument, NULL, 'm' },
		{ 0 },
	};
	int c, at = 0;
	*o = (struct options){ .compile.opt = COMPILE_OPT_DEFAULT,
			       .limits = { AOT_JOB_CPU_SECONDS, AOT_JOB_MEMORY_MB } };
	while ((c = getopt_long(argc, argv, "", longs, &at)) != -1) {
		if (c == '?' || option(o, c, optarg) < 0) {
			if (c != '?')
				fprintf(stderr, "penstock-aot: --%s: bad value `%s`\n",
					longs[at].name, optarg);
			return -1;
		}
	}
	return optind == argc ? 0 : -1;
}

static int read_file(int fd, size_t len, void **ret, const char *what, struct why *why)
{
	char *all = malloc(len ? len : 1);
	if (!all)
		return why_set(why, -ENOMEM, "no memory for %zu bytes of %s", len, what);
	for (size_t have = 0; have < len;) {
		ssize_t n = pread(fd, all + have, len - have, (off_t)have);
		if (n <= 0) {
			free(all);
			return why_set(why, -EIO, "cannot read %s: %s", what,
				       n < 0 ? strerror(errno) : "it became shorter");
		}
		have += (size_t)n;
	}
	*ret = all;
	return 0;
}

static int read_wasm(struct run *r, struct why *why)
{
	struct stat st;
	if (fstat(0, &st) < 0 || !S_ISREG(st.st_mode))
		return why_set(why, -E_CONFIG,
			       "descriptor 0 must be a file or memfd with the module");
	if ((uint64_t)st.st_size > WASM_MAX_module_bytes)
		return why_set(why, -E_LIMIT, "the module has %lld bytes, at most %u are taken",
			       (long long)st.st_size, WASM_MAX_module_bytes);
	r->len = (size_t)st.st_size;
	return read_file(0, r->len, &r->wasm, "the module", why);
}

/* Objects that are too large, or cannot be read, cost time, not the compile. */
static void read_previous(struct run *r)
{
	struct stat st;
	struct why why = { 0 };
	uint64_t most = (uint64_t)r->o.limits.memory_mb << 18; /* a quarter of it */
	if (!r->o.keeps_objects || fstat(OBJECTS_FD, &st) < 0 || (uint64_t)st.st_size > most ||
	    read_file(OBJECTS_FD, (size_t)st.st_size, &r->previous, "objects", &why) < 0)
		return;
	r->o.compile.previous = (struct span){ r->previous, (size_t)st.st_size };
}

static int fresh_memfd(int *fd, const char *name, struct why *why)
{
	own_fd_close(fd);
	*fd = memfd_create(name, MFD_CLOEXEC);
	return *fd < 0 ? why_set(why, -errno, "memfd: %s", strerror(errno)) : 0;
}

static int attempt(struct run *r, int opt, unsigned cpu_seconds, unsigned *ret_cpu_ms,
		   struct why *why)
{
	struct attempt a = { .wasm = r->wasm,
			     .len = r->len,
			     .target = &r->target,
			     .options = r->o.compile,
			     .limits = { cpu_seconds, r->o.limits.memory_mb } };
	int rc = fresh_memfd(&r->object_fd, "object", why);
	if (rc == 0)
		rc = fresh_memfd(&r->report_fd, "report", why);
	if (rc < 0)
		return rc;
	a.options.opt = opt;
	a.object_fd = r->object_fd;
	a.report_fd = r->report_fd;
	return attempt_run(&a, ret_cpu_ms, why);
}

/* Four fifths of the time go to what was asked for, the rest to the fall-back and the linker: code
 * without optimisation takes a fifth as long (measured: SQLite). */
static int compile(struct run *r, unsigned *ret_left_s, struct why *why)
{
	unsigned total = r->o.limits.cpu_seconds, used_ms = 0;
	unsigned first = r->o.compile.opt > 0 && total > 2 ? total * 4 / 5 : total;
	struct why first_why = { 0 };
	int rc = attempt(r, r->o.compile.opt, first, &used_ms, &first_why);
	unsigned left = total * 1000 > used_ms ? (total * 1000 - used_ms) / 1000 : 0;
	bool retry = r->o.compile.opt > 0 && left > 0 &&
		     (rc == -E_TIME || rc == -ENOMEM || rc == -E_GONE);
	if (retry) {
		(void)snprintf(r->note, sizeof(r->note), "not optimised: %.120s", first_why.text);
		rc = attempt(r, 0, left, &used_ms, why);
		left = left * 1000 > used_ms ? (left * 1000 - used_ms) / 1000 : 0;
	} else if (rc < 0) {
		return why_set(why, rc, "%s", first_why.text);
	}
	*ret_left_s = left ? left : 1;
	return rc;
}

/* Whole or not at all: the next compile takes what it finds. */
static void write_objects(const struct run *r)
{
	struct stat st;
	off_t at = 0;
	if (!r->o.keeps_objects || fstat(r->object_fd, &st) < 0)
		return;
	if (ftruncate(OBJECTS_FD, 0) < 0 || lseek(OBJECTS_FD, 0, SEEK_SET) < 0)
		return;
	while (at < st.st_size) {
		ssize_t n = sendfile(OBJECTS_FD, r->object_fd, &at, (size_t)(st.st_size - at));
		if (n <= 0 && errno != EINTR)
			break;
	}
	if (at < st.st_size)
		(void)!ftruncate(OBJECTS_FD, 0);
}

static int compile_and_link(struct run *r, struct why *why)
{
	unsigned left_s;
	int rc = compile(r, &left_s, why);
	struct jail_limits limits = { left_s, r->o.limits.memory_mb };
	return rc < 0 ? rc
		      : link_shared(r->object_fd, OUT_FD, r->target.is_x86, r->o.compile.keep_debug,
				    &limits, why);
}

static int make(struct run *r, struct why *why)
{
	struct why first_why = { 0 };
	int rc = read_wasm(r, why);
	if (rc < 0)
		return rc;
	read_previous(r);
	rc = compile_and_link(r, &first_why);
	if (r->previous && (rc == -EIO || rc == -E_GONE)) { /* by damaged objects, perhaps */
		r->o.compile.previous = (struct span){ 0 };
		rc = compile_and_link(r, why);
	} else if (rc < 0) {
		(void)why_set(why, rc, "%s", first_why.text);
	}
	if (rc == 0)
		write_objects(r);
	else
		(void)!ftruncate(OUT_FD, 0); /* a pipe has taken nothing: the linker writes last */
	return rc;
}

static int write_report(struct run *r, int err, struct why *why)
{
	OWN_FREE char *buf = malloc(AOT_REPORT_BYTES_MAX);
	if (!buf)
		return -ENOMEM;
	struct wr w = wr_into(buf, AOT_REPORT_BYTES_MAX);
	if (err < 0) {
		report_failure(&w, err, why);
	} else {
		ssize_t n = pread(r->report_fd, buf, AOT_REPORT_BYTES_MAX, 0);
		if (n < 0)
			return -errno;
		w.len = (size_t)n;
		report_close(&w, r->note[0] ? r->note : NULL, now_ms() - r->start_ms);
	}
	ENSURE(wr_ok(&w));
	for (size_t at = 0; at < w.len;) {
		ssize_t n = write(REPORT_FD, w.buf + at, w.len - at);
		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int exit_code(int err)
{
	static const struct {
		int err, code;
	} codes[] = {
		{ 0, 0 },
		{ -E_INVALID, AOT_EXIT_REFUSED },
		{ -E_UNSUPPORTED, AOT_EXIT_REFUSED },
		{ -E_LIMIT, AOT_EXIT_REFUSED },
		{ -E_TIME, AOT_EXIT_LIMIT },
		{ -ENOMEM, AOT_EXIT_LIMIT },
		{ -E_CONFIG, AOT_EXIT_USAGE },
	};
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		if (codes[i].err == err)
			return codes[i].code;
	}
	return AOT_EXIT_INTERNAL;
}

int main(int argc, char **argv)
{
	struct run r = { .object_fd = -1, .report_fd = -1, .start_ms = now_ms() };
	struct why why = { 0 };
	if (parse(argc, argv, &r.o) < 0) {
		usage();
		return AOT_EXIT_USAGE;
	}
	if (fcntl(OUT_FD, F_GETFD) < 0 || fcntl(REPORT_FD, F_GETFD) < 0 ||
	    (r.o.keeps_objects && fcntl(OBJECTS_FD, F_GETFD) < 0)) {
		fputs("penstock-aot: descriptors 1 (shared object), 3 (report) and with --objects "
		      "4 must be open\n",
		      stderr);
		return AOT_EXIT_USAGE;
	}
	int rc = target_open(r.o.target, r.o.cpu, &r.target, &why);
	int code = exit_code(rc);
	if (rc < 0) {
		code = AOT_EXIT_USAGE;
	} else {
		rc = make(&r, &why);
		code = exit_code(rc);
	}
	if (rc < 0)
		fprintf(stderr, "penstock-aot: %s: %s\n", why_name(rc), why_text(&why, rc));
	if (write_report(&r, rc, &why) < 0) {
		fputs("penstock-aot: cannot write the report to descriptor 3\n", stderr);
		code = AOT_EXIT_INTERNAL;
	}
	return code;
}
