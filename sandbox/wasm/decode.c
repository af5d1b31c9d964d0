/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/wasm/decode.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "proto/envelope.h"

/* For messages: one line, of bounded length, whatever a hostile name holds. */
static void printable(char *buf, size_t size, struct span name)
{
	size_t n = name.len < size - 1 ? name.len : size - 1;
	/* Not in the middle of a character. */
	while (n > 0 && n < name.len && (name.at[n] & 0xc0) == 0x80)
		n--;
	for (size_t i = 0; i < n; i++)
		buf[i] = name.at[i] < 0x20 || name.at[i] == 0x7f ? '?' : (char)name.at[i];
	buf[n] = '\0';
}

static void place(const struct decoder *d, const uint8_t *at, char *buf, size_t size)
{
	size_t offset = (size_t)(at - d->m->bytes.at);
	char name[64] = "";
	if (d->func == UINT32_MAX && d->section) {
		(void)snprintf(buf, size, "at offset 0x%zx in the %s section", offset, d->section);
	} else if (d->func == UINT32_MAX) {
		(void)snprintf(buf, size, "at offset 0x%zx", offset);
	} else {
		printable(name, sizeof(name), d->funcs[d->func].name);
		const char *tick = name[0] ? "`" : "";
		(void)snprintf(buf, size, "at offset 0x%zx of function %u%s%s%s%s", offset, d->func,
			       name[0] ? " " : "", tick, name, tick);
	}
}

/* Why the reader failed, as far as it can be told. */
static const char *malformed(const struct rd *r)
{
	if (r->err == -E_INVALID)
		return "malformed instruction: a type or a reserved byte in it is unknown";
	return r->left > 0 ? "malformed: a number is over-long or out of range, or a length leads "
			     "beyond the end"
			   : "it ends too early, or in a malformed number";
}

int decode_fail(struct decoder *d, int err, const char *fmt, ...)
{
	char where[160], what[256];
	if (!rd_ok(&d->r)) {
		place(d, d->r.at, where, sizeof(where));
		return why_set(d->why, -E_INVALID, "%s: %s", where, malformed(&d->r));
	}
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	place(d, d->at, where, sizeof(where));
	return why_set(d->why, err, "%s: %s", where, what);
}

int decode_fail_beyond(struct decoder *d, const char *proposal, const char *fmt, ...)
{
	char what[64];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return decode_fail(d, -E_UNSUPPORTED,
			   "%s belongs to `%s`, which is not part of WebAssembly 2.0; build the "
			   "module without it",
			   what, proposal);
}

int decode_fail_insn(struct decoder *d, int err, const struct wasm_insn *insn)
{
	d->at = insn->at;
	if (err != -E_UNSUPPORTED)
		return decode_fail(d, err, "malformed instruction");
	if (insn->beyond)
		return decode_fail_beyond(d, insn->beyond, "%s in this form", insn->info->text);
	uint32_t prefix = insn->op >> 16, number = insn->op & 0xffff;
	char code[24];
	if (prefix)
		(void)snprintf(code, sizeof(code), "0x%02x 0x%02x", prefix, number);
	else
		(void)snprintf(code, sizeof(code), "0x%02x", number);
	const char *proposal = wasm_proposal(insn->op);
	if (!proposal)
		return decode_fail(d, -E_INVALID, "no instruction has the opcode %s", code);
	return decode_fail_beyond(d, proposal, "opcode %s", code);
}

int decode_fail_memory(struct decoder *d)
{
	d->at = d->r.at;
	return decode_fail(d, -ENOMEM,
			   "decoding the module takes more memory than the %zu bytes given",
			   d->arena->cap_bytes);
}

uint8_t decode_u8(struct decoder *d)
{
	d->at = d->r.at;
	return rd_u8(&d->r);
}

uint32_t decode_u32(struct decoder *d)
{
	d->at = d->r.at;
	return rd_leb_u32(&d->r);
}

int decode_limit(struct decoder *d, const char *limit, uint64_t most, uint64_t have)
{
	if (have <= most)
		return 0;
	return decode_fail(d, -E_LIMIT, "%llu are more than the limit `%s` of %llu",
			   (unsigned long long)have, limit, (unsigned long long)most);
}

int decode_count(struct decoder *d, const char *limit, uint32_t most, size_t min_bytes,
		 uint32_t *ret_count)
{
	d->at = d->r.at;
	uint32_t n = rd_leb_count(&d->r, min_bytes);
	int err = decode_limit(d, limit, most, n);
	if (err == 0)
		*ret_count = n;
	return err;
}

int decode_index(struct decoder *d, const char *what, uint32_t count, uint32_t *ret)
{
	uint32_t i = decode_u32(d);
	if (i >= count)
		return decode_fail(d, -E_INVALID, "unknown %s %u; there are %u", what, i, count);
	*ret = i;
	return 0;
}

int decode_name(struct decoder *d, struct span *ret)
{
	uint32_t len = decode_u32(d);
	struct span s = rd_span(&d->r, len);
	if (!span_is_utf8(s))
		return decode_fail(d, -E_INVALID, "malformed UTF-8 in a name");
	int err = DECODE_LIMIT(d, name_bytes, s.len);
	if (err == 0)
		*ret = s;
	return err;
}

int decode_value_type(struct decoder *d, uint8_t *ret)
{
	uint8_t type = decode_u8(d);
	if (wasm_is_value_type(type)) {
		*ret = type;
		return 0;
	}
	const char *proposal = wasm_type_proposal(type);
	if (proposal)
		return decode_fail_beyond(d, proposal, "type 0x%02x", type);
	return decode_fail(d, -E_INVALID, "malformed value type 0x%02x", type);
}

int decode_ref_type(struct decoder *d, uint8_t *ret)
{
	int err = decode_value_type(d, ret);
	if (err == 0 && !wasm_is_ref_type(*ret))
		return decode_fail(d, -E_INVALID, "malformed reference type 0x%02x", *ret);
	return err;
}

void *decode_extend(struct decoder *d, const void *old, size_t nold, size_t nnew, size_t size)
{
	void *p = arena_alloc(d->arena, nnew, size);
	if (p && nold)
		memcpy(p, old, nold * size);
	return p;
}

/* Sections by id; `order` is their place in the module. */
static const struct {
	const char *name;
	unsigned order;
	int (*read)(struct decoder *d);
} known[] = {
	[1] = { "type", 1, section_types },         [2] = { "import", 2, section_imports },
	[3] = { "function", 3, section_functions }, [4] = { "table", 4, section_tables },
	[5] = { "memory", 5, section_memories },    [6] = { "global", 6, section_globals },
	[7] = { "export", 7, section_exports },     [8] = { "start", 8, section_start },
	[9] = { "element", 9, section_elements },   [10] = { "code", 11, section_bodies },
	[11] = { "data", 12, section_datas },       [12] = { "data count", 10, section_data_count },
};

static int custom(struct decoder *d, const struct section *s)
{
	uint32_t n = d->m->ncustoms;
	int err = DECODE_LIMIT(d, custom_sections, (uint64_t)n + 1);
	if (err == 0)
		err = DECODE_LIMIT(d, name_bytes, s->name.len);
	if (err < 0)
		return err;
	if ((n & (n - 1)) == 0) /* full at powers of two */
		d->customs =
			decode_extend(d, d->customs, n, n ? 2 * (size_t)n : 1, sizeof(*d->customs));
	if (!d->customs)
		return decode_fail_memory(d);
	d->customs[n] = (struct wasm_custom){ s->name, s->payload };
	d->m->ncustoms = n + 1;
	return 0;
}

static int one_section(struct decoder *d, const struct section *s, unsigned *order)
{
	d->at = d->m->bytes.at + s->offset;
	d->section = NULL;
	d->r = rd_from(s->payload.at, s->payload.len);
	if (s->id == 0)
		return custom(d, s);
	if (s->id == 13)
		return decode_fail_beyond(d, "exception handling", "the tag section");
	if (s->id >= ARRAY_LEN(known))
		return decode_fail(d, -E_INVALID, "unknown section id %u", s->id);
	if (known[s->id].order <= *order)
		return decode_fail(d, -E_INVALID, "the %s section is repeated or comes too late",
				   known[s->id].name);
	*order = known[s->id].order;
	d->section = known[s->id].name;
	int err = known[s->id].read(d);
	if (err < 0)
		return err;
	d->at = d->r.at;
	if (!rd_done(&d->r))
		return decode_fail(d, -E_INVALID, "%zu bytes are left over at its end", d->r.left);
	return 0;
}

static int all_sections(struct decoder *d, const void *bytes, size_t len)
{
	struct envelope e;
	struct section s;
	unsigned order = 0;
	int err = envelope_open(&e, bytes, len, d->why);
	while (err == 0) {
		int more = envelope_next(&e, &s, d->why);
		if (more <= 0)
			return more;
		err = one_section(d, &s, &order);
	}
	return err;
}

/* What can be compared only when all sections are known. */
static int counts_agree(struct decoder *d)
{
	uint32_t own = d->m->nfuncs - d->m->nimported_funcs;
	d->at = d->m->bytes.at + d->m->bytes.len;
	d->section = NULL;
	if (d->nbodies != own)
		return decode_fail(d, -E_INVALID,
				   "the function section announces %u functions, the code section "
				   "has %u",
				   own, d->nbodies);
	if (d->has_data_count && d->data_count != d->m->ndatas)
		return decode_fail(d, -E_INVALID,
				   "the data count section announces %u segments, the data section "
				   "has %u",
				   d->data_count, d->m->ndatas);
	return 0;
}

int module_decode(const void *bytes, size_t len, struct arena *arena,
		  const struct wasm_module **ret_module, struct why *why)
{
	if (len > WASM_MAX_module_bytes)
		return why_set(why, -E_LIMIT,
			       "the module has %zu bytes, more than the limit `module_bytes` of %u",
			       len, WASM_MAX_module_bytes);
	struct wasm_module *m = ARENA_NEW(arena, struct wasm_module, 1);
	if (!m)
		return why_set(why, -ENOMEM, "no memory to decode a module");
	m->bytes = (struct span){ bytes, len };
	m->start = UINT32_MAX;
	struct decoder d = {
		.m = m,
		.arena = arena,
		.why = why,
		.func = UINT32_MAX,
		.at = bytes,
		.r = rd_from(bytes, len),
	};
	int err = all_sections(&d, bytes, len);
	if (err == 0)
		err = counts_agree(&d);
	m->funcs = d.funcs;
	m->tables = d.tables;
	m->globals = d.globals;
	m->customs = d.customs;
	if (err < 0)
		return err;
	names_assign(&d);
	err = validate_functions(&d);
	if (err == 0)
		*ret_module = m;
	return err;
}
