/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/runtime/events.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

void die(const char *what, const char *why)
{
	(void)fprintf(stderr, "bench-runtime: %s: %s\n", what, why);
	exit(1);
}

int events_seal(const char *so)
{
	struct stat st;
	OWN_FD file = open(so, O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0)
		die(so, "cannot be opened");
	void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, file, 0);
	if (bytes == MAP_FAILED)
		die(so, "cannot be read");
	const struct span all = { bytes, (size_t)st.st_size };
	int fd = ipc_memfd("bench", &all, 1);
	(void)munmap(bytes, all.len);
	if (fd < 0)
		die(so, "no memory");
	return fd;
}

void events_init(struct events *e)
{
	struct why why = { 0 };
	*e = (struct events){ .answers = { .sock = -1 } };
	e->loader.types = types_new();
	e->loader.hostcalls = e->loader.types ? hostcalls_new(e->loader.types) : NULL;
	if (!e->loader.hostcalls || worker_signals(&why) < 0 || worker_init(&e->worker, &why) < 0)
		die("start", why_text(&why, -1));
}

struct function *events_open(struct events *e, const char *so)
{
	static uint32_t handle;
	struct why why = { 0 };
	struct function *f = NULL;
	struct instance *first = NULL;
	const struct ipc_load m = { .function = ++handle,
				    .memory_pages = 1024,
				    .stack_bytes = 64 << 10,
				    .output_bytes = 64 << 10,
				    .cpu_ns = 1000000000,
				    .wall_ns = 10000000000,
				    .name = { (const uint8_t *)so, strlen(so) } };
	if (function_open(&e->loader, &m, events_seal(so), &f, &first, &why) < 0)
		die(so, why.text);
	struct job j = { 0 };
	job_set_init(&j, f, task_now_ns());
	job_start(&j, first, task_now_ns());
	if (j.task.ncalls > 0 && worker_run(&e->worker, &j.task) != TASK_DONE)
		die(so, "it cannot be initialised");
	if (image_take(first, &f->image, &why) < 0 || image_reset(f->image, first, 0) < 0)
		die(so, "no image of it");
	function_put_idle(f, first);
	job_fini(&j);
	return f;
}

static void begin(struct events *e, struct function *f, struct job *j, struct instance *in,
		  struct span payload)
{
	uint64_t now_ns = task_now_ns();
	const struct ipc_invoke m = { .event = 1, .function = f->handle, .payload = payload };
	if (job_set_event(j, f, &m, -1, now_ns) < 0)
		die(f->name, "no memory for its payload");
	job_start(j, in, now_ns);
	enum task_outcome outcome;
	do
		outcome = worker_run(&e->worker, &j->task);
	while (outcome == TASK_YIELDED);
	if (outcome == TASK_DONE && j->result[0].i32 == 0)
		return;
	uint8_t text[400];
	struct wr w = wr_into(text, sizeof(text) - 1);
	task_trap_text(&j->task, &w);
	text[w.len] = '\0';
	die(f->name, (const char *)text);
}

static void answer(struct events *e, struct job *j)
{
	if (job_answer(j, &e->answers) < 0)
		die("RESULT", "no memory for it");
	e->answers.n = 0;
}

void events_run(struct events *e, struct function *f, struct job *j, struct span payload)
{
	struct instance *in = function_take_idle(f);
	begin(e, f, j, in, payload);
	answer(e, j);
	if (image_reset(f->image, in, j->task.run_ns) < 0)
		die(f->name, "its instance cannot be reset");
	function_put_idle(f, in);
	job_reset(j);
}

void events_run_cold(struct events *e, struct function *f, struct job *j, struct span payload)
{
	struct why why = { 0 };
	struct instance *in = NULL;
	if (function_instance(&e->loader, f, &in, &why) < 0)
		die(f->name, why.text);
	begin(e, f, j, in, payload);
	answer(e, j);
	instance_free(in);
	job_reset(j);
}
