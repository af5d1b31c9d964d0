/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/aot_job.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/own.h"

enum { ARGS_MAX = 24, NUMBER_TEXT = 16, MESSAGE_BYTES = 300 };

struct aot_job {
	pid_t pid; /* 0 = waited for */
	int so_fd, messages_fd, report_fd;
	unsigned cpu_seconds, memory_mb;
};

static void job_free(struct aot_job *j)
{
	if (!j)
		return;
	own_fd_close(&j->so_fd);
	own_fd_close(&j->messages_fd);
	own_fd_close(&j->report_fd);
	free(j);
}

static void own_job(struct aot_job **j)
{
	job_free(*j);
}

static void own_json(json_t **j)
{
	json_decref(*j);
}

static struct aot_job *job_new(const struct aot_job_options *o)
{
	struct aot_job *j = malloc(sizeof(*j));
	if (!j)
		return NULL;
	*j = (struct aot_job){
		.so_fd = memfd_create("penstock-code", MFD_CLOEXEC | MFD_ALLOW_SEALING),
		.messages_fd = memfd_create("penstock-aot-messages", MFD_CLOEXEC),
		.report_fd = memfd_create("penstock-aot-report", MFD_CLOEXEC),
		.cpu_seconds = o->cpu_seconds ? o->cpu_seconds : AOT_JOB_CPU_SECONDS,
		.memory_mb = o->memory_mb ? o->memory_mb : AOT_JOB_MEMORY_MB,
	};
	if (j->so_fd >= 0 && j->messages_fd >= 0 && j->report_fd >= 0)
		return j;
	int saved = errno;
	job_free(j);
	errno = saved;
	return NULL;
}

struct args {
	const char *v[ARGS_MAX];
	size_t n;
};

static void option(struct args *a, const char *name, const char *value)
{
	ENSURE(a->n + 3 <= ARGS_MAX);
	a->v[a->n++] = name;
	a->v[a->n++] = value;
}

int aot_job_start(int wasm_fd, const struct aot_job_options *o, struct aot_job **ret_job,
		  struct why *why)
{
	OWN_FREE char *path = child_sibling("penstock-aot", why);
	if (!path)
		return -ENOENT;
	__attribute__((cleanup(own_job))) struct aot_job *j = job_new(o);
	if (!j)
		return why_set(why, -errno, "files in memory for a compile: %s",
			       strerrordesc_np(errno));
	char opt[NUMBER_TEXT], chunk[NUMBER_TEXT], cpu[NUMBER_TEXT], memory[NUMBER_TEXT];
	(void)snprintf(opt, sizeof(opt), "%d", o->opt);
	(void)snprintf(chunk, sizeof(chunk), "%u", o->chunk_bytes);
	(void)snprintf(cpu, sizeof(cpu), "%u", j->cpu_seconds);
	(void)snprintf(memory, sizeof(memory), "%u", j->memory_mb);

	struct args a = { .v = { "penstock-aot" }, .n = 1 };
	if (o->target)
		option(&a, "--target", o->target);
	if (o->cpu)
		option(&a, "--cpu", o->cpu);
	if (o->opt >= 0)
		option(&a, "--opt", opt);
	if (o->debug)
		a.v[a.n++] = "--debug";
	if (o->details)
		a.v[a.n++] = "--details";
	if (o->has_objects)
		a.v[a.n++] = "--objects";
	if (o->chunk_bytes)
		option(&a, "--chunk-bytes", chunk);
	option(&a, "--bounds", o->bounds_check ? "check" : "guard");
	option(&a, "--cpu-seconds", cpu);
	option(&a, "--memory-mb", memory);
	const struct child_spec spec = {
		.path = path,
		.argv = a.v,
		.fds = { wasm_fd, j->so_fd, j->messages_fd, j->report_fd, o->objects_fd },
		.nfds = o->has_objects ? 5 : 4,
	};
	int err = child_start(&spec, 1, &j->pid, why);
	if (err < 0)
		return err;
	*ret_job = ptr_steal(&j);
	return 0;
}

pid_t aot_job_pid(const struct aot_job *j)
{
	return j->pid;
}

uint64_t aot_job_wall_limit_ms(const struct aot_job *j)
{
	return ((uint64_t)j->cpu_seconds * 2 + 10) * 1000;
}

/* Reasons are one line; what a module's names bring along is not ours. */
static void one_line(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = ' ';
	}
}

/* Up to max bytes of a file, as a string; NULL when it is larger, or unreadable. */
static char *file_text(int fd, size_t max)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size > max)
		return NULL;
	size_t size = (size_t)st.st_size, have = 0;
	OWN_FREE char *text = malloc(size + 1);
	while (text && have < size) {
		ssize_t n = pread(fd, text + have, size - have, (off_t)have);
		if (n <= 0)
			return NULL;
		have += (size_t)n;
	}
	if (text)
		text[size] = '\0';
	return ptr_steal(&text);
}

/* The report as it was written, when it is one JSON object, and the object. Names in it may hold
 * NUL. */
static char *report_read(int fd, json_t **ret_object)
{
	OWN_FREE char *text = file_text(fd, AOT_REPORT_BYTES_MAX);
	if (!text)
		return NULL;
	*ret_object = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	if (!json_is_object(*ret_object))
		return NULL;
	return ptr_steal(&text);
}

static int error_by_name(const char *name)
{
	static const int refusals[] = { E_INVALID, E_UNSUPPORTED, E_LIMIT };
	for (size_t i = 0; name && i < ARRAY_LEN(refusals); i++) {
		if (strcmp(name, why_name(refusals[i])) == 0)
			return -refusals[i];
	}
	return -E_INVALID;
}

static int refused(const json_t *report, struct why *why)
{
	const char *reason = json_string_value(json_object_get(report, "reason"));
	int err = error_by_name(json_string_value(json_object_get(report, "error")));
	(void)why_set(why, err, "%s", reason ? reason : "the compiler gave no reason");
	if (why)
		one_line(why->text);
	return err;
}

static int out_of_limit(const struct aot_job *j, const json_t *report, struct why *why)
{
	const char *reason = json_string_value(json_object_get(report, "reason"));
	(void)why_set(why, -E_LIMIT, "compiling took more than the %u s of CPU or %u MiB given%s%s",
		      j->cpu_seconds, j->memory_mb, reason ? ": " : "", reason ? reason : "");
	if (why)
		one_line(why->text);
	return -E_LIMIT;
}

/* It ended in a way that the contract does not know: what it last said may help. */
static int crashed(const struct aot_job *j, int status, struct why *why)
{
	char message[MESSAGE_BYTES + 1];
	ssize_t n = pread(j->messages_fd, message, MESSAGE_BYTES, 0);
	message[n > 0 ? n : 0] = '\0';
	message[strcspn(message, "\n")] = '\0';
	one_line(message);
	const char *colon = message[0] ? ": " : "";
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return why_set(why, -E_TIME, "compiling took more than %u s of CPU",
			       j->cpu_seconds);
	if (WIFSIGNALED(status))
		return why_set(why, -E_GONE, "the compiler died of SIG%s%s%s",
			       sigabbrev_np(WTERMSIG(status)), colon, message);
	return why_set(why, -E_GONE, "the compiler ended with code %d%s%s", WEXITSTATUS(status),
		       colon, message);
}

static int so_seal(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= 0)
		return -E_PROTO;
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

int aot_job_finish(struct aot_job *job, int status, int *ret_so_fd, char **ret_report,
		   struct why *why)
{
	__attribute__((cleanup(own_job))) struct aot_job *j = job;
	__attribute__((cleanup(own_json))) json_t *report = NULL;
	j->pid = 0;
	OWN_FREE char *text = report_read(j->report_fd, &report);
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (code == AOT_EXIT_LIMIT)
		return out_of_limit(j, report, why);
	if (code == AOT_EXIT_REFUSED && text)
		return refused(report, why);
	const char *reason = json_string_value(json_object_get(report, "reason"));
	if (code == AOT_EXIT_USAGE && reason) /* a target or CPU that it does not know */
		return why_set(why, -E_CONFIG, "%s", reason);
	if (code != 0 || !text || !json_is_true(json_object_get(report, "ok")))
		return crashed(j, status, why);
	int err = so_seal(j->so_fd);
	if (err < 0)
		return why_set(why, -E_GONE, "the compiler's output cannot be used: %s",
			       err == -E_PROTO ? "it is empty" : strerrordesc_np(-err));
	*ret_so_fd = fd_steal(&j->so_fd);
	*ret_report = ptr_steal(&text);
	return 0;
}

int aot_job_run(int wasm_fd, const struct aot_job_options *o, int *ret_so_fd, char **ret_report,
		struct why *why)
{
	struct aot_job *j;
	int status;
	int err = aot_job_start(wasm_fd, o, &j, why);
	if (err < 0)
		return err;
	uint64_t limit = aot_job_wall_limit_ms(j);
	struct why waiting = { 0 };
	err = child_wait(j->pid, limit < UINT_MAX ? (unsigned)limit : UINT_MAX, &status, &waiting);
	if (err == 0)
		return aot_job_finish(j, status, ret_so_fd, ret_report, why);
	job_free(j); /* child_wait has reaped it */
	if (err == -E_TIME)
		return why_set(why, err, "compiling was stopped after %llu s",
			       (unsigned long long)limit / 1000);
	return why_set(why, err, "waiting for the compiler: %s", why_text(&waiting, err));
}

void aot_job_cancel(struct aot_job *j)
{
	if (!j)
		return;
	if (j->pid > 0) {
		(void)kill(j->pid, SIGKILL);
		while (waitpid(j->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	job_free(j);
}
