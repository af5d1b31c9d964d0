/* SPDX-License-Identifier: Apache-2.0 */
/* Element and data segments (core specification, sections 5.5.12 and 5.5.14). */
#include "sandbox/wasm/decode.h"

/* The bits of an element segment's first number. */
enum {
	ELEM_NOT_ACTIVE = 1,
	ELEM_TABLE_OR_DECLARED = 2, /* a table index follows, or with NOT_ACTIVE: declared */
	ELEM_EXPRESSIONS = 4,       /* constant expressions instead of function indices */
	ELEM_FLAGS = 7,
};

static int elem_target(struct decoder *d, uint32_t flags, struct wasm_elem *e)
{
	if (flags & ELEM_NOT_ACTIVE) {
		e->mode = flags & ELEM_TABLE_OR_DECLARED ? AOT_SEG_DECLARED : AOT_SEG_PASSIVE;
		return 0;
	}
	e->mode = AOT_SEG_ACTIVE;
	if (flags & ELEM_TABLE_OR_DECLARED)
		e->table = decode_u32(d);
	if (e->table >= d->m->ntables)
		return decode_fail(d, -E_INVALID, "unknown table %u; there are %u", e->table,
				   d->m->ntables);
	return const_expr(d, AOT_I32, &e->offset);
}

static int elem_type(struct decoder *d, uint32_t flags, struct wasm_elem *e)
{
	e->type = AOT_FUNCREF;
	int err = 0;
	bool explicit = (flags & (ELEM_NOT_ACTIVE | ELEM_TABLE_OR_DECLARED)) != 0;
	if (explicit && (flags & ELEM_EXPRESSIONS))
		err = decode_ref_type(d, &e->type);
	else if (explicit && decode_u8(d) != 0x00)
		err = decode_fail(d, -E_INVALID, "malformed element kind; only 0x00 is known");
	if (err < 0 || e->mode != AOT_SEG_ACTIVE || d->tables[e->table].elem_type == e->type)
		return err;
	return decode_fail(d, -E_INVALID, "elements of %s do not fit table %u of %s",
			   wasm_type_name(e->type), e->table,
			   wasm_type_name(d->tables[e->table].elem_type));
}

static int elem_func(struct decoder *d, struct aot_const *ret)
{
	ret->kind = AOT_CONST_FUNC;
	int err = decode_index(d, "function", d->m->nfuncs, &ret->index);
	if (err == 0)
		d->declared[ret->index] = 1;
	return err;
}

static int element(struct decoder *d, struct wasm_elem *e)
{
	uint32_t flags = decode_u32(d);
	if (flags & ~(uint32_t)ELEM_FLAGS)
		return decode_fail(d, -E_INVALID, "malformed element segment flags 0x%x", flags);
	int err = elem_target(d, flags, e);
	if (err == 0)
		err = elem_type(d, flags, e);
	bool expressions = flags & ELEM_EXPRESSIONS;
	if (err == 0)
		err = DECODE_COUNT(d, segment_elements, expressions ? 2 : 1, &e->len);
	d->segment_elements += e->len;
	if (err == 0)
		err = DECODE_LIMIT(d, segment_elements, d->segment_elements);
	if (err < 0)
		return err;
	struct aot_const *items = ARENA_NEW(d->arena, struct aot_const, e->len);
	if (!items)
		return decode_fail_memory(d);
	e->items = items;
	for (uint32_t i = 0; err == 0 && i < e->len; i++)
		err = expressions ? const_expr(d, e->type, &items[i]) : elem_func(d, &items[i]);
	return err;
}

int section_elements(struct decoder *d)
{
	uint32_t n = 0;
	int err = DECODE_COUNT(d, segments, 3, &n);
	if (err < 0)
		return err;
	struct wasm_elem *elems = ARENA_NEW(d->arena, struct wasm_elem, n);
	if (!elems)
		return decode_fail_memory(d);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = element(d, &elems[i]);
	d->m->elems = elems;
	d->m->nelems = n;
	return err;
}

int section_data_count(struct decoder *d)
{
	d->data_count = decode_u32(d);
	d->has_data_count = true;
	return 0;
}

static int data(struct decoder *d, struct wasm_data *s)
{
	uint32_t flags = decode_u32(d), memory = 0;
	if (flags > 2)
		return decode_fail(d, -E_INVALID, "malformed data segment flags 0x%x", flags);
	s->mode = flags == 1 ? AOT_SEG_PASSIVE : AOT_SEG_ACTIVE;
	if (flags == 2)
		memory = decode_u32(d);
	if (s->mode == AOT_SEG_ACTIVE) {
		if (memory >= d->m->nmemories)
			return decode_fail(d, -E_INVALID, "unknown memory %u; there are %u", memory,
					   d->m->nmemories);
		int err = const_expr(d, AOT_I32, &s->offset);
		if (err < 0)
			return err;
	}
	uint32_t len = decode_u32(d);
	s->bytes = rd_span(&d->r, len);
	return 0;
}

int section_datas(struct decoder *d)
{
	uint32_t n = 0;
	int err = DECODE_COUNT(d, segments, 2, &n);
	if (err < 0)
		return err;
	struct wasm_data *datas = ARENA_NEW(d->arena, struct wasm_data, n);
	if (!datas)
		return decode_fail_memory(d);
	for (uint32_t i = 0; err == 0 && i < n; i++)
		err = data(d, &datas[i]);
	d->m->datas = datas;
	d->m->ndatas = n;
	return err;
}
