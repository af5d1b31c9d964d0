/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/spec/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/own.h"
#include "tests/spec/spectest.h"

/* What a test may use before it counts as hung. */
#define CALL_CPU_NS UINT64_C(20000000000)

struct registered {
	struct registered *next;
	struct instance *in;
	size_t len;
	char name[];
};

struct store {
	struct types *types;
	struct worker worker;
	struct registered *registered; /* newest first: a name may be given again */
	const struct aot_job_options *o;
};

static int find(void *arg, const struct aot_import *want, struct external *ret)
{
	const struct store *s = arg;
	for (const struct registered *r = s->registered; r; r = r->next)
		if (r->len == want->module_len && memcmp(r->name, want->module, r->len) == 0)
			return instance_export(r->in, want->name, want->name_len, ret);
	return -E_UNKNOWN;
}

int store_register(struct store *s, const char *name, size_t len, struct instance *in)
{
	struct registered *r = malloc(sizeof(*r) + len);
	if (!r)
		return -ENOMEM;
	*r = (struct registered){ .next = s->registered, .in = in, .len = len };
	memcpy(r->name, name, len);
	s->registered = r;
	return 0;
}

int store_adopt(struct store *s, const char *name, const struct aot_module *aot, struct why *why)
{
	struct module *m;
	struct instance *in;
	int err = module_adopt(s->types, aot, &m, why);
	if (err < 0 || (err = store_instantiate(s, m, &in, why)) < 0)
		return err;
	if (instance_populate(in) != AOT_TRAP_NONE)
		return why_set(why, -ENOMEM, "no memory for %s", name);
	return store_register(s, name, strlen(name), in);
}

int store_adopt_module(struct store *s, const struct aot_module *aot, struct module **ret,
		       struct why *why)
{
	return module_adopt(s->types, aot, ret, why);
}

struct store *store_new(const struct aot_job_options *o, struct why *why)
{
	struct store *s = calloc(1, sizeof(*s));
	if (!s || !(s->types = types_new())) {
		(void)why_set(why, -ENOMEM, "no memory");
		free(s);
		return NULL;
	}
	s->o = o;
	if (worker_signals(why) == 0 && worker_init(&s->worker, why) == 0 &&
	    store_adopt(s, "spectest", &spectest_module, why) == 0)
		return s;
	types_free(s->types);
	free(s);
	return NULL;
}

int store_compile(struct store *s, const char *path, struct module **ret, struct why *why)
{
	OWN_FD wasm_fd = open(path, O_RDONLY | O_CLOEXEC);
	OWN_FD so_fd = -1;
	OWN_FREE char *report = NULL;
	if (wasm_fd < 0)
		return why_set(why, -errno, "%s: %s", path, strerrordesc_np(errno));
	int err = aot_job_run(wasm_fd, s->o, &so_fd, &report, why);
	if (err < 0)
		return err;
	err = module_load(s->types, so_fd, ret, why);
	if (err < 0)
		return err;
	(void)fd_steal(&so_fd); /* the module's */
	if (((*ret)->aot->bounds == AOT_BOUNDS_CHECK) != s->o->bounds_check)
		return why_set(why, -E_GONE, "the code was compiled for the other kind of memory");
	return 0;
}

/* With checks in the code, the processor must not be needed to find what they miss: the whole
 * reservation becomes accessible, so that a missing check is an access that succeeds. */
static int unguard(struct instance *in, struct why *why)
{
	const struct memory *m = &in->memory;
	if (in->module->aot->bounds != AOT_BOUNDS_CHECK || m->reserved_bytes == 0)
		return 0;
	if (mprotect(m->aot.base, m->reserved_bytes, PROT_READ | PROT_WRITE) == 0)
		return 0;
	return why_set(why, -errno, "opening the guard of a memory: %s", strerrordesc_np(errno));
}

int store_instantiate(struct store *s, const struct module *m, struct instance **ret,
		      struct why *why)
{
	const struct resolver by_name = { .find = find, .arg = s };
	const struct instance_limits limits = { .memory_pages = AOT_PAGES_MAX,
						.stack_bytes = STACK_BYTES_DEFAULT,
						.table_elems = INSTANCE_TABLE_ELEMS };
	int err = instance_new(m, &by_name, &limits, ret, why);
	return err < 0 ? err : unguard(*ret, why);
}

/* As every event is run: on the instance's stack, in slices, under a budget. */
static void call(struct store *s, struct instance *in, uint32_t func, struct store_outcome *o)
{
	struct task t;
	enum task_outcome end;
	task_init(&t, in, NULL);
	t.cpu_budget_ns = CALL_CPU_NS;
	task_add_call(&t, func, o->values);
	do
		end = worker_run(&s->worker, &t);
	while (end <= TASK_SLEEPING);
	o->trap = end == TASK_TRAPPED ? t.trap : AOT_TRAP_NONE;
	o->trap_text[0] = '\0';
	if (end != TASK_TRAPPED)
		return;
	struct wr w = wr_into(o->trap_text, sizeof(o->trap_text) - 1);
	task_trap_text(&t, &w);
	o->trap_text[w.len] = '\0';
}

void store_start(struct store *s, struct instance *in, struct store_outcome *o)
{
	const struct aot_module *a = in->module->aot;
	o->trap = instance_populate(in);
	(void)snprintf((char *)o->trap_text, sizeof(o->trap_text), "%s",
		       o->trap == AOT_TRAP_NONE ? "" : "an active segment does not fit");
	if (o->trap == AOT_TRAP_NONE && a->start != UINT32_MAX)
		call(s, in, a->start, o);
}

static const struct aot_export *export(const struct instance *in, const char *name, size_t len,
				       enum aot_extern kind)
{
	const struct aot_module *a = in->module->aot;
	for (uint32_t i = 0; i < a->nexports; i++) {
		const struct aot_export *e = &a->exports[i];
		if (e->kind == kind && e->name_len == len && memcmp(e->name, name, len) == 0)
			return e;
	}
	return NULL;
}

int store_invoke(struct store *s, struct instance *in, const char *name, size_t len,
		 struct store_outcome *o, const uint8_t *arg_types, uint32_t nargs, struct why *why)
{
	const struct aot_export *e = export(in, name, len, AOT_EXT_FUNC);
	if (!e)
		return why_set(why, -E_UNKNOWN, "no function is exported under that name");
	const struct aot_functype *ft = module_func_type(in->module, e->index);
	if (ft->nparams != nargs || ft->nresults > STORE_VALUES_MAX ||
	    (nargs > 0 && memcmp(ft->types, arg_types, nargs) != 0))
		return why_set(why, -E_INVALID, "the function takes other arguments");
	call(s, in, e->index, o);
	o->n = ft->nresults;
	o->types = ft->types + ft->nparams;
	return 0;
}

/* Through instance_export(), as an importing instance finds it. */
int store_get(struct instance *in, const char *name, size_t len, struct store_outcome *o,
	      struct why *why)
{
	static const uint8_t codes[] = { AOT_I32,  AOT_I64,     AOT_F32,      AOT_F64,
					 AOT_V128, AOT_FUNCREF, AOT_EXTERNREF };
	struct external e;
	if (instance_export(in, name, len, &e) < 0 || e.kind != AOT_EXT_GLOBAL)
		return why_set(why, -E_UNKNOWN, "no global is exported under that name");
	const uint8_t *type = memchr(codes, e.global_type.type, sizeof(codes));
	ENSURE(type);
	o->trap = AOT_TRAP_NONE;
	o->n = 1;
	o->types = type;
	o->values[0] = *e.global;
	return 0;
}
