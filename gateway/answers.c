/* SPDX-License-Identifier: Apache-2.0 */
/* From the sandbox's packets to the ends of events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/dispatch_impl.h"
#include "gateway/durable.h"
#include "gateway/effects.h"
#include "gateway/remember.h"
#include "gateway/replay.h"
#include "gateway/state.h"
#include "proto/aot_abi.h"

enum { FAILURES_PER_S = 20, STACK_BYTES = 4096 };

struct judging {
	struct durable_store *store;
	struct outbox_batch batch;
	struct state_write *changes; /* NULL: none */
};

/* By enum ipc_status. */
static const struct {
	enum dispatch_count event;
	enum function_count function;
	enum binding_count binding;
	const char *msg;
} ends[IPC_STATUS_COUNT] = {
	[IPC_OK] = { EVENTS_OK, FUNCTION_OK, BINDING_OK, NULL },
	[IPC_FAILED] = { EVENTS_FAILED, FUNCTION_FAILED, BINDING_FAILED, "event failed" },
	[IPC_TRAPPED] = { EVENTS_TRAPPED, FUNCTION_TRAPPED, BINDING_TRAPPED, "function trapped" },
	[IPC_REFUSED] = { EVENTS_REFUSED, FUNCTION_REFUSED, BINDING_REFUSED,
			  "event refused by the sandbox" },
};

static void count_end(struct dispatch *d, struct flight *f, uint32_t status)
{
	struct function *fn = f->version->function;
	candidate_count(f->version, status != IPC_OK, f->deadline_ns);
	atomic_fetch_add_explicit(&d->counts[ends[status].event], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&fn->counts[ends[status].function], 1, memory_order_relaxed);
	if (f->binding)
		atomic_fetch_add_explicit(&f->binding->counts[ends[status].binding], 1,
					  memory_order_relaxed);
}

static void log_end(struct dispatch *d, struct flight *f, uint32_t status, int32_t code,
		    const char *reason)
{
	struct function *fn = f->version->function;
	uint64_t held_back;
	(void)pthread_mutex_lock(&d->lock);
	function_failed(fn, now_wall_ms(), reason);
	(void)pthread_mutex_unlock(&d->lock);
	if (limiter_pass(&fn->failures, FAILURES_PER_S, &held_back))
		LOG(LOG_WARN, ends[status].msg, F_U64("event", f->id), F_STR("function", fn->name),
		    F_U64("revision", f->version->revision),
		    F_BYTES_SOME("topic", f->topic.at, f->topic.len), F_STR("reason", reason),
		    F_I64_SOME("code", code), F_U64_SOME("not_logged", held_back));
}

/* What the guest wrote to stderr or with penstock_log: level byte, text, newline. */
static void log_guest(struct flight *f, struct span lines)
{
	struct function *fn = f->version->function;
	while (lines.len > 0) {
		const uint8_t *nl = memchr(lines.at, '\n', lines.len);
		size_t n = nl ? (size_t)(nl - lines.at) : lines.len;
		uint8_t level = n > 0 ? lines.at[0] : 0;
		uint64_t held_back;
		if (n > 0 &&
		    limiter_pass(&fn->lines, f->version->limits.log_lines_per_s, &held_back)) {
			bool ok = level >= '0' + LOG_ERR && level <= '0' + LOG_DEBUG;
			LOG(ok ? (enum log_level)(level - '0') : LOG_INFO, "function says",
			    F_U64("event", f->id), F_STR("function", fn->name),
			    F_BYTES("text", lines.at + ok, n - ok),
			    F_U64_SOME("not_logged", held_back));
		}
		size_t used = n + (nl != NULL);
		lines = (struct span){ lines.at + used, lines.len - used };
	}
}

/* An effects_take: they go out when the end of the event is in the journal. */
static int plan(void *arg, const struct flight *f, const struct trigger_message *m, unsigned n,
		struct why *why)
{
	struct judging *j = arg;
	if (durable_plan(j->store, f, m, n, &j->batch) < 0)
		return why_set(why, -ENOMEM, "out of memory");
	return 0;
}

/* What is to be committed with its end. */
static int collect(struct dispatch *d, struct flight *f, struct ipc_result *m, struct judging *j,
		   struct why *why)
{
	int err = effects_check(f, m, why);
	if (err == 0)
		err = remember_plan(d, f, m, &j->changes, why);
	if (err == 0 && j->changes && !f->durable && durable_begin_unstored(d->durable, f) < 0)
		err = why_set(why, -ENOMEM, "out of memory");
	if (err == 0 && f->binding)
		err = effects_collect(f, m, f->durable ? plan : effects_publish, j, why);
	if (err < 0)
		state_done(ptr_steal(&j->changes));
	return err;
}

/* Turns a status that the gateway disagrees with into a failure; m is changed. */
static void judge(struct dispatch *d, struct flight *f, struct ipc_result *m, struct judging *j,
		  struct why *why)
{
	if (m->status != IPC_OK || collect(d, f, m, j, why) == 0)
		return;
	m->status = IPC_FAILED;
	m->why = (struct span){ (const uint8_t *)why->text, strlen(why->text) };
}

static void reason_of(const struct ipc_result *m, char ret[REASON_BYTES])
{
	static const char *const general[] = { "", "it refused the event", "it trapped",
					       "the sandbox did not start it" };
	if (m->why.len > 0)
		(void)snprintf(ret, REASON_BYTES, "%.*s",
			       (int)(m->why.len < REASON_BYTES ? m->why.len : REASON_BYTES - 1),
			       (const char *)m->why.at);
	else if (m->status == IPC_FAILED)
		(void)snprintf(ret, REASON_BYTES, "it ended with code %d", m->code);
	else
		(void)snprintf(ret, REASON_BYTES, "%s", general[m->status]);
}

static void measure(struct flight *f, const struct ipc_result *m)
{
	struct function *fn = f->version->function;
	uint64_t before = f->sent_ns > f->arrived_ns ? f->sent_ns - f->arrived_ns : 0;
	metrics_result(&fn->metrics, m, before, now_ns() > f->deadline_ns);
	if (m->status != IPC_REFUSED)
		admission_learn(&fn->estimate, m->run_ns);
}

/* The guest's stack, which the sandbox puts at the end of the log of an event that trapped: lines of level
 * 3 that begin with spaces. Without the levels. */
static size_t stack_of(const struct ipc_result *m, char ret[STACK_BYTES])
{
	size_t from = m->log.len, n = 0;
	while (m->status == IPC_TRAPPED && from > 0) {
		size_t line = from - 1; /* its newline, or its last byte */
		while (line > 0 && m->log.at[line - 1] != '\n')
			line--;
		if (from - line < 3 || memcmp(m->log.at + line, "3  ", 3) != 0)
			break;
		from = line;
	}
	for (size_t i = from; i < m->log.len && n < STACK_BYTES; i++) {
		if (i > from && m->log.at[i - 1] != '\n')
			ret[n++] = (char)m->log.at[i];
	}
	return n;
}

/* To the journal, which releases the flight. */
static void end_durable(struct dispatch *d, struct flight *f, const struct ipc_result *m,
			const char *reason, struct judging *j)
{
	size_t kept;
	OWN_FREE uint8_t *trace =
		durable_is_stored(f) ? replay_pack(f->replay, m->trace, &kept) : NULL;
	char stack[STACK_BYTES];
	const struct durable_end e = { .status = m->status,
				       .code = m->code,
				       .postponed = m->status == IPC_REFUSED,
				       .reason = reason,
				       .stack = { (uint8_t *)stack, stack_of(m, stack) },
				       .reply = m->reply,
				       .effects = m->effects,
				       .state = m->state,
				       .neffects = m->neffects,
				       .batch = j->batch,
				       .trace = { trace, trace ? kept : 0 },
				       .extras = j->changes ? &j->changes->extra : NULL,
				       .extras_done = j->changes ? remember_done : NULL,
				       .extras_arg = j->changes };
	durable_end(d->durable, f, &e);
}

/* Nothing of it is to be committed. */
static void end_volatile(struct dispatch *d, struct flight *f)
{
	if (f->caller)
		f->caller->ended(f->caller, 0);
	dispatch_release(d, f);
}

static bool is_repetition(const struct flight *f)
{
	return f->replay && f->replay->is_replay;
}

/* Who asked for it gets all that came of it, and nobody else. What the gateway would have refused is
 * refused. */
static void judge_repetition(const struct flight *f, struct ipc_result *m, struct why *why)
{
	if (m->status != IPC_OK || effects_check(f, m, why) == 0)
		return;
	m->status = IPC_FAILED;
	m->why = (struct span){ (const uint8_t *)why->text, strlen(why->text) };
}

/* Times that the sandbox tells are no longer than it had the event: admission counts on them. */
static void believe(const struct flight *f, struct ipc_result *m)
{
	uint64_t had = now_ns() - f->sent_ns;
	uint64_t *told[] = { &m->queue_ns, &m->instantiate_ns, &m->run_ns, &m->cpu_ns };
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		*told[i] = *told[i] < had ? *told[i] : had;
}

/* The end of an event that the sandbox answered, but for handing the result to who waits. */
static void conclude(struct dispatch *d, struct flight *f, struct ipc_result *m, struct why *why)
{
	char reason[REASON_BYTES] = "";
	struct judging j = { .store = d->durable };
	believe(f, m);
	if (f->is_shadow) {
		shadow_end(d, f, m);
		return;
	}
	if (is_repetition(f)) {
		judge_repetition(f, m, why);
		return;
	}
	shadow_start(d, f, m);
	log_guest(f, m->log);
	judge(d, f, m, &j, why);
	count_end(d, f, m->status);
	if (m->cpu_ns > 0) {
		atomic_fetch_add_explicit(&f->version->function->cpu_ns, m->cpu_ns,
					  memory_order_relaxed);
		atomic_fetch_add_explicit(&f->version->function->cpu_events, 1,
					  memory_order_relaxed);
	}
	measure(f, m);
	if (m->status != IPC_OK) {
		reason_of(m, reason);
		log_end(d, f, m->status, m->code, reason);
	}
	if (f->caller)
		f->caller->said(f->caller, m);
	if (f->durable)
		end_durable(d, f, m, reason, &j);
	else if (!f->done)
		end_volatile(d, f);
}

static struct post *post_new(enum post_kind kind, const void *packet, size_t len)
{
	struct post *p = calloc(1, sizeof(*p) + len);
	if (!p)
		return NULL;
	p->kind = kind;
	p->len = len;
	if (len)
		memcpy(p->packet, packet, len);
	return p;
}

void dispatch_uncount_ok(struct dispatch *d, struct flight *f)
{
	candidate_uncount(f->version);
	atomic_fetch_sub(&d->counts[EVENTS_OK], 1);
	atomic_fetch_sub(&f->version->function->counts[FUNCTION_OK], 1);
	atomic_fetch_sub(&f->binding->counts[BINDING_OK], 1);
	atomic_fetch_add(&d->counts[EVENTS_RETRIED], 1);
}

void dispatch_postpone(struct dispatch *d, struct flight *f, const char *reason)
{
	if (!durable_is_stored(f) || f->caller) {
		dispatch_fail(d, f, reason);
		return;
	}
	const struct durable_end e = { .status = IPC_REFUSED, .reason = reason, .postponed = true };
	durable_end(d->durable, f, &e);
}

void dispatch_fail(struct dispatch *d, struct flight *f, const char *reason)
{
	if (f->is_shadow) {
		shadow_fail(d, f);
		return;
	}
	if (!is_repetition(f)) {
		count_end(d, f, IPC_FAILED);
		log_end(d, f, IPC_FAILED, 0, reason);
	}
	if (f->caller) {
		const struct ipc_result m = { .event = f->id,
					      .status = IPC_FAILED,
					      .trap = now_ns() > f->deadline_ns ? AOT_TRAP_TIME
										: AOT_TRAP_NONE,
					      .why = { (const uint8_t *)reason, strlen(reason) } };
		f->caller->said(f->caller, &m);
	}
	if (f->durable) {
		const struct durable_end e = { .status = IPC_FAILED, .reason = reason };
		durable_end(d->durable, f, &e);
		return;
	}
	struct post *p = f->done ? post_new(POST_FAILED, reason, strlen(reason) + 1) : NULL;
	if (!p) {
		end_volatile(d, f);
		return;
	}
	p->flight = f;
	dispatch_post(d, p);
}

/* Somebody waits on the loop's thread: the packet goes there, and is read a second time. */
static void hand_over(struct dispatch *d, struct flight *f, const uint8_t *packet, size_t len,
		      const void *map, size_t map_len)
{
	struct post *p = post_new(POST_RESULT, packet, len);
	if (!p) {
		if (map)
			(void)munmap((void *)map, map_len);
		dispatch_fail(d, f, "out of memory");
		return;
	}
	p->flight = f;
	p->map = map;
	p->map_len = map_len;
	dispatch_post(d, p);
}

void dispatch_on_result_post(struct dispatch *d, struct post *p)
{
	struct flight *f = p->flight;
	struct ipc_msg m = { 0 };
	struct why why = { 0 };
	const struct event e = { .id = f->id, .arrived_ns = f->arrived_ns, .topic = f->topic };
	if (p->kind == POST_RESULT) {
		/* It was checked when it came. */
		ENSURE(ipc_parse(IPC_SANDBOX, p->packet, p->len, &m, &why) == 0);
		if (p->map)
			ENSURE(ipc_result_unpack(&m.result, p->map, p->map_len, &why) == 0);
		conclude(d, f, &m.result, &why);
	} else {
		m.result = (struct ipc_result){ .event = f->id, .status = IPC_FAILED };
		m.result.why = (struct span){ p->packet, p->len - 1 };
	}
	f->done(f->arg, &e, &m.result);
	if (p->map)
		(void)munmap((void *)p->map, p->map_len);
	dispatch_release(d, f);
}

static struct flight *land(struct dispatch *d, uint64_t id)
{
	(void)pthread_mutex_lock(&d->lock);
	struct flight *f = flight_unhash(&d->pool, id);
	if (f) {
		f->state = FLIGHT_ENDING;
		f->answered = true;
		dispatch_unsend(d, f);
	}
	(void)pthread_mutex_unlock(&d->lock);
	if (!f)
		return NULL;
	bool soon = now_ns() - f->sent_ns < (uint64_t)d->config->spin_us * 200u + WAKE_NS;
	unsigned quick = atomic_load_explicit(&d->quick, memory_order_relaxed);
	unsigned next = soon ? quick + (quick < QUICK_MOST) : quick - (quick > 0);
	if (next != quick)
		atomic_store_explicit(&d->quick, next, memory_order_relaxed);
	return f;
}

static int on_result(struct dispatch *d, struct ipc_result *m, const uint8_t *packet, size_t len,
		     int fd, struct why *why)
{
	const void *map = NULL;
	if (m->fd_bytes > 0) {
		int err = fd < 0 ? -E_PROTO : ipc_memfd_map(fd, m->fd_bytes, &map);
		if (err == 0)
			err = ipc_result_unpack(m, map, m->fd_bytes, why);
		if (err < 0) {
			if (map)
				(void)munmap((void *)map, m->fd_bytes);
			return why_set(why, err,
				       "RESULT: its memfd is missing or not as announced");
		}
	}
	size_t map_len = map ? m->fd_bytes : 0;
	struct flight *f = land(d, m->event);
	if (f && f->done) {
		hand_over(d, f, packet, len, map, map_len);
		return 0;
	}
	if (f) { /* else: it was given up, or the answer of a sandbox that died since */
		struct why verdict = { 0 };
		conclude(d, f, m, &verdict);
	}
	if (map)
		(void)munmap((void *)map, map_len);
	return 0;
}

static int on_control(struct dispatch *d, unsigned generation, const uint8_t *packet, size_t len,
		      struct why *why)
{
	(void)pthread_mutex_lock(&d->lock);
	if (generation != atomic_load(&d->gate.generation)) {
		(void)pthread_mutex_unlock(&d->lock);
		return 0; /* last words of one that is gone */
	}
	bool owed = d->owed > 0;
	d->owed -= owed;
	if (owed)
		gate_answered(&d->gate, 1);
	(void)pthread_mutex_unlock(&d->lock);
	if (!owed)
		return why_set(why, -E_PROTO, "a HELLO or LOADED that nothing had asked for");
	struct post *p = post_new(POST_CONTROL, packet, len);
	if (!p)
		return -ENOMEM;
	dispatch_post(d, p);
	return 0;
}

static int on_message(struct dispatch *d, unsigned generation, struct ipc_msg *m,
		      const uint8_t *packet, size_t len, int fd, struct why *why)
{
	if (m->type == IPC_RESULT)
		return on_result(d, &m->result, packet, len, fd, why);
	if (m->type != IPC_STATE_ASK)
		return on_control(d, generation, packet, len, why);
	return remember_answer(d, &m->ask, why);
}

static int read_packet(struct dispatch *d, unsigned generation, const uint8_t *packet, size_t len,
		       int fd, struct why *why)
{
	struct ipc_msg m;
	int err = ipc_parse(IPC_SANDBOX, packet, len, &m, why);
	if (err == 0 && m.nfds != (fd >= 0))
		err = why_set(why, -E_PROTO, "%s with a descriptor too many or too few",
			      ipc_name(m.type));
	return err == 0 ? on_message(d, generation, &m, packet, len, fd, why) : err;
}

/* A message that breaks the protocol costs the sandbox its life, and nobody listens to the rest. */
static void on_packet(struct dispatch *d, unsigned generation, const uint8_t *packet, size_t len,
		      int fd)
{
	struct why why = { 0 };
	int err = 0;
	if (atomic_load(&d->broken) != generation)
		err = read_packet(d, generation, packet, len, fd, &why);
	if (fd >= 0)
		(void)close(fd);
	if (err == 0 || atomic_exchange(&d->broken, generation) == generation)
		return;
	LOG(LOG_ERR, "the sandbox broke the protocol, restarting it",
	    F_STR("reason", why_text(&why, err)), F_U64("bytes", len), F_ERR(err));
	sandbox_peer_kill(d->peer, "it broke the protocol");
}

int dispatch_take(struct dispatch *d, struct ipc_inbox *in)
{
	struct ipc_packet packet[IPC_BATCH];
	unsigned generation = atomic_load(&d->gate.generation);
	int n;
	do
		n = ipc_inbox_recv(in, d->sock, packet);
	while (n == -ECONNRESET); /* told once; what was sent before comes now */
	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		gate_down(&d->gate,
			  generation); /* until recovery.c puts a new socket in its place */
		return -1;
	}
	atomic_fetch_add_explicit(&d->answers, (uint64_t)n, memory_order_relaxed);
	for (int i = 0; i < n; i++)
		on_packet(d, generation, packet[i].bytes, packet[i].err ? 0 : packet[i].len,
			  packet[i].fd);
	dispatch_pump(d);
	return n;
}

void *dispatch_results(void *arg)
{
	struct dispatch *d = arg;
	while (gate_wait(&d->gate, d->sock)) {
		while (dispatch_take(d, d->results_inbox) == IPC_BATCH)
			;
		dispatch_commit(d);
	}
	return NULL;
}

/* ---- the attendant ---- */

static void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool worth_spinning(struct dispatch *d)
{
	return d->config->spin_us > 0 && d->recent &&
	       atomic_load_explicit(&d->quick, memory_order_relaxed) >= QUICK_SPIN &&
	       atomic_load_explicit(&d->gate.expected, memory_order_relaxed) <= SPIN_SENT_MAX;
}

static void spin(struct dispatch *d)
{
	uint64_t end = now_ns() + (uint64_t)d->config->spin_us * 1000u / 5;
	while (atomic_load(&d->gate.expected) > 0) {
		int n = dispatch_take(d, d->seat_inbox);
		if (n > 0)
			dispatch_commit(d);
		if (n < 0 || (n == 0 && now_ns() > end))
			return;
		cpu_relax();
	}
}

void dispatch_look(struct dispatch *d)
{
	while (dispatch_take(d, d->seat_inbox) == IPC_BATCH)
		;
	dispatch_pump(d);
}

void dispatch_ready(struct dispatch *d)
{
	dispatch_look(d);
	dispatch_commit(d);
}

int dispatch_before_sleep(struct dispatch *d, struct dispatch_seat *seat)
{
	if (!seat->taken) {
		dispatch_commit(d); /* what was left for a moment */
		return -1;
	}
	seat->events = 0;
	dispatch_pump(d);
	dispatch_commit(d);    /* while the sandbox is at work */
	if (worth_spinning(d)) /* else the descriptor returned says whether there is an answer */
		spin(d);
	if (atomic_load(&d->gate.expected) > 0 && !gate_is_down(&d->gate))
		return d->sock;
	dispatch_leave(d, seat);
	return -1;
}

void dispatch_leave(struct dispatch *d, struct dispatch_seat *seat)
{
	if (seat->taken)
		gate_leave(&d->gate);
	seat->taken = false;
}
