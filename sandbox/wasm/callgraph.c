/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/wasm/callgraph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "sandbox/wasm/insn.h"

/* Nodes are the functions, and behind them the types: "whatever of this type may be called
 * indirectly". Edges of function i are to[first[i]] .. to[first[i + 1]]. */
struct graph {
	const struct wasm_module *m;
	uint32_t *type_of;    /* type index -> the first one that is equal */
	uint32_t *first, *to; /* of functions */
	uint32_t nedges, cap;
	uint32_t *next, *head; /* lists of referenced functions by type; UINT32_MAX ends */
	uint8_t *seen;         /* by node */
	uint64_t *deepest;     /* by node, when done */
	uint32_t *at;          /* by node, on the way: the next edge to follow */
	uint32_t *way;
};

enum { NEW, ON_WAY, DONE };

static void graph_fini(struct graph *g)
{
	free(g->type_of);
	free(g->first);
	free(g->to);
	free(g->next);
	free(g->head);
	free(g->seen);
	free(g->deepest);
	free(g->at);
	free(g->way);
}

static int graph_init(struct graph *g, const struct wasm_module *m)
{
	size_t nodes = (size_t)m->nfuncs + m->ntypes + 1;
	*g = (struct graph){
		.m = m,
		.type_of = calloc(m->ntypes + 1u, sizeof(uint32_t)),
		.first = calloc(m->nfuncs + 1u, sizeof(uint32_t)),
		.next = malloc((m->nfuncs + 1u) * sizeof(uint32_t)),
		.head = malloc((m->ntypes + 1u) * sizeof(uint32_t)),
		.seen = calloc(nodes, 1),
		.deepest = calloc(nodes, sizeof(uint64_t)),
		.at = calloc(nodes, sizeof(uint32_t)),
		.way = calloc(nodes, sizeof(uint32_t)),
	};
	bool whole = g->type_of && g->first && g->next && g->head && g->seen && g->deepest &&
		     g->at && g->way;
	if (!whole)
		return -ENOMEM;
	memset(g->next, 0xff, (m->nfuncs + 1u) * sizeof(uint32_t));
	memset(g->head, 0xff, (m->ntypes + 1u) * sizeof(uint32_t));
	return 0;
}

static int type_compare(const struct aot_functype *a, const struct aot_functype *b)
{
	size_t n = (size_t)a->nparams + a->nresults;
	if (a->nparams != b->nparams)
		return a->nparams < b->nparams ? -1 : 1;
	if (a->nresults != b->nresults)
		return a->nresults < b->nresults ? -1 : 1;
	return n > 0 ? memcmp(a->types, b->types, n) : 0;
}

static int by_type(const void *a, const void *b, void *types)
{
	const struct aot_functype *t = types;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int c = type_compare(&t[x], &t[y]);
	return c != 0 ? c : x < y ? -1 : x > y;
}

static int find_equal_types(struct graph *g)
{
	uint32_t n = g->m->ntypes;
	OWN_FREE uint32_t *order = calloc(n + 1u, sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof(*order), by_type, (void *)(uintptr_t)g->m->types);
	for (uint32_t i = 0; i < n; i++) {
		bool same = i > 0 &&
			    type_compare(&g->m->types[order[i]], &g->m->types[order[i - 1]]) == 0;
		g->type_of[order[i]] = same ? g->type_of[order[i - 1]] : order[i];
	}
	return 0;
}

static void refer_to(struct graph *g, uint32_t func)
{
	uint32_t type = g->type_of[g->m->funcs[func].type];
	if (g->next[func] != UINT32_MAX || g->head[type] == func)
		return;
	/* The last of a list refers to itself, so that each member is told from the others. */
	g->next[func] = g->head[type] == UINT32_MAX ? func : g->head[type];
	g->head[type] = func;
}

static void find_references(struct graph *g)
{
	const struct wasm_module *m = g->m;
	for (uint32_t i = 0; i < m->nelems; i++) {
		for (uint32_t k = 0; k < m->elems[i].len; k++) {
			if (m->elems[i].items[k].kind == AOT_CONST_FUNC)
				refer_to(g, m->elems[i].items[k].index);
		}
	}
	for (uint32_t i = m->nimported_globals; i < m->nglobals; i++) {
		if (m->globals[i].init.kind == AOT_CONST_FUNC)
			refer_to(g, m->globals[i].init.index);
	}
	for (uint32_t i = 0; i < m->nexports; i++) {
		if (m->exports[i].kind == AOT_EXT_FUNC)
			refer_to(g, m->exports[i].index);
	}
}

static int add_edge(struct graph *g, uint32_t to)
{
	if (g->nedges == g->cap) {
		uint32_t cap = g->cap ? g->cap * 2 : 1024;
		uint32_t *grown = realloc(g->to, (size_t)cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		g->to = grown;
		g->cap = cap;
	}
	g->to[g->nedges++] = to;
	return 0;
}

/* 1: through a table that others may change. */
static int edges_of(struct graph *g, uint32_t func)
{
	const struct wasm_module *m = g->m;
	struct rd code = rd_from(m->funcs[func].code.at, m->funcs[func].code.len);
	struct wasm_insn insn;
	int err = 0;
	while (err == 0 && code.left > 0 && wasm_insn_next(&code, &insn) == 0) {
		if (insn.op == WASM_CALL && insn.index >= m->nimported_funcs)
			err = add_edge(g, insn.index);
		if (insn.op == WASM_CALL_INDIRECT && insn.index2 < m->nimported_tables)
			return 1;
		if (insn.op == WASM_CALL_INDIRECT)
			err = add_edge(g, m->nfuncs + g->type_of[insn.index]);
	}
	return err;
}

static int find_edges(struct graph *g, struct callgraph_bound *ret)
{
	for (uint32_t i = 0; i < g->m->nfuncs; i++) {
		g->first[i] = g->nedges;
		int err = i < g->m->nimported_funcs ? 0 : edges_of(g, i);
		if (err == 1)
			*ret = (struct callgraph_bound){ CALLGRAPH_IMPORTED_TABLE, 0, i };
		if (err != 0)
			return err;
	}
	g->first[g->m->nfuncs] = g->nedges;
	return 0;
}

/* The next node that `node` leads to, UINT32_MAX after the last. */
static uint32_t next_of(struct graph *g, uint32_t node)
{
	uint32_t nfuncs = g->m->nfuncs;
	if (node < nfuncs) {
		uint32_t at = g->first[node] + g->at[node];
		g->at[node] += at < g->first[node + 1];
		return at < g->first[node + 1] ? g->to[at] : UINT32_MAX;
	}
	/* at: the function of the list that comes next, + 1; or as it began */
	uint32_t func = g->at[node] == 0 ? g->head[node - nfuncs] : g->at[node] - 1;
	if (func >= nfuncs)
		return UINT32_MAX;
	g->at[node] = g->next[func] == func ? UINT32_MAX : g->next[func] + 1;
	return func;
}

/* Depth first, without recursion of our own; false at a cycle, with a function of it. */
static bool walk(struct graph *g, uint32_t from, const uint64_t *frame_bytes, uint32_t *ret_func)
{
	uint32_t depth = 0;
	if (g->seen[from] == DONE)
		return true;
	g->way[depth++] = from;
	g->seen[from] = ON_WAY;
	while (depth > 0) {
		uint32_t node = g->way[depth - 1], to = next_of(g, node);
		if (to != UINT32_MAX && g->seen[to] == ON_WAY) {
			*ret_func = node < g->m->nfuncs ? node : to;
			return false;
		}
		if (to != UINT32_MAX && g->seen[to] == NEW) {
			g->seen[to] = ON_WAY;
			g->way[depth++] = to;
			continue;
		}
		if (to != UINT32_MAX) {
			if (g->deepest[to] > g->deepest[node])
				g->deepest[node] = g->deepest[to];
			continue;
		}
		g->deepest[node] += node < g->m->nfuncs ? frame_bytes[node] : 0;
		g->seen[node] = DONE;
		depth--;
		if (depth > 0 && g->deepest[node] > g->deepest[g->way[depth - 1]])
			g->deepest[g->way[depth - 1]] = g->deepest[node];
	}
	return true;
}

static void bound_of(struct graph *g, const uint64_t *frame_bytes, struct callgraph_bound *ret)
{
	const struct wasm_module *m = g->m;
	*ret = (struct callgraph_bound){ .result = CALLGRAPH_BOUNDED };
	for (uint32_t i = 0; i <= m->nexports; i++) {
		bool is_export = i < m->nexports;
		uint32_t func = is_export ? m->exports[i].index : m->start, in_cycle;
		if ((is_export && m->exports[i].kind != AOT_EXT_FUNC) || func == UINT32_MAX)
			continue;
		if (!walk(g, func, frame_bytes, &in_cycle)) {
			*ret = (struct callgraph_bound){ CALLGRAPH_RECURSION, 0, in_cycle };
			return;
		}
		if (g->deepest[func] > ret->bytes) {
			ret->bytes = g->deepest[func];
			ret->func = func;
		}
	}
}

int callgraph_bound(const struct wasm_module *m, const uint64_t *frame_bytes,
		    struct callgraph_bound *ret)
{
	struct graph g;
	int err = graph_init(&g, m);
	if (err == 0)
		err = find_equal_types(&g);
	if (err == 0) {
		find_references(&g);
		err = find_edges(&g, ret);
	}
	if (err == 0)
		bound_of(&g, frame_bytes, ret);
	graph_fini(&g);
	return err < 0 ? err : 0;
}
