/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/compiler/details.h"

#include <string.h>
#include <time.h>

#include "sandbox/compiler/report.h"

/* What LLVM warns of when it is told that a frame of more than 0 bytes is too large. */
static const char frame_warning[] = "stack frame size (";

void compile_phase(struct compile_result *r, const char *name)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	uint64_t now_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	size_t i = 0;
	while (i < r->nphases && strcmp(r->phases[i].name, name) != 0)
		i++;
	if (i == r->nphases && i < COMPILE_PHASES_MAX)
		r->phases[r->nphases++] = (struct compile_phase){ .name = name };
	if (i < r->nphases && now_us >= r->phase_start_us)
		r->phases[i].cpu_us += now_us - r->phase_start_us;
	r->phase_start_us = now_us;
}

static void add_frame(struct compile_details *d, const char *text)
{
	if (d->nframes == d->frames_cap) {
		d->frames_cap = d->frames_cap ? d->frames_cap * 2 : 256;
		d->frames = realloc(d->frames, d->frames_cap * sizeof(*d->frames));
		ENSURE(d->frames);
	}
	d->frames[d->nframes++] = strtoull(text, NULL, 10);
}

static void add_remark(struct compile_details *d, const char *text)
{
	if (d->nremarks == DETAILS_REMARKS_MAX)
		return;
	d->remarks[d->nremarks] = strndup(text, DETAILS_REMARK_BYTES);
	ENSURE(d->remarks[d->nremarks]);
	d->nremarks++;
}

static void on_diagnostic(LLVMDiagnosticInfoRef info, void *arg)
{
	struct compile_details *d = arg;
	char *text = LLVMGetDiagInfoDescription(info);
	/* Each begins with a place, "malloc.c:5226:0: ". */
	const char *frame = strstr(text, frame_warning);
	if (frame && LLVMGetDiagInfoSeverity(info) == LLVMDSWarning)
		add_frame(d, frame + sizeof(frame_warning) - 1);
	else if (LLVMGetDiagInfoSeverity(info) == LLVMDSRemark && strstr(text, "ectoriz"))
		add_remark(d, text);
	LLVMDisposeMessage(text);
}

void details_begin(struct gen *g)
{
	struct compile_details *d = g->result->details;
	if (!g->o->details)
		return;
	if (d) { /* of the chunks before */
		LLVMContextSetDiagnosticHandler(g->ctx, on_diagnostic, d);
		return;
	}
	d = gen_alloc(1, sizeof(*d));
	d->code_bytes = gen_alloc(g->m->nfuncs, sizeof(uint64_t));
	d->frame_bytes = gen_alloc(g->m->nfuncs, sizeof(uint64_t));
	d->remarks = gen_alloc(DETAILS_REMARKS_MAX, sizeof(char *));
	g->result->details = d;
	LLVMContextSetDiagnosticHandler(g->ctx, on_diagnostic, d);
}

/* The warnings come in the order of the module's functions, one for each: each saves at least the
 * frame pointer. They name functions as C++ writes them, so the order is what can be trusted. */
void details_end(struct gen *g)
{
	struct compile_details *d = g->result->details;
	uint64_t return_address = g->t->is_x86 ? 8 : 0; /* in nobody's frame there */
	size_t n = 0;
	if (!d)
		return;
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f))
		n += !LLVMIsDeclaration(f);
	ENSURE(d->nframes == n);
	uint32_t func = g->first;
	size_t at = 0;
	for (LLVMValueRef f = LLVMGetFirstFunction(g->mod); f; f = LLVMGetNextFunction(f)) {
		if (LLVMIsDeclaration(f))
			continue;
		if (func < g->end && g->funcs[func] == f)
			d->frame_bytes[func++] = d->frames[at] + return_address;
		at++;
	}
	ENSURE(func == g->end);
	d->nframes = 0;
}

static void report_functions(struct wr *w, const struct wasm_module *m,
			     const struct compile_details *d)
{
	wr_str(w, ",\n \"details\": {\"functions\": [");
	for (uint32_t i = m->nimported_funcs; i < m->nfuncs; i++) {
		const struct wasm_func *f = &m->funcs[i];
		wr_fmt(w, "%s{\"index\": %u, \"name\": ", i > m->nimported_funcs ? ",\n  " : "\n  ",
		       i);
		report_string(w, f->name.at, f->name.len < 200 ? f->name.len : 200);
		wr_fmt(w, ", \"wasm_bytes\": %zu, \"code_bytes\": %llu, \"frame_bytes\": %llu}",
		       f->code.len, (unsigned long long)d->code_bytes[i],
		       (unsigned long long)d->frame_bytes[i]);
	}
	wr_str(w, "],\n  \"remarks\": [");
	for (size_t i = 0; i < d->nremarks; i++) {
		wr_str(w, i > 0 ? ",\n  " : "\n  ");
		report_string(w, d->remarks[i], strlen(d->remarks[i]));
	}
	wr_str(w, "]}");
}

void details_report(struct wr *w, const struct wasm_module *m, const struct compile_result *r)
{
	wr_str(w, ",\n \"phases\": [");
	for (size_t i = 0; i < r->nphases; i++)
		wr_fmt(w, "%s{\"name\": \"%s\", \"cpu_us\": %llu}", i > 0 ? ", " : "",
		       r->phases[i].name, (unsigned long long)r->phases[i].cpu_us);
	wr_str(w, "]");
	if (!r->details)
		return;
	/* A hundred thousand functions would not leave room for what others rely on. */
	struct wr whole = *w;
	report_functions(&whole, m, r->details);
	if (wr_ok(&whole) && whole.cap - whole.len > whole.cap / 4)
		*w = whole;
	else
		wr_str(w, ",\n \"details\": null");
}

void details_free(struct compile_result *r)
{
	struct compile_details *d = r->details;
	if (!d)
		return;
	for (size_t i = 0; i < d->nremarks; i++)
		free(d->remarks[i]);
	free(d->remarks);
	free(d->code_bytes);
	free(d->frame_bytes);
	free(d->frames);
	free(d);
	r->details = NULL;
}
