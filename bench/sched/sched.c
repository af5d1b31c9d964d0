/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler's part of `make bench-sched`, against a penstock-sandbox of its own:
 *	deadlines  one worker; a function that takes 1 ms and has 10 ms, beside eight that burn 500 ms
 *	           each, at a load of 20 to 80 %, with earliest deadline first and with --fifo. A miss is
 *	           a result later than the deadline by this program's clock, or none.
 *	workers    how much more two workers do than one: jobs of 200 us, as many as go.
 * Prints a table, and with --json the numbers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sched/peer.h"

enum { MS = 1000000, HURRIED = 1, BURNERS = 8, BURN_MS = 500, EVENTS_MAX = 1 << 16 };
enum { HURRIED_MS = 1, DEADLINE_MS = 10, HURRIED_EVERY_MS = 10 };

struct bench {
	const char *program, *so;
	uint64_t seconds;
	struct peer peer;
	uint32_t per_ms;
	uint64_t sent_ns[EVENTS_MAX]; /* by event; 0 = not a hurried one */
	double took_ms[EVENTS_MAX];
	size_t n, misses, burnt;
};

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static void load_all(struct bench *b)
{
	const struct ipc_load hurried = { .function = HURRIED,
					  .memory_pages = 16,
					  .stack_bytes = 64 << 10,
					  .output_bytes = 1024,
					  .cpu_ns = (uint64_t)2000 * MS,
					  .wall_ns = (uint64_t)20000 * MS,
					  .name = { (const uint8_t *)"burn", 4 } };
	for (uint32_t i = 0; i <= BURNERS; i++) {
		struct ipc_load l = hurried;
		l.function = HURRIED + i;
		peer_load(&b->peer, b->so, &l);
	}
}

static void take(struct bench *b, const struct ipc_result *r)
{
	uint64_t sent = b->sent_ns[r->event % EVENTS_MAX];
	if (sent == 0) {
		b->burnt += r->status == IPC_OK;
		return;
	}
	double ms = (double)(peer_now_ns() - sent) / MS;
	b->took_ms[b->n++] = ms;
	b->misses += r->status != IPC_OK || ms > DEADLINE_MS;
}

/* A load in percent of one worker, for some seconds. */
static void deadlines(struct bench *b, bool fifo, unsigned percent)
{
	struct ipc_result r;
	peer_start(&b->peer, b->program, 1, fifo);
	load_all(b);
	b->per_ms = peer_rounds_per_ms(&b->peer, HURRIED + 1);
	memset(b->sent_ns, 0, sizeof(b->sent_ns));
	b->n = b->misses = b->burnt = 0;
	uint64_t hurried_gap = (uint64_t)HURRIED_EVERY_MS * MS;
	double rest = percent / 100.0 - (double)HURRIED_MS / HURRIED_EVERY_MS;
	uint64_t burn_gap = (uint64_t)(BURN_MS * MS / rest);
	uint64_t now = peer_now_ns(), end = now + b->seconds * 1000 * MS, burners = 0, hurried = 0;
	/* All eight at once to begin with, and then in turn: the worst for who comes next. */
	uint64_t next_hurried = now + hurried_gap, next_burn = now;
	while ((now = peer_now_ns()) < end) {
		uint64_t next = next_hurried < next_burn ? next_hurried : next_burn;
		if (now < next) {
			if (peer_result(&b->peer, next < end ? next : end, &r))
				take(b, &r);
		} else if (next == next_burn) {
			unsigned together = burners == 0 ? BURNERS : 1;
			for (unsigned i = 0; i < together; i++)
				(void)peer_invoke(&b->peer, HURRIED + 1 + burners++ % BURNERS,
						  BURN_MS * b->per_ms, 0);
			next_burn += together * burn_gap;
		} else {
			uint64_t event = peer_invoke(&b->peer, HURRIED, HURRIED_MS * b->per_ms,
						     next_hurried + (uint64_t)DEADLINE_MS * MS);
			b->sent_ns[event % EVENTS_MAX] = next_hurried;
			next_hurried += hurried_gap;
			hurried++;
		}
	}
	while (b->n < hurried && peer_result(&b->peer, end + (uint64_t)10000 * MS, &r))
		take(b, &r);
	b->misses += hurried - b->n;
	peer_stop(&b->peer);
	qsort(b->took_ms, b->n, sizeof(double), by_value);
}

static double quantile(const struct bench *b, double q)
{
	size_t at = (size_t)(q * (double)b->n);
	return b->n ? b->took_ms[at < b->n ? at : b->n - 1] : 0;
}

/* Jobs of 200 us per second. */
static double throughput(struct bench *b, unsigned workers)
{
	enum { WINDOW = 128, JOBS_US = 200 };
	struct ipc_result r;
	uint64_t done = 0, in_flight = 0;
	peer_start(&b->peer, b->program, workers, false);
	load_all(b);
	if (b->per_ms == 0)
		b->per_ms = peer_rounds_per_ms(&b->peer, HURRIED + 1);
	uint64_t began = peer_now_ns(), end = began + 1500 * (uint64_t)MS;
	while (peer_now_ns() < end) {
		for (; in_flight < WINDOW; in_flight++)
			(void)peer_invoke(&b->peer, HURRIED, b->per_ms * JOBS_US / 1000, 0);
		if (!peer_result(&b->peer, end, &r))
			break;
		in_flight--;
		done++;
	}
	double seconds = (double)(peer_now_ns() - began) / 1e9;
	peer_stop(&b->peer);
	return (double)done / seconds;
}

static double workers_ratio(struct bench *b, unsigned rounds)
{
	double ratio[16];
	for (unsigned i = 0; i < rounds; i++) {
		double one = throughput(b, 1), two = throughput(b, 2);
		ratio[i] = two / one;
		(void)printf("  round %u: one worker %.0f jobs/s, two %.0f: %.2f times\n", i + 1,
			     one, two, ratio[i]);
	}
	qsort(ratio, rounds, sizeof(double), by_value);
	return ratio[rounds / 2];
}

int main(int argc, char **argv)
{
	static const unsigned loads[] = { 20, 40, 60, 80 };
	if (argc != 5) {
		(void)fputs("usage: sched PENSTOCK-SANDBOX BURN.so SECONDS JSON\n", stderr);
		return 64;
	}
	struct bench *b = calloc(1, sizeof(*b));
	FILE *json = fopen(argv[4], "w");
	if (!b || !json)
		return 1;
	b->program = argv[1];
	b->so = argv[2];
	b->seconds = strtoul(argv[3], NULL, 10);
	size_t misses[2] = { 0 };
	double worst = 0;
	(void)printf(
		"1 ms with a deadline of 10 ms, every 10 ms, beside eight that burn 500 ms each\n"
		"  %-5s %5s %8s %7s %9s %9s %9s %7s\n",
		"", "load", "events", "misses", "p50 ms", "p99.9 ms", "max ms", "burnt");
	for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
		for (int fifo = 0; fifo <= 1; fifo++) {
			deadlines(b, fifo, loads[i]);
			misses[fifo] += b->misses;
			double p999 = quantile(b, 0.999);
			worst = !fifo && p999 > worst ? p999 : worst;
			(void)printf("  %-5s %4u%% %8zu %7zu %9.3f %9.3f %9.3f %7zu\n",
				     fifo ? "fifo" : "edf", loads[i], b->n, b->misses,
				     quantile(b, 0.5), p999, quantile(b, 1), b->burnt);
			(void)fflush(stdout);
		}
	}
	double ratio = workers_ratio(b, b->seconds < 5 ? 1 : 3);
	(void)printf("two workers do %.2f times the work of one\n", ratio);
	(void)fprintf(json,
		      "\"edf_misses\": %zu, \"edf_p999_ms\": %.3f, \"fifo_misses\": %zu, "
		      "\"workers2_ratio\": %.3f",
		      misses[0], worst, misses[1], ratio);
	return fclose(json) == 0 ? 0 : 1;
}
