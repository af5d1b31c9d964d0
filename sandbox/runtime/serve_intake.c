/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway says. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/runtime/park.h"
#include "sandbox/runtime/serve_impl.h"

enum { EXIT_PROTOCOL = 70 };

void serve_send_or_die(int err)
{
	if (err == 0)
		return;
	if (err == -EPIPE || err == -ECONNRESET)
		_exit(0); /* the gateway is gone; nobody waits for results */
	LOG(LOG_ERR, "a message to the gateway could not be sent; ending", F_ERR(err));
	_exit(EXIT_PROTOCOL);
}

static void __attribute__((noreturn)) gateway_broke_protocol(const char *what)
{
	LOG(LOG_ERR, "the gateway sent what it must not; ending", F_STR("reason", what));
	_exit(EXIT_PROTOCOL);
}

static unsigned queue_for(const struct thread *th)
{
	return th->me != SCHED_NOBODY ? th->me : sched_least_urgent(&th->s->sched, SCHED_NOBODY);
}

static void on_load(struct thread *th, const struct ipc_load *m, int fd)
{
	struct serve *s = th->s;
	struct why why = { 0 };
	struct function *f = NULL;
	struct instance *first = NULL;
	serve_lock(s);
	bool taken = serve_function(s, m->function) != NULL;
	serve_unlock(s);
	if (taken)
		gateway_broke_protocol("LOAD of a handle that is in use");
	int err = function_open(&s->loader, m, fd, &f, &first, &why);
	if (err < 0) {
		(void)close(fd);
		serve_send_or_die(
			serve_send_loaded(s, m->function, err, why_text(&why, err), false));
		return;
	}
	serve_lock(s);
	struct job *j = serve_new_job(s, JOB_INIT);
	if (j) {
		serve_add_function(s, f);
		job_set_init(j, f, task_now_ns());
		f->njobs++;
		job_start(j, first, task_now_ns());
		serve_make_ready(s, j, queue_for(th));
	}
	serve_unlock(s);
	if (!j) {
		function_put_idle(f, first);
		function_close(f);
		serve_send_or_die(serve_send_loaded(s, m->function, -E_LIMIT,
						    "too many functions are being loaded", false));
	}
}

static void on_invoke(struct thread *th, const struct ipc_invoke *m, int fd)
{
	struct serve *s = th->s;
	const char *refused = NULL;
	serve_lock(s);
	struct function *f = serve_function(s, m->function);
	struct job *j = f && f->ready ? serve_new_job(s, JOB_EVENT) : NULL;
	if (!f || !f->ready)
		refused = "no such function is loaded";
	else if (!j)
		refused = "the sandbox's queue is full";
	serve_unlock(s);
	if (j) { /* only this thread knows of it yet; the leader alone unloads */
		int err = job_set_event(j, f, m, fd, task_now_ns());
		if (err == -E_PROTO)
			gateway_broke_protocol("a payload that is not in a sealed memfd");
		serve_lock(s);
		if (err < 0) {
			refused = "no memory for the payload";
			serve_free_job(s, j);
		} else {
			f->njobs++;
			serve_make_ready(s, j, queue_for(th));
		}
		serve_unlock(s);
	}
	if (refused)
		serve_send_or_die(answers_refuse(&th->out, m->event, refused));
}

static void free_all(struct instance *idle)
{
	while (idle) {
		struct instance *next = idle->next_idle;
		instance_free(idle);
		idle = next;
	}
}

static void on_unload(struct serve *s, uint32_t handle)
{
	serve_lock(s);
	struct function *f = serve_function(s, handle);
	struct instance *idle = f ? serve_remove_function(s, f) : NULL;
	bool unused = f && f->njobs == 0;
	serve_unlock(s);
	free_all(idle);
	if (unused)
		function_close(f);
}

static void on_cancel(struct serve *s, uint64_t event)
{
	serve_lock(s);
	serve_cancel(s, event);
	serve_unlock(s);
}

static void on_packet(struct thread *th, const struct ipc_packet *p)
{
	struct serve *s = th->s;
	struct ipc_msg m;
	struct why why = { 0 };
	int err = ipc_parse(IPC_GATEWAY, p->bytes, p->len, &m, &why);
	if (p->err < 0)
		gateway_broke_protocol("a packet that is too long, or with several descriptors");
	if (err < 0)
		gateway_broke_protocol(why_text(&why, err));
	if (m.nfds != (p->fd >= 0))
		gateway_broke_protocol("a message without the descriptor that it names");
	switch (m.type) {
	case IPC_LOAD:
		on_load(th, &m.load, p->fd); /* takes the descriptor over */
		return;
	case IPC_INVOKE:
		on_invoke(th, &m.invoke, p->fd);
		break;
	case IPC_UNLOAD:
		on_unload(s, m.unload);
		break;
	case IPC_CANCEL:
		on_cancel(s, m.cancel);
		break;
	case IPC_STATE_TELL: /* whole: the host call reads it again, on its own stack */
		(void)serve_wake(s, m.tell.ticket, (struct span){ p->bytes, p->len });
		break;
	default: /* QUIT; a gateway's message cannot be another */
		_exit(0);
	}
	if (p->fd >= 0)
		(void)close(p->fd);
}

int serve_intake(struct thread *th)
{
	struct serve *s = th->s;
	struct ipc_packet p[IPC_BATCH];
	int n = ipc_inbox_recv(s->inbox, s->sock, p);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		_exit(0); /* the gateway is gone */
	for (int i = 0; i < n; i++)
		on_packet(th, &p[i]);
	uint64_t now = task_now_ns();
	s->gap_ns = now - s->last_message_ns;
	s->last_message_ns = now;
	if (n > 1)
		s->no_spins = SERVE_NO_SPINS_MAX;
	return n;
}
