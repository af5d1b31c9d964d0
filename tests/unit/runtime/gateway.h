/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's end of penstock-sandbox, for tests: forks serve() on a socket pair. */
#ifndef TEST_GATEWAY_H
#define TEST_GATEWAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/aot_abi.h"
#include "proto/ipc.h"
#include "sandbox/runtime/serve.h"

struct gateway {
	int sock;
	pid_t pid;
	uint8_t packet[IPC_PACKET_BYTES];
	struct ipc_msg m; /* the last message; points into packet and map */
	const void *map;
	size_t map_len;
};

static inline struct span text_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* guest.so beside this program, as a sealed memfd. */
static inline int guest_so(void)
{
	char path[4096], buf[65536];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	assert_true(n > 0);
	path[n] = '\0';
	strcpy(strrchr(path, '/') + 1, "guest.so");
	int in = open(path, O_RDONLY | O_CLOEXEC);
	int out = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		assert_int_equal(write(out, buf, (size_t)n), n);
	(void)close(in);
	assert_int_equal(fcntl(out, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
	return out;
}

static inline void gateway_drop_map(struct gateway *g)
{
	if (g->map)
		(void)munmap((void *)(uintptr_t)g->map, g->map_len);
	g->map = NULL;
}

/* The next message; false at the sandbox's end. */
static inline bool gateway_recv(struct gateway *g)
{
	int fd = -1;
	struct why why = { 0 };
	struct pollfd p = { .fd = g->sock, .events = POLLIN };
	gateway_drop_map(g);
	assert_int_equal(poll(&p, 1, 10000), 1);
	ssize_t n = ipc_recv(g->sock, g->packet, sizeof(g->packet), &fd, false);
	if (n <= 0)
		return false;
	if (ipc_parse(IPC_SANDBOX, g->packet, (size_t)n, &g->m, &why) < 0)
		fail_msg("%s", why.text);
	if (fd >= 0) {
		g->map_len = g->m.result.fd_bytes;
		assert_int_equal(ipc_memfd_map(fd, g->map_len, &g->map), 0);
		assert_int_equal(ipc_result_unpack(&g->m.result, g->map, g->map_len, &why), 0);
		(void)close(fd);
	}
	return true;
}

static inline void gateway_start_with(struct gateway *g, const struct serve_options *like)
{
	int pair[2];
	memset(g, 0, sizeof(*g));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	g->pid = fork();
	if (g->pid == 0) {
		struct why why = { 0 };
		struct serve_options o = *like;
		o.sock = pair[1];
		int err = serve(&o, &why);
		(void)fprintf(stderr, "serve: %s\n", why_text(&why, err));
		_exit(99);
	}
	(void)close(pair[1]);
	g->sock = pair[0];
	assert_true(gateway_recv(g));
	assert_int_equal(g->m.type, IPC_HELLO);
	assert_int_equal(g->m.hello.version, AOT_ABI_VERSION);
	assert_int_equal(g->m.hello.workers, like->workers);
}

static inline void gateway_start(struct gateway *g, unsigned workers, unsigned spin_us)
{
	const struct serve_options o = { .workers = workers, .spin_us = spin_us };
	gateway_start_with(g, &o);
}

static inline void gateway_send(struct gateway *g, bool fits, const struct wr *w, int fd)
{
	assert_true(fits);
	assert_int_equal(ipc_send(g->sock, w, &fd, fd >= 0 ? 1 : 0, true), 0);
}

/* Loads guest.so; the err of LOADED. */
static inline int gateway_load(struct gateway *g, uint32_t handle, const struct ipc_load *like)
{
	uint8_t buf[4096];
	struct wr w = wr_into(buf, sizeof(buf));
	struct ipc_load m = *like;
	int so = guest_so();
	m.function = handle;
	m.name = text_span("guest@1");
	gateway_send(g, ipc_put_load(&w, &m), &w, so);
	(void)close(so);
	assert_true(gateway_recv(g));
	assert_int_equal(g->m.type, IPC_LOADED);
	assert_int_equal(g->m.loaded.function, handle);
	return g->m.loaded.err;
}

static inline void gateway_invoke(struct gateway *g, uint64_t event, uint32_t handle,
				  const char *payload)
{
	uint8_t buf[4096];
	struct wr w = wr_into(buf, sizeof(buf));
	const struct ipc_invoke m = { .event = event,
				      .function = handle,
				      .payload = text_span(payload) };
	gateway_send(g, ipc_put_invoke(&w, &m), &w, -1);
}

/* One event and its result. */
static inline const struct ipc_result *gateway_call(struct gateway *g, uint64_t event,
						    uint32_t handle, const char *payload)
{
	gateway_invoke(g, event, handle, payload);
	assert_true(gateway_recv(g));
	assert_int_equal(g->m.type, IPC_RESULT);
	assert_int_equal(g->m.result.event, event);
	return &g->m.result;
}

/* Closes the socket; the sandbox's wait status. */
static inline int gateway_stop(struct gateway *g)
{
	int status = 0;
	gateway_drop_map(g);
	(void)close(g->sock);
	assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
	return status;
}

#endif
