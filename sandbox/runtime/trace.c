/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/trace.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/wr.h"

enum { KEEP_BYTES = 256, ENTRY_MAX = 1 + TRACE_SEED_BYTES };

void trace_reset(struct trace *t)
{
	uint8_t *bytes = t->cap <= KEEP_BYTES ? t->bytes : NULL;
	uint32_t cap = bytes ? t->cap : 0;
	if (!bytes)
		free(t->bytes);
	*t = (struct trace){ .bytes = bytes, .cap = cap };
}

void trace_fini(struct trace *t)
{
	free(t->bytes);
	*t = (struct trace){ 0 };
}

void trace_replay(struct trace *t, struct span kept)
{
	t->replay = rd_from(kept.at, kept.len);
	t->is_replay = true;
}

struct span trace_span(const struct trace *t)
{
	return (struct span){ t->bytes, t->len };
}

/* Room for an entry and for the mark that says that there were more. */
static bool has_room(struct trace *t)
{
	if (t->cut || t->len + ENTRY_MAX + 1 > IPC_TRACE_BYTES)
		return false;
	if (t->len + ENTRY_MAX + 1 <= t->cap)
		return true;
	uint32_t cap = t->cap ? t->cap * 2 : KEEP_BYTES;
	uint8_t *grown = realloc(t->bytes, cap);
	if (!grown)
		return false;
	t->bytes = grown;
	t->cap = cap;
	return true;
}

static void keep(struct trace *t, char kind, const void *p, size_t n)
{
	if (has_room(t)) {
		t->bytes[t->len++] = (uint8_t)kind;
		memcpy(t->bytes + t->len, p, n);
		t->len += (uint32_t)n;
	} else if (!t->cut && t->len < t->cap) {
		t->bytes[t->len++] = 'X';
		t->cut = true;
	}
}

/* The bytes of the next entry, when it is of this kind. */
static const uint8_t *next(struct trace *t, char kind, size_t n)
{
	if (!t->is_replay || !rd_ok(&t->replay) || t->replay.left == 0)
		return NULL;
	struct rd ahead = t->replay;
	if (rd_u8(&ahead) != (uint8_t)kind)
		return NULL;
	const struct span s = rd_span(&ahead, n);
	if (!rd_ok(&ahead))
		return NULL;
	t->replay = ahead;
	return s.at;
}

uint64_t trace_clock(struct trace *t, uint64_t now)
{
	const uint8_t *then = next(t, 'C', 8);
	uint8_t bytes[8];
	if (then) {
		struct rd r = rd_from(then, 8);
		now = rd_u64(&r);
	}
	struct wr w = wr_into(bytes, sizeof(bytes));
	wr_u64(&w, now);
	keep(t, 'C', bytes, sizeof(bytes));
	return now;
}

static int seed(struct trace *t)
{
	const uint8_t *then = next(t, 'R', TRACE_SEED_BYTES);
	if (then)
		memcpy(t->seed, then, TRACE_SEED_BYTES);
	else if (getrandom(t->seed, TRACE_SEED_BYTES, 0) != TRACE_SEED_BYTES)
		return -EIO; /* up to 256 bytes come whole, or not at all */
	keep(t, 'R', t->seed, TRACE_SEED_BYTES);
	t->seeded = true;
	return 0;
}

int trace_random(struct trace *t, uint8_t *to, size_t n)
{
	uint8_t nonce[crypto_stream_chacha20_NONCEBYTES] = { 0 };
	_Static_assert(TRACE_SEED_BYTES == crypto_stream_chacha20_KEYBYTES, "the seed is the key");
	if (!t->seeded) {
		int err = seed(t);
		if (err < 0)
			return err;
	}
	struct wr w = wr_into(nonce, sizeof(nonce));
	wr_u64(&w, t->drawn++);
	(void)crypto_stream_chacha20(to, n, nonce, t->seed);
	return 0;
}
