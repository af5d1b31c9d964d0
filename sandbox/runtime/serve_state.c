/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/serve_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sandbox/runtime/park.h"
#include "sandbox/runtime/slots.h"

static bool wakes_earlier(const struct job *a, const struct job *b)
{
	return a->task.wake_ns < b->task.wake_ns;
}

/* One function that sleeps in all its events must not hold every slot. */
static unsigned function_share(const struct serve *s)
{
	return s->slots_max - s->slots_max / 8;
}

static void init_locks(struct serve *s)
{
	pthread_condattr_t attr;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->more, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_barrier_init(&s->confined, NULL, s->nworkers + 1); /* the watch */
}

int serve_state_new(const struct serve_options *o, struct serve **ret, struct why *why)
{
	struct serve *s = calloc(1, sizeof(*s));
	if (!s)
		return why_set(why, -ENOMEM, "no memory at start");
	s->sock = o->sock;
	s->nworkers = o->workers;
	s->spin_ns = o->spin_us * UINT64_C(1000);
	s->gap_ns = UINT64_MAX;
	s->slots_max = slots_that_fit();
	if (o->slots > 0 && o->slots < s->slots_max)
		s->slots_max = o->slots;
	line_init(&s->starved);
	init_locks(s);
	s->leader = LEADER_NONE;
	s->next_wake_ns = UINT64_MAX;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->watch_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->loader.types = types_new();
	s->loader.hostcalls = s->loader.types ? hostcalls_new(s->loader.types) : NULL;
	s->inbox = ipc_inbox_new();
	s->jobs = calloc(SERVE_JOBS_MAX, sizeof(struct job *));
	if (s->wake_fd < 0 || s->watch_fd < 0 || !s->inbox || !s->jobs || !s->loader.hostcalls ||
	    sched_init(&s->sched, o->policy, o->workers, SERVE_JOBS_MAX) < 0 ||
	    heap_init(&s->asleep, SERVE_JOBS_MAX, wakes_earlier) < 0) {
		serve_state_free(s);
		return why_set(why, -ENOMEM, "no memory at start");
	}
	*ret = s;
	return 0;
}

void serve_state_free(struct serve *s)
{
	if (!s)
		return;
	for (struct job *j = s->free_jobs, *next; j; j = next) {
		next = j->next;
		job_fini(j);
		free(j);
	}
	free(s->jobs);
	sched_fini(&s->sched);
	heap_fini(&s->asleep);
	ipc_inbox_free(s->inbox);
	hostcalls_free(s->loader.hostcalls);
	types_free(s->loader.types);
	if (s->watch_fd >= 0)
		(void)close(s->watch_fd);
	if (s->wake_fd >= 0)
		(void)close(s->wake_fd);
	free(s);
}

/* ---- functions ---- */

static struct function **bucket(struct serve *s, uint32_t handle)
{
	return &s->functions[handle % SERVE_FUNCTION_BUCKETS];
}

struct function *serve_function(struct serve *s, uint32_t handle)
{
	struct function *f = *bucket(s, handle);
	while (f && f->handle != handle)
		f = f->next;
	return f;
}

void serve_add_function(struct serve *s, struct function *f)
{
	struct function **b = bucket(s, f->handle);
	f->next = *b;
	*b = f;
	s->nslots += f->ninstances;
}

struct instance *serve_remove_function(struct serve *s, struct function *f)
{
	struct function **at = bucket(s, f->handle);
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->dying = true;
	struct instance *idle = f->idle;
	f->idle = NULL;
	f->nidle = 0;
	for (struct instance *in = idle; in; in = in->next_idle)
		serve_drop_instance(s, f);
	return idle;
}

/* ---- jobs ---- */

struct job *serve_new_job(struct serve *s, enum job_kind kind)
{
	struct job *j = s->free_jobs;
	unsigned most = kind == JOB_INIT ? SERVE_JOBS_MAX : SERVE_JOBS_MAX - SERVE_INITS_MAX;
	if (s->njobs >= most)
		return NULL;
	if (j) {
		s->free_jobs = j->next;
	} else {
		j = calloc(1, sizeof(*j));
		if (!j)
			return NULL;
		s->jobs[s->njobs_made++] = j;
		j->task.ticket_slot = s->njobs_made;
	}
	s->njobs++;
	j->kind = kind;
	j->event = 0;
	j->task.instance = NULL;
	j->task.ticks = 0;
	j->task.cpu_ns = 0;
	j->seq = s->seq++;
	j->next_live = s->live_jobs;
	j->prev_live = &s->live_jobs;
	if (s->live_jobs)
		s->live_jobs->prev_live = &j->next_live;
	s->live_jobs = j;
	j->state = JOB_RUNNING;
	return j;
}

void serve_free_job(struct serve *s, struct job *j)
{
	*j->prev_live = j->next_live;
	if (j->next_live)
		j->next_live->prev_live = j->prev_live;
	s->njobs--;
	j->next = s->free_jobs;
	s->free_jobs = j;
}

void serve_close_ticket(struct job *j)
{
	atomic_store(&j->task.ticket, 0);
}

static void asleep_changed(struct serve *s)
{
	const struct job *first = heap_first(&s->asleep);
	atomic_store_explicit(&s->next_wake_ns, first ? first->task.wake_ns : UINT64_MAX,
			      memory_order_relaxed);
}

static void add_sleeper(struct serve *s, struct job *j)
{
	const uint64_t one = 1;
	heap_put(&s->asleep, j);
	asleep_changed(s);
	int leader = atomic_load(&s->leader);
	if ((!s->leader_waits && leader != LEADER_WATCH) || j->task.wake_ns >= s->leader_until_ns)
		return;
	s->leader_until_ns = j->task.wake_ns;
	(void)!write(s->leader_waits ? s->wake_fd : s->watch_fd, &one, sizeof(one));
}

/* Out of `asleep`, and out of its line if it waits for an instance. */
static void rouse(struct serve *s, struct job *j)
{
	heap_remove(&s->asleep, j);
	asleep_changed(s);
	serve_close_ticket(j);
	if (j->state == JOB_WAITING)
		ENSURE(line_remove(&j->function->waiting, j) || line_remove(&s->starved, j));
	serve_make_ready(s, j, j->home);
}

void serve_cancel(struct serve *s, uint64_t event)
{
	struct job *j = s->live_jobs;
	while (j && (j->kind != JOB_EVENT || j->event != event))
		j = j->next_live;
	if (!j)
		return;
	j->cancelled = true; /* a running one sees it at its next tick */
	if (j->state == JOB_SLEEPING || j->state == JOB_WAITING)
		rouse(s, j);
	else
		worker_kick(s->sched.queues[j->home].worker); /* it may be running there */
}

bool serve_wake_parked(struct serve *s, uint64_t ticket, struct span answer)
{
	uint32_t slot = (uint32_t)ticket;
	uint8_t *copy = malloc(answer.len + 1);
	if (copy && answer.len > 0)
		memcpy(copy, answer.at, answer.len);
	ENSURE(pthread_mutex_lock(&s->lock) == 0);
	struct job *j = slot > 0 && slot <= s->njobs_made ? s->jobs[slot - 1] : NULL;
	bool waits = j && atomic_load(&j->task.ticket) == ticket;
	if (waits) {
		serve_close_ticket(j);
		j->task.woken = true;
		j->task.answer = (struct span){ copy, copy ? answer.len : 0 };
		if (j->state == JOB_SLEEPING) /* else it is about to */
			rouse(s, j);
	}
	ENSURE(pthread_mutex_unlock(&s->lock) == 0);
	if (!waits)
		free(copy);
	return waits;
}

void serve_make_ready(struct serve *s, struct job *j, unsigned at)
{
	j->state = JOB_READY;
	j->home = at;
	sched_put(&s->sched, at, j);
}

void serve_put_asleep(struct serve *s, struct job *j)
{
	if (j->cancelled || j->task.woken) {
		serve_close_ticket(j);
		serve_make_ready(s, j, j->home);
		return;
	}
	j->state = JOB_SLEEPING;
	add_sleeper(s, j);
}

uint64_t serve_next_wake_ns(const struct serve *s)
{
	return atomic_load_explicit(&s->next_wake_ns, memory_order_relaxed);
}

void serve_wake_sleepers(struct serve *s, uint64_t now_ns)
{
	struct job *j;
	if (serve_next_wake_ns(s) > now_ns)
		return;
	ENSURE(pthread_mutex_lock(&s->lock) == 0);
	while ((j = heap_first(&s->asleep)) != NULL && j->task.wake_ns <= now_ns)
		rouse(s, j);
	ENSURE(pthread_mutex_unlock(&s->lock) == 0);
}

/* ---- who reads the socket, and who waits ---- */

bool serve_take_lead(struct serve *s, int worker)
{
	const uint64_t one = 1;
	int none = LEADER_NONE, watch = LEADER_WATCH;
	if (atomic_compare_exchange_strong(&s->leader, &none, worker))
		return true;
	if (!atomic_compare_exchange_strong(&s->leader, &watch, worker))
		return false;
	(void)!write(s->watch_fd, &one, sizeof(one)); /* it need not wake for messages any more */
	return true;
}

void serve_appoint(struct serve *s)
{
	const uint64_t one = 1;
	int none = LEADER_NONE;
	if (s->nfollowers > 0)
		(void)pthread_cond_signal(&s->more);
	else if (atomic_compare_exchange_strong(&s->leader, &none, LEADER_WATCH))
		(void)!write(s->watch_fd, &one, sizeof(one));
}

void serve_rouse_worker(struct serve *s)
{
	const uint64_t one = 1;
	if (s->nfollowers > 0)
		(void)pthread_cond_signal(&s->more);
	else if (s->leader_waits)
		(void)!write(s->wake_fd, &one, sizeof(one));
}

/* ---- slots ---- */

static struct instance *steal_idle(struct serve *s)
{
	for (size_t b = 0; b < SERVE_FUNCTION_BUCKETS; b++)
		for (struct function *f = s->functions[b]; f; f = f->next) {
			struct instance *in = function_take_idle(f);
			if (!in)
				continue;
			serve_drop_instance(s, f);
			return in;
		}
	return NULL;
}

/* In line until somebody lets it go on, or until its deadline. */
static enum slot wait_in(struct serve *s, struct line *l, struct job *j)
{
	j->state = JOB_WAITING;
	j->task.wake_ns = j->deadline_ns ? j->deadline_ns : UINT64_MAX;
	line_put(l, j);
	add_sleeper(s, j);
	return SLOT_WAIT;
}

static void first_goes_on(struct serve *s, const struct line *l)
{
	if (l->first)
		rouse(s, l->first);
}

enum slot serve_take_slot(struct serve *s, struct job *j, struct instance **ret,
			  struct instance **ret_victim)
{
	struct function *f = j->function;
	if (f->ninstances - f->nidle >= f->concurrency)
		return wait_in(s, &f->waiting, j);
	*ret = function_take_idle(f);
	if (*ret)
		return SLOT_HAVE;
	if (f->ninstances >= function_share(s))
		return wait_in(s, &f->waiting, j);
	if (s->nslots == s->slots_max && !(*ret_victim = steal_idle(s)))
		return wait_in(s, &s->starved, j);
	s->nslots++;
	f->ninstances++;
	return SLOT_NEW;
}

void serve_slot_failed(struct serve *s, struct function *f)
{
	serve_drop_instance(s, f);
	serve_instance_came_free(s, f);
}

void serve_drop_instance(struct serve *s, struct function *f)
{
	ENSURE(f->ninstances > 0 && s->nslots > 0);
	f->ninstances--;
	s->nslots--;
}

void serve_instance_came_free(struct serve *s, struct function *f)
{
	first_goes_on(s, &f->waiting);
	first_goes_on(s, &s->starved);
}

/* ---- messages ---- */

int serve_send_hello(struct serve *s)
{
	uint8_t packet[128];
	struct wr w = wr_into(packet, sizeof(packet));
	const struct ipc_hello m = { .version = AOT_ABI_VERSION, .workers = s->nworkers };
	return ipc_put_hello(&w, &m) ? ipc_send(s->sock, &w, NULL, 0, true) : -EMSGSIZE;
}

int serve_send_loaded(struct serve *s, uint32_t handle, int err, const char *why, bool is_reactor)
{
	uint8_t packet[2048];
	struct wr w = wr_into(packet, sizeof(packet));
	const struct ipc_loaded m = { .function = handle,
				      .err = err,
				      .is_reactor = is_reactor,
				      .why = { (const uint8_t *)why, strlen(why) } };
	return ipc_put_loaded(&w, &m) ? ipc_send(s->sock, &w, NULL, 0, true) : -EMSGSIZE;
}
