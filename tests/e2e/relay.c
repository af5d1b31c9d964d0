/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay PORT TO_PORT: passes TCP connections on, both on the loopback. At SIGUSR1 those that are open become half-open:
 * nothing more comes through, and nobody is told; new ones are passed on as before. Prints a line when it listens.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS = 256, LOOK_MS = 50 };

struct pair {
	int fd[2]; /* -1: free */
	bool deaf;
};

struct relay {
	int listener, to_port;
	struct pair pair[PAIRS];
};

static volatile sig_atomic_t deafen;

static void on_usr1(int sig)
{
	(void)sig;
	deafen = 1;
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void hang_up(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		if (p->fd[i] >= 0)
			(void)close(p->fd[i]);
		p->fd[i] = -1;
	}
	p->deaf = false;
}

static void take_in(struct relay *r)
{
	struct sockaddr_in to = loopback(r->to_port);
	struct pair p = { .fd = { accept(r->listener, NULL, NULL), -1 } };
	p.fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p.fd[0] >= 0 && connect(p.fd[1], (struct sockaddr *)&to, sizeof(to)) == 0) {
		for (int i = 0; i < 2; i++)
			(void)setsockopt(p.fd[i], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 },
					 sizeof(int));
		for (int i = 0; i < PAIRS; i++) {
			if (r->pair[i].fd[0] < 0) {
				r->pair[i] = p;
				return;
			}
		}
	}
	hang_up(&p);
}

/* What FROM's end has sent goes to the other one; false: the connection is over. */
static bool pass(struct pair *p, int from)
{
	char bytes[65536];
	ssize_t n = recv(p->fd[from], bytes, sizeof(bytes), 0);
	for (ssize_t at = 0, out; at < n; at += out)
		if ((out = send(p->fd[!from], bytes + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0)
			return false;
	return n > 0;
}

static void step(struct relay *r)
{
	struct pollfd p[1 + 2 * PAIRS];
	p[0] = (struct pollfd){ .fd = r->listener, .events = POLLIN };
	for (int i = 0; i < 2 * PAIRS; i++) {
		const struct pair *at = &r->pair[i / 2];
		p[1 + i] = (struct pollfd){ .fd = at->deaf ? -1 : at->fd[i % 2], .events = POLLIN };
	}
	if (poll(p, 1 + 2 * PAIRS, LOOK_MS) <= 0)
		return;
	for (int i = 0; i < 2 * PAIRS; i++) {
		struct pair *at = &r->pair[i / 2];
		if (p[1 + i].revents && at->fd[0] >= 0 && !pass(at, i % 2))
			hang_up(at);
	}
	if (p[0].revents)
		take_in(r);
}

int main(int argc, char **argv)
{
	static struct relay r;
	if (argc != 3) {
		fprintf(stderr, "usage: relay PORT TO_PORT\n");
		return 64;
	}
	struct sockaddr_in at = loopback((int)strtoul(argv[1], NULL, 10));
	r.to_port = (int)strtoul(argv[2], NULL, 10);
	r.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	for (int i = 0; i < PAIRS; i++)
		r.pair[i] = (struct pair){ .fd = { -1, -1 } };
	(void)signal(SIGUSR1, on_usr1);
	(void)setsockopt(r.listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(r.listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(r.listener, 16) < 0) {
		perror("relay");
		return 1;
	}
	(void)puts("listening");
	(void)fflush(stdout);
	for (;;) {
		step(&r);
		for (int i = 0; deafen && i < PAIRS; i++)
			r.pair[i].deaf = r.pair[i].fd[0] >= 0;
		deafen = 0;
	}
}
