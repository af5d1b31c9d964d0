/* SPDX-License-Identifier: Apache-2.0 */
/*
 * processes workers|sleepers DIR SANDBOX: what only a whole penstock-sandbox shows. This program is its
 * gateway. Prints lines KEY VALUE:
 *	workers1_ns, workers2_ns	the same work for one worker and for two
 *	apart_ns			and for two processes of one each: what the machine has to give
 *	sleeping_kb, sleeping_pte_kb	resident memory, and page tables, with SLEEPERS events asleep
 *	asleep_ns			from the first INVOKE until all are asleep
 *	awake_first_ns, awake_all_ns	after the time for which all had asked, until the first and the
 *					last RESULT
 *	awake_cpu_ns			processor time of the sandbox meanwhile
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/runtime/events.h"

enum { SLEEPERS = 10000, BURNS = 32, BURN = 700000, ROUNDS = 100, SOCKET_FD = 3 };
#define SLEEP_NS UINT64_C(10000000000)

struct gateway {
	int sock;
	pid_t pid;
	uint64_t event;
	uint8_t packet[IPC_PACKET_BYTES];
};

/* What guest/calls.c reads. */
struct want {
	uint32_t calls, burn;
	uint64_t until_ns;
};

static uint32_t receive(struct gateway *g)
{
	int fd = -1;
	struct ipc_msg m;
	struct why why = { 0 };
	struct pollfd p = { .fd = g->sock, .events = POLLIN };
	if (poll(&p, 1, 30000) != 1)
		die("penstock-sandbox", "it says nothing for 30 seconds");
	ssize_t n = ipc_recv(g->sock, g->packet, sizeof(g->packet), &fd, false);
	if (n <= 0 || ipc_parse(IPC_SANDBOX, g->packet, (size_t)n, &m, &why) < 0)
		die("penstock-sandbox", n <= 0 ? "it ended" : why.text);
	if (m.type == IPC_LOADED && m.loaded.err < 0)
		die("penstock-sandbox", "it does not load the function");
	if (m.type == IPC_RESULT && m.result.status != IPC_OK)
		die("an event failed", ipc_status_name(m.result.status));
	return m.type;
}

static void send_packet(struct gateway *g, bool fits, const struct wr *w, int fd)
{
	if (!fits || ipc_send(g->sock, w, &fd, fd >= 0 ? 1 : 0, true) < 0)
		die("penstock-sandbox", "a message cannot be sent");
}

static void start(struct gateway *g, const char *sandbox, const char *so, const char *workers)
{
	int pair[2];
	uint8_t buf[512];
	struct wr w = wr_into(buf, sizeof(buf));
	const struct ipc_load load = { .function = 1,
				       .memory_pages = 16,
				       .stack_bytes = 64 << 10,
				       .output_bytes = 64 << 10,
				       .cpu_ns = UINT64_C(10000000000),
				       .name = { (const uint8_t *)"calls", 5 } };
	*g = (struct gateway){ 0 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair", "failed");
	g->pid = fork();
	if (g->pid == 0) {
		if (dup2(pair[1], SOCKET_FD) == SOCKET_FD)
			(void)execl(sandbox, sandbox, "serve", "--workers", workers, "--socket-fd",
				    "3", (char *)NULL);
		_exit(127);
	}
	(void)close(pair[1]);
	g->sock = pair[0];
	int fd = events_seal(so);
	if (receive(g) != IPC_HELLO)
		die(sandbox, "it does not say HELLO");
	send_packet(g, ipc_put_load(&w, &load), &w, fd);
	(void)close(fd);
	(void)receive(g);
}

static void stop(struct gateway *g)
{
	(void)close(g->sock);
	(void)waitpid(g->pid, NULL, 0);
}

static void invoke(struct gateway *g, const struct want *want)
{
	uint8_t buf[256];
	struct wr w = wr_into(buf, sizeof(buf));
	const struct ipc_invoke m = { .event = ++g->event,
				      .function = 1,
				      .payload = { (const uint8_t *)want, sizeof(*want) } };
	send_packet(g, ipc_put_invoke(&w, &m), &w, -1);
}

/* ---- two workers ---- */

static uint64_t burn(struct gateway *g, int ngateways)
{
	const struct want want = { .burn = BURN };
	uint64_t began_ns = task_now_ns();
	for (int sent = 0; sent < BURNS; sent++)
		invoke(&g[sent % ngateways], &want);
	for (int done = 0; done < BURNS; done++)
		(void)receive(&g[done % ngateways]);
	return task_now_ns() - began_ns;
}

/* Short windows and the best of many: nobody else wants a processor in some of them. */
static void workers(const char *sandbox, const char *so)
{
	enum { ONE, TWO, APART, WAYS };
	static const char *const keys[] = { "workers1_ns", "workers2_ns", "apart_ns" };
	uint64_t best_ns[WAYS] = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
	struct gateway g[WAYS + 1];
	for (int i = 0; i <= WAYS; i++)
		start(&g[i], sandbox, so, i == TWO ? "2" : "1");
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < WAYS; i++) {
			uint64_t ns = burn(&g[i], i == APART ? 2 : 1);
			best_ns[i] = ns < best_ns[i] ? ns : best_ns[i];
		}
	for (int i = 0; i <= WAYS; i++)
		stop(&g[i]);
	for (int i = 0; i < WAYS; i++)
		(void)printf("%s %llu\n", keys[i], (unsigned long long)best_ns[i]);
}

/* ---- many sleepers ---- */

/* A number of /proc/PID/status, in its own unit. */
static unsigned long status_of(pid_t pid, const char *name)
{
	char path[64], line[256];
	unsigned long value = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoul(line + strlen(name) + 1, NULL, 10);
	if (f)
		(void)fclose(f);
	return value;
}

static uint64_t cpu_of(pid_t pid)
{
	clockid_t id;
	struct timespec t = { 0 };
	if (clock_getcpuclockid(pid, &id) == 0)
		(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* It has used no processor for 100 ms. */
static uint64_t wait_until_quiet(pid_t pid, uint64_t until_ns)
{
	uint64_t quiet_ns = task_now_ns();
	for (uint64_t used = cpu_of(pid); task_now_ns() - quiet_ns < 100000000;) {
		(void)usleep(2000);
		uint64_t now_used = cpu_of(pid);
		if (now_used != used)
			quiet_ns = task_now_ns();
		used = now_used;
		if (task_now_ns() >= until_ns)
			die("sleepers",
			    "not all of them were asleep before the first had to wake up");
	}
	return quiet_ns;
}

static void sleepers(const char *sandbox, const char *so)
{
	struct gateway g;
	start(&g, sandbox, so, "2");
	uint64_t began_ns = task_now_ns();
	const struct want want = { .until_ns = began_ns + SLEEP_NS };
	for (int i = 0; i < SLEEPERS; i++)
		invoke(&g, &want);
	uint64_t asleep_ns = wait_until_quiet(g.pid, want.until_ns);
	unsigned long kb = status_of(g.pid, "VmRSS"), pte_kb = status_of(g.pid, "VmPTE");
	uint64_t first_ns = 0, used_ns = cpu_of(g.pid);
	for (int i = 0; i < SLEEPERS; i++) {
		(void)receive(&g);
		first_ns = first_ns ? first_ns : task_now_ns();
	}
	uint64_t all_ns = task_now_ns();
	if (first_ns < want.until_ns)
		die("sleepers", "one did not sleep");
	(void)printf("sleeping_kb %lu\nsleeping_pte_kb %lu\n", kb, pte_kb);
	(void)printf("awake_cpu_ns %llu\n", (unsigned long long)(cpu_of(g.pid) - used_ns));
	(void)printf("asleep_ns %llu\nawake_first_ns %llu\nawake_all_ns %llu\n",
		     (unsigned long long)(asleep_ns - began_ns),
		     (unsigned long long)(first_ns - want.until_ns),
		     (unsigned long long)(all_ns - want.until_ns));
	stop(&g);
}

int main(int argc, char **argv)
{
	char so[4096];
	if (argc != 4)
		die("usage", "processes workers|sleepers DIR SANDBOX");
	(void)snprintf(so, sizeof(so), "%s/calls.so", argv[2]);
	if (strcmp(argv[1], "workers") == 0)
		workers(argv[3], so);
	else if (strcmp(argv[1], "sleepers") == 0)
		sleepers(argv[3], so);
	else
		die(argv[1], "is neither workers nor sleepers");
	return 0;
}
