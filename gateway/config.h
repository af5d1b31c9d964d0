/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/penstock/penstock.conf and conf.d (INI, libinih). Unknown sections and keys, and
 * values that make no sense, are errors with file and line. One table (config.c) names every key,
 * its type, bounds and default; `penstockd --help-config` prints it.
 */
#ifndef GATEWAY_CONFIG_H
#define GATEWAY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/rd.h"
#include "base/why.h"
#include "gateway/registry.h"
#include "triggers/modbus.h"
#include "triggers/outputs.h"

enum { CONFIG_BROKERS_MAX = 16 };

struct config_broker { /* [mqtt] = "default", or [mqtt.NAME] */
	const char *name;
	const char *url;       /* tcp://host:1883 or ssl://host:8883, also several; "" = none */
	unsigned version;      /* 3 = 3.1.1, 5 (default 5) */
	bool direct;           /* default yes; only with 5 */
	const char *client_id; /* default penstock-HOSTNAME-NAME */
	const char *username, *password_file;
	const char *ca_file, *cert_file, *key_file;
	bool verify;                /* check the server's certificate and name; default yes */
	unsigned keepalive_s;       /* default 30 */
	unsigned connect_timeout_s; /* default 10 */
	unsigned backoff_min_ms, backoff_max_ms; /* 200, 30000 */
	unsigned inflight; /* QoS 1, 2 messages not yet acknowledged; default 1000 */
	uint64_t session_expiry_s;
	const char *status_topic; /* "" = none */
	unsigned topic_aliases;
	const char *cloudevents; /* no, binary, structured */
	bool unwrap;
	const char *home_assistant; /* the prefix of its discovery, or "no" */
};

/* A binding that a file has, beside those of the registry. */
struct config_binding {
	const char *name;            /* of its section */
	const char *place;           /* "FILE:LINE" */
	struct registry_binding row; /* its id is made of the name: the same at each start */
};

enum { CONFIG_BINDINGS_MAX = 256 };
#define CONFIG_BINDING_IDS (UINT64_C(1) << 40) /* theirs begin here; the registry's stay below */

struct config_http {        /* [http] */
	const char *listen; /* "": not at all */
	bool insecure;
	uint64_t max_body;
	unsigned max_connections, max_per_address;
	unsigned header_timeout_ms, body_timeout_ms, idle_timeout_ms;
	bool invoke;
	const char *token_file;
};

struct config {
	/* [gateway] */
	const char *state_dir;   /* /var/lib/penstock */
	const char *runtime_dir; /* /run/penstock */
	const char *log_level;   /* info */
	/* [sandbox] */
	unsigned workers; /* 0 = one per core, at most 8 */
	unsigned spin_us; /* how long a busy path polls before it sleeps; default 100 */
	bool fifo;        /* order of arrival instead of earliest deadline first */
	/* [limits] */
	unsigned queue_events;       /* in flight and waiting, all functions; default 4096 */
	unsigned queue_per_function; /* default 1024 */
	uint64_t queue_bytes;        /* default 64 MiB */
	uint64_t payload_bytes;      /* default 1 MiB, at most IPC_PAYLOAD_BYTES */
	uint64_t module_bytes;       /* default 16 MiB */
	uint64_t memory_bytes, stack_bytes, output_bytes; /* most that a manifest may ask for */
	unsigned cpu_ms, deadline_ms;
	/* [compile] */
	bool reuse_objects; /* of the version before; default no */
	/* [journal] */
	const char *journal_durability; /* process, power or off: of bindings that do not say */
	uint64_t journal_bytes, journal_rows;
	uint64_t journal_keep_bytes;
	unsigned journal_keep_hours;
	uint64_t journal_dead_rows;
	const char *journal_check; /* boot, always, never */
	/* [state] of one bucket */
	uint64_t state_bytes, state_keys;
	/* [outbox] */
	uint64_t outbox_bytes, outbox_rows;
	unsigned outbox_max_age_hours;
	const char *outbox_full; /* refuse, drop_oldest */
	/* [revpi] */
	const char *revpi_device, *revpi_config_rsc;
	unsigned revpi_cycle_ms, revpi_watchdog_ms;
	/* [leds], [iio] */
	const char *leds_dir, *iio_dir;
	struct config_http http;
	struct config_broker brokers[CONFIG_BROKERS_MAX];
	unsigned nbrokers;
	struct modbus_config modbus[MODBUS_LINKS_MAX]; /* [modbus.NAME] */
	unsigned nmodbus;
	/* [output.NAME], [binding.NAME]: config_things.c */
	struct output_config *outputs;
	struct config_binding *bindings;
	unsigned noutputs, nbindings;
	struct config_thing *things; /* as they are read; NULL after config_load */
	struct arena arena;          /* owns the strings */
};

/* Reads main_file (NULL: defaults only) and then dir/conf.d/ *.conf beside it in name order.
 * -E_CONFIG with "FILE:LINE: reason" */
int config_load(const char *main_file, struct config *ret, struct why *why) MUST_USE;
/* All keys as they are without a file, into one that is zero but for its arena. */
int config_defaults(struct config *c, struct why *why) MUST_USE;
/* The text of one file, over what c holds already; file is its name in messages. */
int config_read(const char *file, struct span bytes, struct config *c, struct why *why) MUST_USE;
/* Are the files that it names there, and may they be read? -E_CONFIG with the first that is not. For
 * --check-config: a running gateway tries again when it connects. */
int config_check_files(const struct config *c, struct why *why) MUST_USE;
void config_fini(struct config *c);

/* Calls differs for each key (and each broker, output: key is its name) in which two configurations differ. */
typedef void config_differs(void *arg, const char *section, const char *key);
void config_changes(const struct config *a, const struct config *b, config_differs *differs,
		    void *arg);

/* Which word of a choice it is, or -1. The order is that of enum journal_durability, journal_check,
 * outbox_full, mqtt_events. */
enum config_choices { CONFIG_DURABILITY, CONFIG_CHECK, CONFIG_FULL, CONFIG_CLOUDEVENTS };
enum { HOME_PREFIX_BYTES = 100 };
static inline bool config_home_assistant(const struct config_broker *b)
{
	return strcmp(b->home_assistant, "no") != 0;
}
int config_choice(enum config_choices which, const char *word);
void config_print_help(void);

#endif
