/* SPDX-License-Identifier: Apache-2.0 */
/* The code section (core specification, section 5.5.13): cuts it into functions and unfolds their
 * locals. What is in the functions is validate.c's business. */
#include <string.h>

#include "sandbox/wasm/decode.h"

/* Locals are written as runs of one type, so a few bytes can ask for billions: first add up. */
static int locals_count(struct decoder *d, uint32_t *ret)
{
	uint64_t sum = 0;
	uint32_t nruns = rd_leb_count(&d->r, 2);
	uint8_t type;
	int err = 0;
	for (uint32_t i = 0; err == 0 && i < nruns; i++) {
		sum += decode_u32(d);
		err = DECODE_LIMIT(d, locals, sum);
		if (err == 0)
			err = decode_value_type(d, &type);
	}
	*ret = (uint32_t)sum;
	return err;
}

static void locals_unfold(struct rd r, uint8_t *to)
{
	uint32_t nruns = rd_leb_u32(&r);
	for (uint32_t i = 0; i < nruns; i++) {
		uint32_t n = rd_leb_u32(&r);
		memset(to, rd_u8(&r), n);
		to += n;
	}
}

static int body(struct decoder *d, struct wasm_func *f)
{
	const struct rd start = d->r;
	int err = locals_count(d, &f->nlocals);
	if (err < 0 || !rd_ok(&d->r))
		return decode_fail(d, err, "malformed locals");
	uint8_t *locals = ARENA_NEW(d->arena, uint8_t, f->nlocals);
	if (!locals)
		return decode_fail_memory(d);
	locals_unfold(start, locals);
	f->locals = locals;
	f->code = (struct span){ d->r.at, d->r.left };
	f->code_offset = (size_t)(d->r.at - d->m->bytes.at);
	return 0;
}

/* Reads one function out of the section, so that its end is known to what reads in it. */
static int sized_body(struct decoder *d, uint32_t index)
{
	uint32_t size = decode_u32(d);
	int err = DECODE_LIMIT(d, function_bytes, size);
	if (err < 0)
		return err;
	struct span s = rd_span(&d->r, size);
	if (!rd_ok(&d->r))
		return decode_fail(d, -E_INVALID, "truncated function");
	struct rd rest = d->r;
	d->r = rd_from(s.at, s.len);
	d->func = index;
	err = body(d, &d->funcs[index]);
	if (err < 0)
		return err;
	d->func = UINT32_MAX;
	d->r = rest;
	return 0;
}

int section_bodies(struct decoder *d)
{
	uint32_t n = 0, own = d->m->nfuncs - d->m->nimported_funcs;
	d->m->code_at = (size_t)(d->r.at - d->m->bytes.at);
	int err = DECODE_COUNT(d, functions, 2, &n);
	if (err < 0)
		return err;
	if (n != own)
		return decode_fail(d, -E_INVALID,
				   "%u function bodies, but the function section announces %u", n,
				   own);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = sized_body(d, d->m->nimported_funcs + i);
	d->nbodies = n;
	return err;
}
