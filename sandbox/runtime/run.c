/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/runtime/host.h"
#include "sandbox/runtime/hostcall.h"
#include "sandbox/runtime/jail.h"
#include "sandbox/runtime/load.h"
#include "sandbox/runtime/run_event.h"
#include "sandbox/runtime/run_replay.h"
#include "sandbox/runtime/values.h"
#include "sandbox/runtime/worker.h"

struct run {
	const struct run_options *o;
	struct types *types;
	struct hostcalls *hostcalls;
	struct module *module;
	struct instance *instance;
	struct worker worker;
	struct host host;
	struct task task;
	const struct aot_export *entry;
	bool is_event; /* on_event of a reactor, with stdin as its payload */
	struct kept_event kept;
	bool is_replay; /* of kept: on_event or _start */
	union aot_value *values;
};

static int say(const char *prefix, const char *text, int code)
{
	(void)fprintf(stderr, "%s: %s\n", prefix, text);
	return code;
}

static int start_up(struct run *r, struct why *why)
{
	const int keep[] = { r->o->so_fd };
	int err = 0;
	(void)signal(SIGPIPE, SIG_IGN);
	r->is_replay = r->o->replay_fd >= 0;
	if (r->is_replay && (err = run_replay_read(r->o->replay_fd, &r->kept, why)) < 0)
		return err;
	jail_name(r->o->so_fd, r->o->so_path);
	if ((err = jail_process(keep, ARRAY_LEN(keep), why)) < 0 ||
	    (err = worker_signals(why)) < 0 || (err = worker_init(&r->worker, why)) < 0)
		return err;
	return jail_thread(why);
}

static int load(struct run *r, struct why *why)
{
	const char *name = r->o->invoke ? r->o->invoke : "_start";
	const struct instance_limits limits = { .memory_pages = r->o->memory_pages,
						.stack_bytes = r->o->stack_bytes,
						.table_elems = INSTANCE_TABLE_ELEMS };
	r->types = types_new();
	r->hostcalls = r->types ? hostcalls_new(r->types) : NULL;
	if (!r->hostcalls)
		return why_set(why, -ENOMEM, "no memory");
	int err = r->o->so_path
			  ? module_load_file(r->types, r->o->so_fd, r->o->so_path, &r->module, why)
			  : module_load(r->types, r->o->so_fd, &r->module, why);
	if (err < 0)
		return err;
	/* As in a gateway: on_event, if there is one. */
	r->entry = r->o->invoke ? NULL : module_export(r->module, "on_event", AOT_EXT_FUNC);
	r->is_event = r->entry != NULL;
	if (!r->entry)
		r->entry = module_export(r->module, name, AOT_EXT_FUNC);
	if (!r->entry)
		return why_set(why, -E_UNKNOWN, "the module exports no function %s", name);
	const struct aot_functype *ft = module_func_type(r->module, r->entry->index);
	if (r->is_event && (ft->nparams > 0 || ft->nresults != 1 || ft->types[0] != AOT_I32))
		return why_set(why, -E_INVALID, "on_event must have the type () -> (i32)");
	if (!r->o->invoke && !r->is_event && (ft->nparams > 0 || ft->nresults > 0))
		return why_set(why, -E_INVALID, "_start must have the type () -> ()");
	struct resolver host = hostcalls_resolver(r->hostcalls);
	return instance_new(r->module, &host, &limits, &r->instance, why);
}

/* 0, or what to exit with. */
static int parse_args(struct run *r)
{
	const struct aot_functype *ft = module_func_type(r->module, r->entry->index);
	uint32_t n = ft->nparams > ft->nresults ? ft->nparams : ft->nresults;
	uint32_t given = 0;
	while (r->o->invoke && r->o->invoke_args[given])
		given++;
	r->values = calloc((size_t)n + 1, sizeof(*r->values));
	if (!r->values)
		return say("error", "no memory", RUN_EXIT_INTERNAL);
	if (!r->o->invoke)
		return 0;
	if (given != ft->nparams) {
		(void)fprintf(stderr, "%s takes %u arguments, %u are given\n", r->o->invoke,
			      ft->nparams, given);
		return RUN_EXIT_USAGE;
	}
	for (uint32_t i = 0; i < given; i++) {
		if (value_parse(r->o->invoke_args[i], ft->types[i], &r->values[i]))
			continue;
		(void)fprintf(stderr, "argument %u of %s: \"%s\" is not a value of type %s\n",
			      i + 1, r->o->invoke, r->o->invoke_args[i],
			      types_value_name(ft->types[i]));
		return RUN_EXIT_USAGE;
	}
	return 0;
}

static int trapped(const struct run *r)
{
	uint8_t text[512];
	struct wr w = wr_into(text, sizeof(text) - 1);
	task_trap_text(&r->task, &w);
	text[w.len] = '\0';
	(void)say("trap", (const char *)text, 0);
	uint8_t callers[BACKTRACE_TEXT_BYTES];
	w = wr_into(callers, sizeof(callers));
	backtrace_callers(&r->task.trace, r->task.instance, &w);
	(void)fwrite(callers, 1, w.len, stderr);
	return RUN_EXIT_TRAP;
}

static int print_results(const struct run *r)
{
	const struct aot_functype *ft = module_func_type(r->module, r->entry->index);
	for (uint32_t i = 0; r->o->invoke && i < ft->nresults; i++) {
		uint8_t text[128];
		struct wr w = wr_into(text, sizeof(text) - 1);
		value_print(&r->values[i], ft->types[ft->nparams + i], &w);
		text[w.len] = '\0';
		if (puts((const char *)text) == EOF)
			return say("error", "the results cannot be written", RUN_EXIT_INTERNAL);
	}
	return fflush(stdout) == 0 ? 0 : RUN_EXIT_INTERNAL;
}

/* What on_event returned decides, as in a gateway: nothing is emitted when it is not 0. */
static int finish_event(const struct run *r, enum task_outcome outcome)
{
	int32_t code = outcome == TASK_EXITED ? r->task.exit_code : (int32_t)r->values[0].i32;
	bool failed = code != 0 || outcome != TASK_DONE;
	run_event_print_log(&r->host);
	if (outcome == TASK_TRAPPED)
		return trapped(r);
	if (failed)
		(void)fprintf(stderr, "failed: %s %d, so nothing is emitted\n",
			      outcome == TASK_EXITED ? "it exited with code" : "on_event returned",
			      code);
	if (failed)
		return code > 0 && code < 128 ? code : 1;
	return run_event_print(&r->host)
		       ? 0
		       : say("error", "the messages cannot be written", RUN_EXIT_INTERNAL);
}

static enum task_outcome run_to_its_end(struct run *r)
{
	for (;;) {
		enum task_outcome outcome = worker_run(&r->worker, &r->task);
		if (outcome > TASK_SLEEPING)
			return outcome;
		uint64_t now = task_now_ns();
		if (outcome != TASK_SLEEPING || r->task.wake_ns <= now)
			continue;
		uint64_t wait = r->task.wake_ns - now;
		const struct timespec ts = { .tv_sec = (time_t)(wait / 1000000000u),
					     .tv_nsec = (long)(wait % 1000000000u) };
		(void)ppoll(NULL, 0, &ts, NULL);
	}
}

/* As job.c does it: a reactor is initialised before there is an event. */
static enum task_outcome run_replayed(struct run *r)
{
	const struct aot_module *a = r->module->aot;
	const struct aot_export *init = module_export(r->module, "_initialize", AOT_EXT_FUNC);
	struct task *t = &r->task;
	enum task_outcome outcome = TASK_DONE;
	task_init(t, r->instance, &r->host);
	t->cpu_budget_ns = r->o->cpu_ns;
	r->host.has_event = false;
	if (r->is_event && a->start != UINT32_MAX)
		task_add_call(t, a->start, NULL);
	if (r->is_event && init)
		task_add_call(t, init->index, NULL);
	if (t->ncalls > 0)
		outcome = run_to_its_end(r);
	if (outcome != TASK_DONE)
		return outcome;
	uint32_t output_bytes = r->host.output_bytes;
	host_reset(&r->host);
	r->host.output_bytes = output_bytes;
	run_replay_begin(&r->host, &r->kept);
	task_init(t, r->instance, &r->host);
	t->cpu_budget_ns = r->o->cpu_ns;
	if (!r->is_event && a->start != UINT32_MAX)
		task_add_call(t, a->start, NULL);
	task_add_call(t, r->entry->index, r->values);
	return run_to_its_end(r);
}

/* As job.c judges it. */
static int finish_replay(struct run *r, enum task_outcome outcome)
{
	int32_t code = 0;
	run_event_print_log(&r->host);
	if (outcome == TASK_TRAPPED) {
		(void)trapped(r);
		return run_replay_end(&r->host, &r->kept, IPC_TRAPPED, 0);
	}
	if (outcome == TASK_EXITED)
		code = r->task.exit_code;
	else if (r->is_event)
		code = (int32_t)r->values[0].i32;
	bool ok = code == 0 && (outcome == TASK_DONE || !r->is_event);
	if (!ok)
		(void)fprintf(stderr, "failed: code %d, so nothing is emitted\n", code);
	else if (!run_event_print(&r->host))
		return say("error", "the messages cannot be written", RUN_EXIT_INTERNAL);
	return run_replay_end(&r->host, &r->kept, ok ? IPC_OK : IPC_FAILED, code);
}

static void set_up_task(struct run *r)
{
	const struct aot_module *a = r->module->aot;
	struct task *t = &r->task;
	const struct aot_export *init = module_export(r->module, "_initialize", AOT_EXT_FUNC);
	task_init(t, r->instance, &r->host);
	t->cpu_budget_ns = r->o->cpu_ns;
	if (a->start != UINT32_MAX)
		task_add_call(t, a->start, NULL);
	/* A reactor asks to be initialised before anything else is called. */
	if (r->entry != init && (r->o->invoke || r->is_event) && init)
		task_add_call(t, init->index, NULL);
	task_add_call(t, r->entry->index, r->values);
}

static int execute(struct run *r)
{
	struct task *t = &r->task;
	struct why why = { 0 };
	host_reset(&r->host);
	r->host.direct = !r->is_event && !r->is_replay;
	r->host.args = r->o->args;
	r->host.env = r->o->env;
	r->host.output_bytes = IPC_PAYLOAD_BYTES;
	r->host.has_event = true;
	int err = r->is_event && !r->is_replay ? run_event_read(&r->host, r->o->env, &why) : 0;
	if (err < 0)
		return say("error", why_text(&why, err), RUN_EXIT_INTERNAL);
	set_up_task(r);
	t->trap = instance_populate(r->instance);
	if (t->trap != AOT_TRAP_NONE) {
		t->trap_note =
			t->trap == AOT_TRAP_INIT ? "no memory" : "an active segment does not fit";
		return trapped(r);
	}
	if (r->is_replay)
		return finish_replay(r, run_replayed(r));
	enum task_outcome outcome = run_to_its_end(r);
	if (r->is_event)
		return finish_event(r, outcome);
	if (outcome == TASK_TRAPPED)
		return trapped(r);
	if (outcome == TASK_EXITED)
		return t->exit_code & 0xff;
	return print_results(r);
}

int run(const struct run_options *o)
{
	struct why why = { 0 };
	struct run *r = calloc(1, sizeof(*r));
	if (!r)
		return say("error", "no memory", RUN_EXIT_INTERNAL);
	r->o = o;
	int err = start_up(r, &why);
	if (err < 0)
		return say("error", why_text(&why, err), RUN_EXIT_INTERNAL);
	err = load(r, &why);
	if (err < 0)
		return say("refused", why_text(&why, err), RUN_EXIT_REFUSED);
	err = parse_args(r);
	/* What is left belongs to the process, which ends now. */
	return err != 0 ? err : execute(r);
}
