/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wasi_snapshot_preview1 poll_oneoff: waits for clocks and for the three streams. In a gateway the
 * streams are buffers, always ready, and waiting suspends the task, not the thread; under
 * `penstock run` it is ppoll().
 */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/runtime/guest.h"
#include "sandbox/runtime/park.h"
#include "sandbox/runtime/wasi.h"

#pragma clang diagnostic ignored "-Wmissing-prototypes" /* hostcall.def is their list */

enum { SUBS_MAX = 4096, SUB_BYTES = 48, EVENT_BYTES = 32 };
enum { TAG_CLOCK, TAG_READ, TAG_WRITE };
enum { FLAG_ABSTIME = 1 };

struct sub {
	uint64_t userdata;
	uint8_t tag;
	uint32_t id; /* clock, or descriptor */
	uint64_t timeout_ns;
	uint16_t flags;
};

struct poll {
	struct aot_instance *self;
	struct task *t;
	uint32_t subs, events, n;
	uint64_t began_ns, began_wall_ns;
	short ready[HOST_FDS]; /* by stream, direct mode: poll() bits */
};

static uint64_t wall_ns(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A copy; the caller has checked the whole array. */
static struct sub sub_at(const struct poll *p, uint32_t i)
{
	const uint8_t *at = guest_span(p->self, p->subs + (uint64_t)i * SUB_BYTES, SUB_BYTES);
	struct sub s = { .tag = at[8] };
	memcpy(&s.userdata, at, 8);
	memcpy(&s.id, at + 16, 4);
	memcpy(&s.timeout_ns, at + 24, 8);
	memcpy(&s.flags, at + 40, 2);
	return s;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* When a clock subscription is due, as CLOCK_MONOTONIC. */
static uint64_t due_ns(const struct poll *p, const struct sub *s)
{
	if (!(s->flags & FLAG_ABSTIME))
		return add_saturated(p->began_ns, s->timeout_ns);
	if (s->id == WASI_MONOTONIC)
		return s->timeout_ns;
	uint64_t wait = s->timeout_ns > p->began_wall_ns ? s->timeout_ns - p->began_wall_ns : 0;
	return add_saturated(p->began_ns, wait);
}

static uint32_t sub_error(const struct poll *p, const struct sub *s)
{
	if (s->tag == TAG_CLOCK)
		return s->id <= WASI_MONOTONIC ? WASI_OK : WASI_ENOTSUP;
	enum host_stream have = wasi_stream(p->t->host, s->id);
	bool fits = s->tag == TAG_READ ? have == HOST_STDIN
				       : have == HOST_STDOUT || have == HOST_STDERR;
	return fits ? WASI_OK : WASI_EBADF;
}

/* The earliest time at which something is due; adds what to poll for. */
static uint64_t look(struct poll *p, struct pollfd fds[HOST_FDS])
{
	uint64_t earliest = UINT64_MAX;
	for (uint32_t i = 0; i < p->n; i++) {
		struct sub s = sub_at(p, i);
		uint64_t due = p->began_ns;
		if (sub_error(p, &s) == WASI_OK && s.tag == TAG_CLOCK) {
			due = due_ns(p, &s);
		} else if (sub_error(p, &s) == WASI_OK && p->t->host->direct) {
			struct pollfd *f = &fds[wasi_stream(p->t->host, s.id)];
			f->events |= s.tag == TAG_READ ? POLLIN : POLLOUT;
			due = UINT64_MAX;
		}
		earliest = due < earliest ? due : earliest;
	}
	return earliest;
}

static void wait_direct(struct poll *p, struct pollfd fds[HOST_FDS], uint64_t until_ns)
{
	struct timespec ts = { 0 };
	uint64_t now = task_now_ns();
	if (p->t->deadline_ns > 0 && p->t->deadline_ns < until_ns)
		until_ns = p->t->deadline_ns;
	uint64_t wait = until_ns > now ? until_ns - now : 0;
	ts.tv_sec = (time_t)(wait / 1000000000u);
	ts.tv_nsec = (long)(wait % 1000000000u);
	for (int i = 0; i < HOST_FDS; i++)
		fds[i].fd = fds[i].events ? i : -1;
	p->t->blocked = true;
	int n = ppoll(fds, HOST_FDS, until_ns == UINT64_MAX ? NULL : &ts, NULL);
	p->t->blocked = false;
	for (int i = 0; i < HOST_FDS; i++)
		p->ready[i] = n > 0 ? fds[i].revents : 0;
	p->t->tick_pending = 1; /* time passed: look at the deadline */
	task_checkpoint(p->t);
}

static bool sub_ready(const struct poll *p, const struct sub *s, uint64_t now)
{
	if (s->tag == TAG_CLOCK)
		return due_ns(p, s) <= now;
	return !p->t->host->direct || p->ready[wasi_stream(p->t->host, s->id)] != 0;
}

/* Writes an event for each subscription that has happened; their number. */
static uint32_t report(struct poll *p)
{
	uint32_t n = 0;
	uint64_t now = task_now_ns();
	for (uint32_t i = 0; i < p->n; i++) {
		struct sub s = sub_at(p, i);
		uint8_t event[EVENT_BYTES] = { 0 };
		uint16_t err = (uint16_t)sub_error(p, &s);
		const struct host *h = p->t->host;
		uint64_t bytes = s.tag == TAG_READ ? h->payload.len - h->payload_read : 1;
		if (err == WASI_OK && !sub_ready(p, &s, now))
			continue;
		memcpy(event, &s.userdata, 8);
		memcpy(event + 8, &err, 2);
		event[10] = s.tag;
		if (s.tag != TAG_CLOCK && err == WASI_OK)
			memcpy(event + 16, &bytes, 8);
		ENSURE(guest_put(p->self, p->events + (uint64_t)n++ * EVENT_BYTES, event,
				 sizeof(event)));
	}
	return n;
}

uint32_t wasi_poll_oneoff(struct aot_instance *self, uint32_t subs, uint32_t events, uint32_t n,
			  uint32_t ret_n)
{
	struct poll p = {
		.self = self, .t = GUEST_ENTER(), .subs = subs, .events = events, .n = n
	};
	uint32_t happened = 0;
	struct span none;
	if (n == 0 || n > SUBS_MAX)
		return guest_return(p.t, WASI_EINVAL);
	if (!guest_span(self, subs, (uint64_t)n * SUB_BYTES) ||
	    !guest_span(self, events, (uint64_t)n * EVENT_BYTES) || !guest_span(self, ret_n, 4))
		return guest_return(p.t, WASI_EFAULT);
	for (uint32_t i = 0; i < n; i++)
		if (sub_at(&p, i).tag > TAG_WRITE)
			return guest_return(p.t, WASI_EINVAL);
	p.began_ns = task_now_ns();
	p.began_wall_ns = wall_ns();
	while (happened == 0) {
		struct pollfd fds[HOST_FDS] = { 0 };
		uint64_t until = look(&p, fds);
		if (p.t->host->direct)
			wait_direct(&p, fds, until);
		else if (until > task_now_ns())
			(void)task_park(p.t, (struct span){ 0 }, until, &none);
		happened = report(&p);
	}
	return guest_return(p.t, guest_put_u32(self, ret_n, happened) ? WASI_OK : WASI_EFAULT);
}
