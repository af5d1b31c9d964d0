/* SPDX-License-Identifier: Apache-2.0 */
/* The machine and the files; path_doctor.c has the event path. */
#include "gateway/doctor.h"
#include "gateway/file_bindings.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include "gateway/registry.h"
#include "gateway/text.h"

enum {
	DISK_LOW_MIB = 200,
	MEMORY_LOW_PERCENT = 5,
	CERTIFICATE_DAYS = 14,
	DAY_S = 86400,
};

void doctor_say(json_t *list, const char *area, const char *name, enum doctor_severity severity,
		const char *text, const char *hint)
{
	static const char *const word[] = { "ok", "warning", "error" };
	const struct span words[] = { { (const uint8_t *)name, strlen(name) },
				      { (const uint8_t *)text, strlen(text) },
				      { (const uint8_t *)hint, strlen(hint) } };
	(void)json_array_append_new(list, json_pack("{s:s, s:o, s:b, s:s, s:o, s:o}", "area", area,
						    "name", text_json(words[0]), "ok",
						    severity == DOCTOR_OK, "severity",
						    word[severity], "text", text_json(words[1]),
						    "hint", text_json(words[2])));
}

static void look_at_disk(struct gateway *g, json_t *list)
{
	const char *dir = g->config.state_dir;
	struct statvfs v;
	char text[160];
	if (statvfs(dir, &v) < 0) {
		doctor_say(list, "disk", dir, DOCTOR_ERROR, strerrordesc_np(errno),
			   "is the disk mounted?");
		return;
	}
	uint64_t free_mib = (uint64_t)v.f_bavail * v.f_frsize >> 20;
	uint64_t all_mib = (uint64_t)v.f_blocks * v.f_frsize >> 20;
	bool low = free_mib < DISK_LOW_MIB;
	(void)snprintf(text, sizeof(text), "%" PRIu64 " MiB free of %" PRIu64, free_mib, all_mib);
	doctor_say(
		list, "disk", dir,
		!low            ? DOCTOR_OK
		: free_mib < 16 ? DOCTOR_ERROR
				: DOCTOR_WARNING,
		text,
		low ? "make room: events of QoS 1 and 2 are left with their source when it is full"
		    : "");
}

/* "MemTotal:   123 kB" */
static uint64_t meminfo(const char *key)
{
	char line[128];
	unsigned long long kb = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) == 0) {
			kb = strtoull(line + strlen(key), NULL, 10);
			break;
		}
	}
	if (f)
		(void)fclose(f);
	return kb;
}

static void look_at_memory(json_t *list)
{
	uint64_t all = meminfo("MemTotal:"), left = meminfo("MemAvailable:");
	char text[120];
	bool low = left * 100 < all * MEMORY_LOW_PERCENT;
	if (all == 0)
		return;
	(void)snprintf(text, sizeof(text), "%" PRIu64 " MiB available of %" PRIu64, left >> 10,
		       all >> 10);
	doctor_say(list, "memory", "this machine", low ? DOCTOR_WARNING : DOCTOR_OK, text,
		   low ? "end what is not needed, or give functions less (penstock status)" : "");
}

static void look_at_clock(json_t *list)
{
	struct timex tx = { 0 };
	int state = adjtimex(&tx);
	bool set = state >= 0 && state != TIME_ERROR && !(tx.status & STA_UNSYNC);
	doctor_say(
		list, "clock", "this machine", set ? DOCTOR_OK : DOCTOR_WARNING,
		set ? "synchronised" : "not synchronised with a time server",
		set ? ""
		    : "cron bindings and certificates depend on it: timedatectl set-ntp true, or a "
		      "battery for the clock");
}

static void look_at_certificate(json_t *list, const char *broker, const char *path)
{
	char text[200];
	int days = 0, seconds = 0;
	FILE *f = *path ? fopen(path, "re") : NULL;
	if (!*path)
		return;
	if (!f) {
		(void)snprintf(text, sizeof(text), "%s: %s", path, strerrordesc_np(errno));
		doctor_say(list, "certificate", broker, DOCTOR_ERROR, text,
			   "the user penstock must be able to read it");
		return;
	}
	X509 *x = PEM_read_X509(f, NULL, NULL, NULL);
	(void)fclose(f);
	bool read = x && ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x));
	X509_free(x);
	bool over = days < 0 || seconds < 0;
	if (!read)
		(void)snprintf(text, sizeof(text), "%s is no PEM certificate", path);
	else
		(void)snprintf(text, sizeof(text),
			       over ? "%s expired %d days ago" : "%s: %d days left", path,
			       over ? -days : days);
	bool fine = read && !over && days >= CERTIFICATE_DAYS;
	doctor_say(list, "certificate", broker,
		   fine            ? DOCTOR_OK
		   : !read || over ? DOCTOR_ERROR
				   : DOCTOR_WARNING,
		   text,
		   fine ? "" : "put a new one in its place; it is read at the next connection");
}

static int count_key(void *arg, const struct registry_key *k)
{
	(void)k;
	++*(unsigned *)arg;
	return 0;
}

static int look_at_function(void *arg, const struct registry_function *f)
{
	json_t *list = arg;
	bool fine = strcmp(f->state, "active") == 0;
	doctor_say(list, "function", f->name, fine ? DOCTOR_OK : DOCTOR_ERROR,
		   fine ? f->version : f->reason,
		   fine ? "" : "deploy it again, or an older version: penstock rollback");
	return 0;
}

static void look_at_registry(struct gateway *g, json_t *list)
{
	struct why why = { 0 };
	unsigned keys = 0;
	int err = registry_keys(g->registry, NULL, count_key, &keys, &why);
	if (err == 0)
		err = registry_functions(g->registry, NULL, look_at_function, list, &why);
	if (err < 0)
		doctor_say(list, "registry", "registry.db", DOCTOR_ERROR, why.text,
			   "penstock restore puts a backup in its place");
	else if (keys == 0)
		doctor_say(list, "keys", "trusted keys", DOCTOR_WARNING,
			   "none, so nothing can be deployed",
			   "penstock keygen, then penstock trust FILE.pub");
}

/* What was refused when the files were read is not among the path's bindings. */
static void look_at_file_bindings(struct gateway *g, json_t *list)
{
	const struct config *c = file_config(g);
	for (unsigned i = 0; i < c->nbindings; i++) {
		const struct config_binding *b = &c->bindings[i];
		char hint[300];
		if (path_binding_known(g->path, b->row.id))
			continue;
		(void)snprintf(hint, sizeof(hint), "mend it in %.200s, then penstock reload",
			       b->place);
		doctor_say(list, "binding", b->name, DOCTOR_ERROR,
			   "it is in a file, but makes no sense, so it is not there: penstock logs "
			   "says why",
			   hint);
	}
}

json_t *doctor_look(struct gateway *g, uint64_t look)
{
	json_t *list = json_array();
	path_doctor(g->path, look, list);
	look_at_file_bindings(g, list);
	look_at_registry(g, list);
	for (unsigned i = 0; i < g->config.nbrokers; i++) {
		const struct config_broker *b = &g->config.brokers[i];
		look_at_certificate(list, b->name, b->cert_file);
		look_at_certificate(list, b->name, b->ca_file);
	}
	look_at_disk(g, list);
	look_at_memory(list);
	look_at_clock(list);
	return list;
}
