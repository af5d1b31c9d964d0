/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the event path: path.c (wiring), path_status.c (what it tells). */
#ifndef GATEWAY_PATH_IMPL_H
#define GATEWAY_PATH_IMPL_H

#include <stdatomic.h>

#include "gateway/binding.h"
#include "gateway/dispatch.h"
#include "gateway/path.h"
#include "proto/kinds.h"
#include "triggers/led.h"
#include "triggers/limiter.h"
#include "triggers/modbus.h"
#include "triggers/revpi.h"
#include "triggers/trigger.h"

enum { SOURCES_MAX = 64 };

/* What events come from: one instance of a trigger. Brokers are there from the start, what is not a broker from its
 * first binding on; until the end. */
struct path_source {
	struct path *path;
	const struct kind *kind;
	char name[64]; /* the broker's or section's; the kind's, where that has one */
	const struct config_broker *config; /* of a broker, else NULL */
	struct trigger *trigger;
	struct trigger *direct; /* of a broker: from function to function (direct.h); else NULL */
	struct binding_table *table;
	char source[80];     /* "mqtt:NAME", "gpio", as in its events */
	struct dedupe *seen; /* of a broker; NULL: no journal */
	struct limiter duplicates;
	struct home_broker *home;  /* of a broker; NULL: none */
	struct dispatch_seat seat; /* of a trigger whose thread takes its answers itself */
};

struct binding_entry { /* the loop thread's list of all bindings */
	struct binding_entry *next;
	struct binding *binding;
	struct path_source *from;
	uint32_t route;
};

struct path {
	const struct config *config;
	struct config path_config; /* the same, with workers worked out; owns nothing */
	struct dispatch *dispatch;
	struct journal *journal; /* NULL: none */
	struct outbox *outbox;
	struct durable_store *durable;
	struct state_store *state;
	enum journal_durability durability; /* of bindings that do not say */
	struct dispatch_seat seat; /* of Paho's receiving thread, which serves all brokers */
	struct path_source *sources[SOURCES_MAX]; /* brokers first, as the configuration has them */
	unsigned nsources;
	bool started;
	struct cursors *cursors;
	struct revpi_output_config revpi; /* device NULL: nothing is bound to it */
	struct led_config leds;
	struct modbus_links *modbus; /* NULL: nothing is bound to them */
	struct trigger *outputs;     /* NULL: the configuration has none */
	struct home *home;           /* NULL: not yet, or no broker is for it */
	struct binding_entry *bindings;
	unsigned nbindings;
	uv_timer_t first_turn;
	_Atomic uint64_t received;
	_Atomic uint64_t unbound; /* received, and no binding matched */
	struct limiter unbound_lines;
};

/* path_new with another sandbox program, and perhaps without a journal. */
int path_new_with(const struct config *config, uv_loop_t *loop, const char *program, bool journaled,
		  struct path **ret_path, struct why *why) MUST_USE;
/* path_journal.c; in this order */
int path_journal_open(struct path *p, struct why *why) MUST_USE;
void path_sink_durable(struct trigger_sink *s);
int path_journal_attach(struct path *p, struct why *why) MUST_USE;
void path_journal_close(struct path *p);
/* A redelivery of what is in the journal; and what is in it now. Receiving thread. */
bool path_is_repeated(struct path_source *b, const struct event *e);
void path_remember(struct path_source *b, const struct event *e);
struct path_source *path_source_find(struct path *p, const char *kind, const char *name);
/* sources.c. The one that such a binding listens to, made if it can be. -E_UNKNOWN, -E_UNSUPPORTED */
int path_source_get(struct path *p, const char *kind, const char *name, struct path_source **ret,
		    struct why *why) MUST_USE;
/* path_outputs.c */
int path_outputs_open(struct path *p, struct why *why) MUST_USE;
bool path_outputs_text(struct path *p, struct wr *w); /* Prometheus; false: no room */
int path_outputs_attach(struct path *p, struct why *why) MUST_USE;
/* path_revpi.c */
int path_revpi_input(struct path *p, const char *name, const struct trigger_sink *sink,
		     struct trigger **ret, struct why *why) MUST_USE;
const struct revpi_output_config *path_revpi_output(struct path *p); /* NULL: no memory */
/* path_sensors.c */
int path_key_input(struct path *p, const char *name, const struct trigger_sink *sink,
		   struct trigger **ret, struct why *why) MUST_USE;
int path_sensor_input(struct path *p, const char *name, const struct trigger_sink *sink,
		      struct trigger **ret, struct why *why) MUST_USE;
int path_modbus_input(struct path *p, const char *name, const struct trigger_sink *sink,
		      struct trigger **ret, struct why *why) MUST_USE;
const struct modbus_links *path_modbus_output(struct path *p); /* NULL: no memory */
const struct led_config *path_led_output(struct path *p);
/* path_http.c */
int path_http_input(struct path *p, const char *name, const struct trigger_sink *sink,
		    struct trigger **ret, struct why *why) MUST_USE;
void path_http_open(struct path *p);
/* path_timer.c; name: the kind */
int path_timer_input(struct path *p, const char *name, const struct trigger_sink *sink,
		     struct trigger **ret, struct why *why) MUST_USE;
/* Do functions reach those bound to this broker without it? */
bool path_is_direct(const struct path_source *b);
int path_brokers_open(struct path *p, struct why *why) MUST_USE;
void path_sources_start(struct path *p); /* and those that are made later, at once */
void path_sources_deafen(struct path *p);
void path_sources_stop(struct path *p, unsigned grace_ms);
void path_sources_free(struct path *p);
/* The place in the list where it is, or the end. */
struct binding_entry **path_binding_find(struct path *p, uint64_t id);

#endif
