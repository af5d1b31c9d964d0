/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A penstock-sandbox without guests: the test program starts itself again as one ("serve"). It does
 * what the payload of an event says:
 *	reply TEXT | emit TOPIC TEXT | fail | trap | large | slow MS | silent | lie (about its times)
 *	die | die-once FILE (dies if FILE can be made) | junk | badfd | hello | log TEXT
 *	only NAME@REVISION COMMAND (others reply the name of theirs)
 *	ask COMMAND (asks for a value first) | flood (asks 30,000 times and reads nothing)
 *	stale COMMAND (each first time it says to have read what has changed since)
 */
#ifndef TESTS_FAKE_SANDBOX_H
#define TESTS_FAKE_SANDBOX_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "proto/aot_abi.h"
#include "proto/ipc.h"

enum { FAKE_SOCK = 3, FAKE_LARGE = 200000 };

static void fake_send(struct wr *w, int fd)
{
	if (ipc_send(FAKE_SOCK, w, &fd, fd >= 0, true) < 0)
		_exit(0);
}

static void fake_large(struct ipc_result *r, struct wr *w)
{
	uint8_t *bytes = calloc(1, FAKE_LARGE + 4);
	struct wr all = wr_into(bytes, FAKE_LARGE + 4);
	wr_u32(&all, FAKE_LARGE);
	memset(bytes + 4, 'L', FAKE_LARGE);
	struct span part = { bytes, FAKE_LARGE + 4 };
	r->fd_bytes = FAKE_LARGE + 4;
	if (!ipc_put_result(w, r))
		abort();
	int fd = ipc_memfd("result", &part, 1);
	fake_send(w, fd);
	(void)close(fd);
	free(bytes);
}

static const char *fake_rest(const char *text, const char *command)
{
	size_t n = strlen(command);
	if (strncmp(text, command, n) != 0 || (text[n] != ' ' && text[n] != '\0'))
		return NULL;
	return text + n + (text[n] == ' ');
}

static struct span fake_span(const char *s)
{
	return (struct span){ (const uint8_t *)s, strlen(s) };
}

/* By handle, as LOAD told them. */
enum { FAKE_NAMES = 64 };
static char fake_names[FAKE_NAMES][96];

/* "only f@2 fail": what the function of this handle has to do. */
static const char *fake_own(uint32_t handle, const char *text)
{
	static char reply[112];
	const char *rest = fake_rest(text, "only"), *name = fake_names[handle % FAKE_NAMES];
	if (!rest)
		return text;
	if (strncmp(rest, name, strlen(name)) == 0)
		return rest + strlen(name) + 1;
	(void)snprintf(reply, sizeof(reply), "reply %s", name);
	return reply;
}

static void fake_ask(uint64_t event, unsigned times)
{
	static uint8_t answer[IPC_PACKET_BYTES];
	uint8_t packet[256];
	int fd = -1;
	for (unsigned i = 0; i < times; i++) {
		struct wr w = wr_into(packet, sizeof(packet));
		const struct ipc_state_ask q = { .event = event,
						 .ticket = i,
						 .key = fake_span("k") };
		(void)!ipc_put_state_ask(&w, &q);
		fake_send(&w, -1);
	}
	if (times == 1)
		(void)!ipc_recv(FAKE_SOCK, answer, sizeof(answer), &fd, true);
}

/* The commands that end this process or its manners. False: none of them. */
static void fake_misbehave(const char *text, struct wr *w)
{
	const char *rest;
	if (fake_rest(text, "die"))
		(void)raise(SIGKILL);
	if ((rest = fake_rest(text, "die-once")) && open(rest, O_CREAT | O_EXCL, 0600) >= 0)
		(void)raise(SIGKILL);
	if (fake_rest(text, "junk")) {
		wr_u32(w, IPC_RESULT);
		wr_str(w, " is followed by junk");
		fake_send(w, -1);
	}
	if (fake_rest(text, "hello")) {
		(void)!ipc_put_hello(w, &(struct ipc_hello){ AOT_ABI_VERSION, 1 });
		fake_send(w, -1);
	}
	if ((rest = fake_rest(text, "slow"))) {
		long ms = strtol(rest, NULL, 10);
		(void)nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
	}
}

static void fake_answer(struct ipc_invoke *m, const char *text)
{
	uint8_t packet[4096], list[2048], ops[128];
	struct wr state = wr_into(ops, sizeof(ops));
	struct wr w = wr_into(packet, sizeof(packet)), effects = wr_into(list, sizeof(list));
	struct ipc_result r = { .event = m->event, .status = IPC_OK, .cpu_ns = 5000 };
	const char *rest;
	if ((rest = fake_rest(text, "ask"))) {
		fake_ask(m->event, 1);
		text = rest;
	}
	if ((rest = fake_rest(text, "stale"))) {
		static unsigned runs;
		const struct ipc_state_op read = { .what = IPC_STATE_READ,
						   .version = runs++ % 2 ? 0 : 99,
						   .key = fake_span("k") };
		ipc_state_put(&state, &read);
		r.state = (struct span){ ops, state.len };
		r.nstate = 1;
		text = rest;
	}
	if (fake_rest(text, "flood"))
		fake_ask(m->event, 30000);
	fake_misbehave(text, &w);
	w.len = 0;
	if (fake_rest(text, "silent"))
		return;
	if (fake_rest(text, "large")) {
		fake_large(&r, &w);
		return;
	}
	if ((rest = fake_rest(text, "reply")))
		r.reply = fake_span(rest);
	if ((rest = fake_rest(text, "log")))
		r.log = fake_span(rest);
	if ((rest = fake_rest(text, "emit"))) {
		const char *space = strchr(rest, ' ');
		struct ipc_effect e = { .topic = { (const uint8_t *)rest, (size_t)(space - rest) },
					.payload = fake_span(space + 1) };
		ipc_effect_put(&effects, &e);
		r.effects = (struct span){ list, effects.len };
		r.neffects = 1;
	}
	if (fake_rest(text, "fail")) {
		r.status = IPC_FAILED;
		r.code = 7;
	}
	if (fake_rest(text, "trap")) {
		r.status = IPC_TRAPPED;
		r.trap = 1;
		r.why = fake_span("memory at f+0x1a");
	}
	if ((rest = fake_rest(text, "say"))) {
		r.status = IPC_FAILED;
		r.why = fake_span(rest);
	}
	if (fake_rest(text, "lie"))
		r.queue_ns = r.instantiate_ns = r.run_ns = r.cpu_ns = UINT64_MAX / 2;
	if (!ipc_put_result(&w, &r))
		abort();
	if (fake_rest(text, "badfd"))
		fake_send(&w, open("/dev/null", O_RDONLY | O_CLOEXEC));
	else
		fake_send(&w, -1);
}

static void fake_invoke(struct ipc_invoke *m, int fd)
{
	char text[256] = "";
	const void *map = NULL;
	struct span payload = m->payload;
	if (m->payload_fd_bytes > 0 && ipc_memfd_map(fd, m->payload_fd_bytes, &map) == 0)
		payload = (struct span){ map, m->payload_fd_bytes };
	size_t n = payload.len < sizeof(text) - 1 ? payload.len : sizeof(text) - 1;
	if (n)
		memcpy(text, payload.at, n);
	text[n] = '\0';
	fake_answer(m, fake_own(m->function, text));
	if (map)
		(void)munmap((void *)map, m->payload_fd_bytes);
}

static void fake_loaded(const struct ipc_load *m)
{
	uint8_t packet[512];
	struct wr w = wr_into(packet, sizeof(packet));
	struct ipc_loaded l = { .function = m->function };
	(void)snprintf(fake_names[m->function % FAKE_NAMES], sizeof(fake_names[0]), "%.*s",
		       (int)m->name.len, (const char *)m->name.at);
	if (m->name.len >= 6 && memcmp(m->name.at, "killer", 6) == 0)
		(void)raise(SIGKILL);
	if (m->name.len >= 3 && memcmp(m->name.at, "bad", 3) == 0) {
		l.err = -E_INVALID;
		l.why = fake_span("it is bad");
	}
	(void)!ipc_put_loaded(&w, &l);
	fake_send(&w, -1);
}

static int fake_sandbox(void)
{
	static uint8_t buf[IPC_PACKET_BYTES];
	uint8_t hello[64];
	struct wr w = wr_into(hello, sizeof(hello));
	(void)!ipc_put_hello(&w, &(struct ipc_hello){ AOT_ABI_VERSION, 3 });
	fake_send(&w, -1);
	for (;;) {
		int fd = -1;
		ssize_t n = ipc_recv(FAKE_SOCK, buf, sizeof(buf), &fd, true);
		struct ipc_msg m;
		struct why why = { 0 };
		if (n <= 0 || ipc_parse(IPC_GATEWAY, buf, (size_t)n, &m, &why) < 0)
			return n == 0 ? 0 : 9;
		if (m.type == IPC_LOAD)
			fake_loaded(&m.load);
		else if (m.type == IPC_INVOKE)
			fake_invoke(&m.invoke, fd);
		else if (m.type == IPC_QUIT)
			return 0;
		if (fd >= 0)
			(void)close(fd);
	}
}

#endif
