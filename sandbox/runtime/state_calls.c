/* SPDX-License-Identifier: Apache-2.0 */
/* The state_ imports of module "penstock": sdk/include/penstock.h is their documentation. */
#include <errno.h>

#include "sandbox/runtime/guest.h"
#include "sandbox/runtime/park.h"

#pragma clang diagnostic ignored "-Wmissing-prototypes" /* hostcall.def is their list */

enum { /* PENSTOCK_E... */
       EINVAL_ = -1,
       ENOENT_ = -2,
       ELIMIT_ = -3,
       EPERM_ = -4,
       ECHANGED_ = -5,
       EIO_ = -6,
};
enum { ASK_BYTES = 2048, PAGE_BYTES = 4096, NO_VALUE = -1 };

struct names {
	struct span bucket, key;
};

/* False: out of memory's bounds, or longer than names may be. */
static bool names_of(struct aot_instance *self, uint32_t bucket, uint32_t bucket_len, uint32_t key,
		     uint32_t key_len, struct names *ret)
{
	ret->bucket = (struct span){ guest_span(self, bucket, bucket_len), bucket_len };
	ret->key = (struct span){ guest_span(self, key, key_len), key_len };
	return ret->bucket.at && ret->key.at && bucket_len <= IPC_STATE_BUCKET_MAX &&
	       key_len <= IPC_STATE_KEY_MAX;
}

/* What the event was told then; else it is not there. */
static int32_t ask_again(struct host *h, const struct ipc_state_ask *q, struct ipc_state_tell *ret)
{
	if (h->told && !told_find(h->told, q, ret)) {
		*ret = (struct ipc_state_tell){ .err = -E_UNKNOWN };
		h->strayed = true;
	}
	if (ret->err == -E_TRUST)
		return EPERM_;
	return ret->err == 0 || ret->err == -E_UNKNOWN ? 0 : EIO_;
}

/* The gateway's answer; under `penstock run` there is nobody to ask, and nothing is remembered. */
static int32_t ask(struct task *t, struct ipc_state_ask *q, struct ipc_state_tell *ret)
{
	uint8_t packet[ASK_BYTES];
	struct wr w = wr_into(packet, sizeof(packet));
	struct span answer;
	struct ipc_msg m;
	*ret = (struct ipc_state_tell){ .err = -E_UNKNOWN };
	q->event = t->host->event;
	q->ticket = task_ticket(t);
	if (q->ticket == 0)
		return ask_again(t->host, q, ret);
	if (!ipc_put_state_ask(&w, q))
		return EINVAL_;
	int err = task_park(t, (struct span){ packet, w.len }, UINT64_MAX, &answer);
	if (err < 0 || ipc_parse(IPC_GATEWAY, answer.at, answer.len, &m, NULL) < 0)
		return EIO_;
	*ret = m.tell;
	if (ret->err == -E_TRUST)
		return EPERM_;
	return ret->err == 0 || ret->err == -E_UNKNOWN ? 0 : EIO_;
}

/* As it is for this event; read from the gateway at the first time. */
static int32_t look(struct task *t, const struct names *n, struct state_entry **ret)
{
	struct state *s = &t->host->state;
	struct ipc_state_ask q = { .bucket = n->bucket, .key = n->key };
	struct ipc_state_tell a;
	if (n->key.len == 0)
		return EINVAL_;
	*ret = state_find(s, n->bucket, n->key);
	if (*ret)
		return 0;
	int32_t rc = ask(t, &q, &a);
	if (rc < 0)
		return rc;
	if (a.err < 0)
		a.value.at = NULL;
	*ret = state_read(s, n->bucket, n->key, a.version, a.value);
	return *ret ? 0 : ELIMIT_;
}

static int32_t give(struct aot_instance *self, struct span from, uint32_t buf, uint32_t cap)
{
	size_t n = from.len < cap ? from.len : cap;
	if (n > 0 && !guest_put(self, buf, from.at, n))
		return EINVAL_;
	return (int32_t)from.len;
}

static int32_t change(struct host *h, const struct names *n, enum ipc_state_what what,
		      struct span value, uint32_t ttl_s)
{
	if (n->key.len == 0)
		return EINVAL_;
	if (!h->has_event) /* in _initialize: there is nothing that it could be committed with */
		return EPERM_;
	if (value.len > IPC_STATE_VALUE_MAX)
		return ELIMIT_;
	return state_change(&h->state, n->bucket, n->key, what, value, (uint64_t)ttl_s * 1000)
		       ? 0
		       : ELIMIT_;
}

int32_t penstock_state_get(struct aot_instance *self, uint32_t bucket, uint32_t bucket_len,
			   uint32_t key, uint32_t key_len, uint32_t buf, uint32_t cap)
{
	struct task *t = GUEST_ENTER();
	struct state_entry *e;
	struct names n;
	int32_t rc =
		names_of(self, bucket, bucket_len, key, key_len, &n) ? look(t, &n, &e) : EINVAL_;
	if (rc == 0 && !e->there)
		rc = ENOENT_;
	if (rc == 0)
		rc = give(self, state_span(&t->host->state, e->value), buf, cap);
	return (int32_t)guest_return(t, (uint32_t)rc);
}

int32_t penstock_state_put(struct aot_instance *self, uint32_t bucket, uint32_t bucket_len,
			   uint32_t key, uint32_t key_len, uint32_t value, uint32_t len,
			   uint32_t ttl_s)
{
	struct task *t = GUEST_ENTER();
	const struct span v = { guest_span(self, value, len), len };
	struct names n;
	bool ok = names_of(self, bucket, bucket_len, key, key_len, &n) && v.at;
	return (int32_t)guest_return(
		t, (uint32_t)(ok ? change(t->host, &n, IPC_STATE_PUT, v, ttl_s) : EINVAL_));
}

int32_t penstock_state_delete(struct aot_instance *self, uint32_t bucket, uint32_t bucket_len,
			      uint32_t key, uint32_t key_len)
{
	struct task *t = GUEST_ENTER();
	const struct span none = { (const uint8_t *)"", 0 };
	struct names n;
	bool ok = names_of(self, bucket, bucket_len, key, key_len, &n);
	return (int32_t)guest_return(
		t, (uint32_t)(ok ? change(t->host, &n, IPC_STATE_DELETE, none, 0) : EINVAL_));
}

/* expected_len -1: the key must not be there. */
static int32_t swap(struct task *t, const struct names *n, struct span expected,
		    int32_t expected_len, struct span value, uint32_t ttl_s)
{
	struct state_entry *e;
	int32_t rc = look(t, n, &e);
	if (rc < 0)
		return rc;
	const struct span is = state_span(&t->host->state, e->value);
	bool same = expected_len == NO_VALUE
			    ? !e->there
			    : e->there && is.len == expected.len &&
				      (is.len == 0 || memcmp(is.at, expected.at, is.len) == 0);
	return same ? change(t->host, n, IPC_STATE_PUT, value, ttl_s) : ECHANGED_;
}

int32_t penstock_state_cas(struct aot_instance *self, uint32_t bucket, uint32_t bucket_len,
			   uint32_t key, uint32_t key_len, uint32_t expected, uint32_t expected_len,
			   uint32_t value, uint32_t len, uint32_t ttl_s)
{
	struct task *t = GUEST_ENTER();
	uint32_t elen = (int32_t)expected_len == NO_VALUE ? 0 : expected_len;
	const struct span old = { guest_span(self, expected, elen), elen };
	const struct span v = { guest_span(self, value, len), len };
	struct names n;
	bool ok = names_of(self, bucket, bucket_len, key, key_len, &n) && v.at && old.at;
	return (int32_t)guest_return(
		t, (uint32_t)(ok ? swap(t, &n, old, (int32_t)expected_len, v, ttl_s) : EINVAL_));
}

static int32_t next(struct task *t, const struct names *n, struct span after, struct span *ret)
{
	struct state *s = &t->host->state;
	uint8_t behind[IPC_STATE_KEY_MAX];
	while (!state_next(s, n->bucket, n->key, after, ret)) {
		struct ipc_state_tell a;
		if (ret->len > 0)
			memcpy(behind, ret->at, ret->len); /* it may lie where the page goes */
		struct ipc_state_ask q = { .list = 1,
					   .most = PAGE_BYTES,
					   .bucket = n->bucket,
					   .key = n->key,
					   .after = { behind, ret->len } };
		int32_t rc = ask(t, &q, &a);
		if (rc < 0)
			return rc;
		if (!state_page(s, n->bucket, n->key, q.after, a.version, a.value))
			return ELIMIT_;
		if (s->page_more && s->page.len == 0)
			return EIO_; /* it would go round for ever */
	}
	return ret->at ? 0 : ENOENT_;
}

int32_t penstock_state_next(struct aot_instance *self, uint32_t bucket, uint32_t bucket_len,
			    uint32_t prefix, uint32_t prefix_len, uint32_t after,
			    uint32_t after_len, uint32_t buf, uint32_t cap)
{
	struct task *t = GUEST_ENTER();
	const struct span a = { guest_span(self, after, after_len), after_len };
	struct span name;
	struct names n;
	bool ok = names_of(self, bucket, bucket_len, prefix, prefix_len, &n) && a.at &&
		  after_len <= IPC_STATE_KEY_MAX;
	int32_t rc = ok ? next(t, &n, a, &name) : EINVAL_;
	if (rc == 0)
		rc = give(self, name, buf, cap);
	return (int32_t)guest_return(t, (uint32_t)rc);
}
