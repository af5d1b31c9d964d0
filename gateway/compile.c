/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/compile.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/aot_job.h"

struct compile {
	struct aot_job *job;
	int pidfd;
	bool late; /* killed by the timer */
	uint64_t started_ns;
	compile_done *done;
	void *arg;
	uv_poll_t exited;
	uv_timer_t limit;
	unsigned open_handles;
};

static void on_closed(uv_handle_t *h)
{
	struct compile *c = h->data;
	if (--c->open_handles > 0)
		return;
	(void)close(c->pidfd);
	free(c);
}

static void compile_close(struct compile *c)
{
	uv_close((uv_handle_t *)&c->exited, on_closed);
	uv_close((uv_handle_t *)&c->limit, on_closed);
}

static void on_limit(uv_timer_t *t)
{
	struct compile *c = t->data;
	c->late = true;
	(void)kill(aot_job_pid(c->job), SIGKILL);
}

static void on_exited(uv_poll_t *p, int status, int events)
{
	struct compile *c = p->data;
	struct why why = { 0 };
	struct compile_result r = { .so_fd = -1, .why = &why };
	int wstatus = 0;
	(void)status;
	(void)events;
	pid_t pid = waitpid(aot_job_pid(c->job), &wstatus, WNOHANG);
	if (pid == 0)
		return;
	if (c->late)
		(void)why_set(&why, 0, "the compile took longer than %llu s",
			      (unsigned long long)(aot_job_wall_limit_ms(c->job) / 1000));
	r.err = aot_job_finish(c->job, pid < 0 ? SIGKILL : wstatus, &r.so_fd, &r.report, &why);
	if (r.err < 0 && c->late)
		r.err = -E_TIME;
	r.wall_ms = (uv_hrtime() - c->started_ns) / 1000000;
	compile_close(c);
	c->done(c->arg, &r);
}

int compile_start(uv_loop_t *loop, int wasm_fd, int objects_fd, compile_done *done, void *arg,
		  struct compile **ret, struct why *why)
{
	struct compile *c = calloc(1, sizeof(*c));
	if (!c)
		return why_set(why, -ENOMEM, "out of memory");
	c->started_ns = uv_hrtime();
	c->done = done;
	c->arg = arg;
	const struct aot_job_options o = {
		.opt = -1,
		.has_objects = objects_fd >= 0,
		.objects_fd = objects_fd,
	};
	int err = aot_job_start(wasm_fd, &o, &c->job, why);
	if (err < 0) {
		free(c);
		return err;
	}
	c->pidfd = pidfd_open(aot_job_pid(c->job), 0);
	if (c->pidfd < 0) {
		err = why_set(why, -errno, "pidfd_open: %s", strerror(errno));
		aot_job_cancel(c->job);
		free(c);
		return err;
	}
	/* A pidfd can be polled, so this does not fail. */
	ENSURE(uv_poll_init(loop, &c->exited, c->pidfd) == 0);
	(void)uv_timer_init(loop, &c->limit);
	c->open_handles = 2;
	c->exited.data = c->limit.data = c;
	(void)uv_poll_start(&c->exited, UV_READABLE, on_exited);
	(void)uv_timer_start(&c->limit, on_limit, aot_job_wall_limit_ms(c->job), 0);
	*ret = c;
	return 0;
}

void compile_cancel(struct compile *c)
{
	if (!c)
		return;
	aot_job_cancel(c->job);
	compile_close(c);
}
