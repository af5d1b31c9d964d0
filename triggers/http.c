/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP thread. One turn: answers that came back go out; connections that can go on do; then it looks after the
 * event path (sink.before_sleep, which sends what was begun in this turn as one batch and polls briefly), and
 * sleeps on everything together. So a request that comes alone costs no wake-up of another thread, on its way in
 * or out, and many that come together share them.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "triggers/http_impl.h"

enum {
	EVENTS_MOST = 64,
	ACCEPTS_MOST = 64, /* in one turn */
	SWEEP_MS = 250,
	PAUSE_MIN_MS = 100,
	PAUSE_MAX_MS = 5000,
	LINES_PER_S = 5,
	DEAF_MS = 20,
	TURNED_AWAY_MOST = 32, /* who hear why at a time, beyond [http] max_connections */
};

uint64_t http_now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void http_say(struct http *h, const char *state, const char *detail)
{
	(void)pthread_mutex_lock(&h->lock);
	(void)snprintf(h->state, sizeof(h->state), "%s", state);
	(void)snprintf(h->detail, sizeof(h->detail), "%s", detail);
	(void)pthread_mutex_unlock(&h->lock);
}

void http_ready(struct http_conn *c)
{
	if (!c->is_ready)
		TAILQ_INSERT_TAIL(&c->h->ready, c, ready);
	c->is_ready = true;
}

const char *http_date(struct http *h)
{
	struct tm tm;
	time_t now = time(NULL);
	if (h->date_s != (uint64_t)now && gmtime_r(&now, &tm)) {
		static const char days[] = "SunMonTueWedThuFriSat";
		static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
		(void)snprintf(h->date, sizeof(h->date), "%.3s, %02d %.3s %d %02d:%02d:%02d GMT",
			       days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
			       1900 + tm.tm_year, tm.tm_hour, tm.tm_min, tm.tm_sec);
		h->date_s = (uint64_t)now;
	}
	return h->date;
}

static int watch(struct http *h, int fd, uint32_t events, void *what)
{
	struct epoll_event e = { .events = events, .data.ptr = what };
	return epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

/* ---- connections come ---- */

static void listen_close(struct http *h)
{
	own_fd_close(&h->listener);
	h->listener = -1;
}

/* Not now: again after a pause that grows. */
static void listen_later(struct http *h, const struct why *why)
{
	h->pause_ms = h->pause_ms ? h->pause_ms * 2 : PAUSE_MIN_MS;
	if (h->pause_ms > PAUSE_MAX_MS)
		h->pause_ms = PAUSE_MAX_MS;
	h->listen_again_ns = h->now_ns + h->pause_ms * UINT64_C(1000000);
	if (h->pause_ms == PAUSE_MIN_MS)
		LOG(LOG_WARN, "HTTP does not listen; it is tried again",
		    F_STR("reason", why->text));
	http_say(h, "waiting", why->text);
}

static void listen_try(struct http *h)
{
	struct why why = { 0 };
	if (h->listener >= 0 || h->is_deaf || h->address.len == 0 || h->now_ns < h->listen_again_ns)
		return;
	int fd = http_listen(&h->address, h->o.listen, &why);
	if (fd < 0) {
		listen_later(h, &why);
		return;
	}
	h->listener = fd;
	h->pause_ms = 0;
	if (watch(h, fd, EPOLLIN, &h->listener) < 0) {
		listen_close(h);
		return;
	}
	http_say(h, "listening", "");
	LOG(LOG_NOTE, "HTTP listens", F_STR("address", h->o.listen));
}

static const char *too_many(struct http *h, const struct http_conn *c)
{
	unsigned same = 0;
	const struct http_conn *other;
	if (h->nconns > h->o.connections)
		return "there are more connections than [http] max_connections";
	TAILQ_FOREACH(other, &h->conns, link)
	same += memcmp(&other->from, &c->from, sizeof(c->from)) == 0;
	return same > h->o.per_address
		       ? "there are more connections of this address than [http] max_per_address"
		       : NULL;
}

static void turn_away(struct http_conn *c, const char *reason)
{
	uint64_t held_back;
	if (limiter_pass(&c->h->lines, LINES_PER_S, &held_back))
		LOG(LOG_WARN, "HTTP connection turned away", F_STR("reason", reason),
		    F_U64_SOME("not_logged", held_back));
	c->closing = true;
	http_conn_refuse(c, 503, "Retry-After: 1\r\n", reason);
}

static void take_one(struct http *h, int fd, const struct sockaddr_storage *from)
{
	const int on = 1;
	struct http_conn *c = http_conn_new(h, fd, from);
	if (!c) {
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	bool flooded = h->nconns > h->o.connections + TURNED_AWAY_MOST;
	if (flooded || watch(h, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, c) < 0) {
		http_conn_free(c);
		return;
	}
	const char *reason = too_many(h, c);
	if (reason)
		turn_away(c, reason);
	http_ready(c); /* what it wants is perhaps there already */
}

static void accept_all(struct http *h)
{
	for (unsigned i = 0; i < ACCEPTS_MOST; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		int fd = accept4(h->listener, (struct sockaddr *)&from, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			take_one(h, fd, &from);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			struct why why = { 0 };
			(void)why_set(&why, -errno, "no connection can be taken: %s",
				      strerror(errno));
			listen_close(h); /* else it would be readable, and we would spin */
			listen_later(h, &why);
		}
		return;
	}
}

/* ---- time ---- */

static void sweep(struct http *h)
{
	struct http_conn *c, *next;
	if (h->now_ns < h->swept_ns + SWEEP_MS * UINT64_C(1000000))
		return;
	h->swept_ns = h->now_ns;
	for (c = TAILQ_FIRST(&h->conns); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state == CONN_HEAD && c->len == 0 && c->room) {
			free(c->room); /* idle connections cost little */
			c->room = NULL;
		}
		if (c->by_ns && h->now_ns >= c->by_ns)
			http_conn_late(c);
	}
	listen_try(h);
}

static int sleep_ms(const struct http *h)
{
	if (!TAILQ_EMPTY(&h->ready))
		return 0;
	if (h->is_deaf)
		return DEAF_MS;
	bool retries = h->listener < 0 && h->address.len > 0;
	return h->nconns > 0 || retries ? SWEEP_MS : -1;
}

/* ---- turns ---- */

static void answers_out(struct http *h)
{
	(void)pthread_mutex_lock(&h->lock);
	struct http_call *list = h->done;
	h->done = NULL;
	h->done_last = &h->done;
	(void)pthread_mutex_unlock(&h->lock);
	for (struct http_call *next; list; list = next) {
		next = list->next;
		http_call_done(list);
	}
}

static void go_on(struct http *h)
{
	struct http_conn *c, *last = TAILQ_LAST(&h->ready, http_ready_list);
	/* Those that become ready meanwhile are the next turn's, so that one cannot keep the others waiting. */
	while ((c = TAILQ_FIRST(&h->ready)) != NULL) {
		TAILQ_REMOVE(&h->ready, c, ready);
		c->is_ready = false;
		bool is_last = c == last;
		http_conn_go(c);
		if (is_last)
			break;
	}
}

/* Returns false when nothing of the sink may be called any more. */
static bool hears(struct http *h)
{
	(void)pthread_mutex_lock(&h->lock);
	bool deaf = h->deaf;
	if (deaf && !h->heard) {
		h->heard = true;
		(void)pthread_cond_broadcast(&h->turned);
	}
	(void)pthread_mutex_unlock(&h->lock);
	if (deaf && !h->is_deaf) {
		struct http_conn *c, *next;
		h->is_deaf = true;
		listen_close(h);
		for (c = TAILQ_FIRST(&h->conns); c; c = next) {
			next = TAILQ_NEXT(c, link);
			if (c->state == CONN_HEAD && c->len == 0)
				http_conn_free(c);
		}
	}
	return !deaf;
}

static bool is_over(struct http *h)
{
	(void)pthread_mutex_lock(&h->lock);
	bool over = h->stop && (h->now_ns >= h->stop_ns || (h->ncalls == 0 && h->nconns == 0));
	(void)pthread_mutex_unlock(&h->lock);
	return over;
}

/* The sandbox's socket, while answers are owed: armed anew for each sleep, since others read it too. */
static void watch_path(struct http *h, int fd)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = h };
	if (fd >= 0 && epoll_ctl(h->epoll, EPOLL_CTL_MOD, fd, &e) < 0 && errno == ENOENT)
		(void)epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &e);
}

/* May it sleep? Not when an answer came back meanwhile. */
static bool fall_asleep(struct http *h)
{
	(void)pthread_mutex_lock(&h->lock);
	h->asleep = h->done == NULL;
	bool ok = h->asleep;
	(void)pthread_mutex_unlock(&h->lock);
	return ok;
}

static void wake_up(struct http *h)
{
	(void)pthread_mutex_lock(&h->lock);
	h->asleep = false;
	(void)pthread_mutex_unlock(&h->lock);
}

static void on_conn(struct http_conn *c, uint32_t events)
{
	c->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	c->ends |= (events & EPOLLRDHUP) != 0;
	c->broken |= (events & (EPOLLERR | EPOLLHUP)) != 0;
	http_ready(c);
}

/* Returns whether the sandbox has an answer. */
static bool take_events(struct http *h, const struct epoll_event *e, int n)
{
	uint64_t count;
	bool answers = false;
	for (int i = 0; i < n; i++) {
		if (e[i].data.ptr == h)
			answers = true;
		else if (e[i].data.ptr == &h->wake)
			(void)!read(h->wake, &count, sizeof(count));
		else if (e[i].data.ptr == &h->listener)
			accept_all(h);
		else
			on_conn(e[i].data.ptr, e[i].events);
	}
	return answers;
}

static void *run(void *arg)
{
	struct http *h = arg;
	const struct trigger_sink *s = &h->trigger.sink;
	struct epoll_event e[EVENTS_MOST];
	int path = -1;
	h->now_ns = http_now_ns();
	listen_try(h);
	while (!is_over(h)) {
		answers_out(h);
		go_on(h);
		bool hearing = hears(h);
		path = hearing && s->before_sleep ? s->before_sleep(s->arg) : -1;
		int ms = fall_asleep(h) ? sleep_ms(h) : 0;
		watch_path(h, path);
		int n = epoll_wait(h->epoll, e, EVENTS_MOST, ms);
		wake_up(h);
		h->now_ns = http_now_ns();
		if (take_events(h, e, n) && path >= 0)
			s->ready(s->arg);
		sweep(h);
	}
	return NULL;
}

static void nudge(struct http *h)
{
	const uint64_t one = 1;
	(void)!write(h->wake, &one, sizeof(one));
}

/* ---- what the owner calls ---- */

static int http_subscribe(struct trigger *t, const struct trigger_route *r, struct why *why)
{
	struct http *h = (struct http *)t;
	int err = http_routes_add(&h->routes, r, why);
	atomic_store(&h->nroutes, h->routes.n);
	return err;
}

static void http_unsubscribe(struct trigger *t, uint32_t route)
{
	struct http *h = (struct http *)t;
	http_routes_remove(&h->routes, route);
	atomic_store(&h->nroutes, h->routes.n);
}

static int http_publish(struct trigger *t, const struct trigger_message *m, unsigned n)
{
	(void)t;
	(void)m;
	(void)n;
	return -E_UNSUPPORTED; /* answers go the way of event_caller */
}

static void http_status(struct trigger *t, struct trigger_status *ret)
{
	static const char *const states[] = { "listening", "waiting", "stopped" };
	struct http *h = (struct http *)t;
	*ret = (struct trigger_status){ .state = "stopped" };
	(void)pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		if (strcmp(states[i], h->state) == 0)
			ret->state = states[i];
	(void)snprintf(ret->detail, sizeof(ret->detail), "%s", h->detail);
	(void)pthread_mutex_unlock(&h->lock);
	ret->subscriptions = atomic_load(&h->nroutes);
	ret->received = atomic_load(&h->received);
	ret->published = atomic_load(&h->published);
	ret->dropped = atomic_load(&h->dropped);
}

static bool http_route_status(struct trigger *t, uint32_t route, struct why *ret)
{
	struct http *h = (struct http *)t;
	struct trigger_status s;
	http_status(t, &s);
	if (strcmp(s.state, "listening") != 0) {
		(void)why_set(ret, -E_GONE, "%s", s.detail);
		return false;
	}
	return http_routes_well(&h->routes, route, ret);
}

static void http_start(struct trigger *t)
{
	struct http *h = (struct http *)t;
	int err = h->address.len ? pthread_create(&h->thread, NULL, run, h) : 0;
	h->has_thread = err == 0 && h->address.len;
	if (err != 0)
		http_say(h, "stopped", "no thread can be started");
}

static void http_deafen(struct trigger *t)
{
	struct http *h = (struct http *)t;
	if (!h->has_thread)
		return;
	(void)pthread_mutex_lock(&h->lock);
	h->deaf = true;
	(void)pthread_mutex_unlock(&h->lock);
	nudge(h);
	(void)pthread_mutex_lock(&h->lock);
	while (!h->heard)
		(void)pthread_cond_wait(&h->turned, &h->lock);
	(void)pthread_mutex_unlock(&h->lock);
}

static void http_stop(struct trigger *t, unsigned grace_ms)
{
	struct http *h = (struct http *)t;
	http_deafen(t);
	(void)pthread_mutex_lock(&h->lock);
	h->stop = true;
	h->stop_ns = http_now_ns() + grace_ms * UINT64_C(1000000);
	(void)pthread_mutex_unlock(&h->lock);
	nudge(h);
}

static void http_free(struct trigger *t)
{
	struct http *h = (struct http *)t;
	struct http_conn *c;
	struct http_call *call;
	if (h->has_thread) {
		http_stop(t, 0);
		(void)pthread_join(h->thread, NULL);
	}
	while ((c = TAILQ_FIRST(&h->conns)) != NULL)
		http_conn_free(c);
	while ((call = TAILQ_FIRST(&h->calls)) != NULL)
		http_call_free(call);
	own_fd_close(&h->listener);
	own_fd_close(&h->epoll);
	own_fd_close(&h->wake);
	http_routes_fini(&h->routes);
	http_token_fini(&h->token);
	(void)pthread_mutex_destroy(&h->lock);
	(void)pthread_cond_destroy(&h->turned);
	free((void *)h->o.listen);
	free(h);
}

static const struct trigger_ops ops = {
	.kind = "http",
	.subscribe = http_subscribe,
	.unsubscribe = http_unsubscribe,
	.publish = http_publish,
	.status = http_status,
	.route_status = http_route_status,
	.start = http_start,
	.deafen = http_deafen,
	.stop = http_stop,
	.free = http_free,
};

static int open_all(struct http *h, struct why *why)
{
	int err = *h->o.listen ? http_listen_check(h->o.listen, h->o.insecure, why) : 0;
	if (err == 0 && *h->o.listen)
		err = http_address_read(h->o.listen, &h->address, why);
	if (err < 0)
		return err;
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->epoll < 0 || h->wake < 0 || watch(h, h->wake, EPOLLIN, &h->wake) < 0)
		return why_set(why, -errno, "no descriptors for HTTP: %s", strerror(errno));
	return 0;
}

int http_new(const struct http_options *o, const struct trigger_sink *sink, struct trigger **ret,
	     struct why *why)
{
	struct http *h = calloc(1, sizeof(*h));
	if (!h)
		return why_set(why, -ENOMEM, "out of memory");
	h->trigger = (struct trigger){ .ops = &ops, .name = "http", .sink = *sink };
	h->o = *o;
	h->epoll = h->wake = h->listener = -1;
	h->done_last = &h->done;
	TAILQ_INIT(&h->conns);
	TAILQ_INIT(&h->ready);
	TAILQ_INIT(&h->calls);
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_cond_init(&h->turned, NULL);
	int err = http_routes_init(&h->routes);
	h->o.listen = strdup(o->listen);
	if (err == 0 && (!h->o.listen || http_token_init(&h->token, o->token_file) < 0))
		err = -ENOMEM;
	h->o.token_file = NULL; /* token has it */
	if (err < 0)
		(void)why_set(why, err, "out of memory");
	else
		err = open_all(h, why);
	if (err < 0) {
		http_free(&h->trigger);
		return err;
	}
	if (h->address.len == 0)
		http_say(h, "stopped",
			 "HTTP is off: set listen = 127.0.0.1:8080 in [http] of the configuration");
	else
		http_say(h, "waiting", "it has not been started yet");
	*ret = &h->trigger;
	return 0;
}
