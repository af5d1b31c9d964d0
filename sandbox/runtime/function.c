/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/function.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A guest's reply and effects travel in one memfd; see IPC_PAYLOAD_BYTES. */
enum { OUTPUT_BYTES_MAX = IPC_PAYLOAD_BYTES - (128 << 10) };

static int copy_strings(struct function *f, const struct ipc_load *m)
{
	f->name = strndup((const char *)m->name.at, m->name.len);
	f->strings = malloc(m->env.len + m->args.len + 1);
	if (!f->name || !f->strings)
		return -ENOMEM;
	f->env = (struct span){ f->strings, m->env.len };
	f->args = (struct span){ f->strings + m->env.len, m->args.len };
	if (m->env.len > 0)
		memcpy(f->strings, m->env.at, m->env.len);
	if (m->args.len > 0)
		memcpy(f->strings + m->env.len, m->args.at, m->args.len);
	return 0;
}

/* on_event: () -> (i32), or _start: () -> (). */
static int find_entry(struct function *f, struct why *why)
{
	const struct aot_export *e = module_export(f->module, "on_event", AOT_EXT_FUNC);
	f->is_reactor = e != NULL;
	if (!e)
		e = module_export(f->module, "_start", AOT_EXT_FUNC);
	if (!e)
		return why_set(why, -E_INVALID,
			       "the module exports neither on_event nor _start: build it as a "
			       "reactor with PENSTOCK_ON_EVENT, or as a program with main()");
	const struct aot_functype *ft = module_func_type(f->module, e->index);
	bool fits = ft->nparams == 0 && ft->nresults == (f->is_reactor ? 1 : 0) &&
		    (!f->is_reactor || ft->types[0] == AOT_I32);
	if (!fits)
		return why_set(why, -E_INVALID, "%s must have the type %s",
			       f->is_reactor ? "on_event" : "_start",
			       f->is_reactor ? "() -> (i32)" : "() -> ()");
	f->entry = e->index;
	return 0;
}

static int new_instance(const struct loader *ld, const struct function *f, struct instance **ret,
			struct why *why)
{
	struct resolver host = hostcalls_resolver(ld->hostcalls);
	return instance_new(f->module, &host, &f->limits, ret, why);
}

static int first_instance(const struct loader *ld, struct function *f, struct instance **ret,
			  struct why *why)
{
	struct instance *in = NULL;
	int err = new_instance(ld, f, &in, why);
	if (err < 0)
		return err;
	enum aot_trap trap = instance_populate(in);
	if (trap != AOT_TRAP_NONE) {
		instance_free(in);
		if (trap == AOT_TRAP_INIT)
			return why_set(why, -ENOMEM, "no memory for an instance");
		return why_set(why, -E_TRAP, "trap: %s: an active %s segment does not fit",
			       trap == AOT_TRAP_TABLE ? "table" : "memory",
			       trap == AOT_TRAP_TABLE ? "element" : "data");
	}
	*ret = in;
	return 0;
}

int function_open(const struct loader *ld, const struct ipc_load *m, int so_fd,
		  struct function **ret, struct instance **ret_first, struct why *why)
{
	struct function *f = calloc(1, sizeof(*f));
	if (!f)
		return why_set(why, -ENOMEM, "no memory for a function");
	f->handle = m->function;
	line_init(&f->waiting);
	f->limits = (struct instance_limits){ .memory_pages = m->memory_pages,
					      .stack_bytes = m->stack_bytes,
					      .table_elems = INSTANCE_TABLE_ELEMS };
	f->output_bytes = m->output_bytes < OUTPUT_BYTES_MAX ? m->output_bytes : OUTPUT_BYTES_MAX;
	f->cpu_ns = m->cpu_ns;
	f->wall_ns = m->wall_ns;
	f->concurrency = m->concurrency ? m->concurrency : UINT32_MAX;
	f->host_calls = m->host_calls;
	int err = copy_strings(f, m);
	if (err < 0)
		(void)why_set(why, err, "no memory for a function");
	else if ((err = module_load(ld->types, so_fd, &f->module, why)) == 0 &&
		 (err = find_entry(f, why)) == 0)
		err = first_instance(ld, f, ret_first, why);
	if (err < 0) {
		if (f->module)
			f->module->fd = -1; /* stays the caller's */
		function_close(f);
		return err;
	}
	f->ninstances = 1;
	*ret = f;
	return 0;
}

void function_close(struct function *f)
{
	if (!f)
		return;
	struct instance *in;
	while ((in = function_take_idle(f)) != NULL)
		instance_free(in);
	image_free(f->image);
	module_free(f->module);
	free(f->name);
	free(f->strings);
	free(f);
}

int function_instance(const struct loader *ld, const struct function *f, struct instance **ret,
		      struct why *why)
{
	struct instance *in = NULL;
	int err = new_instance(ld, f, &in, why);
	if (err == 0)
		err = image_adopt(f->image, in);
	if (err < 0) {
		instance_free(in);
		return why_set(why, err, "no memory for an instance");
	}
	*ret = in;
	return 0;
}

struct instance *function_take_idle(struct function *f)
{
	struct instance *in = f->idle;
	if (in) {
		f->idle = in->next_idle;
		f->nidle--;
	}
	return in;
}

void function_put_idle(struct function *f, struct instance *in)
{
	in->next_idle = f->idle;
	f->idle = in;
	f->nidle++;
}
