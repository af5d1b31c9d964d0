/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a program takes from its start until the broker has acknowledged its subscriptions. Sits
 * between the two as a relay on loopback, so nothing of the program is changed and nothing has to
 * be believed: the clock stops when the last SUBACK passes. Prints start_ms=N, then ends the
 * program.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "bench/path/args.h"
#include "bench/path/mqtt.h"

enum { LINKS_MAX = 8, END_WAIT_MS = 5000 };

struct link { /* one connection of the program; client.fd < 0 = free */
	struct mqtt client, broker;
	uint8_t level; /* MQTT protocol level of its CONNECT: 4 = 3.1.1, 5 = 5 */
};

struct relay {
	unsigned port, broker_port, filters, timeout_ms, acknowledged;
	int listen_fd;
	struct link *link[LINKS_MAX];
	size_t nlinks;
};

static uint64_t now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static double now_exact_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct sockaddr_in loopback(unsigned port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int listen_on(struct relay *r, struct why *why)
{
	struct sockaddr_in at = loopback(r->port);
	r->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->listen_fd < 0)
		return why_set(why, -errno, "no socket");
	(void)setsockopt(r->listen_fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(r->listen_fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(r->listen_fd, 8) < 0)
		return why_set(why, -errno, "cannot listen on 127.0.0.1:%u", r->port);
	return 0;
}

static int link_open(struct relay *r, struct why *why)
{
	struct sockaddr_in to = loopback(r->broker_port);
	OWN_FREE struct link *l = calloc(1, sizeof(*l));
	if (!l || r->nlinks == LINKS_MAX)
		return why_set(why, -E_LIMIT, "the program opens too many connections");
	OWN_FD client = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	OWN_FD broker = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0 || broker < 0 || connect(broker, (struct sockaddr *)&to, sizeof(to)) < 0)
		return why_set(why, -errno, "cannot relay to 127.0.0.1:%u", r->broker_port);
	(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	(void)setsockopt(broker, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	l->client.fd = fd_steal(&client);
	l->broker.fd = fd_steal(&broker);
	r->link[r->nlinks++] = ptr_steal(&l);
	return 0;
}

/* How many filters a SUBACK acknowledges: its codes, after the properties in MQTT 5. */
static unsigned codes_in(const struct link *l, struct span body)
{
	struct rd r = rd_from(body.at, body.len);
	if (l->level >= 5)
		(void)rd_span(&r, rd_leb_u32(&r));
	unsigned good = 0;
	while (rd_ok(&r) && r.left > 0)
		good += rd_u8(&r) < 0x80;
	return good;
}

static void look_at(struct relay *r, struct link *l, const struct mqtt_packet *p)
{
	if (p->type == MQTT_CONNECT && p->payload.len > 6)
		l->level = p->payload.at[6];
	else if (p->type == MQTT_SUBACK)
		r->acknowledged += codes_in(l, p->payload);
}

/* What came on from goes on to to, unchanged; then its packets are looked at. */
static int pass(struct relay *r, struct link *l, struct mqtt *from, const struct mqtt *to)
{
	size_t before = from->in_len - from->in_at;
	int n = mqtt_fill(from);
	if (n < 0)
		return n;
	if (send(to->fd, from->in + before, (size_t)n, MSG_NOSIGNAL) != n)
		return -EPIPE;
	struct mqtt_packet p;
	int err;
	while ((err = mqtt_next(from, &p)) == 1)
		look_at(r, l, &p);
	return err;
}

static void link_close(struct relay *r, size_t i)
{
	(void)close(r->link[i]->client.fd);
	(void)close(r->link[i]->broker.fd);
	free(r->link[i]);
	r->link[i] = r->link[--r->nlinks];
}

static int step(struct relay *r, struct why *why)
{
	struct pollfd p[1 + 2 * LINKS_MAX] = { { .fd = r->listen_fd, .events = POLLIN } };
	size_t n = r->nlinks;
	for (size_t i = 0; i < n; i++) {
		p[1 + 2 * i] = (struct pollfd){ .fd = r->link[i]->client.fd, .events = POLLIN };
		p[2 + 2 * i] = (struct pollfd){ .fd = r->link[i]->broker.fd, .events = POLLIN };
	}
	if (poll(p, 1 + 2 * n, 100) <= 0)
		return 0;
	for (size_t i = n; i-- > 0;) {
		struct link *l = r->link[i];
		int err = p[1 + 2 * i].revents ? pass(r, l, &l->client, &l->broker) : 0;
		if (err == 0 && p[2 + 2 * i].revents)
			err = pass(r, l, &l->broker, &l->client);
		if (err < 0)
			link_close(r, i);
	}
	return p[0].revents ? link_open(r, why) : 0;
}

static pid_t start(char **argv)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], argv);
	fprintf(stderr, "started: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGTERM);
	for (unsigned i = 0; i < END_WAIT_MS / 10; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static int watch(struct relay *r, char **argv, struct why *why)
{
	double from = now_exact_ms();
	uint64_t end_ms = now_ms() + r->timeout_ms;
	pid_t pid = start(argv);
	int err = pid < 0 ? why_set(why, -errno, "cannot start %s", argv[0]) : 0;
	while (err == 0 && r->acknowledged < r->filters) {
		if (now_ms() > end_ms)
			err = why_set(why, -ETIMEDOUT,
				      "%u of %u subscriptions acknowledged in %u ms",
				      r->acknowledged, r->filters, r->timeout_ms);
		else if (waitpid(pid, NULL, WNOHANG) == pid)
			return why_set(why, -ECHILD, "%s ended before it subscribed", argv[0]);
		else
			err = step(r, why);
	}
	if (err == 0)
		printf("start_ms=%.1f\n", now_exact_ms() - from);
	if (pid > 0)
		end(pid);
	return err;
}

int main(int argc, char **argv)
{
	struct relay r = { .filters = 1, .timeout_ms = 20000, .listen_fd = -1 };
	const struct arg args[] = {
		{ "port", "P", "where PROGRAM connects to; needed", &r.port, NULL },
		{ "broker", "Q", "the broker's port; needed", &r.broker_port, NULL },
		{ "filters", "N", "stop when so many are acknowledged", &r.filters, NULL },
		{ "timeout-ms", "N", "give up after", &r.timeout_ms, NULL },
	};
	static const char about[] =
		"usage: started --port P --broker Q [options] -- PROGRAM [ARGS]\n"
		"Relays 127.0.0.1:P to the broker on 127.0.0.1:Q, starts PROGRAM, prints the time "
		"until\n"
		"its subscriptions are acknowledged, and ends it with SIGTERM.\n\n";
	int operand = args_parse(argc, argv, args, ARRAY_LEN(args), about);
	if (operand < 0)
		return -1 - operand;
	if (r.port == 0 || r.port > UINT16_MAX || r.broker_port == 0 ||
	    r.broker_port > UINT16_MAX || operand == argc) {
		fputs("started: two ports and a program are needed; see --help\n", stderr);
		return 64;
	}
	struct why why = { 0 };
	int err = listen_on(&r, &why);
	if (err == 0)
		err = watch(&r, argv + operand, &why);
	if (err < 0)
		fprintf(stderr, "started: %s (%s)\n", why_text(&why, err), why_name(err));
	while (r.nlinks > 0)
		link_close(&r, r.nlinks - 1);
	return err < 0;
}
