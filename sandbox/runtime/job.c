/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { WHY_BYTES = 512 };

static int copy_in(struct job *j, const struct ipc_invoke *m)
{
	size_t need = m->attrs.len + m->payload.len + m->trace.len;
	if (need > j->copy_cap) {
		uint8_t *grown = realloc(j->copy, need);
		if (!grown)
			return -ENOMEM;
		j->copy = grown;
		j->copy_cap = need;
	}
	if (m->attrs.len > 0)
		memcpy(j->copy, m->attrs.at, m->attrs.len);
	if (m->payload.len > 0)
		memcpy(j->copy + m->attrs.len, m->payload.at, m->payload.len);
	j->host.attrs = (struct span){ j->copy, m->attrs.len };
	j->host.payload =
		(struct span){ m->payload.len > 0 ? j->copy + m->attrs.len : NULL, m->payload.len };
	if (!m->is_replay)
		return 0;
	uint8_t *trace = j->copy + m->attrs.len + m->payload.len;
	if (m->trace.len > 0)
		memcpy(trace, m->trace.at, m->trace.len);
	trace_replay(&j->host.trace, (struct span){ trace, m->trace.len });
	return 0;
}

static void set_common(struct job *j, enum job_kind kind, struct function *f, uint64_t now_ns)
{
	host_reset(&j->host);
	j->kind = kind;
	j->function = f;
	j->arrived_ns = now_ns;
	j->started_ns = 0;
	j->cancelled = false;
	j->deadline_ns = f->wall_ns > 0 ? now_ns + f->wall_ns : 0;
	j->host.args = f->args;
	j->host.env = f->env;
	j->host.output_bytes = f->output_bytes;
}

int job_set_event(struct job *j, struct function *f, const struct ipc_invoke *m, int fd,
		  uint64_t now_ns)
{
	set_common(j, JOB_EVENT, f, now_ns);
	j->event = j->host.event = m->event;
	j->host.has_event = true;
	if (m->deadline_ns > 0 && (j->deadline_ns == 0 || m->deadline_ns < j->deadline_ns))
		j->deadline_ns = m->deadline_ns;
	int err = copy_in(j, m);
	if (err < 0 || m->payload_fd_bytes == 0)
		return err;
	err = ipc_memfd_map(fd, m->payload_fd_bytes, &j->map);
	if (err < 0)
		return err;
	j->map_len = m->payload_fd_bytes;
	j->host.payload = (struct span){ j->map, j->map_len };
	return 0;
}

void job_set_init(struct job *j, struct function *f, uint64_t now_ns)
{
	set_common(j, JOB_INIT, f, now_ns);
	j->event = 0;
	j->host.output_bytes = 0; /* there is no event that effects could belong to */
}

void job_start(struct job *j, struct instance *in, uint64_t now_ns)
{
	const struct function *f = j->function;
	const struct aot_module *a = f->module->aot;
	struct task *t = &j->task;
	task_init(t, in, &j->host);
	t->cpu_budget_ns = f->cpu_ns;
	t->deadline_ns = j->deadline_ns;
	if (f->host_calls > 0)
		t->host_calls_left = f->host_calls;
	t->cancelled = &j->cancelled;
	/* A reactor's start function and _initialize have run before its image was taken. */
	if (a->start != UINT32_MAX && (j->kind == JOB_INIT || !f->is_reactor))
		task_add_call(t, a->start, NULL);
	const struct aot_export *init = module_export(f->module, "_initialize", AOT_EXT_FUNC);
	if (j->kind == JOB_INIT && init)
		task_add_call(t, init->index, NULL);
	if (j->kind == JOB_EVENT)
		task_add_call(t, f->entry, j->result);
	j->started_ns = now_ns;
}

void job_reset(struct job *j)
{
	host_reset(&j->host);
	task_fini(&j->task);
	if (j->map)
		(void)munmap((void *)(uintptr_t)j->map, j->map_len);
	j->map = NULL;
	j->map_len = 0;
	if (j->copy_cap > HOST_KEEP_BYTES) {
		free(j->copy);
		j->copy = NULL;
		j->copy_cap = 0;
	}
	j->function = NULL;
}

void job_fini(struct job *j)
{
	job_reset(j);
	host_fini(&j->host);
	free(j->copy);
	*j = (struct job){ 0 };
}

static void judge(const struct job *j, struct ipc_result *r, struct wr *why)
{
	const struct task *t = &j->task;
	switch (t->outcome) {
	case TASK_TRAPPED:
		r->status = IPC_TRAPPED;
		r->trap = t->trap;
		task_trap_text(t, why);
		return;
	case TASK_EXITED:
		r->code = t->exit_code;
		r->status = r->code == 0 && !j->function->is_reactor ? IPC_OK : IPC_FAILED;
		if (r->status != IPC_OK)
			wr_fmt(why, "exit code %d", r->code);
		return;
	default:
		r->code = j->function->is_reactor ? (int32_t)j->result[0].i32 : 0;
		r->status = r->code == 0 ? IPC_OK : IPC_FAILED;
		if (r->status != IPC_OK)
			wr_fmt(why, "on_event returned %d", r->code);
		return;
	}
}

static void log_callers(struct job *j)
{
	uint8_t text[BACKTRACE_TEXT_BYTES];
	struct wr w = wr_into(text, sizeof(text));
	backtrace_callers(&j->task.trace, j->task.instance, &w);
	host_log_last(&j->host, '3', text, w.len);
}

int job_answer(struct job *j, struct answers *to)
{
	uint8_t text[WHY_BYTES];
	struct wr why = wr_into(text, sizeof(text));
	struct ipc_result r = { .event = j->event };
	const struct task *t = &j->task;
	judge(j, &r, &why);
	if (j->host.log_mid_line)
		host_log(&j->host, '6', NULL, 0); /* ends the line */
	if (t->outcome == TASK_TRAPPED)
		log_callers(j);
	uint64_t bytes = t->instance->aot.memory ? t->instance->aot.memory->bytes : 0;
	r.memory_bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
	r.queue_ns = j->taken_ns - j->arrived_ns;
	r.instantiate_ns = j->started_ns - j->taken_ns;
	r.run_ns = t->run_ns;
	r.cpu_ns = t->cpu_ns;
	r.why = (struct span){ text, why.len };
	r.log = (struct span){ j->host.log.p, j->host.log.len };
	if (r.status == IPC_OK) {
		r.neffects = j->host.neffects;
		r.reply = (struct span){ j->host.reply.p, j->host.reply.len };
		r.effects = (struct span){ j->host.effects.p, j->host.effects.len };
	}
	r.trace = trace_span(&j->host.trace);
	uint8_t room[IPC_STATE_BYTES];
	struct wr state = wr_into(room, sizeof(room));
	if (r.status == IPC_OK && j->host.state.n > 0) {
		state_put(&j->host.state, &state);
		ENSURE(wr_ok(&state)); /* state.h bounds it */
		r.nstate = j->host.state.n;
		r.state = (struct span){ room, state.len };
	}
	return answers_put(to, &r);
}
