/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/backtrace.h"

#include <string.h>

#include "sandbox/runtime/lines.h"

enum { NAME_BYTES_MAX = 200, FILE_BYTES_MAX = 80, INLINED_MAX = 64 };

/* What the frame pointer points to, on both architectures. */
struct frame {
	uintptr_t caller_fp, return_address;
};

static bool frame_read(const struct stack *s, uintptr_t fp, struct frame *ret)
{
	uintptr_t low = (uintptr_t)s->low;
	if (fp % sizeof(uintptr_t) != 0 || fp < low || fp - low > s->bytes - sizeof(*ret) ||
	    s->bytes < sizeof(*ret))
		return false;
	/* Abandoned frames: a sanitizer may know them as poisoned; word by word it does not look. */
	const volatile uintptr_t *at = (const volatile uintptr_t *)fp;
	ret->caller_fp = at[0];
	ret->return_address = at[1];
	return true;
}

/* The newest of the last ones overwrites the oldest; put in order at the end. */
static void keep(struct backtrace *b, uintptr_t pc)
{
	if (b->n < BACKTRACE_FRAMES) {
		b->pc[b->n++] = pc;
		return;
	}
	b->pc[BACKTRACE_TOP + b->skipped % BACKTRACE_BOTTOM] = pc;
	b->skipped++;
}

static void put_in_order(struct backtrace *b)
{
	uintptr_t last[BACKTRACE_BOTTOM];
	for (uint32_t i = 0; i < BACKTRACE_BOTTOM; i++)
		last[i] = b->pc[BACKTRACE_TOP + (b->skipped + i) % BACKTRACE_BOTTOM];
	memcpy(b->pc + BACKTRACE_TOP, last, sizeof(last));
}

__attribute__((no_sanitize("address"))) void
backtrace_take(struct backtrace *b, struct instance *in, uintptr_t pc, uintptr_t fp)
{
	struct frame f;
	*b = (struct backtrace){ 0 };
	if (instance_at(in, pc))
		keep(b, pc);
	while (frame_read(&in->stack, fp, &f)) {
		/* The byte before is inside of the call. A helper's frame names the call that
		 * is the trap's place already. */
		uintptr_t at = f.return_address - 1;
		if (instance_at(in, at) && !(b->n == 1 && at == pc))
			keep(b, at);
		if (f.caller_fp <= fp)
			break;
		fp = f.caller_fp;
	}
	if (b->skipped > 0)
		put_in_order(b);
}

/* Names are the guest's: long ones are cut, of a path the end is what tells. */
static void put_place(const struct place *p, struct wr *w)
{
	size_t len = strnlen(p->func, NAME_BYTES_MAX);
	if (p->file) {
		size_t n = strlen(p->file);
		const char *tail = n > FILE_BYTES_MAX ? p->file + n - FILE_BYTES_MAX : p->file;
		if (p->line > 0)
			wr_fmt(w, "%s:%u ", tail, p->line);
		else
			wr_fmt(w, "%s ", tail);
	}
	wr_bytes(w, p->func, len);
	if (p->file || p->line == 0)
		return;
	if (p->line >= p->start)
		wr_fmt(w, "+0x%x", p->line - p->start);
	wr_fmt(w, " (0x%x)", p->line);
}

void backtrace_place(struct instance *in, uintptr_t pc, struct wr *w)
{
	const struct instance *at = instance_at(in, pc);
	struct place p;
	if (at && lines_find(at->module, pc, &p))
		put_place(&p, w);
}

static void put_line(const struct place *p, struct wr *w)
{
	wr_str(w, "  from ");
	put_place(p, w);
	wr_u8(w, '\n');
}

/* The frame's function, unless it is the trap's place, and those it was inlined into. */
static void put_frame(struct instance *in, uintptr_t pc, bool is_first, struct wr *w)
{
	const struct instance *at = instance_at(in, pc);
	struct place p;
	if (!at || !lines_find(at->module, pc, &p))
		return;
	if (!is_first)
		put_line(&p, w);
	for (unsigned i = 0; i < INLINED_MAX && lines_caller(at->module, pc, &p); i++)
		put_line(&p, w);
}

void backtrace_callers(const struct backtrace *b, struct instance *in, struct wr *w)
{
	struct wr room = wr_into(w->buf + w->len, w->cap - w->len);
	if (room.cap > BACKTRACE_TEXT_BYTES)
		room.cap = BACKTRACE_TEXT_BYTES;
	for (uint32_t i = 0; i < b->n && wr_ok(&room); i++) {
		struct wr whole = room;
		if (i == BACKTRACE_TOP && b->skipped > 0)
			wr_fmt(&whole, "  ... %u more\n", b->skipped);
		put_frame(in, b->pc[i], i == 0, &whole);
		if (!wr_ok(&whole))
			break;
		room = whole;
	}
	w->len += room.len;
}
