/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec-run [--bounds guard|check] [--opt 0..3] [--target TRIPLE] [--cpu NAME] [--jobs N] [--chunk-bytes N]
 *          [--verbose] FILE.json...
 *
 * Runs test scripts of the WebAssembly specification, as wast2json wrote them, through penstock-aot
 * (the one beside this program) and the runtime of penstock-sandbox. Each script has a process of
 * its own; when that dies of a command, the command has failed and the script is run again without
 * it. Prints failures, a table by file, and "N passed, N failed, N skipped".
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/spec/script.h"

enum { JOBS_MAX = 64, FILE_SECONDS = 900 };

struct job {
	const char *json;
	struct tally *tally; /* shared with the process */
	FILE *out;           /* what that prints */
	pid_t pid;
	bool done, broken;
	double begun_s, took_s;
};

struct runner {
	struct script_options o;
	struct job *jobs;
	size_t njobs, next, printed; /* printed: all before it are done and shown */
	int running, most;
};

static double now_s(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(struct runner *r, struct job *j)
{
	(void)fflush(stdout);
	if (j->out)
		(void)fclose(j->out);
	j->out = tmpfile();
	j->pid = j->out ? fork() : -1;
	if (j->pid == 0) {
		(void)alarm(FILE_SECONDS);
		if (dup2(fileno(j->out), STDOUT_FILENO) < 0)
			_exit(2);
		int err = script_run(j->json, &r->o, j->tally);
		_exit(fflush(stdout) == 0 && err == 0 ? 0 : 2);
	}
	if (j->pid < 0) {
		(void)fprintf(stderr, "spec-run: cannot start a process: %s\n", strerror(errno));
		exit(1);
	}
	r->running++;
}

/* It died of a command: once more, without that one. */
static bool again(struct runner *r, struct job *j, int status)
{
	struct tally *t = j->tally;
	unsigned n = t->ndeaths;
	if (WIFEXITED(status) || n == TALLY_DEATHS_MAX)
		return false;
	struct tally fresh = { .ndeaths = n + 1 };
	memcpy(fresh.deaths, t->deaths, sizeof(fresh.deaths));
	fresh.deaths[n].at = t->at;
	fresh.deaths[n].status = status;
	*t = fresh;
	start(r, j);
	return true;
}

static unsigned skipped(const struct tally *t)
{
	unsigned n = 0;
	for (size_t i = 0; i < SKIP_COUNT; i++)
		n += t->skipped[i];
	return n;
}

static void show(const struct job *j)
{
	char line[4096];
	rewind(j->out);
	while (fgets(line, sizeof(line), j->out))
		(void)fputs(line, stdout);
	const char *slash = strrchr(j->json, '/');
	const char *name = slash ? slash + 1 : j->json;
	printf("%-28.*s %7u %7u %7u  %6.1f s%s\n", (int)strcspn(name, "."), name, j->tally->passed,
	       j->tally->failed, skipped(j->tally), j->took_s,
	       j->broken ? "  (not run to its end)" : "");
	(void)fflush(stdout);
}

static void reap(struct runner *r)
{
	int status;
	pid_t pid = waitpid(-1, &status, 0);
	for (size_t i = 0; pid > 0 && i < r->next; i++) {
		struct job *j = &r->jobs[i];
		if (j->pid != pid || j->done)
			continue;
		r->running--;
		if (again(r, j, status))
			return;
		j->done = true;
		j->broken = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
		j->tally->failed += j->broken;
		j->took_s = now_s() - j->begun_s;
	}
	while (r->printed < r->njobs && r->jobs[r->printed].done)
		show(&r->jobs[r->printed++]);
}

static void run_all(struct runner *r)
{
	printf("%-28s %7s %7s %7s\n", "file", "passed", "failed", "skipped");
	while (r->printed < r->njobs) {
		if (r->next == r->njobs || r->running == r->most) {
			reap(r);
			continue;
		}
		struct job *j = &r->jobs[r->next++];
		j->begun_s = now_s();
		start(r, j);
	}
}

/* 0, or 1 when anything failed. */
static int total(const struct runner *r)
{
	static const char *const reasons[] = {
#define SKIP(name, text) text,
		SKIPS(SKIP)
#undef SKIP
	};
	struct tally sum = { 0 };
	for (size_t i = 0; i < r->njobs; i++) {
		const struct tally *t = r->jobs[i].tally;
		sum.passed += t->passed;
		sum.failed += t->failed;
		sum.modules += t->modules;
		for (size_t k = 0; k < SKIP_COUNT; k++)
			sum.skipped[k] += t->skipped[k];
	}
	for (size_t k = 0; k < SKIP_COUNT; k++)
		if (sum.skipped[k] > 0)
			printf("skipped: %u %s\n", sum.skipped[k], reasons[k]);
	printf("%u modules compiled with --bounds=%s\n", sum.modules,
	       r->o.compile.bounds_check ? "check" : "guard");
	printf("%u passed, %u failed, %u skipped\n", sum.passed, sum.failed, skipped(&sum));
	return sum.failed > 0;
}

static bool number(const char *text, unsigned long most, int *ret)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);
	*ret = (int)v;
	return *text >= '0' && *text <= '9' && *end == '\0' && v <= most;
}

static bool option(struct runner *r, int c, const char *arg)
{
	int n;
	switch (c) {
	case 'b':
		r->o.compile.bounds_check = strcmp(arg, "check") == 0;
		return r->o.compile.bounds_check || strcmp(arg, "guard") == 0;
	case 'o':
		return number(arg, 3, &r->o.compile.opt);
	case 't':
		r->o.compile.target = arg;
		return true;
	case 'c':
		r->o.compile.cpu = arg;
		return true;
	case 'j':
		return number(arg, JOBS_MAX, &r->most) && r->most > 0;
	case 'n':
		if (!number(arg, INT_MAX, &n))
			return false;
		r->o.compile.chunk_bytes = (unsigned)n;
		return true;
	case 'v':
		r->o.verbose = true;
		return true;
	default:
		return false;
	}
}

static bool options(struct runner *r, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "bounds", required_argument, NULL, 'b' },
		{ "opt", required_argument, NULL, 'o' },
		{ "target", required_argument, NULL, 't' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "chunk-bytes", required_argument, NULL, 'n' },
		{ "verbose", no_argument, NULL, 'v' },
		{ 0 },
	};
	int c;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		if (!option(r, c, optarg))
			return false;
	return optind < argc;
}

int main(int argc, char **argv)
{
	struct runner r = { .most = 2, .o.compile.opt = -1 };
	struct rlimit files;
	if (!options(&r, argc, argv)) {
		(void)fprintf(stderr,
			      "usage: spec-run [--bounds guard|check] [--jobs N] [--chunk-bytes N] "
			      "[--verbose] "
			      "FILE.json...\n");
		return 64;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* it takes minutes: a line when there is one */
	/* A script may have hundreds of modules, each with a descriptor. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	r.njobs = (size_t)(argc - optind);
	r.jobs = calloc(r.njobs, sizeof(*r.jobs));
	struct tally *tallies = mmap(NULL, r.njobs * sizeof(*tallies), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!r.jobs || tallies == MAP_FAILED) {
		(void)fprintf(stderr, "spec-run: no memory\n");
		return 1;
	}
	for (size_t i = 0; i < r.njobs; i++)
		r.jobs[i] = (struct job){ .json = argv[optind + (int)i], .tally = &tallies[i] };
	run_all(&r);
	return total(&r);
}
