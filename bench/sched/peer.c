/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/sched/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

uint64_t peer_now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void receive(struct peer *p, struct ipc_msg *ret)
{
	int fd = -1;
	struct why why = { 0 };
	ssize_t n = ipc_recv(p->sock, p->packet, sizeof(p->packet), &fd, true);
	if (n <= 0 || fd >= 0 || ipc_parse(IPC_SANDBOX, p->packet, (size_t)n, ret, &why) < 0)
		die("the sandbox went away, or said what it must not: %s", why.text);
}

static void transmit(struct peer *p, const struct wr *w, int fd)
{
	int err = ipc_send(p->sock, w, &fd, fd >= 0, true);
	if (err < 0)
		die("the sandbox takes no message: %s", strerrordesc_np(-err));
}

void peer_start(struct peer *p, const char *program, unsigned workers, bool fifo)
{
	char number[16];
	int pair[2];
	memset(p, 0, sizeof(*p));
	(void)snprintf(number, sizeof(number), "%u", workers);
	const char *argv[] = { program,     "serve", "--socket-fd",          "3",
			       "--workers", number,  fifo ? "--fifo" : NULL, NULL };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("no socket");
	p->sock = pair[0];
	p->pid = fork();
	if (p->pid == 0) {
		if (pair[1] == 3)
			(void)fcntl(3, F_SETFD, 0);
		else
			(void)dup2(pair[1], 3);
		(void)execv(program, (char *const *)argv);
		_exit(127);
	}
	(void)close(pair[1]);
	struct ipc_msg m;
	receive(p, &m);
	if (m.type != IPC_HELLO)
		die("the sandbox does not say HELLO");
}

void peer_stop(struct peer *p)
{
	(void)close(p->sock);
	(void)kill(p->pid, SIGKILL);
	(void)waitpid(p->pid, NULL, 0);
}

int peer_sealed(const char *path)
{
	char buf[65536];
	ssize_t n;
	OWN_FD in = open(path, O_RDONLY | O_CLOEXEC);
	int out = memfd_create("so", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (in < 0 || out < 0)
		die("%s cannot be opened", path);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			die("no memory for %s", path);
	(void)fcntl(out, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
	return out;
}

void peer_load(struct peer *p, const char *so, const struct ipc_load *load)
{
	uint8_t buf[1024];
	struct wr w = wr_into(buf, sizeof(buf));
	struct ipc_msg m;
	OWN_FD fd = peer_sealed(so);
	if (!ipc_put_load(&w, load))
		die("LOAD does not fit");
	transmit(p, &w, fd);
	receive(p, &m);
	if (m.type != IPC_LOADED || m.loaded.err < 0)
		die("%s does not load: %.*s", so, (int)m.loaded.why.len,
		    (const char *)m.loaded.why.at);
}

uint64_t peer_invoke(struct peer *p, uint32_t function, uint32_t rounds, uint64_t deadline_ns)
{
	uint8_t buf[256];
	struct wr w = wr_into(buf, sizeof(buf));
	const struct ipc_invoke m = { .event = ++p->next_event,
				      .function = function,
				      .deadline_ns = deadline_ns,
				      .payload = { (const uint8_t *)&rounds, sizeof(rounds) } };
	if (!ipc_put_invoke(&w, &m))
		die("INVOKE does not fit");
	transmit(p, &w, -1);
	return p->next_event;
}

bool peer_result(struct peer *p, uint64_t until_ns, struct ipc_result *ret)
{
	uint64_t now = peer_now_ns(), wait = until_ns > now ? until_ns - now : 0;
	struct pollfd f = { .fd = p->sock, .events = POLLIN };
	const struct timespec ts = { .tv_sec = (time_t)(wait / 1000000000u),
				     .tv_nsec = (long)(wait % 1000000000u) };
	struct ipc_msg m;
	if (ppoll(&f, 1, &ts, NULL) <= 0)
		return false;
	receive(p, &m);
	if (m.type != IPC_RESULT)
		die("the sandbox says %s, not RESULT", ipc_name(m.type));
	*ret = m.result;
	return true;
}

uint32_t peer_rounds_per_ms(struct peer *p, uint32_t function)
{
	enum { ROUNDS = 20000000, TRIES = 5 };
	double best = 1e18;
	for (int i = 0; i < TRIES; i++) {
		struct ipc_result r;
		(void)peer_invoke(p, function, ROUNDS, 0);
		if (!peer_result(p, UINT64_MAX / 2, &r) || r.status != IPC_OK)
			die("calibration failed: %.*s", (int)r.why.len, (const char *)r.why.at);
		best = (double)r.cpu_ns < best ? (double)r.cpu_ns : best;
	}
	return (uint32_t)(ROUNDS / (best / 1e6));
}
