/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The overload's part of `make bench-sched`: the gateway's dispatcher with a sandbox of one worker, and
 * five times the work that it can do. Two functions: "bulk" takes 5 ms and has 200 ms, of low
 * criticality; "vital" takes 1 ms and has 50 ms, of high criticality, 20 a second. What is admitted
 * has to end in time. Then the load stops, and half of what was done comes: how long until
 * nothing is refused any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "base/own.h"
#include "bench/sched/peer.h"
#include "gateway/dispatch.h"

enum { MS = 1000000, BULK, VITAL, KINDS };
enum {
	BULK_MS = 5,
	BULK_DEADLINE_MS = 200,
	VITAL_MS = 1,
	VITAL_DEADLINE_MS = 50,
	VITAL_PER_S = 20
};
enum { OVERLOAD = 5, RECOVERY_MS = 3000, TICK_MS = 2 };

struct kind {
	const char *name;
	uint32_t rounds;
	uint64_t deadline_ms;
	double per_s, owed; /* events to send */
	uint64_t offered, refused, ended, late, last_refused_ns;
};

struct bench {
	uv_loop_t loop;
	uv_timer_t tick;
	struct dispatch *d;
	struct kind kind[KINDS];
	unsigned loaded;
	uint64_t began_ns, last_ns, overload_ns;
	long rss_early_kb, rss_kb;
	bool over; /* the overload is */
};

struct call {
	struct kind *kind;
	uint64_t deadline_ns;
};

static long rss_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "VmRSS:", 6) == 0)
			kb = strtol(line + 6, NULL, 10);
	if (f)
		(void)fclose(f);
	return kb;
}

static long both_rss_kb(struct bench *b)
{
	struct dispatch_status s;
	dispatch_status(b->d, &s);
	return rss_kb(getpid()) + rss_kb((pid_t)s.sandbox.pid);
}

static void on_done(void *arg, const struct event *e, const struct ipc_result *r)
{
	struct call *c = arg;
	(void)e;
	c->kind->ended++;
	c->kind->late += r->status != IPC_OK || peer_now_ns() > c->deadline_ns;
	free(c);
}

static void offer(struct bench *b, struct kind *k)
{
	struct call *c = malloc(sizeof(*c));
	struct why why = { 0 };
	const struct event e = { .arrived_ns = peer_now_ns(),
				 .payload = { (const uint8_t *)&k->rounds, sizeof(k->rounds) } };
	if (!c)
		return;
	*c = (struct call){ k, e.arrived_ns + k->deadline_ms * MS };
	k->offered++;
	if (dispatch_invoke(b->d, k->name, &e, on_done, c, &why) == 0)
		return;
	k->refused++;
	k->last_refused_ns = e.arrived_ns;
	free(c);
}

static void on_tick(uv_timer_t *t)
{
	struct bench *b = t->data;
	uint64_t now = peer_now_ns();
	if (!b->over && now - b->began_ns > b->overload_ns) {
		b->over = true;
		b->rss_kb = both_rss_kb(b);
		b->kind[BULK].per_s =
			(double)b->kind[BULK].ended / ((double)b->overload_ns / 1e9) / 2;
	}
	if (b->rss_early_kb == 0 && now - b->began_ns > 1000 * (uint64_t)MS)
		b->rss_early_kb = both_rss_kb(b);
	for (unsigned i = BULK; i < KINDS; i++) {
		struct kind *k = &b->kind[i];
		for (k->owed += k->per_s * (double)(now - b->last_ns) / 1e9; k->owed >= 1;
		     k->owed--)
			offer(b, k);
	}
	b->last_ns = now;
	if (now - b->began_ns > b->overload_ns + (uint64_t)RECOVERY_MS * MS)
		uv_stop(&b->loop);
}

static void on_loaded(void *arg, int err, const char *why)
{
	struct bench *b = arg;
	if (err < 0) {
		(void)fprintf(stderr, "not loaded: %s\n", why);
		exit(1);
	}
	if (++b->loaded < KINDS - BULK)
		return;
	b->began_ns = b->last_ns = peer_now_ns();
	(void)uv_timer_start(&b->tick, on_tick, TICK_MS, TICK_MS);
}

static void put(struct bench *b, struct kind *k, const char *so, enum criticality criticality)
{
	struct why why = { 0 };
	OWN_FD fd = peer_sealed(so);
	struct path_function f = { .name = k->name,
				   .revision = 1,
				   .so_fd = fd,
				   .limits = manifest_limits_default,
				   .is_reactor = true };
	f.limits.memory_bytes = 1 << 20;
	f.limits.cpu_ms = 1000;
	f.limits.deadline_ms = (uint32_t)k->deadline_ms;
	f.limits.criticality = criticality;
	if (dispatch_function_put(b->d, &f, on_loaded, b, &why) < 0) {
		(void)fprintf(stderr, "%s\n", why.text);
		exit(1);
	}
}

static uint32_t calibrate(const char *program, const char *so)
{
	struct peer *p = calloc(1, sizeof(*p));
	const struct ipc_load load = { .function = 1,
				       .memory_pages = 16,
				       .stack_bytes = 64 << 10,
				       .cpu_ns = (uint64_t)10000 * MS };
	peer_start(p, program, 1, false);
	peer_load(p, so, &load);
	uint32_t per_ms = peer_rounds_per_ms(p, 1);
	peer_stop(p);
	free(p);
	return per_ms;
}

static void report(struct bench *b, FILE *json)
{
	uint64_t last = 0;
	(void)printf("five times overload for %.0f s\n  %-6s %9s %9s %9s %6s\n",
		     (double)b->overload_ns / 1e9, "", "offered", "refused", "admitted", "late");
	for (unsigned i = BULK; i < KINDS; i++) {
		const struct kind *k = &b->kind[i];
		last = k->last_refused_ns > last ? k->last_refused_ns : last;
		(void)printf("  %-6s %9llu %9llu %9llu %6llu\n", k->name,
			     (unsigned long long)k->offered, (unsigned long long)k->refused,
			     (unsigned long long)k->ended, (unsigned long long)k->late);
	}
	uint64_t end = b->began_ns + b->overload_ns;
	double recovery_ms = last > end ? (double)(last - end) / 1e6 : 0;
	long grown = b->rss_kb - b->rss_early_kb;
	(void)printf("recovered after %.0f ms; memory grew by %ld KiB after the first second\n",
		     recovery_ms, grown);
	(void)fprintf(
		json,
		"\"overload_admitted\": %llu, \"overload_late\": %llu, \"overload_refused\": %llu, "
		"\"vital_late\": %llu, \"vital_refused\": %llu, \"overload_recovery_ms\": %.0f, "
		"\"overload_growth_kb\": %ld",
		(unsigned long long)b->kind[BULK].ended, (unsigned long long)b->kind[BULK].late,
		(unsigned long long)b->kind[BULK].refused, (unsigned long long)b->kind[VITAL].late,
		(unsigned long long)b->kind[VITAL].refused, recovery_ms, grown);
}

int main(int argc, char **argv)
{
	static struct bench b;
	static struct config config;
	struct why why = { 0 };
	FILE *json = argc == 5 ? fopen(argv[4], "we") : NULL;
	if (!json) {
		(void)fputs("usage: overload PENSTOCK-SANDBOX BURN.so SECONDS JSON\n", stderr);
		return 64;
	}
	uint32_t per_ms = calibrate(argv[1], argv[2]);
	b.overload_ns = strtoull(argv[3], NULL, 10) * 1000 * MS;
	b.kind[BULK] = (struct kind){ .name = "bulk",
				      .rounds = BULK_MS * per_ms,
				      .deadline_ms = BULK_DEADLINE_MS,
				      .per_s = OVERLOAD * 1000.0 / BULK_MS };
	b.kind[VITAL] = (struct kind){ .name = "vital",
				       .rounds = VITAL_MS * per_ms,
				       .deadline_ms = VITAL_DEADLINE_MS,
				       .per_s = VITAL_PER_S };
	log_set_level(LOG_ERR);
	if (config_load(NULL, &config, &why) < 0)
		return 1;
	config.workers = 1;
	(void)uv_loop_init(&b.loop);
	(void)uv_timer_init(&b.loop, &b.tick);
	b.tick.data = &b;
	if (dispatch_new(&config, &b.loop, argv[1], &b.d, &why) < 0) {
		(void)fprintf(stderr, "%s\n", why.text);
		return 1;
	}
	put(&b, &b.kind[BULK], argv[2], CRITICALITY_LOW);
	put(&b, &b.kind[VITAL], argv[2], CRITICALITY_HIGH);
	(void)uv_run(&b.loop, UV_RUN_DEFAULT);
	(void)uv_timer_stop(&b.tick);
	report(&b, json);
	dispatch_free(b.d, 1000);
	return fclose(json) == 0 ? 0 : 1;
}
