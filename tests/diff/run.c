/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff-run [--bounds guard|check] [--opt 0..3] [--job] FILE.wasm...
 *
 * Makes the calls that oracle.mjs wrote into FILE.want, through the compiler and the runtime of
 * penstock-sandbox, and writes FILE.got in the same words: what node cannot tell apart is not told
 * apart here either. A module runs in a process of its own, a call in an instance of its own,
 * because what was stored before a trap may differ (doc/SANDBOX.md). Compiled in batches, or
 * with --job by the penstock-aot beside this program, one by one.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/diff/compile.h"
#include "tests/spec/store.h"

enum { ARGS_MAX = STORE_VALUES_MAX, LINE_BYTES = 8192 };

static const struct {
	const char *name;
	uint8_t type;
} types[] = {
	{ "i32", AOT_I32 }, { "i64", AOT_I64 },   { "f32", AOT_F32 },
	{ "f64", AOT_F64 }, { "v128", AOT_V128 },
};

static FILE *out; /* FILE.got */

struct run {
	struct aot_job_options o;
	bool job; /* penstock-aot compiles */
};

static void print_value(uint8_t type, const union aot_value *v)
{
	switch (type) {
	case AOT_I32:
		(void)fprintf(out, " i32 %08" PRIx32, v->i32);
		break;
	case AOT_I64:
		(void)fprintf(out, " i64 %016" PRIx64, v->i64);
		break;
	case AOT_F32:
		(void)(isnan(v->f32) ? fprintf(out, " f32 nan")
				     : fprintf(out, " f32 %08" PRIx32, v->i32));
		break;
	case AOT_F64:
		(void)(isnan(v->f64) ? fprintf(out, " f64 nan")
				     : fprintf(out, " f64 %016" PRIx64, v->i64));
		break;
	default:
		(void)fprintf(out, " v128 %016" PRIx64 "%016" PRIx64, v->u64[1], v->u64[0]);
	}
}

static void print_log(uint8_t type, const union aot_value *v)
{
	(void)fputs("log", out);
	print_value(type, v);
	(void)fputc('\n', out);
}

/* ---- the module "fuzzing-support", which wasm-opt's modules import ---- */

typedef uint8_t lanes __attribute__((vector_size(16)));

/* LOG(name, its code, C type of the parameter) */
#define LOGS(LOG)                                                                                  \
	LOG(i32, "\x7f", uint32_t)                                                                 \
	LOG(i64, "\x7e", uint64_t)                                                                 \
	LOG(f32, "\x7d", float)                                                                    \
	LOG(f64, "\x7c", double)                                                                   \
	LOG(v128, "\x7b", lanes)

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-parameter"
#define LOG(name, code, c_type)                                                                    \
	static void log_##name(struct aot_instance *self, c_type a)                                \
	{                                                                                          \
		union aot_value v;                                                                 \
		memcpy(&v, &a, sizeof(a));                                                         \
		print_log((uint8_t)(code)[0], &v);                                                 \
	}                                                                                          \
	static void invoke_##name(void *f, struct aot_instance *self, union aot_value *v)          \
	{                                                                                          \
		print_log((uint8_t)(code)[0], v);                                                  \
	}
LOGS(LOG)
#undef LOG
#pragma clang diagnostic pop

#define LOG(name, code, c_type) { (const uint8_t *)(code), 1, 0 },
static const struct aot_functype log_types[] = { LOGS(LOG) };
#undef LOG
#define LOG(name, code, c_type) invoke_##name,
static aot_invoke *const log_invokes[] = { LOGS(LOG) };
#undef LOG
#define LOG(name, code, c_type) (void *)log_##name,
static void *const log_code[] = { LOGS(LOG) };
#undef LOG
#define LOG(name, code, c_type) "log-" #name,
static const char *const log_names[] = { LOGS(LOG) };
#undef LOG

enum { NLOGS = ARRAY_LEN(log_types) };
static uint32_t log_type_ids[NLOGS];
static const uint32_t log_func_types[NLOGS] = { 0, 1, 2, 3, 4 };

#define EXPORT(text, i)                                                                            \
	{                                                                                          \
		.name = (text), .name_len = sizeof(text) - 1, .kind = AOT_EXT_FUNC, .index = (i)   \
	}
static const struct aot_export log_exports[NLOGS] = {
	EXPORT("log-i32", 0), EXPORT("log-i64", 1),  EXPORT("log-f32", 2),
	EXPORT("log-f64", 3), EXPORT("log-v128", 4),
};

static const struct aot_module log_module = {
	.abi = AOT_ABI_VERSION,
	.bounds = AOT_BOUNDS_GUARD,
	.ntypes = NLOGS,
	.nexports = NLOGS,
	.nfuncs = NLOGS,
	.start = UINT32_MAX,
	.types = log_types,
	.type_ids = log_type_ids,
	.invoke = log_invokes,
	.exports = log_exports,
	.func_types = log_func_types,
	.func_code = log_code,
	.func_names = log_names,
};

/* ---- a call ---- */

/* "TYPE BITS" pairs; their number, or -1. Cuts the text up. */
static int parse_args(char *text, uint8_t arg_types[ARGS_MAX], union aot_value values[ARGS_MAX])
{
	int n = 0;
	char *save = NULL;
	for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		const char *bits = strtok_r(NULL, " ", &save);
		size_t t = 0;
		while (t < ARRAY_LEN(types) && strcmp(types[t].name, w) != 0)
			t++;
		if (t == ARRAY_LEN(types) || !bits || n == ARGS_MAX)
			return -1;
		arg_types[n] = types[t].type;
		union aot_value *v = &values[n++];
		*v = (union aot_value){ .u64 = { 0, 0 } };
		if (sscanf(bits, strlen(bits) == 32 ? "%16" SCNx64 "%16" SCNx64 : "%" SCNx64,
			   strlen(bits) == 32 ? &v->u64[1] : &v->u64[0], &v->u64[0]) < 1)
			return -1;
	}
	return n;
}

static const char *trap_word(enum aot_trap trap)
{
	static const char *const words[AOT_TRAP_COUNT] = {
		[AOT_TRAP_UNREACHABLE] = "unreachable",
		[AOT_TRAP_MEMORY] = "memory",
		[AOT_TRAP_TABLE] = "indirect",
		[AOT_TRAP_INDIRECT_NULL] = "indirect",
		[AOT_TRAP_INDIRECT_TYPE] = "indirect",
		[AOT_TRAP_DIVIDE] = "divide",
		[AOT_TRAP_OVERFLOW] = "number",
		[AOT_TRAP_CONVERSION] = "number",
		[AOT_TRAP_STACK] = "stack",
		[AOT_TRAP_TIME] = "time",
	};
	return words[trap] ? words[trap] : "of another kind";
}

/* The same sum as oracle.mjs. */
static uint32_t memory_sum(const struct aot_memory *m)
{
	uint32_t sum = (uint32_t)m->bytes;
	for (uint32_t i = 0; i < m->bytes / sizeof(uint32_t); i++) {
		uint32_t word;
		memcpy(&word, m->base + i * sizeof(word), sizeof(word));
		sum += word * (i << 1 | 1);
	}
	return sum;
}

static int invoke(struct store *s, struct instance *in, const char *name, char *args,
		  struct store_outcome *o, struct why *why)
{
	uint8_t arg_types[ARGS_MAX];
	int n = parse_args(args, arg_types, o->values);
	if (n < 0)
		return why_set(why, -E_INVALID, "the call line cannot be read");
	return store_invoke(s, in, name, strlen(name), o, arg_types, (uint32_t)n, why);
}

/* What was stored before a trap. With guard pages nobody knows after an access out of bounds
 * (doc/SANDBOX.md, Stores before a trap): then it is what node says. */
static void print_stored(const struct instance *in, enum aot_trap trap, const struct run *r,
			 FILE *want)
{
	static char line[LINE_BYTES];
	long at = ftell(want);
	if (!in->aot.memory || trap == AOT_TRAP_STACK || trap == AOT_TRAP_TIME)
		return;
	if (r->o.bounds_check || trap != AOT_TRAP_MEMORY) {
		(void)fprintf(out, "stored %08" PRIx32 "\n", memory_sum(in->aot.memory));
		return;
	}
	while (fgets(line, sizeof(line), want) && strncmp(line, "call ", strlen("call ")) != 0)
		if (strncmp(line, "stored ", strlen("stored ")) == 0)
			(void)fputs(line, out);
	(void)fseek(want, at, SEEK_SET);
}

/* "NAME TYPE BITS...": prints what comes of it. */
static int call(struct store *s, const struct module *m, char *line, const struct run *r,
		FILE *want, struct why *why)
{
	struct instance *in;
	struct store_outcome o;
	char *args = line + strcspn(line, " ");
	if (*args)
		*args++ = '\0';
	int err = store_instantiate(s, m, &in, why);
	if (err == 0)
		store_start(s, in, &o);
	bool started = err == 0 && o.trap == AOT_TRAP_NONE;
	if (started)
		err = invoke(s, in, line, args, &o, why);
	if (err < 0)
		return err;
	if (o.trap != AOT_TRAP_NONE) {
		(void)fprintf(out, "trap %s\n", trap_word(o.trap));
		if (started)
			print_stored(in, o.trap, r, want);
	} else {
		(void)fputs("return", out);
		for (uint32_t i = 0; i < o.n; i++)
			print_value(o.types[i], &o.values[i]);
		(void)fputc('\n', out);
		if (in->aot.memory)
			(void)fprintf(out, "memory %08" PRIx32 "\n", memory_sum(in->aot.memory));
	}
	instance_free(in);
	return 0;
}

/* ---- a module, in a process of its own ---- */

static int load(struct store *s, const struct compiled *c, struct module **ret, struct why *why)
{
	if (c->err < 0)
		return why_set(why, c->err, "%s", why_text(&c->why, c->err));
	return c->aot ? store_adopt_module(s, c->aot, ret, why)
		      : store_compile(s, c->path, ret, why);
}

static int run(const struct compiled *c, FILE *want, const struct run *r, struct why *why)
{
	static char line[LINE_BYTES];
	struct module *m;
	struct store *s = store_new(&r->o, why);
	int err = s ? store_adopt(s, "fuzzing-support", &log_module, why) : -ENOMEM;
	if (err < 0 || (err = load(s, c, &m, why)) < 0)
		return err;
	while (err == 0 && fgets(line, sizeof(line), want)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "call ", strlen("call ")) != 0)
			continue;
		(void)fprintf(out, "%s\n", line);
		(void)fflush(out);
		err = call(s, m, line + strlen("call "), r, want, why);
	}
	return err;
}

static FILE *beside(const char *wasm, const char *suffix, const char *mode)
{
	char path[4096];
	int stem = (int)(strlen(wasm) - strlen("wasm"));
	(void)snprintf(path, sizeof(path), "%.*s%s", stem > 0 ? stem : 0, wasm, suffix);
	FILE *f = fopen(path, mode);
	if (!f)
		(void)fprintf(stderr, "diff-run: %s: %s\n", path, strerror(errno));
	return f;
}

/* False when the files cannot be used. */
static bool module(const struct compiled *c, const struct run *r)
{
	FILE *want = beside(c->path, "want", "r");
	out = want ? beside(c->path, "got", "w") : NULL;
	pid_t pid = out ? fork() : -1;
	if (pid == 0) {
		struct why why = { 0 };
		int err = run(c, want, r, &why);
		if (err < 0)
			(void)fprintf(out, "error %s: %s\n", why_name(err), why_text(&why, err));
		_exit(fflush(out) == 0 ? 0 : 1);
	}
	int status = 0;
	bool done = pid > 0 && waitpid(pid, &status, 0) == pid;
	/* After what the process wrote: both share the position in the file. */
	if (done && status != 0)
		(void)fprintf(out, "died, wait status 0x%04x\n", (unsigned)status);
	if (want)
		(void)fclose(want);
	if (out)
		(void)fclose(out);
	return done;
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: diff-run [--bounds guard|check] [--opt 0..3] [--job] "
			      "FILE.wasm...\n");
	return 64;
}

static bool parse(int argc, char **argv, struct run *r)
{
	static const struct option longs[] = {
		{ "bounds", required_argument, NULL, 'b' },
		{ "opt", required_argument, NULL, 'o' },
		{ "job", no_argument, NULL, 'j' },
		{ 0 },
	};
	int c;
	bool ok = true;
	*r = (struct run){ .o = { .opt = -1 } };
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'b')
			r->o.bounds_check = strcmp(optarg, "check") == 0;
		else if (c == 'o' && *optarg >= '0' && *optarg <= '3' && optarg[1] == '\0')
			r->o.opt = *optarg - '0';
		else if (c == 'j')
			r->job = true;
		else
			ok = false;
	}
	return ok && optind < argc;
}

int main(int argc, char **argv)
{
	struct run r;
	struct target t;
	struct why why = { 0 };
	bool ok = true;
	if (!parse(argc, argv, &r))
		return usage();
	int err = r.job ? 0 : target_open(NULL, NULL, &t, &why);
	struct compile_options o = { .bounds_check = r.o.bounds_check,
				     .opt = r.o.opt < 0 ? COMPILE_OPT_DEFAULT : r.o.opt };
	for (int at = optind; err == 0 && at < argc; at += BATCH_MAX) {
		struct compiled list[BATCH_MAX] = { 0 };
		size_t n = argc - at < BATCH_MAX ? (size_t)(argc - at) : BATCH_MAX;
		for (size_t i = 0; i < n; i++)
			list[i].path = argv[at + (int)i];
		if (!r.job)
			err = compile_batch(&t, &o, list, n, &why);
		for (size_t i = 0; err == 0 && i < n; i++)
			ok &= module(&list[i], &r);
	}
	if (err < 0)
		(void)fprintf(stderr, "diff-run: %s\n", why_text(&why, err));
	return ok && err == 0 ? 0 : 1;
}
