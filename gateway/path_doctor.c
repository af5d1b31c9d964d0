/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong on the way of events. */
#include <inttypes.h>
#include <string.h>

#include "gateway/doctor.h"
#include "gateway/outbox.h"
#include "gateway/path_impl.h"
#include "triggers/outputs.h"

enum { NAME_BYTES = 160, TEXT_BYTES = 512 };

static void look_at_broker(struct path_source *b, json_t *list)
{
	struct trigger_status s;
	char text[TEXT_BYTES];
	b->trigger->ops->status(b->trigger, &s);
	if (*b->config->url == '\0') {
		doctor_say(list, "broker", b->name, DOCTOR_WARNING, "no url, so no messages come",
			   "set url = tcp://HOST:1883 in [mqtt] of the configuration");
		return;
	}
	bool fine = strcmp(s.state, "connected") == 0 && s.pending == 0;
	(void)snprintf(text, sizeof(text), "%s, %s%s%s", b->config->url, s.state,
		       s.detail[0] ? ": " : "", s.detail);
	doctor_say(list, "broker", b->name, fine ? DOCTOR_OK : DOCTOR_ERROR, text,
		   fine ? "" : "is it running, is the address right? penstock logs says more");
}

static void look_at_thing(struct path_source *b, json_t *list)
{
	struct trigger_status s;
	b->trigger->ops->status(b->trigger, &s);
	doctor_say(list, b->kind->name, b->name, s.detail[0] ? DOCTOR_ERROR : DOCTOR_OK,
		   s.detail[0] ? s.detail : s.state, "");
}

/* Its function, and what it listens to. */
static void look_at_binding(struct path *p, const struct binding_entry *e, json_t *list)
{
	const struct binding *b = e->binding;
	struct trigger *t = e->from->trigger;
	struct dispatch_function f;
	struct why why = { 0 };
	char name[NAME_BYTES];
	(void)snprintf(name, sizeof(name), "%" PRIu64 " %s: %.*s -> %.*s", b->id,
		       e->from->kind->name, (int)(b->filter.len > 60 ? 60 : b->filter.len),
		       (const char *)b->filter.at, (int)b->function.len,
		       (const char *)b->function.at);
	if (dispatch_function_status(p->dispatch, (const char *)b->function.at, &f) < 0)
		doctor_say(list, "binding", name, DOCTOR_ERROR, "its function is not deployed",
			   b->id < CONFIG_BINDING_IDS
				   ? "penstock deploy, or penstock unbind"
				   : "penstock deploy, or take the binding out of its file and "
				     "penstock reload");
	else if (strcmp(f.state, "active") != 0)
		doctor_say(list, "binding", name, DOCTOR_ERROR, f.reason,
			   "deploy the function again, or roll it back");
	else if (t->ops->route_status && !t->ops->route_status(t, e->route, &why))
		doctor_say(list, "binding", name, DOCTOR_ERROR, why.text, "");
	else
		doctor_say(list, "binding", name, DOCTOR_OK, "listens", "");
}

static void look_at_journal(struct path *p, json_t *list)
{
	struct journal_status s;
	char text[TEXT_BYTES];
	if (!p->journal)
		return;
	journal_status(p->journal, &s);
	bool fine = strcmp(s.state, "ok") == 0;
	(void)snprintf(text, sizeof(text), "%" PRIu64 " events wait%s%s", s.open,
		       fine ? "" : "; it cannot be written: ", fine ? "" : s.reason);
	doctor_say(list, "journal", "journal.db", fine ? DOCTOR_OK : DOCTOR_ERROR, text,
		   fine ? "" : "until then events of QoS 1 and 2 are left with their source");
	if (s.dead == 0)
		return;
	(void)snprintf(text, sizeof(text), "%" PRIu64 " events could not be handled", s.dead);
	doctor_say(list, "journal", "dead letters", DOCTOR_WARNING, text,
		   "penstock events --state dead, then penstock events retry or drop");
}

static void look_at_sandbox(struct path *p, json_t *list)
{
	struct dispatch_status d;
	char text[TEXT_BYTES];
	dispatch_status(p->dispatch, &d);
	bool fine = strcmp(d.sandbox.state, "up") == 0;
	(void)snprintf(text, sizeof(text), "%s, restarts: %u%s%.300s", d.sandbox.state,
		       d.sandbox.restarts, d.sandbox.last_death[0] ? ", last: " : "",
		       d.sandbox.last_death);
	doctor_say(list, "sandbox", "penstock-sandbox",
		   !fine                    ? DOCTOR_ERROR
		   : d.sandbox.restarts > 0 ? DOCTOR_WARNING
					    : DOCTOR_OK,
		   text, fine ? "" : "penstock logs says why it does not start");
}

static void look_at_output(struct path *p, unsigned i, uint64_t look, json_t *list)
{
	struct output_status s;
	struct why why = { 0 };
	char name[NAME_BYTES], text[TEXT_BYTES];
	outputs_status(p->outputs, i, &s);
	(void)snprintf(name, sizeof(name), "%s (%s %.80s)", s.name, s.kind, s.target);
	int err = 0;
	bool looked = outputs_looked(p->outputs, i, look, &err, &why);
	(void)snprintf(text, sizeof(text), "%s%s", *s.value ? "set to " : "not set yet", s.value);
	if (err < 0)
		doctor_say(list, "output", name, DOCTOR_ERROR, why_text(&why, err),
			   s.waits ? "a value waits for it, and is set when it is back" : "");
	else if (!s.ok)
		doctor_say(list, "output", name, DOCTOR_ERROR, s.detail, "");
	else if (!looked)
		doctor_say(list, "output", name, DOCTOR_WARNING, "its device was not looked at yet",
			   "it, or one before it, does not answer; ask again");
	else
		doctor_say(list, "output", name, DOCTOR_OK, text, "");
}

void path_doctor(struct path *p, uint64_t look, json_t *list)
{
	look_at_sandbox(p, list);
	look_at_journal(p, list);
	for (unsigned i = 0; i < p->nsources; i++) {
		if (p->sources[i]->config)
			look_at_broker(p->sources[i], list);
		else
			look_at_thing(p->sources[i], list);
	}
	for (const struct binding_entry *e = p->bindings; e; e = e->next)
		look_at_binding(p, e, list);
	for (unsigned i = 0; p->outputs && i < outputs_count(p->outputs); i++)
		look_at_output(p, i, look, list);
}
