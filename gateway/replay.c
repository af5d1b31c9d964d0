/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/replay.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_BYTES = 2048, FIRST_BYTES = 512 };

void replay_fini(struct replay *r)
{
	free(r->bytes);
	free(r->given);
	*r = (struct replay){ 0 };
}

static bool has_room(struct replay *r, size_t more)
{
	size_t cap = r->cap ? r->cap : FIRST_BYTES;
	if (r->cut || r->len + more > REPLAY_BYTES_MAX)
		return false;
	while (cap < r->len + more)
		cap *= 2;
	if (cap == r->cap)
		return true;
	uint8_t *grown = realloc(r->bytes, cap);
	if (!grown)
		return false;
	r->bytes = grown;
	r->cap = cap;
	return true;
}

void replay_note(struct replay *r, const struct ipc_state_ask *q, struct span packet)
{
	uint8_t ask[ASK_BYTES];
	struct wr a = wr_into(ask, sizeof(ask));
	if (!ipc_put_state_ask(&a, q) || !has_room(r, 8 + a.len + packet.len)) {
		r->cut = true;
		return;
	}
	struct wr w = wr_into(r->bytes + r->len, r->cap - r->len);
	wr_u32(&w, (uint32_t)a.len);
	wr_bytes(&w, a.buf, a.len);
	wr_u32(&w, (uint32_t)packet.len);
	wr_bytes(&w, packet.at, packet.len);
	r->len += w.len;
}

bool replay_tell(struct replay *r, const struct ipc_state_ask *q, struct wr *packet)
{
	struct ipc_state_tell tell;
	if (!told_find(&r->told, q, &tell)) {
		r->strayed = true;
		return false;
	}
	tell.ticket = q->ticket;
	return ipc_put_state_tell(packet, &tell);
}

int replay_of(struct replay *r, struct span kept)
{
	*r = (struct replay){ .is_replay = true };
	if (kept.len == 0)
		return 0;
	r->given = malloc(kept.len);
	if (!r->given)
		return -ENOMEM;
	memcpy(r->given, kept.at, kept.len);
	int err = told_parse((struct span){ r->given, kept.len }, &r->told);
	if (err < 0)
		replay_fini(r);
	return err;
}

uint8_t *replay_pack(const struct replay *r, struct span trace, size_t *ret_len)
{
	size_t told = r ? r->len : 0, all = 2 + trace.len + 1 + told;
	*ret_len = 0;
	if (trace.len == 0 && told == 0 && !(r && r->cut))
		return NULL;
	uint8_t *bytes = malloc(all);
	if (!bytes)
		return NULL;
	struct wr w = wr_into(bytes, all);
	wr_u16(&w, (uint16_t)trace.len);
	wr_bytes(&w, trace.at, trace.len);
	wr_u8(&w, r && r->cut);
	wr_bytes(&w, r ? r->bytes : NULL, told);
	ENSURE(wr_ok(&w));
	*ret_len = all;
	return bytes;
}

static void take(crypto_generichash_state *h, const void *p, size_t n)
{
	uint64_t len = n; /* so that no two lists of parts read the same */
	(void)crypto_generichash_update(h, (const uint8_t *)&len, sizeof(len));
	(void)crypto_generichash_update(h, p ? p : "", n);
}

uint64_t replay_digest(const struct ipc_result *m)
{
	crypto_generichash_state h;
	uint8_t out[crypto_generichash_BYTES_MIN];
	uint64_t digest;
	struct rd list = rd_from(m->state.at, m->state.len);
	struct ipc_state_op o;
	(void)crypto_generichash_init(&h, NULL, 0, sizeof(out));
	take(&h, &m->status, sizeof(m->status));
	if (m->status == IPC_OK) {
		take(&h, m->reply.at, m->reply.len);
		take(&h, m->effects.at, m->effects.len);
	}
	while (m->status == IPC_OK && ipc_state_next(&list, &o)) {
		if (o.what != IPC_STATE_PUT && o.what != IPC_STATE_DELETE)
			continue;
		take(&h, &o.what, sizeof(o.what));
		take(&h, o.bucket.at, o.bucket.len);
		take(&h, o.key.at, o.key.len);
		take(&h, o.value.at, o.value.len);
		take(&h, &o.ttl_ms, sizeof(o.ttl_ms));
	}
	(void)crypto_generichash_final(&h, out, sizeof(out));
	memcpy(&digest, out, sizeof(digest));
	return digest;
}
