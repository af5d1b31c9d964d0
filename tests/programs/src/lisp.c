/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small Lisp with lexical scope, closures, macros-free special forms and a copying-free arena: as
 * many kinds of C as fit in one file (recursion, function pointers, unions, varargs, qsort, long
 * strings). Reads a program from stdin, prints the value of each form. Arguments are bound to `args`.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { NIL, INT, REAL, SYM, STR, PAIR, PRIM, LAMBDA };

struct obj {
	enum kind kind;
	union {
		int64_t i;
		double d;
		const char *s;
		struct { struct obj *car, *cdr; };
		struct obj *(*prim)(struct obj *args);
		struct { struct obj *params, *body, *env; };
	};
};

static struct obj nil_obj = { .kind = NIL };
static struct obj *nil = &nil_obj, *t_sym, *symbols = &nil_obj, *global;
static struct obj *s_quote, *s_if, *s_define, *s_lambda, *s_let, *s_cond, *s_begin, *s_set, *s_while;
static uint64_t cells;

static _Noreturn void die(const char *what, const char *detail)
{
	fprintf(stderr, "lisp: %s%s%s\n", what, *detail ? ": " : "", detail);
	exit(3);
}

static struct obj *new(enum kind kind)
{
	static struct obj *block;
	static size_t left;

	if (left == 0) {
		left = 4096;
		block = malloc(left * sizeof(*block));
		if (!block)
			die("out of memory", "");
	}
	cells++;
	left--;
	block->kind = kind;
	return block++;
}

static struct obj *num(int64_t i) { struct obj *o = new(INT); o->i = i; return o; }
static struct obj *real(double d) { struct obj *o = new(REAL); o->d = d; return o; }
static struct obj *str(const char *s) { struct obj *o = new(STR); o->s = s; return o; }
static struct obj *cons(struct obj *a, struct obj *b) { struct obj *o = new(PAIR); o->car = a; o->cdr = b; return o; }
static struct obj *car(struct obj *o) { if (o->kind != PAIR) die("car of no pair", ""); return o->car; }
static struct obj *cdr(struct obj *o) { if (o->kind != PAIR) die("cdr of no pair", ""); return o->cdr; }

static struct obj *sym(const char *name)
{
	for (struct obj *p = symbols; p != nil; p = p->cdr)
		if (strcmp(p->car->s, name) == 0)
			return p->car;
	struct obj *o = new(SYM);
	o->s = strdup(name);
	symbols = cons(o, symbols);
	return o;
}

/* ---- reading ---- */

static int peek(void)
{
	int c;
	while (isspace(c = getchar()) || c == ';')
		if (c == ';')
			while ((c = getchar()) != '\n' && c != EOF)
				;
	ungetc(c, stdin);
	return c;
}

static struct obj *read_form(void);

static struct obj *read_list(void)
{
	if (peek() == ')') {
		getchar();
		return nil;
	}
	if (peek() == EOF)
		die("list without end", "");
	struct obj *first = read_form();
	return cons(first, read_list());
}

static struct obj *read_string(void)
{
	char buf[4096];
	size_t n = 0;
	int c;
	while ((c = getchar()) != '"' && c != EOF && n < sizeof(buf) - 1) {
		if (c == '\\')
			c = (c = getchar()) == 'n' ? '\n' : c;
		buf[n++] = (char)c;
	}
	buf[n] = '\0';
	return str(strdup(buf));
}

static struct obj *read_form(void)
{
	int c = peek();
	char word[256], *end;
	size_t n = 0;

	getchar();
	if (c == '(')
		return read_list();
	if (c == '\'')
		return cons(s_quote, cons(read_form(), nil));
	if (c == '"')
		return read_string();
	for (; c != EOF && !isspace(c) && !strchr("()'\";", c) && n < sizeof(word) - 1; c = getchar())
		word[n++] = (char)c;
	ungetc(c, stdin);
	word[n] = '\0';
	int64_t i = strtoll(word, &end, 10);
	if (n && *end == '\0')
		return num(i);
	double d = strtod(word, &end);
	if (n && *end == '\0' && (isdigit((unsigned char)word[0]) || word[1]))
		return real(d);
	return sym(word);
}

/* ---- printing ---- */

static void print(struct obj *o, FILE *to)
{
	switch (o->kind) {
	case NIL: fputs("()", to); break;
	case INT: fprintf(to, "%" PRId64, o->i); break;
	case REAL: fprintf(to, "%.12g", o->d); break;
	case SYM: fputs(o->s, to); break;
	case STR: fprintf(to, "\"%s\"", o->s); break;
	case PRIM: fputs("#<prim>", to); break;
	case LAMBDA: fputs("#<lambda>", to); break;
	case PAIR:
		fputc('(', to);
		for (;; o = o->cdr) {
			print(o->car, to);
			if (o->cdr->kind != PAIR)
				break;
			fputc(' ', to);
		}
		if (o->cdr != nil) {
			fputs(" . ", to);
			print(o->cdr, to);
		}
		fputc(')', to);
	}
}

/* ---- evaluation ---- */

static struct obj **lookup(struct obj *name, struct obj *env)
{
	for (; env != nil; env = env->cdr)
		for (struct obj *b = env->car; b != nil; b = b->cdr)
			if (b->car->car == name)
				return &b->car->cdr;
	return NULL;
}

static struct obj *eval(struct obj *o, struct obj *env);

static struct obj *eval_list(struct obj *o, struct obj *env)
{
	if (o == nil)
		return nil;
	struct obj *first = eval(car(o), env);
	return cons(first, eval_list(cdr(o), env));
}

static struct obj *bind(struct obj *params, struct obj *args)
{
	if (params == nil || args == nil)
		return nil;
	if (params->kind == SYM)
		return cons(cons(params, args), nil);
	return cons(cons(car(params), car(args)), bind(cdr(params), cdr(args)));
}

static struct obj *eval_begin(struct obj *body, struct obj *env)
{
	struct obj *value = nil;
	for (; body != nil; body = cdr(body))
		value = eval(car(body), env);
	return value;
}

static struct obj *apply(struct obj *f, struct obj *args)
{
	if (f->kind == PRIM)
		return f->prim(args);
	if (f->kind != LAMBDA)
		die("not a function", "");
	return eval_begin(f->body, cons(bind(f->params, args), f->env));
}

static struct obj *make_lambda(struct obj *params, struct obj *body, struct obj *env)
{
	struct obj *f = new(LAMBDA);
	f->params = params;
	f->body = body;
	f->env = env;
	return f;
}

static struct obj *define(struct obj *name, struct obj *value)
{
	global->car = cons(cons(name, value), global->car);
	return name;
}

static struct obj *eval_special(struct obj *head, struct obj *rest, struct obj *env, bool *special)
{
	*special = true;
	if (head == s_quote)
		return car(rest);
	if (head == s_if)
		return eval(car(rest), env) != nil ? eval(car(cdr(rest)), env) : eval_begin(cdr(cdr(rest)), env);
	if (head == s_lambda)
		return make_lambda(car(rest), cdr(rest), env);
	if (head == s_begin)
		return eval_begin(rest, env);
	if (head == s_define && car(rest)->kind == PAIR)
		return define(car(car(rest)), make_lambda(cdr(car(rest)), cdr(rest), env));
	if (head == s_define)
		return define(car(rest), eval(car(cdr(rest)), env));
	if (head == s_set) {
		struct obj **place = lookup(car(rest), env);
		if (!place)
			die("set! of unknown", car(rest)->s);
		return *place = eval(car(cdr(rest)), env);
	}
	if (head == s_let) {
		struct obj *frame = nil;
		for (struct obj *b = car(rest); b != nil; b = cdr(b))
			frame = cons(cons(car(car(b)), eval(car(cdr(car(b))), env)), frame);
		return eval_begin(cdr(rest), cons(frame, env));
	}
	if (head == s_cond) {
		for (struct obj *c = rest; c != nil; c = cdr(c))
			if (eval(car(car(c)), env) != nil)
				return eval_begin(cdr(car(c)), env);
		return nil;
	}
	if (head == s_while) {
		while (eval(car(rest), env) != nil)
			eval_begin(cdr(rest), env);
		return nil;
	}
	*special = false;
	return nil;
}

static struct obj *eval(struct obj *o, struct obj *env)
{
	bool special;

	if (o->kind == SYM) {
		struct obj **place = lookup(o, env);
		if (!place)
			die("unknown name", o->s);
		return *place;
	}
	if (o->kind != PAIR)
		return o;
	struct obj *value = eval_special(o->car, o->cdr, env, &special);
	if (special)
		return value;
	struct obj *f = eval(o->car, env);
	return apply(f, eval_list(o->cdr, env));
}

/* ---- primitives ---- */

static double as_real(struct obj *o)
{
	if (o->kind == INT)
		return (double)o->i;
	if (o->kind != REAL)
		die("not a number", "");
	return o->d;
}

static struct obj *arith(struct obj *a, char op)
{
	bool ints = true;
	for (struct obj *p = a; p != nil; p = p->cdr)
		ints &= p->car->kind == INT;
	if (ints) {
		int64_t v = car(a)->i;
		for (a = a->cdr; a != nil; a = a->cdr) {
			int64_t x = a->car->i;
			if ((op == '/' || op == '%') && x == 0)
				die("division by zero", "");
			v = op == '+' ? v + x : op == '-' ? v - x : op == '*' ? v * x : op == '/' ? v / x : v % x;
		}
		return num(v);
	}
	double v = as_real(car(a));
	for (a = a->cdr; a != nil; a = a->cdr) {
		double x = as_real(a->car);
		v = op == '+' ? v + x : op == '-' ? v - x : op == '*' ? v * x : v / x;
	}
	return real(v);
}

static struct obj *p_add(struct obj *a) { return arith(a, '+'); }
static struct obj *p_sub(struct obj *a) { return arith(a, '-'); }
static struct obj *p_mul(struct obj *a) { return arith(a, '*'); }
static struct obj *p_div(struct obj *a) { return arith(a, '/'); }
static struct obj *p_mod(struct obj *a) { return arith(a, '%'); }
static struct obj *truth(bool b) { return b ? t_sym : nil; }
static struct obj *p_lt(struct obj *a) { return truth(as_real(car(a)) < as_real(car(cdr(a)))); }
static struct obj *p_eq(struct obj *a)
{
	struct obj *x = car(a), *y = car(cdr(a));
	if (x->kind == SYM || y->kind == SYM || x == nil || y == nil)
		return truth(x == y);
	if (x->kind == STR && y->kind == STR)
		return truth(strcmp(x->s, y->s) == 0);
	return truth(as_real(x) == as_real(y));
}
static struct obj *p_cons(struct obj *a) { return cons(car(a), car(cdr(a))); }
static struct obj *p_car(struct obj *a) { return car(car(a)); }
static struct obj *p_cdr(struct obj *a) { return cdr(car(a)); }
static struct obj *p_list(struct obj *a) { return a; }
static struct obj *p_nullp(struct obj *a) { return truth(car(a) == nil); }
static struct obj *p_apply(struct obj *a) { return apply(car(a), car(cdr(a))); }
static struct obj *p_cells(struct obj *a) { (void)a; return num((int64_t)(cells > 1000)); }
static struct obj *p_exit(struct obj *a) { exit((int)car(a)->i); }
static struct obj *p_getenv(struct obj *a) { const char *v = getenv(car(a)->s); return v ? str(v) : nil; }
static struct obj *p_warn(struct obj *a) { print(car(a), stderr); fputc('\n', stderr); return nil; }

static int compare(const void *a, const void *b)
{
	double x = as_real(*(struct obj *const *)a), y = as_real(*(struct obj *const *)b);
	return (x > y) - (x < y);
}

static struct obj *p_sort(struct obj *a)
{
	size_t n = 0, i = 0;
	for (struct obj *p = car(a); p != nil; p = p->cdr)
		n++;
	struct obj **v = calloc(n + 1, sizeof(struct obj *)), *list = nil;
	for (struct obj *p = car(a); p != nil; p = p->cdr)
		v[i++] = p->car;
	qsort(v, n, sizeof(struct obj *), compare);
	while (n > 0)
		list = cons(v[--n], list);
	free(v);
	return list;
}

int main(int argc, char **argv)
{
	static const struct { const char *name; struct obj *(*f)(struct obj *); } prims[] = {
		{ "+", p_add }, { "-", p_sub }, { "*", p_mul }, { "/", p_div }, { "%", p_mod }, { "<", p_lt },
		{ "=", p_eq }, { "cons", p_cons }, { "car", p_car }, { "cdr", p_cdr }, { "list", p_list },
		{ "null?", p_nullp }, { "apply", p_apply }, { "sort", p_sort }, { "cells>1000", p_cells },
		{ "exit", p_exit }, { "getenv", p_getenv }, { "warn", p_warn },
	};
	t_sym = sym("t");
	s_quote = sym("quote"), s_if = sym("if"), s_define = sym("define"), s_lambda = sym("lambda");
	s_let = sym("let"), s_cond = sym("cond"), s_begin = sym("begin"), s_set = sym("set!"), s_while = sym("while");
	global = cons(nil, nil);
	define(t_sym, t_sym);
	for (size_t i = 0; i < sizeof(prims) / sizeof(prims[0]); i++) {
		struct obj *o = new(PRIM);
		o->prim = prims[i].f;
		define(sym(prims[i].name), o);
	}
	struct obj *args = nil;
	for (int i = argc - 1; i > 0; i--)
		args = cons(str(argv[i]), args);
	define(sym("args"), args);
	while (peek() != EOF) {
		print(eval(read_form(), global), stdout);
		putchar('\n');
	}
	return 0;
}
