/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured control becomes basic blocks. A label's block is made by the first branch to it; its
 * first instructions are one phi per value that branches carry. Code that cannot be reached is
 * skipped as a whole, so every value on the operand stack is a real one.
 */
#include "sandbox/compiler/codegen.h"

static struct label *label_at(struct fn *fn, uint32_t depth)
{
	ENSURE(depth < fn->nlabels);
	return &fn->labels[fn->nlabels - 1 - depth];
}

static void make_phis(struct fn *fn, LLVMBasicBlockRef block, const uint8_t *types, uint32_t n)
{
	LLVMBuilderRef b = fn->g->b;
	LLVMBasicBlockRef here = LLVMGetInsertBlock(b);
	LLVMPositionBuilderAtEnd(b, block);
	for (uint32_t i = 0; i < n; i++)
		(void)LLVMBuildPhi(b, gen_type(fn->g, types[i]), "");
	LLVMPositionBuilderAtEnd(b, here);
}

/* The current block, ending here, becomes a predecessor of `to`, bringing the n top operands. */
static void carry(struct fn *fn, LLVMBasicBlockRef to, uint32_t n)
{
	ENSURE(n <= fn->depth);
	LLVMBasicBlockRef from = LLVMGetInsertBlock(fn->g->b);
	LLVMValueRef phi = n ? LLVMGetFirstInstruction(to) : NULL;
	for (uint32_t i = 0; i < n; i++) {
		LLVMAddIncoming(phi, &fn->stack[fn->depth - n + i], &from, 1);
		phi = LLVMGetNextInstruction(phi);
	}
}

static void push_phis(struct fn *fn, LLVMBasicBlockRef block, uint32_t n)
{
	LLVMValueRef phi = n ? LLVMGetFirstInstruction(block) : NULL;
	for (uint32_t i = 0; i < n; i++) {
		fn_push(fn, phi);
		phi = LLVMGetNextInstruction(phi);
	}
}

static uint32_t arity(const struct label *l)
{
	return l->op == WASM_LOOP ? l->nparams : l->nresults;
}

static LLVMBasicBlockRef target(struct fn *fn, struct label *l)
{
	if (!l->to) {
		l->to = fn_block(fn);
		make_phis(fn, l->to, l->results, l->nresults);
	}
	return l->to;
}

static void go(struct fn *fn, struct label *l)
{
	LLVMBasicBlockRef to = target(fn, l);
	carry(fn, to, arity(l));
	LLVMBuildBr(fn->g->b, to);
}

void control_enter(struct fn *fn, uint32_t op, const struct aot_functype *type)
{
	if (fn->nlabels == fn->labels_cap) {
		fn->labels_cap = fn->labels_cap ? fn->labels_cap * 2 : 16;
		fn->labels = realloc(fn->labels, fn->labels_cap * sizeof(fn->labels[0]));
		ENSURE(fn->labels != NULL);
	}
	ENSURE(fn->depth >= type->nparams);
	fn->labels[fn->nlabels++] = (struct label){
		.op = op,
		.params = type->types,
		.nparams = type->nparams,
		.results = type->types + type->nparams,
		.nresults = type->nresults,
		.base = fn->depth - type->nparams,
	};
}

static void enter_loop(struct fn *fn, struct label *l)
{
	l->to = fn_block(fn);
	make_phis(fn, l->to, l->params, l->nparams);
	carry(fn, l->to, l->nparams);
	LLVMBuildBr(fn->g->b, l->to);
	LLVMPositionBuilderAtEnd(fn->g->b, l->to);
	fn->depth = l->base;
	push_phis(fn, l->to, l->nparams);
}

/* The parameters stay on the operand stack below the then branch's own copy, for the else branch. */
static void enter_if(struct fn *fn, struct label *l, LLVMValueRef cond)
{
	LLVMBasicBlockRef then = fn_block(fn);
	l->other = fn_block(fn);
	LLVMBuildCondBr(fn->g->b, cond, then, l->other);
	LLVMPositionBuilderAtEnd(fn->g->b, then);
	for (uint32_t i = 0; i < l->nparams; i++)
		fn_push(fn, fn->stack[l->base + i]);
}

static LLVMValueRef pop_bool(struct fn *fn)
{
	return LLVMBuildICmp(fn->g->b, LLVMIntNE, fn_pop(fn), gen_i32(fn->g, 0), "");
}

static void emit_block(struct fn *fn, const struct wasm_insn *insn)
{
	struct aot_functype type = { .types = insn->at };
	if (insn->block >= 0) {
		type = fn->g->m->types[insn->block];
	} else if (insn->block != WASM_BLOCK_EMPTY) {
		type.types = insn->at + 1; /* the one byte of the block type is the type */
		type.nresults = 1;
	}
	LLVMValueRef cond = insn->op == WASM_IF ? pop_bool(fn) : NULL;
	control_enter(fn, insn->op, &type);
	struct label *l = label_at(fn, 0);
	if (insn->op == WASM_LOOP)
		enter_loop(fn, l);
	else if (insn->op == WASM_IF)
		enter_if(fn, l, cond);
}

static void emit_else(struct fn *fn)
{
	struct label *l = label_at(fn, 0);
	if (!fn->dead)
		go(fn, l);
	fn->dead = false;
	l->op = WASM_ELSE;
	fn->depth = l->base + l->nparams;
	LLVMPositionBuilderAtEnd(fn->g->b, l->other);
}

/* Without a branch to a block's end the values just stay where they are. */
static void emit_end(struct fn *fn)
{
	struct label *l = label_at(fn, 0);
	if (l->op == WASM_IF)
		emit_else(fn); /* an empty else branch: results = parameters */
	if (l->op != WASM_LOOP && l->to) {
		if (!fn->dead)
			go(fn, l);
		fn->depth = l->base;
		push_phis(fn, l->to, l->nresults);
		LLVMPositionBuilderAtEnd(fn->g->b, l->to);
		fn->dead = false;
	}
	if (fn->dead)
		fn->depth = l->base;
	fn->nlabels--;
}

static void emit_br_if(struct fn *fn, uint32_t depth)
{
	LLVMValueRef cond = pop_bool(fn);
	LLVMBasicBlockRef next = fn_block(fn);
	struct label *l = label_at(fn, depth);
	LLVMBasicBlockRef to = target(fn, l);
	carry(fn, to, arity(l));
	LLVMBuildCondBr(fn->g->b, cond, to, next);
	LLVMPositionBuilderAtEnd(fn->g->b, next);
}

/* The block that a switch goes to for a label: one per label, however many cases name it. */
static LLVMBasicBlockRef edge(struct fn *fn, LLVMBasicBlockRef *edges, uint32_t depth)
{
	if (!edges[depth]) {
		LLVMBasicBlockRef here = LLVMGetInsertBlock(fn->g->b);
		edges[depth] = fn_block(fn);
		LLVMPositionBuilderAtEnd(fn->g->b, edges[depth]);
		go(fn, label_at(fn, depth));
		LLVMPositionBuilderAtEnd(fn->g->b, here);
	}
	return edges[depth];
}

static void emit_br_table(struct fn *fn, const struct wasm_insn *insn)
{
	LLVMValueRef at = fn_pop(fn);
	LLVMBasicBlockRef *edges = gen_alloc(fn->nlabels, sizeof(edges[0]));
	struct rd r = insn->targets;
	for (uint32_t i = 0; i < insn->ntargets; i++)
		(void)rd_leb_u32(&r);
	uint32_t otherwise = rd_leb_u32(&r);
	LLVMValueRef sw = LLVMBuildSwitch(fn->g->b, at, edge(fn, edges, otherwise), insn->ntargets);
	r = insn->targets;
	for (uint32_t i = 0; i < insn->ntargets; i++) {
		uint32_t depth = rd_leb_u32(&r);
		if (depth != otherwise)
			LLVMAddCase(sw, gen_i32(fn->g, i), edge(fn, edges, depth));
	}
	free(edges);
	fn->dead = true;
}

void control_return(struct fn *fn)
{
	struct gen *g = fn->g;
	uint32_t n = fn->type->nresults;
	ENSURE(fn->depth >= n);
	LLVMValueRef *top = n ? &fn->stack[fn->depth - n] : NULL;
	if (n == 0) {
		LLVMBuildRetVoid(g->b);
	} else if (n == 1) {
		LLVMBuildRet(g->b, top[0]);
	} else {
		LLVMBuildAggregateRet(g->b, top, n);
	}
}

bool control_skip(struct fn *fn, const struct wasm_insn *insn)
{
	switch (insn->op) {
	case WASM_BLOCK:
	case WASM_LOOP:
	case WASM_IF:
		fn->dead_labels++;
		return true;
	case WASM_ELSE:
		return fn->dead_labels > 0;
	case WASM_END:
		if (fn->dead_labels == 0)
			return false;
		fn->dead_labels--;
		return true;
	default:
		return true;
	}
}

void emit_control(struct fn *fn, const struct wasm_insn *insn)
{
	switch (insn->op) {
	case WASM_BLOCK:
	case WASM_LOOP:
	case WASM_IF:
		emit_block(fn, insn);
		break;
	case WASM_ELSE:
		emit_else(fn);
		break;
	case WASM_END:
		emit_end(fn);
		break;
	case WASM_BR:
		go(fn, label_at(fn, insn->index));
		fn->dead = true;
		break;
	case WASM_BR_IF:
		emit_br_if(fn, insn->index);
		break;
	case WASM_BR_TABLE:
		emit_br_table(fn, insn);
		break;
	case WASM_RETURN:
		control_return(fn);
		fn->dead = true;
		break;
	case WASM_CALL:
		emit_call(fn, insn);
		break;
	case WASM_CALL_INDIRECT:
		emit_call_indirect(fn, insn);
		break;
	case WASM_UNREACHABLE:
		fn_trap(fn, AOT_TRAP_UNREACHABLE);
		fn->dead = true;
		break;
	default:
		ENSURE(insn->op == WASM_NOP);
	}
}
