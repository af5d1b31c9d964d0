/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/wasm/dwarf_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	LNS_COPY = 1,
	LNS_ADVANCE_PC,
	LNS_ADVANCE_LINE,
	LNS_SET_FILE,
	LNS_SET_COLUMN,
	LNS_NEGATE_STMT,
	LNS_BASIC_BLOCK,
	LNS_CONST_ADD_PC,
	LNS_FIXED_ADVANCE_PC,
	LNE_END_SEQUENCE = 1,
	LNE_SET_ADDRESS,
	LNE_DEFINE_FILE,
	LNE_SET_DISCRIMINATOR,
	LNCT_PATH = 1,
	LNCT_DIRECTORY = 2,
	FORM_DATA2 = 0x05,
	FORM_DATA4 = 0x06,
	FORM_DATA8 = 0x07,
	FORM_STRING = 0x08,
	FORM_BLOCK = 0x09,
	FORM_DATA1 = 0x0b,
	FORM_STRP = 0x0e,
	FORM_UDATA = 0x0f,
	FORM_DATA16 = 0x1e,
	FORM_LINE_STRP = 0x1f,
	FORMATS_MAX = 16,
	LENGTH_64_BIT = 0xfffffff0,
};

struct unit {
	const struct dwarf_sections *s;
	struct dwarf_lines *out;
	bool keep_zero;
	uint16_t version;
	uint8_t address_size, min_length, line_range, opcode_base;
	int8_t line_base;
	struct rd lengths; /* operands of the standard opcodes */
	size_t first_file; /* of this unit, in out->files */
};

struct state {
	struct dwarf_row row;
	uint64_t file; /* as the program counts */
	size_t first;  /* row of the sequence */
};

/* LEB128 of any length, as DWARF allows; what does not fit is cut off. */
static uint64_t uleb(struct rd *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = rd_u8(r);
		v |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		if (!(byte & 0x80))
			return v;
	}
}

static int64_t sleb(struct rd *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = rd_u8(r);
		v |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		if (byte & 0x80)
			continue;
		if ((byte & 0x40) && shift + 7 < 64)
			v |= ~UINT64_C(0) << (shift + 7);
		return (int64_t)v;
	}
}

/* A string that ends with NUL inside of what is left. */
static struct span string(struct rd *r)
{
	const uint8_t *nul = r->left > 0 ? memchr(r->at, 0, r->left) : NULL;
	if (!nul) {
		rd_fail(r, -E_INVALID);
		return (struct span){ 0 };
	}
	struct span s = rd_span(r, (size_t)(nul - r->at));
	(void)rd_u8(r);
	return s;
}

static struct span string_at(struct rd *r, struct span section, uint32_t offset)
{
	if (offset >= section.len) {
		rd_fail(r, -E_INVALID);
		return (struct span){ 0 };
	}
	struct rd at = rd_from(section.at + offset, section.len - offset);
	struct span s = string(&at);
	if (at.err < 0)
		rd_fail(r, at.err);
	return s;
}

/* Room for one more in a growing array. */
static int grow(void **array, size_t n, size_t *cap, size_t size, size_t most)
{
	if (n >= most)
		return -E_LIMIT;
	if (n < *cap)
		return 0;
	size_t more = *cap ? *cap * 2 : 256;
	void *p = realloc(*array, more * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*cap = more;
	return 0;
}

static void add_file(struct unit *u, struct rd *r, struct dwarf_file f)
{
	struct dwarf_lines *l = u->out;
	int err = grow((void **)&l->files, l->nfiles, &l->files_cap, sizeof(*l->files),
		       DWARF_FILES_MAX);
	if (err < 0)
		rd_fail(r, err);
	if (r->err == 0)
		l->files[l->nfiles++] = f;
}

struct format {
	uint64_t what, form;
};

/* One value of a form: a string in *ret_s, a number in *ret_n. */
static void form_value(const struct unit *u, struct rd *r, uint64_t form, struct span *ret_s,
		       uint64_t *ret_n)
{
	switch (form) {
	case FORM_STRING:
		*ret_s = string(r);
		return;
	case FORM_LINE_STRP:
		*ret_s = string_at(r, u->s->line_str, rd_u32(r));
		return;
	case FORM_STRP:
		*ret_s = string_at(r, u->s->str, rd_u32(r));
		return;
	case FORM_UDATA:
		*ret_n = uleb(r);
		return;
	case FORM_DATA1:
		*ret_n = rd_u8(r);
		return;
	case FORM_DATA2:
		*ret_n = rd_u16(r);
		return;
	case FORM_DATA4:
		*ret_n = rd_u32(r);
		return;
	case FORM_DATA8:
		*ret_n = rd_u64(r);
		return;
	case FORM_DATA16:
		(void)rd_span(r, 16);
		return;
	case FORM_BLOCK: {
		uint64_t n = uleb(r);
		(void)rd_span(r, n > r->left ? r->left + 1 : (size_t)n);
		return;
	}
	default:
		rd_fail(r, -E_INVALID);
	}
}

/* Version 5: a list of formats, then as many entries of them. */
static size_t formats(struct rd *r, struct format f[FORMATS_MAX])
{
	size_t n = rd_u8(r);
	if (n > FORMATS_MAX)
		rd_fail(r, -E_INVALID);
	for (size_t i = 0; i < n && r->err == 0; i++) {
		f[i].what = uleb(r);
		f[i].form = uleb(r);
	}
	return n;
}

/* Calls for each entry; with dirs = NULL they are directories, which are added to files too, and
 * taken off again when the real files have been read. */
static void entries_5(struct unit *u, struct rd *r, const struct dwarf_file *dirs, size_t ndirs)
{
	struct format f[FORMATS_MAX];
	size_t nformats = formats(r, f);
	uint64_t n = uleb(r);
	if (nformats == 0 ? n > 0 : n > r->left)
		rd_fail(r, -E_INVALID);
	for (uint64_t i = 0; i < n && r->err == 0; i++) {
		struct dwarf_file file = { 0 };
		for (size_t k = 0; k < nformats; k++) {
			struct span s = { 0 };
			uint64_t number = 0;
			form_value(u, r, f[k].form, &s, &number);
			if (f[k].what == LNCT_PATH)
				file.name = s;
			if (f[k].what == LNCT_DIRECTORY && number < ndirs)
				file.dir = dirs[number].name;
		}
		add_file(u, r, file);
	}
}

static void files_5(struct unit *u, struct rd *r)
{
	struct dwarf_lines *l = u->out;
	size_t first = l->nfiles;
	entries_5(u, r, NULL, 0);
	size_t ndirs = l->nfiles - first;
	struct dwarf_file *dirs = calloc(ndirs + 1, sizeof(*dirs));
	if (!dirs) {
		rd_fail(r, -ENOMEM);
		return;
	}
	if (ndirs > 0)
		memcpy(dirs, l->files + first, ndirs * sizeof(*dirs));
	l->nfiles = first;
	entries_5(u, r, dirs, ndirs);
	free(dirs);
}

/* Directories from 1, an empty one ends; the same for files. Directory 0 is the compilation's,
 * which only .debug_info names. */
static void files_4(struct unit *u, struct rd *r)
{
	struct dwarf_lines *l = u->out;
	size_t first = l->nfiles;
	for (struct span s; (s = string(r)).len > 0 && r->err == 0;)
		add_file(u, r, (struct dwarf_file){ .name = s });
	size_t ndirs = l->nfiles - first;
	struct dwarf_file *dirs = calloc(ndirs + 1, sizeof(*dirs));
	if (!dirs) {
		rd_fail(r, -ENOMEM);
		return;
	}
	if (ndirs > 0)
		memcpy(dirs, l->files + first, ndirs * sizeof(*dirs));
	l->nfiles = first;
	for (struct span s; r->err == 0 && (s = string(r)).len > 0;) {
		uint64_t dir = uleb(r);
		(void)uleb(r); /* time */
		(void)uleb(r); /* bytes */
		add_file(u, r,
			 (struct dwarf_file){ .dir = dir > 0 && dir <= ndirs ? dirs[dir - 1].name
									     : (struct span){ 0 },
					      .name = s });
	}
	free(dirs);
}

static uint32_t file_of(const struct unit *u, uint64_t file)
{
	uint64_t i = u->version >= 5 ? file : file - 1; /* 0 - 1 is far beyond */
	return i < u->out->nfiles - u->first_file ? (uint32_t)(u->first_file + i) : DWARF_NO_FILE;
}

static void emit(struct unit *u, struct rd *r, struct state *st)
{
	struct dwarf_lines *l = u->out;
	int err = grow((void **)&l->rows, l->nrows, &l->rows_cap, sizeof(*l->rows), DWARF_ROWS_MAX);
	if (err < 0) {
		rd_fail(r, err);
		return;
	}
	st->row.file = file_of(u, st->file);
	st->row.order = (uint32_t)l->nrows;
	l->rows[l->nrows++] = st->row;
	st->row.discriminator = 0;
}

static void state_reset(const struct unit *u, struct state *st)
{
	*st = (struct state){ .row = { .line = 1 }, .file = 1, .first = u->out->nrows };
}

/* What the linker has dropped stands at 0, or at the top. */
static bool is_dropped(const struct unit *u, const struct state *st)
{
	uint64_t at = st->first < u->out->nrows ? u->out->rows[st->first].address : 0;
	uint64_t top = u->address_size == 4 ? UINT32_MAX : UINT64_MAX;
	return (at == 0 && !u->keep_zero) || at >= top - 1;
}

static void extended(struct unit *u, struct rd *r, struct state *st)
{
	uint64_t len = uleb(r);
	struct span body = rd_span(r, len > r->left ? r->left + 1 : (size_t)len);
	struct rd b = rd_from(body.at, body.len);
	switch (rd_u8(&b)) {
	case LNE_END_SEQUENCE:
		st->row.is_end = true;
		st->row.line = 0;
		emit(u, r, st);
		if (is_dropped(u, st))
			u->out->nrows = st->first;
		state_reset(u, st);
		break;
	case LNE_SET_ADDRESS:
		st->row.address = b.left == 4 ? rd_u32(&b) : rd_u64(&b);
		break;
	case LNE_SET_DISCRIMINATOR:
		st->row.discriminator = (uint32_t)uleb(&b);
		break;
	default:
		break; /* skipped by its length */
	}
	if (b.err < 0)
		rd_fail(r, b.err);
}

static void standard(struct unit *u, struct rd *r, struct state *st, uint8_t op)
{
	struct rd lengths = u->lengths;
	switch (op) {
	case LNS_COPY:
		emit(u, r, st);
		return;
	case LNS_ADVANCE_PC:
		st->row.address += uleb(r) * u->min_length;
		return;
	case LNS_ADVANCE_LINE:
		st->row.line += (uint32_t)sleb(r);
		return;
	case LNS_SET_FILE:
		st->file = uleb(r);
		return;
	case LNS_CONST_ADD_PC:
		st->row.address +=
			(uint64_t)((255 - u->opcode_base) / u->line_range) * u->min_length;
		return;
	case LNS_FIXED_ADVANCE_PC:
		st->row.address += rd_u16(r);
		return;
	default:
		(void)rd_span(&lengths, op - 1u);
		for (unsigned n = rd_u8(&lengths); n > 0; n--)
			(void)uleb(r);
	}
}

static void program(struct unit *u, struct rd *r)
{
	struct state st;
	state_reset(u, &st);
	while (r->err == 0 && r->left > 0) {
		uint8_t op = rd_u8(r);
		if (op == 0) {
			extended(u, r, &st);
		} else if (op < u->opcode_base) {
			standard(u, r, &st, op);
		} else {
			unsigned special = op - u->opcode_base;
			st.row.address += (uint64_t)(special / u->line_range) * u->min_length;
			st.row.line += (uint32_t)(u->line_base + (int)(special % u->line_range));
			emit(u, r, &st);
		}
	}
	u->out->nrows = st.first; /* without an end it says nothing */
}

/* One unit; r is what it has, after its length. */
static void unit_read(struct unit *u, struct rd *r)
{
	u->version = rd_u16(r);
	if (u->version < 2 || u->version > 5)
		return; /* of another kind, which is no error */
	u->address_size = 4;
	if (u->version >= 5) {
		u->address_size = rd_u8(r);
		(void)rd_u8(r); /* segment selector */
	}
	uint32_t header = rd_u32(r);
	struct span head = rd_span(r, header);
	struct rd h = rd_from(head.at, head.len);
	u->min_length = rd_u8(&h);
	if (u->version >= 4)
		(void)rd_u8(&h); /* operations per instruction: no VLIW here */
	(void)rd_u8(&h);         /* is_stmt at first */
	u->line_base = (int8_t)rd_u8(&h);
	u->line_range = rd_u8(&h);
	u->opcode_base = rd_u8(&h);
	if (h.err == 0 && (u->line_range == 0 || u->opcode_base == 0))
		rd_fail(&h, -E_INVALID);
	struct span lengths = rd_span(&h, u->opcode_base ? u->opcode_base - 1u : 0);
	u->lengths = rd_from(lengths.at, lengths.len);
	u->first_file = u->out->nfiles;
	if (h.err == 0 && u->version >= 5)
		files_5(u, &h);
	else if (h.err == 0)
		files_4(u, &h);
	if (h.err < 0)
		rd_fail(r, h.err);
	if (r->err == 0)
		program(u, r);
}

/* At equal addresses an end comes first: what begins there is what counts. Else as in the table. */
static int by_address(const void *a, const void *b)
{
	const struct dwarf_row *x = a, *y = b;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->is_end != y->is_end)
		return x->is_end ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Producers write their sequences in order, mostly: then nothing is to be done. */
static void sort(struct dwarf_lines *l)
{
	for (size_t i = 1; i < l->nrows; i++) {
		if (l->rows[i].address < l->rows[i - 1].address) {
			qsort(l->rows, l->nrows, sizeof(*l->rows), by_address);
			return;
		}
	}
}

int dwarf_lines_read(const struct dwarf_sections *s, bool keep_zero, struct dwarf_lines *ret,
		     struct why *why)
{
	struct dwarf_lines l = { 0 };
	struct rd r = rd_from(s->line.at, s->line.len);
	while (r.err == 0 && r.left > 0) {
		size_t offset = s->line.len - r.left;
		uint32_t len = rd_u32(&r);
		if (len >= LENGTH_64_BIT)
			rd_fail(&r, -E_INVALID); /* 64-bit DWARF, for programs over 4 GiB */
		struct span all = rd_span(&r, len);
		struct rd body = rd_from(all.at, all.len);
		struct unit u = { .s = s, .out = &l, .keep_zero = keep_zero };
		if (r.err == 0)
			unit_read(&u, &body);
		if (r.err == 0 && body.err < 0)
			rd_fail(&r, body.err);
		if (r.err < 0)
			(void)why_set(why, 0, "the unit at offset 0x%zx of .debug_line %s", offset,
				      r.err == -E_LIMIT  ? "holds more than is taken"
				      : r.err == -ENOMEM ? "needs more memory than there is"
							 : "is malformed");
	}
	if (r.err < 0) {
		dwarf_lines_fini(&l);
		return r.err == -E_PROTO ? -E_INVALID : r.err;
	}
	sort(&l);
	*ret = l;
	return 0;
}

void dwarf_lines_fini(struct dwarf_lines *l)
{
	free(l->rows);
	free(l->files);
	*l = (struct dwarf_lines){ 0 };
}

const struct dwarf_row *dwarf_lines_find(const struct dwarf_lines *l, uint64_t address)
{
	size_t low = 0, high = l->nrows;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (l->rows[mid].address <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 && !l->rows[low - 1].is_end ? &l->rows[low - 1] : NULL;
}
