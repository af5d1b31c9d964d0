/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A penstock-sandbox that has been taken over. It echoes events like an honest one, until a payload says
 *	attack NAME SEED
 * and then tries what a process at that end of the socket can try against penstockd (attacks[] below).
 *	attack start-NAME	dies, and does NAME instead of saying HELLO when it is started again
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/aot_abi.h"
#include "proto/ipc.h"

enum { SOCK = 3, ROUNDS = 4000, LIST_BYTES = 30000 };

static uint8_t packet[IPC_PACKET_BYTES + 64];
static uint64_t current; /* the event that it may answer */
static uint64_t seed;

static uint32_t draw(void)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(seed >> 33);
}

static uint32_t below(uint32_t n)
{
	return draw() % n;
}

/* Numbers are at the ends of their range more often than between. */
static uint64_t number(void)
{
	static const uint64_t ends[] = { 0,          1,         0x7fffffff,     0x80000000,
					 UINT32_MAX, INT64_MAX, UINT64_MAX - 1, UINT64_MAX };
	return below(3) ? ends[below(ARRAY_LEN(ends))] : (uint64_t)draw() << 32 | draw();
}

static struct span bytes_of(uint32_t most)
{
	static uint8_t pool[8][LIST_BYTES];
	static unsigned next;
	uint8_t *p = pool[next++ % 8];
	uint32_t n = below(most + 1);
	unsigned kind = below(3);
	for (uint32_t i = 0; i < n; i++)
		p[i] = kind == 0   ? (uint8_t)draw()
		       : kind == 1 ? "/#+\0\n<0>\"\\\xff{"[below(13)]
				   : 'a';
	return (struct span){ p, n };
}

static bool send_raw(const void *p, size_t n, const int *fds, unsigned nfds)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * 16)];
	} control;
	struct iovec iov = { (void *)(uintptr_t)p, n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (nfds > 0) {
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		control.head =
			(struct cmsghdr){ CMSG_LEN(sizeof(int) * nfds), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * nfds);
	}
	return sendmsg(SOCK, &m, MSG_NOSIGNAL) >= 0;
}

static void head(struct wr *w, uint16_t type, uint16_t nfds)
{
	*w = wr_into(packet, sizeof(packet));
	wr_u16(w, type);
	wr_u16(w, nfds);
}

/* ---- packets ---- */

static size_t result(uint64_t event)
{
	static uint8_t effects[LIST_BYTES], state[LIST_BYTES];
	struct wr w = wr_into(packet, sizeof(packet)), e = wr_into(effects, sizeof(effects)),
		  s = wr_into(state, sizeof(state));
	struct ipc_result r = { .event = event,
				.status = below(6) ? IPC_OK : below(5),
				.trap = (uint32_t)(below(4) ? below(16) : number()),
				.code = (int32_t)number(),
				.queue_ns = number(),
				.run_ns = number(),
				.cpu_ns = number(),
				.instantiate_ns = number(),
				.memory_bytes = (uint32_t)number(),
				.why = bytes_of(300),
				.log = bytes_of(500),
				.reply = bytes_of(2000),
				.trace = bytes_of(200) };
	for (uint32_t i = below(5); i > 0; i--, r.neffects++)
		ipc_effect_put(
			&e, &(struct ipc_effect){ (uint8_t)below(4), (uint8_t)below(3),
						  bytes_of(40), bytes_of(300),
						  below(2) ? bytes_of(60) : (struct span){ 0 } });
	for (uint32_t i = below(6); i > 0; i--, r.nstate++)
		ipc_state_put(&s,
			      &(struct ipc_state_op){ (uint8_t)below(5), number(), number(),
						      bytes_of(70), bytes_of(520), bytes_of(300) });
	r.effects = (struct span){ effects, e.len };
	r.state = (struct span){ state, s.len };
	return ipc_put_result(&w, &r) ? w.len : 0;
}

static size_t ask(void)
{
	struct wr w = wr_into(packet, sizeof(packet));
	const struct ipc_state_ask a = { below(2) ? current : number(),
					 number(),
					 (uint8_t)below(3),
					 (uint32_t)number(),
					 bytes_of(70),
					 bytes_of(500),
					 bytes_of(400) };
	return ipc_put_state_ask(&w, &a) ? w.len : 0;
}

static size_t loaded(void)
{
	struct wr w = wr_into(packet, sizeof(packet));
	const struct ipc_loaded l = { (uint32_t)(below(2) ? below(4) : number()),
				      below(2) ? 0 : -(int32_t)below(2000), bytes_of(900),
				      (uint8_t)below(3) };
	return ipc_put_loaded(&w, &l) ? w.len : 0;
}

static size_t any_packet(void)
{
	size_t n = below(8) ? (below(3) ? result(below(4) ? number() : current + below(3)) : ask())
			    : loaded();
	for (uint32_t i = below(4); i > 0 && n > 4; i--)
		packet[4 + below((uint32_t)n - 4)] ^= (uint8_t)(1u << below(8));
	return n > 8 && below(5) == 0 ? n - below(8) : n;
}

/* ---- attacks: each ends with a process that the gateway has to replace, or that goes on ---- */

static void noise(void)
{
	size_t n = below(IPC_PACKET_BYTES);
	for (size_t i = 0; i < n; i++)
		packet[i] = (uint8_t)draw();
	(void)send_raw(packet, n, NULL, 0);
}

static void oversized(void)
{
	head(&(struct wr){ 0 }, IPC_RESULT, 0);
	(void)send_raw(packet, sizeof(packet), NULL, 0);
}

static void empty(void)
{
	(void)send_raw(packet, 0, NULL, 0);
}

static void gateways_own(void)
{
	struct wr w;
	head(&w, IPC_QUIT, 0);
	(void)send_raw(packet, w.len, NULL, 0);
}

static void unknown_type(void)
{
	struct wr w;
	head(&w, (uint16_t)(IPC_AFTER_LAST + below(60000)), 0);
	wr_u64(&w, number());
	(void)send_raw(packet, w.len, NULL, 0);
}

/* What the decoder takes, by thousands: the gateway's own checks are behind it. */
static void well_formed(void)
{
	struct ipc_msg m;
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t n = any_packet();
		if (n >= 4 && ipc_parse(IPC_SANDBOX, packet, n, &m, NULL) == 0 && m.nfds == 0 &&
		    !(m.type == IPC_RESULT && m.result.fd_bytes) && !send_raw(packet, n, NULL, 0))
			_exit(0);
	}
}

static void malformed(void)
{
	struct ipc_msg m;
	for (;;) {
		size_t n = any_packet();
		if (n > 0 && ipc_parse(IPC_SANDBOX, packet, n, &m, NULL) < 0 &&
		    !send_raw(packet, n, NULL, 0))
			_exit(0);
	}
}

static void answers_twice(void)
{
	for (int i = 0; i < 50; i++) {
		struct wr w = wr_into(packet, sizeof(packet));
		const struct ipc_result r = { .event = current,
					      .status = IPC_OK,
					      .reply = { (const uint8_t *)"again", 5 } };
		if (ipc_put_result(&w, &r))
			(void)send_raw(packet, w.len, NULL, 0);
	}
}

static void foreign_topics(void)
{
	static const char *const topics[] = { "valves/open", "$SYS/x",  "#", "+/a", "",
					      "a\nb",        "stolen/x" };
	uint8_t list[512];
	struct wr w = wr_into(packet, sizeof(packet)), e = wr_into(list, sizeof(list));
	struct ipc_result r = { .event = current, .status = IPC_OK };
	for (size_t i = 0; i < ARRAY_LEN(topics); i++, r.neffects++)
		ipc_effect_put(
			&e, &(struct ipc_effect){ 1,
						  1,
						  { (const uint8_t *)topics[i], strlen(topics[i]) },
						  { (const uint8_t *)"x", 1 },
						  { 0 } });
	r.effects = (struct span){ list, e.len };
	if (ipc_put_result(&w, &r))
		(void)send_raw(packet, w.len, NULL, 0);
}

/* Asks for what no function of it was granted, and never reads the answers. */
static void asks_without_end(void)
{
	for (unsigned i = 0; i < 50000; i++) {
		size_t n = ask();
		struct ipc_msg m;
		if (ipc_parse(IPC_SANDBOX, packet, n, &m, NULL) == 0 &&
		    send(SOCK, packet, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
			_exit(0);
	}
	(void)sleep(2);
	_exit(0);
}

/* A result whose body should lie in this descriptor, with this size. */
static void result_by_fd(int fd, uint32_t bytes)
{
	struct wr w = wr_into(packet, sizeof(packet));
	const struct ipc_result r = {
		.event = current, .status = IPC_OK, .neffects = 1, .fd_bytes = bytes
	};
	if (ipc_put_result(&w, &r))
		(void)send_raw(packet, w.len, &fd, 1);
}

static int memory_of(size_t bytes, uint32_t reply_len, bool seal)
{
	int fd = memfd_create("result", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(fd, (off_t)bytes) < 0 || pwrite(fd, &reply_len, 4, 0) < 0)
		_exit(1);
	if (seal)
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
	return fd;
}

static void memory_that_shrinks(void)
{
	int fd = memory_of(1 << 20, 100, false);
	result_by_fd(fd, 1 << 20);
	(void)!ftruncate(fd, 0);
}

static void memory_too_small(void)
{
	result_by_fd(memory_of(4096, 100, true), 1 << 20);
}

static void memory_that_lies(void)
{
	result_by_fd(memory_of(100000, UINT32_MAX, true), 100000);
}

static void memory_too_large(void)
{
	result_by_fd(memory_of((size_t)8 << 30, 100, true), UINT32_MAX);
}

static void a_pipe_for_memory(void)
{
	int ends[2];
	if (pipe(ends) == 0)
		result_by_fd(ends[0], 4096);
}

static void a_device_for_memory(void)
{
	result_by_fd(open("/dev/zero", O_RDWR | O_CLOEXEC), 4096);
}

static void many_descriptors(void)
{
	int fds[16];
	for (int i = 0; i < 16; i++)
		fds[i] = STDERR_FILENO;
	for (int i = 0; i < 200; i++) {
		size_t n = result(number());
		if (n > 0 && !send_raw(packet, n, fds, 16))
			_exit(0);
	}
}

/* One with each message that has none: if they stayed open, the gateway would be full soon. */
static void a_descriptor_each(void)
{
	int fd = STDERR_FILENO;
	for (int i = 0; i < 2000; i++) {
		struct wr w = wr_into(packet, sizeof(packet));
		const struct ipc_result r = { .event = number(), .status = IPC_OK };
		if (ipc_put_result(&w, &r) && !send_raw(packet, w.len, &fd, 1))
			_exit(0);
	}
}

static void hello(uint32_t version, uint32_t workers)
{
	struct wr w = wr_into(packet, sizeof(packet));
	if (ipc_put_hello(&w, &(struct ipc_hello){ version, workers }))
		(void)send_raw(packet, w.len, NULL, 0);
}

static void hello_again(void)
{
	hello(AOT_ABI_VERSION, 1);
}

static void many_workers(void)
{
	hello(AOT_ABI_VERSION, UINT32_MAX);
}

static void another_version(void)
{
	hello(AOT_ABI_VERSION + 1, 1);
}

static void closes_its_socket(void)
{
	(void)close(SOCK);
	(void)sleep(30);
	_exit(0);
}

static void stops_reading(void)
{
	(void)sleep(30);
	_exit(0);
}

static void stops(void)
{
	(void)raise(SIGSTOP);
}

static void dies(void)
{
	_exit(7);
}

static const struct {
	const char *name;
	void (*run)(void);
} attacks[] = {
#define ATTACK(f)                                                                                  \
	{                                                                                          \
#f, f                                                                              \
	}
	ATTACK(noise),
	ATTACK(oversized),
	ATTACK(empty),
	ATTACK(gateways_own),
	ATTACK(unknown_type),
	ATTACK(well_formed),
	ATTACK(malformed),
	ATTACK(answers_twice),
	ATTACK(foreign_topics),
	ATTACK(asks_without_end),
	ATTACK(memory_that_shrinks),
	ATTACK(memory_too_small),
	ATTACK(memory_that_lies),
	ATTACK(memory_too_large),
	ATTACK(a_pipe_for_memory),
	ATTACK(a_device_for_memory),
	ATTACK(many_descriptors),
	ATTACK(a_descriptor_each),
	ATTACK(hello_again),
	ATTACK(many_workers),
	ATTACK(another_version),
	ATTACK(closes_its_socket),
	ATTACK(stops_reading),
	ATTACK(stops),
	ATTACK(dies),
#undef ATTACK
};

/* ---- the honest half ---- */

static char next_file[4096];

static bool attack(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(attacks); i++) {
		if (strcmp(attacks[i].name, name) != 0)
			continue;
		attacks[i].run();
		return true;
	}
	return false;
}

static void obey(const char *text)
{
	char name[64];
	unsigned long long s = 0;
	if (sscanf(text, "attack %63s %llu", name, &s) < 1)
		return;
	seed = s;
	if (strncmp(name, "start-", 6) == 0) {
		int fd = open(next_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, name + 6, strlen(name + 6)) < 0)
			_exit(1);
		_exit(0);
	}
	if (!attack(name))
		_exit(2);
}

static void start(void)
{
	char name[64] = "";
	ssize_t n = readlink("/proc/self/exe", next_file, sizeof(next_file) - 8);
	if (n < 0)
		_exit(1);
	memcpy(next_file + n, ".next", 6);
	int fd = open(next_file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, name, sizeof(name) - 1) > 0) {
		(void)close(fd);
		(void)unlink(next_file);
		(void)attack(name);
	}
	hello(AOT_ABI_VERSION, 1);
}

static void answer(const struct ipc_msg *m)
{
	struct wr w = wr_into(packet, sizeof(packet));
	char text[128] = "";
	if (m->type == IPC_LOAD &&
	    ipc_put_loaded(&w,
			   &(struct ipc_loaded){ .function = m->load.function, .is_reactor = 1 }))
		(void)send_raw(packet, w.len, NULL, 0);
	if (m->type != IPC_INVOKE)
		return;
	size_t n = m->invoke.payload.len;
	current = m->invoke.event;
	memcpy(text, m->invoke.payload.at, n < 127 ? n : 127);
	obey(text);
	w = wr_into(packet, sizeof(packet));
	const struct ipc_result r = { .event = m->invoke.event,
				      .status = IPC_OK,
				      .cpu_ns = 1000,
				      .reply = m->invoke.payload };
	if (ipc_put_result(&w, &r))
		(void)send_raw(packet, w.len, NULL, 0);
}

int main(void)
{
	static uint8_t in[IPC_PACKET_BYTES];
	start();
	for (;;) {
		struct ipc_msg m;
		int fd = -1;
		ssize_t n = ipc_recv(SOCK, in, sizeof(in), &fd, true);
		if (fd >= 0)
			(void)close(fd);
		if (n <= 0)
			return 0;
		if (ipc_parse(IPC_GATEWAY, in, (size_t)n, &m, NULL) == 0)
			answer(&m);
	}
}
