/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/outputs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/kinds.h"
#include "triggers/gpio.h"
#include "triggers/led.h"
#include "triggers/modbus.h"
#include "triggers/outputs_impl.h"
#include "triggers/revpi.h"

/* A further kind: its row here, its options in proto/kinds.def. */
static const struct output_ops *const output_kinds[] = {
	&output_gpio, &output_io, &output_led, &output_modbus, NULL,
};

static const char reason_unknown[] = "the configuration has no output of this name (any more)",
		  reason_long[] = "the value is too long for an output";

uint64_t outputs_now_ns(void)
{
	struct timespec ts;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct outputs *of(struct trigger *t)
{
	return (struct outputs *)t;
}

static void wake(struct outputs *t)
{
	const uint64_t one = 1;
	(void)!write(t->wake_fd, &one, sizeof(one));
}

/* ---- lines ---- */

static struct wish *wish_new(enum wish_kind what, const char *function, struct span value)
{
	struct wish *w = calloc(1, sizeof(*w) + value.len);
	if (!w)
		return NULL;
	w->what = what;
	w->len = value.len;
	(void)snprintf(w->function, sizeof(w->function), "%s", function ? function : "");
	if (value.len)
		memcpy(w->value, value.at, value.len);
	return w;
}

/* o NULL: it has no output. */
void outputs_end(struct outputs *t, struct outlet *o, struct wish *w, const char *refused)
{
	if (o && w->ticket > o->status.ended)
		o->status.ended = w->ticket;
	w->refused = refused;
	w->next = NULL;
	*t->ended_last = w;
	t->ended_last = &w->next;
}

/* All but the last of its line are replaced by it. */
void outputs_newest_only(struct outputs *t, struct outlet *o)
{
	while (o->in_line > 1) {
		struct wish *w = o->line;
		o->line = w->next;
		o->in_line--;
		o->status.replaced++;
		outputs_end(t, o, w, NULL);
	}
}

void outputs_line_add(struct outputs *t, struct outlet *o, struct wish *w)
{
	w->next = NULL;
	*o->line_last = w;
	o->line_last = &w->next;
	o->in_line++;
	if (o->failures > 0 || o->in_line > OUTPUT_LINE_MAX)
		outputs_newest_only(t, o);
}

static struct outlet *outlet_named(struct outputs *t, struct span name)
{
	for (unsigned i = 0; i < t->n; i++) {
		if (span_eq(name, t->config[i].name))
			return &t->outlet[i];
	}
	return NULL;
}

static struct outlet *outlet_of(struct outputs *t, struct span topic)
{
	struct span name;
	return output_of_topic(topic, &name) ? outlet_named(t, name) : NULL;
}

int outputs_find(struct trigger *base, struct span name, unsigned *ret_i, struct why *why)
{
	struct outputs *t = of(base);
	const struct outlet *o = outlet_named(t, name);
	if (!o)
		return why_set(why, -E_UNKNOWN,
			       "the configuration has no output \"%.*s\" (penstock outputs lists "
			       "them): add [output.%.*s]",
			       (int)(name.len > 64 ? 64 : name.len), (const char *)name.at,
			       (int)(name.len > 64 ? 64 : name.len), (const char *)name.at);
	*ret_i = (unsigned)(o - t->outlet);
	return 0;
}

/* ---- what is asked of them ---- */

static void free_wishes(struct wish *list)
{
	for (struct wish *next; list; list = next) {
		next = list->next;
		free(list);
	}
}

static int publish_refused(const struct outputs *t, const struct trigger_message *m)
{
	struct why why = { 0 };
	unsigned i;
	struct span name = { 0 };
	int err = output_of_topic(m->topic, &name)
			  ? outputs_find((struct trigger *)(uintptr_t)t, name, &i, &why)
			  : -E_INVALID;
	if (err == 0 && m->payload.len > OUTPUT_VALUE_MAX)
		err = why_set(&why, -E_INVALID, reason_long);
	if (err < 0)
		LOG(LOG_WARN, "output not set",
		    F_BYTES("topic", m->topic.at, m->topic.len < 256 ? m->topic.len : 256),
		    F_STR("function", m->function ? m->function : ""),
		    F_STR("reason", why_text(&why, err)));
	return err < 0 ? -E_INVALID : 0;
}

static int publish(struct trigger *base, const struct trigger_message *m, unsigned n)
{
	struct outputs *t = of(base);
	struct wish *list = NULL, **last = &list;
	for (unsigned i = 0; i < n; i++) {
		int err = publish_refused(t, &m[i]);
		*last = err == 0 ? wish_new(WISH_SET, m[i].function, m[i].payload) : NULL;
		if (!*last) {
			free_wishes(list);
			return err < 0 ? err : -ENOMEM;
		}
		last = &(*last)->next;
	}
	(void)pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < n; i++) {
		struct wish *w = list;
		list = w->next;
		outputs_line_add(t, outlet_of(t, m[i].topic), w);
	}
	(void)pthread_mutex_unlock(&t->lock);
	wake(t);
	return 0;
}

/* What is refused here is told by the thread, as all: the caller holds its own locks. */
static int send_one(struct trigger *base, const struct trigger_message *m)
{
	struct outputs *t = of(base);
	struct outlet *o = outlet_of(t, m->topic);
	bool fits = m->payload.len <= OUTPUT_VALUE_MAX;
	struct wish *w = wish_new(WISH_SET, m->function, fits ? m->payload : (struct span){ 0 });
	if (!w)
		return -EAGAIN; /* tried again by the outbox's tick */
	w->token = m->token;
	(void)pthread_mutex_lock(&t->lock);
	if (o && fits)
		outputs_line_add(t, o, w);
	else
		outputs_end(t, o, w, o ? reason_long : reason_unknown);
	(void)pthread_mutex_unlock(&t->lock);
	wake(t);
	return 0;
}

int outputs_set(struct trigger *base, unsigned i, struct span value, uint64_t *ret_ticket,
		struct why *why)
{
	struct outputs *t = of(base);
	struct outlet *o = &t->outlet[i];
	if (value.len > OUTPUT_VALUE_MAX)
		return why_set(why, -E_LIMIT, "the value has more than %d bytes", OUTPUT_VALUE_MAX);
	struct wish *w = wish_new(WISH_SET, NULL, value);
	if (!w)
		return why_set(why, -ENOMEM, "out of memory");
	(void)pthread_mutex_lock(&t->lock);
	*ret_ticket = w->ticket = ++o->tickets;
	outputs_line_add(t, o, w);
	(void)pthread_mutex_unlock(&t->lock);
	wake(t);
	return 0;
}

/* ---- a function that is quarantined ---- */

/* What of it waits is dropped. */
static void drop_of(struct outputs *t, struct outlet *o, const char *function)
{
	struct wish **at = &o->line;
	while (*at) {
		struct wish *w = *at;
		if (strcmp(w->function, function) != 0) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		o->in_line--;
		o->status.replaced++;
		outputs_end(t, o, w, NULL);
	}
	o->line_last = at;
}

void outputs_release(struct trigger *base, const char *function)
{
	struct outputs *t = of(base);
	(void)pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < t->n; i++) {
		struct outlet *o = &t->outlet[i];
		drop_of(t, o, function);
		const char *owner = o->busy ? o->doing : o->status.function;
		if (o->line || strcmp(owner, function) != 0)
			continue; /* it is another's, or will be */
		struct wish *w = wish_new(WISH_SAFE, NULL, (struct span){ 0 });
		if (!w)
			continue;
		LOG(LOG_WARN, "output goes to its safe state: its function is quarantined",
		    F_STR("output", o->c->name), F_STR("function", function));
		outputs_line_add(t, o, w);
	}
	(void)pthread_mutex_unlock(&t->lock);
	wake(t);
}

/* ---- what they tell ---- */

unsigned outputs_count(const struct trigger *base)
{
	return ((const struct outputs *)base)->n;
}

void outputs_status(struct trigger *base, unsigned i, struct output_status *ret)
{
	struct outputs *t = of(base);
	(void)pthread_mutex_lock(&t->lock);
	*ret = t->outlet[i].status;
	ret->waits = t->outlet[i].line || t->outlet[i].busy;
	(void)pthread_mutex_unlock(&t->lock);
}

uint64_t outputs_look(struct trigger *base)
{
	struct outputs *t = of(base);
	(void)pthread_mutex_lock(&t->lock);
	uint64_t look = ++t->looks;
	(void)pthread_mutex_unlock(&t->lock);
	wake(t);
	return look;
}

bool outputs_looked(struct trigger *base, unsigned i, uint64_t look, int *ret_err, struct why *ret)
{
	struct outputs *t = of(base);
	const struct outlet *o = &t->outlet[i];
	(void)pthread_mutex_lock(&t->lock);
	bool done = o->looked >= look;
	if (done) {
		*ret_err = o->seen_err;
		*ret = o->seen;
	}
	(void)pthread_mutex_unlock(&t->lock);
	return done;
}

static void status(struct trigger *base, struct trigger_status *ret)
{
	struct outputs *t = of(base);
	*ret = (struct trigger_status){ .state = t->has_thread ? "running" : "stopped" };
	(void)pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i < t->n; i++) {
		ret->published += t->outlet[i].status.set;
		ret->dropped += t->outlet[i].status.refused;
		ret->queued += t->outlet[i].in_line + t->outlet[i].busy;
	}
	(void)pthread_mutex_unlock(&t->lock);
}

static int subscribe(struct trigger *base, const struct trigger_route *r, struct why *why)
{
	(void)base;
	(void)r;
	return why_set(why, -E_UNSUPPORTED, "nothing comes from outputs");
}

static void unsubscribe(struct trigger *base, uint32_t route)
{
	(void)base;
	(void)route;
}

/* ---- begin and end ---- */

static void start(struct trigger *base)
{
	struct outputs *t = of(base);
	t->has_thread = pthread_create(&t->thread, NULL, outputs_run, t) == 0;
	if (!t->has_thread)
		LOG(LOG_ERR, "no thread for the outputs: none of them can be set");
}

static void deafen(struct trigger *base)
{
	struct outputs *t = of(base);
	(void)pthread_mutex_lock(&t->sink_lock);
	t->deaf = true;
	(void)pthread_mutex_unlock(&t->sink_lock);
}

/* What has a token is the outbox's, which brings it again at the next start. */
static void leave_to_outbox(struct outlet *o)
{
	struct wish **at = &o->line;
	while (*at) {
		struct wish *w = *at;
		if (w->token == 0) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		o->in_line--;
		free(w);
	}
	o->line_last = at;
}

static void stop(struct trigger *base, unsigned grace_ms)
{
	struct outputs *t = of(base);
	deafen(base);
	(void)pthread_mutex_lock(&t->lock);
	t->stop = true;
	t->stop_ns = outputs_now_ns() + grace_ms * UINT64_C(1000000);
	for (unsigned i = 0; i < t->n; i++)
		leave_to_outbox(&t->outlet[i]);
	(void)pthread_mutex_unlock(&t->lock);
	wake(t);
}

static void outputs_free(struct trigger *base)
{
	struct outputs *t = of(base);
	if (t->has_thread) {
		if (!t->stop)
			stop(base, 0);
		(void)pthread_join(t->thread, NULL);
	}
	guard_stop(t->guard, true);
	for (unsigned i = 0; i < t->n; i++) {
		struct outlet *o = &t->outlet[i];
		leave_to_outbox(o);
		if (o->line)
			LOG(LOG_WARN, "values for an output were not set before the end",
			    F_STR("output", o->c->name), F_U64("values", o->in_line));
		free_wishes(o->line);
		if (o->o)
			o->ops->close(o->o);
	}
	free_wishes(t->ended);
	if (t->wake_fd >= 0)
		(void)close(t->wake_fd);
	(void)pthread_mutex_destroy(&t->lock);
	(void)pthread_mutex_destroy(&t->sink_lock);
	free(t->guard_program);
	free(t);
}

static const struct trigger_ops outputs_ops = {
	.kind = "output",
	.subscribe = subscribe,
	.unsubscribe = unsubscribe,
	.publish = publish,
	.send = send_one,
	.status = status,
	.start = start,
	.deafen = deafen,
	.stop = stop,
	.free = outputs_free,
};

static void option_text(char ret[32], const struct kind_values *v, const char *name)
{
	const char *text = kind_text(v, name);
	(void)snprintf(ret, 32, "%s", strcmp(text, "keep") == 0 ? "" : text);
}

/* ---- one that makes no sense: what it is to be waits for a start with another configuration, the others work ---- */

struct wrong {
	struct output base;
	struct why reason;
};

static int wrong_say(struct output *o, int err, struct why *why)
{
	const struct wrong *w = (const struct wrong *)o;
	return why_set(why, err, "%s", w->reason.text);
}

static int wrong_set(struct output *o, struct span value, struct why *why)
{
	(void)value;
	return wrong_say(o, -EAGAIN, why);
}

static int wrong_initial(struct output *o, struct why *why)
{
	return wrong_say(o, -EAGAIN, why);
}

static int wrong_safe(struct output *o, struct why *why)
{
	(void)o, (void)why;
	return 0;
}

static int wrong_probe(struct output *o, struct why *why)
{
	return wrong_say(o, -EAGAIN, why);
}

static bool wrong_guard(struct output *o, struct guard_action *ret)
{
	(void)o, (void)ret;
	return false;
}

static void wrong_close(struct output *o)
{
	free(o);
}

static const struct output_ops wrong_ops = { .kind = "",
					     .set = wrong_set,
					     .initial = wrong_initial,
					     .safe = wrong_safe,
					     .probe = wrong_probe,
					     .guard = wrong_guard,
					     .close = wrong_close };

static int wrong_new(struct outlet *o, const struct why *reason, struct why *why)
{
	struct wrong *w = calloc(1, sizeof(*w));
	if (!w)
		return why_set(why, -ENOMEM, "out of memory");
	LOG(LOG_ERR, "output makes no sense", F_STR("output", o->c->name),
	    F_STR("reason", reason->text),
	    F_STR("hint", "mend its section of the configuration, and start again"));
	w->base.ops = &wrong_ops;
	w->reason = *reason;
	o->ops = &wrong_ops;
	o->o = &w->base;
	return 0;
}

static int outlet_open(struct outputs *t, unsigned i, const struct outputs_options *options,
		       const struct output_ops *const *ops, struct why *why)
{
	struct outlet *o = &t->outlet[i];
	const struct output_config *c = &t->config[i];
	const struct span text = { (const uint8_t *)c->options, strlen(c->options) };
	struct kind_values v;
	struct why reason = { 0 };
	o->c = c;
	o->line_last = &o->line;
	o->status = (struct output_status){
		.name = c->name, .kind = c->kind, .target = c->target, .ok = true
	};
	while (*ops && strcmp((*ops)->kind, c->kind) != 0)
		ops++;
	o->ops = *ops;
	int err = *ops ? kind_values_read(KIND_OUTPUT, c->kind, text, &v, &reason)
		       : why_set(&reason, -E_INVALID,
				 "this gateway was built without outputs of kind %s", c->kind);
	if (err == 0) {
		option_text(o->initial, &v, "initial");
		option_text(o->safe, &v, "safe");
		kind_values_free(&v);
		err = o->ops->open(
			c->target, text,
			options->kind_config ? options->kind_config(options->arg, c->kind) : NULL,
			&o->o, &reason);
	}
	if (err == -E_INVALID || err == -E_CONFIG || err == -ERANGE)
		err = wrong_new(o, &reason, why);
	if (err < 0)
		return why_set(why, err, "[output.%s]: %s", c->name, why_text(&reason, err));
	struct wish *w = wish_new(WISH_INITIAL, NULL, (struct span){ 0 });
	if (!w)
		return why_set(why, -ENOMEM, "out of memory");
	outputs_line_add(t, o, w);
	return 0;
}

int outputs_new_of(const struct outputs_options *options, const struct output_ops *const *ops,
		   const struct trigger_sink *sink, struct trigger **ret, struct why *why)
{
	struct outputs *t = calloc(1, sizeof(*t));
	if (!t)
		return why_set(why, -ENOMEM, "out of memory");
	t->base = (struct trigger){ .ops = &outputs_ops, .name = "outputs", .sink = *sink };
	t->config = options->outputs;
	t->changed = options->changed;
	t->changed_arg = options->arg;
	t->ended_last = &t->ended;
	(void)pthread_mutex_init(&t->lock, NULL);
	(void)pthread_mutex_init(&t->sink_lock, NULL);
	ENSURE(options->noutputs <= OUTPUTS_MAX); /* the configuration's bound */
	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err = t->wake_fd < 0 ? why_set(why, -errno, "an eventfd for the outputs") : 0;
	if (options->guard_program && !(t->guard_program = strdup(options->guard_program)))
		err = why_set(why, -ENOMEM, "out of memory");
	for (unsigned i = 0; err == 0 && i < options->noutputs; i++) {
		t->n = i + 1;
		err = outlet_open(t, i, options, ops, why);
	}
	if (err == 0 && t->guard_program && t->n > 0)
		err = outputs_guard_begin(t, why);
	if (err < 0) {
		outputs_free(&t->base);
		return err;
	}
	*ret = &t->base;
	return 0;
}

int outputs_new(const struct outputs_options *o, const struct trigger_sink *sink,
		struct trigger **ret, struct why *why)
{
	return outputs_new_of(o, output_kinds, sink, ret, why);
}
