/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/spec/script.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/spec/store.h"
#include "tests/spec/value.h"

/* A module that a script can refer to. in NULL: it is not there. */
struct named {
	struct named *next;
	const char *id; /* "$M"; the JSON's */
	struct instance *in;
};

struct script {
	const struct script_options *o;
	struct tally *tally;
	struct store *store;
	const char *json;
	int dir_len;
	struct named *named; /* newest first */
	struct named current;
	unsigned missing;
	/* of the command that runs */
	const json_t *c;
	char text[2048]; /* why it failed: "expected ..., got ..." */
};

/* MISSING: failed because the module did. SKIPPED + enum skip. */
enum verdict { PASSED, FAILED, MISSING, SKIPPED };

static const char *member(const json_t *j, const char *name)
{
	const char *s = json_string_value(json_object_get(j, name));
	return s ? s : "";
}

static enum verdict __attribute__((format(printf, 2, 3)))
fail(struct script *s, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(s->text, sizeof(s->text), fmt, ap);
	va_end(ap);
	return FAILED;
}

/* The traps that an assertion's text stands for. */
static bool trap_matches(const char *want, enum aot_trap got)
{
	static const struct {
		const char *text; /* the beginning of it */
		enum aot_trap trap;
	} table[] = {
		{ "out of bounds memory access", AOT_TRAP_MEMORY },
		{ "out of bounds table access", AOT_TRAP_TABLE },
		{ "undefined element", AOT_TRAP_TABLE },
		{ "uninitialized element", AOT_TRAP_INDIRECT_NULL },
		{ "indirect call type mismatch", AOT_TRAP_INDIRECT_TYPE },
		{ "integer divide by zero", AOT_TRAP_DIVIDE },
		{ "integer overflow", AOT_TRAP_OVERFLOW },
		{ "invalid conversion to integer", AOT_TRAP_CONVERSION },
		{ "unreachable", AOT_TRAP_UNREACHABLE },
		{ "call stack exhausted", AOT_TRAP_STACK },
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strncmp(want, table[i].text, strlen(table[i].text)) == 0)
			return got == table[i].trap;
	return false;
}

/* ---- modules ---- */

static int compile(struct script *s, struct module **ret, struct why *why)
{
	char path[4096];
	(void)snprintf(path, sizeof(path), "%.*s%s", s->dir_len, s->json, member(s->c, "filename"));
	s->tally->modules++;
	return store_compile(s->store, path, ret, why);
}

static enum verdict refused(struct script *s, const char *step, int err, const struct why *why)
{
	return fail(s, "%s: %s: %s", step, why_name(err), why_text(why, err));
}

static enum verdict run_module(struct script *s)
{
	struct why why = { 0 };
	struct module *m;
	struct instance *in;
	struct store_outcome o;
	s->current = (struct named){ .id = json_string_value(json_object_get(s->c, "name")) };
	int err = compile(s, &m, &why);
	if (err < 0)
		return refused(s, "compiling", err, &why);
	err = store_instantiate(s->store, m, &in, &why);
	if (err < 0)
		return refused(s, "linking", err, &why);
	store_start(s->store, in, &o);
	if (o.trap != AOT_TRAP_NONE)
		return fail(s, "starting: %s", o.trap_text);
	s->current.in = in;
	return PASSED;
}

/* Under its name it can be found for the rest of the script, also when it failed. */
static enum verdict module_command(struct script *s)
{
	enum verdict v = run_module(s);
	if (!s->current.id)
		return v;
	struct named *n = malloc(sizeof(*n));
	ENSURE(n);
	*n = s->current;
	n->next = s->named;
	s->named = n;
	return v;
}

/* NULL: *ret_verdict is what becomes of the command. */
static struct instance *instance_for(struct script *s, const json_t *j, const char *key,
				     enum verdict *ret_verdict)
{
	const char *id = json_string_value(json_object_get(j, key));
	const struct named *n = &s->current;
	if (id)
		for (n = s->named; n && strcmp(n->id, id) != 0; n = n->next)
			;
	if (n && n->in)
		return n->in;
	*ret_verdict = MISSING;
	return NULL;
}

static enum verdict register_command(struct script *s)
{
	enum verdict v = PASSED;
	const json_t *as = json_object_get(s->c, "as");
	struct instance *in = instance_for(s, s->c, "name", &v);
	if (in && store_register(s->store, json_string_value(as), json_string_length(as), in) < 0)
		return fail(s, "no memory");
	return v;
}

/* ---- assertions about modules ---- */

static bool is_text(const struct script *s)
{
	return strcmp(member(s->c, "module_type"), "text") == 0;
}

/* Malformed bytes may look like a feature that is not offered, or have counts beyond our limits
 * before they have any beyond the format's; a crash or the end of time or memory is no answer. */
static enum verdict refuse_command(struct script *s)
{
	struct why why = { 0 };
	struct module *m;
	bool malformed = strcmp(member(s->c, "type"), "assert_malformed") == 0;
	if (is_text(s))
		return SKIPPED + SKIP_TEXT;
	int err = compile(s, &m, &why);
	if (err == 0)
		return fail(s, "expected a refusal (%s), but it was compiled",
			    member(s->c, "text"));
	/* What later versions made valid is refused by that name. */
	if (err == -E_INVALID || err == -E_UNSUPPORTED || (malformed && err == -E_LIMIT))
		return PASSED;
	return fail(s, "expected E_INVALID (%s), got %s: %s", member(s->c, "text"), why_name(err),
		    why_text(&why, err));
}

static enum verdict unlinkable_command(struct script *s)
{
	struct why why = { 0 };
	struct module *m;
	struct instance *in;
	const char *text = member(s->c, "text");
	int want = strcmp(text, "unknown import") == 0 ? -E_UNKNOWN : -E_INVALID;
	int err = compile(s, &m, &why);
	if (err < 0)
		return refused(s, "compiling", err, &why);
	err = store_instantiate(s->store, m, &in, &why);
	if (err == want)
		return PASSED;
	return fail(s, "expected %s (%s), got %s: %s", why_name(want), text,
		    err < 0 ? why_name(err) : "an instance", why.text);
}

static enum verdict uninstantiable_command(struct script *s)
{
	struct why why = { 0 };
	struct module *m;
	struct instance *in;
	struct store_outcome o;
	const char *text = member(s->c, "text");
	int err = compile(s, &m, &why);
	if (err < 0)
		return refused(s, "compiling", err, &why);
	err = store_instantiate(s->store, m, &in, &why);
	if (err < 0)
		return refused(s, "linking", err, &why);
	store_start(s->store, in, &o);
	if (trap_matches(text, o.trap))
		return PASSED;
	return fail(s, "expected the trap \"%s\", got %s", text,
		    o.trap == AOT_TRAP_NONE ? "an instance" : (const char *)o.trap_text);
}

/* ---- actions, and assertions about them ---- */

static enum verdict act(struct script *s, struct store_outcome *o)
{
	struct why why = { 0 };
	uint8_t types[STORE_VALUES_MAX];
	enum verdict v = FAILED;
	int err;
	const json_t *action = json_object_get(s->c, "action");
	const json_t *args = json_object_get(action, "args");
	const json_t *field = json_object_get(action, "field"); /* its name may hold NUL */
	const char *name = json_string_value(field);
	size_t len = json_string_length(field);
	uint32_t nargs = (uint32_t)json_array_size(args);
	struct instance *in = instance_for(s, action, "module", &v);
	if (!in)
		return v;
	if (nargs > STORE_VALUES_MAX)
		return fail(s, "%u arguments, at most %d", nargs, STORE_VALUES_MAX);
	for (uint32_t i = 0; i < nargs; i++)
		if (!spec_value_parse(json_array_get(args, i), &types[i], &o->values[i]))
			return fail(s, "argument %u: this runner does not know such values", i + 1);
	if (strcmp(member(action, "type"), "get") == 0)
		err = store_get(in, name, len, o, &why);
	else
		err = store_invoke(s->store, in, name, len, o, types, nargs, &why);
	return err < 0 ? fail(s, "%s", why_text(&why, err)) : PASSED;
}

static void outcome_text(const struct store_outcome *o, const json_t *expected, struct wr *w)
{
	if (o->trap != AOT_TRAP_NONE) {
		wr_fmt(w, "trap: %s", o->trap_text);
		return;
	}
	for (uint32_t i = 0; i < o->n; i++) {
		wr_str(w, i > 0 ? ", " : "");
		spec_value_got(o->types[i], &o->values[i], json_array_get(expected, i), w);
	}
	if (o->n == 0)
		wr_str(w, "nothing");
}

static enum verdict not_as_expected(struct script *s, const char *want,
				    const struct store_outcome *o)
{
	struct wr w = wr_into(s->text, sizeof(s->text) - 1);
	wr_str(&w, "expected ");
	if (want)
		wr_fmt(&w, "the trap \"%s\"", want);
	size_t i;
	const json_t *j;
	const json_t *expected = json_object_get(s->c, "expected");
	json_array_foreach(want ? NULL : expected, i, j)
	{
		wr_str(&w, i > 0 ? ", " : "");
		spec_value_want(j, &w);
	}
	if (!want && json_array_size(expected) == 0)
		wr_str(&w, "nothing");
	wr_str(&w, ", got ");
	outcome_text(o, expected, &w);
	s->text[w.len] = '\0';
	return FAILED;
}

static enum verdict return_command(struct script *s)
{
	struct store_outcome o;
	size_t i;
	const json_t *want;
	const json_t *expected = json_object_get(s->c, "expected");
	enum verdict v = act(s, &o);
	if (v != PASSED)
		return v;
	bool same = o.trap == AOT_TRAP_NONE && o.n == json_array_size(expected);
	json_array_foreach(expected, i, want)
	{
		same = same && spec_value_matches(want, o.types[i], &o.values[i]);
	}
	return same ? PASSED : not_as_expected(s, NULL, &o);
}

static enum verdict trap_command(struct script *s)
{
	struct store_outcome o;
	enum verdict v = act(s, &o);
	if (v != PASSED)
		return v;
	const char *text = member(s->c, "text");
	return trap_matches(text, o.trap) ? PASSED : not_as_expected(s, text, &o);
}

static enum verdict action_command(struct script *s)
{
	struct store_outcome o;
	enum verdict v = act(s, &o);
	return v == PASSED && o.trap != AOT_TRAP_NONE ? fail(s, "trap: %s", o.trap_text) : v;
}

/* ---- the script ---- */

static enum verdict command(struct script *s)
{
	static const struct {
		const char *type;
		enum verdict (*run)(struct script *s);
	} table[] = {
		{ "module", module_command },
		{ "register", register_command },
		{ "action", action_command },
		{ "assert_return", return_command },
		{ "assert_trap", trap_command },
		{ "assert_exhaustion", trap_command },
		{ "assert_invalid", refuse_command },
		{ "assert_malformed", refuse_command },
		{ "assert_unlinkable", unlinkable_command },
		{ "assert_uninstantiable", uninstantiable_command },
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (strcmp(table[i].type, member(s->c, "type")) == 0)
			return table[i].run(s);
	return fail(s, "this runner does not know the command");
}

static void report(const struct script *s, const char *what)
{
	const json_t *action = json_object_get(s->c, "action");
	const char *file = strrchr(s->json, '/');
	file = file ? file + 1 : s->json;
	printf("%s %.*s.wast:%lld: %s", what, (int)strcspn(file, "."), file,
	       (long long)json_integer_value(json_object_get(s->c, "line")), member(s->c, "type"));
	if (action)
		printf(" \"%s\"", member(action, "field"));
	printf("%s%s\n", *member(s->c, "filename") ? " " : "", member(s->c, "filename"));
	if (s->text[0])
		printf("     %s\n", s->text);
}

static void count(struct script *s, enum verdict v)
{
	bool is_assertion = strncmp(member(s->c, "type"), "assert_", 7) == 0;
	if (v == FAILED || v == MISSING) {
		s->tally->failed++;
		s->missing += v == MISSING;
		if (v == FAILED)
			report(s, "FAIL");
	} else if (is_assertion && v == PASSED) {
		s->tally->passed++;
	} else if (is_assertion) {
		s->tally->skipped[v - SKIPPED]++;
	}
	if (s->o->verbose && v != FAILED)
		report(s, v == PASSED ? "pass" : v == MISSING ? "FAIL" : "skip");
}

/* A module that it died of stays missing. */
static bool died_of_it(struct script *s, unsigned at)
{
	for (unsigned i = 0; i < s->tally->ndeaths; i++) {
		if (s->tally->deaths[i].at != at)
			continue;
		int status = s->tally->deaths[i].status;
		(void)fail(s, "the process died of it: %s %d",
			   WIFSIGNALED(status) ? "signal" : "exit code",
			   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		if (strcmp(member(s->c, "type"), "module") == 0)
			s->current = (struct named){ 0 };
		return true;
	}
	return false;
}

int script_run(const char *json, const struct script_options *o, struct tally *t)
{
	struct why why = { 0 };
	json_error_t e;
	const char *slash = strrchr(json, '/');
	struct script s = {
		.o = o, .tally = t, .json = json, .dir_len = slash ? (int)(slash + 1 - json) : 0
	};
	json_t *root = json_load_file(json, JSON_ALLOW_NUL, &e);
	if (!root) {
		printf("FAIL %s: line %d: %s\n", json, e.line, e.text);
		return -EINVAL;
	}
	s.store = store_new(&o->compile, &why);
	if (!s.store) {
		printf("FAIL %s: the runtime does not start: %s\n", json, why.text);
		return -ENOMEM;
	}
	size_t i;
	json_array_foreach(json_object_get(root, "commands"), i, s.c)
	{
		s.text[0] = '\0';
		t->at = (unsigned)i;
		count(&s, died_of_it(&s, (unsigned)i) ? FAILED : command(&s));
	}
	if (s.missing > 0)
		printf("FAIL %s: %u more commands, on modules that failed\n", json, s.missing);
	json_decref(root);
	return 0;
}
