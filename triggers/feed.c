/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/feed.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

static struct feed *feed_of(struct trigger *t)
{
	return (struct feed *)t;
}

static const struct feed_ops *ops_of(const struct feed *f)
{
	return (const struct feed_ops *)f->base.ops;
}

uint64_t feed_now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t feed_pause_ns(unsigned failures)
{
	uint64_t ms = FEED_PAUSE_MIN_MS;
	while (failures-- > 1 && ms < FEED_PAUSE_MAX_MS)
		ms *= 2;
	return (ms < FEED_PAUSE_MAX_MS ? ms : FEED_PAUSE_MAX_MS) * 1000000u;
}

static void wake(struct feed *f)
{
	const uint64_t one = 1;
	(void)!write(f->wake_fd, &one, sizeof(one)); /* full is awake, too */
}

/* ---- routes ---- */

static void route_unref(struct feed *f, struct feed_route *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	if (ops_of(f)->drop)
		ops_of(f)->drop(r);
	free(r->filter);
	free(r);
}

int feed_subscribe(struct trigger *t, const struct trigger_route *r, struct why *why)
{
	struct feed *f = feed_of(t);
	(void)pthread_mutex_lock(&f->lock);
	const struct feed_route *old = f->routes;
	while (old && old->id != r->id)
		old = old->next;
	(void)pthread_mutex_unlock(&f->lock);
	if (old) /* only its QoS can have changed, which things do not have */
		return 0;
	struct feed_route *new = calloc(1, ops_of(f)->route_bytes);
	if (new) {
		atomic_init(&new->refs, 1);
		new->id = r->id;
		new->filter = strndup((const char *)r->filter.at, r->filter.len);
	}
	int err = new &&new->filter ? 0 : why_set(why, -ENOMEM, "out of memory");
	if (err == 0 && strlen(new->filter) != r->filter.len)
		err = why_set(why, -E_INVALID, "a name holds a NUL");
	if (err == 0)
		err = ops_of(f)->read(f, new, r, why);
	if (err < 0) {
		if (new)
			route_unref(f, new);
		return err;
	}
	(void)pthread_mutex_lock(&f->lock);
	struct feed_route **at = &f->routes;
	while (*at)
		at = &(*at)->next;
	*at = new;
	f->changed = true;
	(void)pthread_mutex_unlock(&f->lock);
	wake(f);
	return 0;
}

void feed_unsubscribe(struct trigger *t, uint32_t route)
{
	struct feed *f = feed_of(t);
	(void)pthread_mutex_lock(&f->lock);
	struct feed_route **at = &f->routes;
	while (*at && (*at)->id != route)
		at = &(*at)->next;
	struct feed_route *old = *at;
	if (old) {
		*at = old->next;
		f->changed = true;
	}
	(void)pthread_mutex_unlock(&f->lock);
	if (old) {
		if (old->cursor_name.len && f->base.sink.forget)
			f->base.sink.forget(f->base.sink.arg, old->cursor_name);
		route_unref(f, old);
		wake(f);
	}
}

bool feed_changed(struct feed *f, struct feed_route ***ret)
{
	(void)pthread_mutex_lock(&f->lock);
	bool changed = f->changed;
	size_t n = 0;
	for (const struct feed_route *r = f->routes; r; r = r->next)
		n++;
	struct feed_route **list = changed ? calloc(n + 1, sizeof(*list)) : NULL;
	n = 0;
	for (struct feed_route *r = f->routes; list && r; r = r->next) {
		atomic_fetch_add(&r->refs, 1);
		list[n++] = r;
	}
	f->changed = false;
	(void)pthread_mutex_unlock(&f->lock);
	if (changed)
		*ret = list;
	return changed;
}

void feed_drop(struct feed *f, struct feed_route **list)
{
	for (size_t i = 0; list && list[i]; i++)
		route_unref(f, list[i]);
	free(list);
}

/* ---- states ---- */

/* Logged when it changes: the thread is who decides. */
static void say(struct feed *f, struct feed_route *r, bool ok, const char *text)
{
	(void)pthread_mutex_lock(&f->lock);
	bool is_new = !r->said || r->ok != ok || strcmp(r->why.text, text) != 0;
	bool was_away = r->said && !r->ok;
	r->said = true;
	r->ok = ok;
	(void)snprintf(r->why.text, sizeof(r->why.text), "%s", text);
	(void)pthread_mutex_unlock(&f->lock);
	if (is_new && !ok)
		LOG(LOG_WARN, "waiting for it", F_STR("source", f->source),
		    F_STR("what", r->filter), F_STR("why", text));
	else if (is_new && was_away)
		LOG(LOG_INFO, "it is there", F_STR("source", f->source), F_STR("what", r->filter));
}

void feed_says_ok(struct feed *f, struct feed_route *r)
{
	say(f, r, true, "");
}

void feed_says(struct feed *f, struct feed_route *r, const char *fmt, ...)
{
	struct why why;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(why.text, sizeof(why.text), fmt, ap);
	va_end(ap);
	say(f, r, false, why.text);
}

bool feed_route_status(struct trigger *t, uint32_t route, struct why *ret)
{
	struct feed *f = feed_of(t);
	(void)pthread_mutex_lock(&f->lock);
	const struct feed_route *r = f->routes;
	while (r && r->id != route)
		r = r->next;
	bool ok = r && r->said && r->ok;
	*ret = r ? r->why : (struct why){ "it is not bound" };
	if (r && !r->said)
		(void)snprintf(ret->text, sizeof(ret->text), "it is being looked for");
	(void)pthread_mutex_unlock(&f->lock);
	return ok;
}

void feed_status(struct trigger *t, struct trigger_status *ret)
{
	struct feed *f = feed_of(t);
	*ret = (struct trigger_status){ .received = atomic_load(&f->received),
					.dropped = atomic_load(&f->dropped),
					.missed = atomic_load(&f->missed) };
	(void)pthread_mutex_lock(&f->lock);
	for (const struct feed_route *r = f->routes; r; r = r->next) {
		ret->subscriptions++;
		if (r->said && r->ok)
			continue;
		if (ret->pending++ == 0)
			(void)snprintf(ret->detail, sizeof(ret->detail), "%.255s", r->why.text);
	}
	(void)pthread_mutex_unlock(&f->lock);
	ret->state = !f->started || feed_stopping(f) ? "stopped"
		     : ret->pending                  ? "waiting"
						     : "connected";
}

/* ---- the thread ---- */

bool feed_stopping(const struct feed *f)
{
	return atomic_load(&f->stopping);
}

bool feed_wait(struct feed *f, struct pollfd *fds, unsigned nfds, uint64_t until_ns)
{
	uint64_t now = feed_now_ns(), left = until_ns > now ? until_ns - now : 0, bell;
	const struct timespec t = { .tv_sec = (time_t)(left / 1000000000u),
				    .tv_nsec = (long)(left % 1000000000u) };
	fds[0] = (struct pollfd){ .fd = f->wake_fd, .events = POLLIN };
	if (ppoll(fds, nfds, until_ns ? &t : NULL, NULL) <= 0) {
		for (unsigned i = 0; i < nfds; i++)
			fds[i].revents = 0;
	}
	if (fds[0].revents)
		(void)!read(f->wake_fd, &bell, sizeof(bell));
	return !feed_stopping(f);
}

int feed_event(struct feed *f, const struct feed_route *r, const char *what, const char *payload,
	       const struct event_attr *attrs, unsigned nattrs)
{
	struct timespec wall;
	char type[64];
	const char *content = ops_of(f)->content_type ? ops_of(f)->content_type : "text/plain";
	int n = snprintf(type, sizeof(type), "%s.%s", ops_of(f)->type, what), err = 0;
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	const struct event e = {
		.arrived_ns = feed_now_ns(),
		.time_wall_ms = (uint64_t)wall.tv_sec * 1000u + (uint64_t)wall.tv_nsec / 1000000u,
		.source = { (const uint8_t *)f->source, strlen(f->source) },
		.type = { (const uint8_t *)type, (size_t)n },
		.topic = { (const uint8_t *)r->filter, strlen(r->filter) },
		.payload = { (const uint8_t *)payload, strlen(payload) },
		.content_type = { (const uint8_t *)content, strlen(content) },
		.qos = 1,
		.nattrs = nattrs,
		.attrs = attrs,
		.cursor_name = r->cursor_name,
		.cursor = r->cursor,
	};
	(void)pthread_mutex_lock(&f->sink_lock);
	if (!f->deaf)
		err = f->base.sink.event(f->base.sink.arg, &e, &r->id, 1, false);
	(void)pthread_mutex_unlock(&f->sink_lock);
	atomic_fetch_add(err == 0 ? &f->received : &f->dropped, 1);
	return err;
}

static void *thread_main(void *arg)
{
	struct feed *f = arg;
	ops_of(f)->run(f);
	return NULL;
}

/* ---- begin and end ---- */

int feed_publish(struct trigger *t, const struct trigger_message *m, unsigned n)
{
	(void)t, (void)m, (void)n;
	return -E_UNSUPPORTED; /* messages go to brokers and outputs */
}

void feed_start(struct trigger *t)
{
	struct feed *f = feed_of(t);
	int err = pthread_create(&f->thread, NULL, thread_main, f);
	f->started = err == 0;
	if (err)
		LOG(LOG_ERR, "no thread for a trigger", F_STR("source", f->source), F_ERR(-err));
}

void feed_deafen(struct trigger *t)
{
	struct feed *f = feed_of(t);
	(void)pthread_mutex_lock(&f->sink_lock);
	f->deaf = true;
	(void)pthread_mutex_unlock(&f->sink_lock);
}

void feed_stop(struct trigger *t, unsigned grace_ms)
{
	struct feed *f = feed_of(t);
	(void)grace_ms;
	feed_deafen(t);
	atomic_store(&f->stopping, true);
	wake(f);
}

void feed_free(struct trigger *t)
{
	struct feed *f = feed_of(t);
	if (!f)
		return;
	feed_stop(t, 0);
	if (f->started)
		(void)pthread_join(f->thread, NULL);
	if (ops_of(f)->fini)
		ops_of(f)->fini(f);
	for (struct feed_route *r; (r = f->routes);) {
		f->routes = r->next;
		route_unref(f, r);
	}
	(void)close(f->wake_fd);
	(void)pthread_mutex_destroy(&f->lock);
	(void)pthread_mutex_destroy(&f->sink_lock);
	free(f);
}

int feed_new(const struct feed_ops *ops, size_t bytes, const char *name,
	     const struct trigger_sink *sink, struct feed **ret, struct why *why)
{
	struct feed *f = calloc(1, bytes);
	if (!f)
		return why_set(why, -ENOMEM, "out of memory");
	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->wake_fd < 0) {
		int err = why_set(why, -errno, "no descriptor for a trigger: %s",
				  strerrordesc_np(errno));
		free(f);
		return err;
	}
	(void)pthread_mutex_init(&f->lock, NULL);
	(void)pthread_mutex_init(&f->sink_lock, NULL);
	f->base = (struct trigger){ &ops->trigger, name ? name : ops->trigger.kind, *sink };
	(void)snprintf(f->source, sizeof(f->source), "%s%s%s", ops->trigger.kind, name ? ":" : "",
		       name ? name : "");
	*ret = f;
	return 0;
}
