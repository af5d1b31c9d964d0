/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's files: penstock.conf, conf.d beside it, and those that they name. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "gateway/config_things.h"
#include "proto/topic.h"
#include "triggers/http.h"

enum { CONFIG_BYTES_MAX = 1 << 20, CONFIG_FILES_MAX = 128 };

static int read_file(const char *path, struct config *c, struct why *why)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return why_set(why, -errno, "%s: %s", path, strerrordesc_np(errno));
	OWN_FREE char *bytes = malloc(CONFIG_BYTES_MAX + 1);
	size_t n = bytes ? fread(bytes, 1, CONFIG_BYTES_MAX + 1, f) : 0;
	int err = bytes ? (ferror(f) ? -EIO : 0) : -ENOMEM;
	(void)fclose(f);
	if (err < 0)
		return why_set(why, err, "%s: %s", path, why_text(NULL, err));
	if (n > CONFIG_BYTES_MAX)
		return why_set(why, -E_CONFIG, "%s: larger than 1 MiB", path);
	return config_read(path, (struct span){ (uint8_t *)bytes, n }, c, why);
}

static int conf_file(const struct dirent *d)
{
	size_t n = strlen(d->d_name);
	return d->d_name[0] != '.' && n > 5 && strcmp(d->d_name + n - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name); /* the same order in every locale */
}

static int read_conf_d(const char *main_file, struct config *c, struct why *why)
{
	char dir[PATH_MAX], path[PATH_MAX + 256];
	const char *slash = strrchr(main_file, '/');
	int at = slash ? (int)(slash - main_file) + 1 : 0;
	if (snprintf(dir, sizeof(dir), "%.*sconf.d", at, main_file) >= (int)sizeof(dir))
		return why_set(why, -ENAMETOOLONG, "%s: the path is too long", main_file);
	struct dirent **entry = NULL;
	int n = scandir(dir, &entry, conf_file, by_bytes), err = 0;
	if (n < 0)
		return errno == ENOENT
			       ? 0
			       : why_set(why, -errno, "%s: %s", dir, strerrordesc_np(errno));
	if (n > CONFIG_FILES_MAX)
		err = why_set(why, -E_CONFIG, "%s: more than %d files", dir, CONFIG_FILES_MAX);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, entry[i]->d_name);
		if (err == 0)
			err = read_file(path, c, why);
		free(entry[i]);
	}
	free(entry);
	return err;
}

/* A client id may hold what a topic must not. NULL: no memory. */
static const char *status_topic(struct config *c, const struct config_broker *b)
{
	char topic[300];
	int n = snprintf(topic, sizeof(topic), "penstock/%.250s/status", b->client_id);
	for (size_t i = strlen("penstock/"); i < (size_t)n - strlen("/status"); i++)
		topic[i] = strchr("/+#", topic[i]) ? '_' : topic[i];
	return arena_strndup(&c->arena, topic, (size_t)n);
}

/* What one key alone cannot show. */
static int check_broker(struct config *c, struct config_broker *b, struct why *why)
{
	if (!b->client_id) {
		char host[65] = "", id[256];
		(void)gethostname(host, sizeof(host) - 1);
		(void)snprintf(id, sizeof(id), "penstock-%s-%s", host, b->name);
		b->client_id = arena_strndup(&c->arena, id, strlen(id));
		if (!b->client_id)
			return -ENOMEM;
	}
	if (!b->status_topic && !(b->status_topic = status_topic(c, b)))
		return -ENOMEM;
	if (*b->status_topic != '\0' &&
	    !topic_name_ok(
		    (struct span){ (const uint8_t *)b->status_topic, strlen(b->status_topic) }))
		return why_set(why, -E_CONFIG, "[mqtt.%s] status_topic = %s: not a topic", b->name,
			       b->status_topic);
	if (b->version == 3 && strcmp(b->cloudevents, "binary") == 0)
		return why_set(why, -E_CONFIG,
			       "[mqtt.%s] cloudevents = binary needs MQTT 5: set version = 5, or "
			       "cloudevents = structured",
			       b->name);
	if (config_home_assistant(b) &&
	    (strlen(b->home_assistant) > HOME_PREFIX_BYTES ||
	     !topic_name_ok((struct span){ (const uint8_t *)b->home_assistant,
					   strlen(b->home_assistant) })))
		return why_set(why, -E_CONFIG,
			       "[mqtt.%s] home_assistant = %.100s: expected no, or a topic without "
			       "wildcards of at most %d bytes; Home Assistant's default is "
			       "homeassistant",
			       b->name, b->home_assistant, HOME_PREFIX_BYTES);
	if (config_home_assistant(b) && strcmp(b->cloudevents, "structured") == 0)
		return why_set(why, -E_CONFIG,
			       "[mqtt.%s]: Home Assistant does not read CloudEvents: set "
			       "home_assistant = no, or cloudevents = no or binary",
			       b->name);
	if (b->version == 4)
		return why_set(why, -E_CONFIG,
			       "[mqtt.%s] version = 4: write 3 for MQTT 3.1.1, or 5", b->name);
	if ((*b->cert_file == '\0') != (*b->key_file == '\0'))
		return why_set(why, -E_CONFIG, "[mqtt.%s]: cert_file and key_file belong together",
			       b->name);
	if (b->backoff_min_ms > b->backoff_max_ms)
		return why_set(why, -E_CONFIG,
			       "[mqtt.%s]: backoff_min_ms is more than backoff_max_ms", b->name);
	return 0;
}

static int check_modbus(const struct config *c, struct why *why)
{
	struct modbus_links *links;
	int err = modbus_links_new(c->modbus, c->nmodbus, &links, why);
	if (err == 0)
		modbus_links_free(links);
	return err;
}

static int check_http(const struct config_http *h, struct why *why)
{
	struct why reason = { 0 };
	if (http_listen_check(h->listen, h->insecure, &reason) < 0)
		return why_set(why, -E_CONFIG, "[http] %s", reason.text);
	return 0;
}

int config_load(const char *main_file, struct config *ret, struct why *why)
{
	*ret = (struct config){ 0 };
	arena_init(&ret->arena, 4 << 20);
	int err = config_defaults(ret, why);
	if (err == 0 && main_file)
		err = read_file(main_file, ret, why);
	if (err == 0 && main_file)
		err = read_conf_d(main_file, ret, why);
	for (unsigned i = 0; err == 0 && i < ret->nbrokers; i++)
		err = check_broker(ret, &ret->brokers[i], why);
	if (err == 0)
		err = check_modbus(ret, why);
	if (err == 0)
		err = check_http(&ret->http, why);
	if (err == 0)
		err = config_things_finish(ret, why);
	if (err < 0)
		config_fini(ret);
	return err;
}

static int check_file(const struct config_broker *b, const char *key, const char *path,
		      struct why *why)
{
	if (*path == '\0' || access(path, R_OK) == 0)
		return 0;
	return why_set(
		why, -E_CONFIG, "[mqtt%s%s] %s = %s: %s", strcmp(b->name, "default") ? "." : "",
		strcmp(b->name, "default") ? b->name : "", key, path, strerrordesc_np(errno));
}

int config_check_files(const struct config *c, struct why *why)
{
	for (unsigned i = 0; i < c->nbrokers; i++) {
		const struct config_broker *b = &c->brokers[i];
		const struct {
			const char *key, *path;
		} files[] = { { "password_file", b->password_file },
			      { "ca_file", b->ca_file },
			      { "cert_file", b->cert_file },
			      { "key_file", b->key_file } };
		for (size_t k = 0; k < ARRAY_LEN(files); k++) {
			int err = check_file(b, files[k].key, files[k].path, why);
			if (err < 0)
				return err;
		}
	}
	return 0;
}

void config_fini(struct config *c)
{
	config_things_free(c);
	arena_fini(&c->arena);
	*c = (struct config){ 0 };
}
