/* SPDX-License-Identifier: Apache-2.0 */
/* One server, or one serial line with its servers: connects, asks one question after the other, says what went wrong. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <modbus/modbus.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/wr.h"
#include "triggers/feed.h"
#include "triggers/modbus_impl.h"
#include "triggers/resolve.h"

enum { ERROR_BYTES = 160, FDS_SPARE = 4 };

struct modbus_link {
	const struct modbus_config *c;
	struct modbus_url url;
	atomic_bool stopping;
	/* Whose turn it is: first come, first served, else a thread that reads all the time would let nobody else in. */
	pthread_mutex_t lock;
	pthread_cond_t next;
	uint64_t tickets, serving;
	/* of whose turn it is */
	modbus_t *ctx; /* NULL: not connected */
	unsigned failures;
	uint64_t again_ns;
	uint64_t quiet_ns; /* of a serial line: silence between two messages, until then */
	struct why why;    /* of the last attempt to connect */
};

struct modbus_links {
	unsigned n;
	struct modbus_link link[MODBUS_LINKS_MAX];
};

static void enter(struct modbus_link *l)
{
	(void)pthread_mutex_lock(&l->lock);
	uint64_t mine = l->tickets++;
	while (mine != l->serving)
		(void)pthread_cond_wait(&l->next, &l->lock);
	(void)pthread_mutex_unlock(&l->lock);
}

static void leave(struct modbus_link *l)
{
	(void)pthread_mutex_lock(&l->lock);
	l->serving++;
	(void)pthread_cond_broadcast(&l->next);
	(void)pthread_mutex_unlock(&l->lock);
}

/* ---- errors in words ---- */

static const struct said {
	int err;
	int ret;
	const char *words;
} said[] = {
	{ EMBXILFUN, -EREMOTEIO,
	  "it does not do that with this table (exception 1, illegal function): its manual says "
	  "which tables it has" },
	{ EMBXILADD, -EREMOTEIO,
	  "it has no such register (exception 2, illegal data address): is ADDRESS right? Manuals "
	  "often count from 1 or 40001, "
	  "messages from 0" },
	{ EMBXILVAL, -EREMOTEIO,
	  "it refuses this value or length (exception 3, illegal data value)" },
	{ EMBXSFAIL, -EAGAIN, "it failed while it did that (exception 4, device failure)" },
	{ EMBXACK, -EAGAIN, "it needs longer for that (exception 5, acknowledge)" },
	{ EMBXSBUSY, -EAGAIN, "it is busy (exception 6)" },
	{ EMBXNACK, -EREMOTEIO, "it cannot do that (exception 7, negative acknowledge)" },
	{ EMBXMEMPAR, -EAGAIN, "its memory is damaged (exception 8, parity)" },
	{ EMBXGPATH, -EAGAIN,
	  "the Modbus gateway has no way to this unit (exception 10): is UNIT right?" },
	{ EMBXGTAR, -EAGAIN,
	  "the Modbus gateway gets no answer from this unit (exception 11): has it power, is UNIT "
	  "right?" },
	{ EMBBADCRC, -EAGAIN,
	  "a garbled answer (checksum): are baud, parity and stop right, the cable terminated?" },
	{ EMBBADDATA, -EAGAIN, "an answer that makes no sense" },
	{ EMBBADSLAVE, -EAGAIN, "another unit answered" },
	{ EMBMDATA, -EAGAIN, "an answer that is too long" },
	{ ETIMEDOUT, -EAGAIN,
	  "no answer in time: has it power, is UNIT right, timeout_ms long enough?" },
	{ EACCES, -EAGAIN,
	  "permission denied: serial lines belong to the group dialout: `adduser penstock "
	  "dialout`, and start the gateway "
	  "again" },
	{ ENOENT, -EAGAIN, "there is no such device: is it plugged in?" },
};

static bool is_exception(int err)
{
	return err > MODBUS_ENOBASE && err <= EMBXGTAR;
}

static int say(const struct modbus_link *l, unsigned unit, int err, struct why *why)
{
	char on_unit[16] = "";
	if (unit)
		(void)snprintf(on_unit, sizeof(on_unit), " unit %u", unit);
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		if (said[i].err == err)
			return why_set(why, said[i].ret, "[modbus.%s] %s%s: %s", l->c->name,
				       l->c->url, on_unit, said[i].words);
	}
	return why_set(why, -EAGAIN, "[modbus.%s] %s%s: %s", l->c->name, l->c->url, on_unit,
		       err >= MODBUS_ENOBASE ? modbus_strerror(err) : strerrordesc_np(err));
}

/* ---- connecting ---- */

static void disconnect(struct modbus_link *l)
{
	if (!l->ctx)
		return;
	/* The guard may hold a copy of the descriptor, which would keep the connection. */
	if (l->url.tcp)
		(void)shutdown(modbus_get_socket(l->ctx), SHUT_RDWR);
	modbus_close(l->ctx);
	modbus_free(l->ctx);
	l->ctx = NULL;
}

/* libmodbus waits with select(), which writes beyond its set for a descriptor that is too high. */
static bool descriptor_fits(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return false;
	(void)close(fd);
	return fd < FD_SETSIZE - FDS_SPARE;
}

static int open_ctx(struct modbus_link *l, modbus_t *ctx)
{
	if (!ctx)
		return -ENOMEM;
	const uint32_t s = l->c->timeout_ms / 1000, us = l->c->timeout_ms % 1000 * 1000;
	int err = 0;
	(void)modbus_set_response_timeout(ctx, s, us);
	(void)modbus_set_error_recovery(ctx, MODBUS_ERROR_RECOVERY_NONE);
	if (modbus_connect(ctx) < 0)
		err = errno ? -errno : -EIO;
	else if (modbus_get_socket(ctx) >= FD_SETSIZE)
		err = -EMFILE;
	if (err == 0) {
		l->ctx = ctx;
		return 0;
	}
	modbus_close(ctx);
	modbus_free(ctx);
	return err;
}

/* Who gives numbers needs no name server, also at the end, when outputs are made safe. */
static int addresses(struct modbus_link *l, struct addrinfo **ret)
{
	const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	if (getaddrinfo(l->url.host, l->url.port, &numeric, ret) == 0)
		return 0;
	return resolve(l->url.host, l->url.port, &l->stopping, ret);
}

static int connect_tcp(struct modbus_link *l, struct why *why)
{
	struct addrinfo *found = NULL;
	char host[NI_MAXHOST];
	int err = -EADDRNOTAVAIL;
	int no = addresses(l, &found);
	if (no)
		return why_set(why, -EAGAIN, "[modbus.%s] %s: %s", l->c->name, l->c->url,
			       gai_strerror(no));
	for (const struct addrinfo *a = found; a && err < 0; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof(host), NULL, 0,
				NI_NUMERICHOST) == 0)
			err = open_ctx(l, modbus_new_tcp_pi(host, l->url.port));
	}
	freeaddrinfo(found);
	return err;
}

static int connect_rtu(struct modbus_link *l)
{
	const struct modbus_url *u = &l->url;
	return open_ctx(l, modbus_new_rtu(u->host, u->baud, u->parity, u->data, u->stop));
}

/* A server that was idle for long may have closed the connection; that shows before anything is sent. */
static bool still_connected(struct modbus_link *l)
{
	char byte;
	if (!l->ctx || !l->url.tcp)
		return l->ctx != NULL;
	ssize_t n = recv(modbus_get_socket(l->ctx), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return true;
	disconnect(l); /* or bytes that nobody asked for: what follows would be misread */
	return false;
}

static int connected(struct modbus_link *l, struct why *why)
{
	if (still_connected(l))
		return 0;
	if (l->again_ns && feed_now_ns() < l->again_ns)
		return why_set(why, -EAGAIN, "%s", l->why.text);
	l->why.text[0] = '\0';
	int err = !descriptor_fits() ? -EMFILE
		  : l->url.tcp       ? connect_tcp(l, &l->why)
				     : connect_rtu(l);
	if (err < 0) {
		l->again_ns = feed_now_ns() + feed_pause_ns(++l->failures);
		(void)say(l, 0, -err, &l->why);
		return why_set(why, -EAGAIN, "%s", l->why.text);
	}
	l->failures = 0;
	l->again_ns = 0;
	return 0;
}

/* ---- asking ---- */

/* A late answer to this question must not be taken for that to the next one. */
static void after_error(struct modbus_link *l, int err)
{
	if (is_exception(err))
		return;
	if (l->url.tcp || (err < MODBUS_ENOBASE && err != ETIMEDOUT))
		disconnect(l);
	else
		(void)modbus_flush(l->ctx);
}

static int ask(modbus_t *ctx, const struct modbus_range *r, uint16_t *raw)
{
	uint8_t bits[MODBUS_BITS_AT_ONCE];
	int n;
	switch (r->table) {
	case MODBUS_HOLDING:
		return modbus_read_registers(ctx, r->address, r->count, raw);
	case MODBUS_INPUT:
		return modbus_read_input_registers(ctx, r->address, r->count, raw);
	case MODBUS_COIL:
	case MODBUS_DISCRETE:
		break;
	}
	n = r->table == MODBUS_COIL ? modbus_read_bits(ctx, r->address, r->count, bits)
				    : modbus_read_input_bits(ctx, r->address, r->count, bits);
	for (int i = 0; i < n; i++)
		raw[i] = bits[i];
	return n;
}

static int tell(modbus_t *ctx, const struct modbus_point *p, const uint16_t raw[2])
{
	if (p->table == MODBUS_COIL)
		return modbus_write_bit(ctx, p->address, raw[0] != 0);
	if (p->count == 1)
		return modbus_write_register(ctx, p->address, raw[0]);
	return modbus_write_registers(ctx, p->address, p->count, raw);
}

/* Modbus over serial line, 2.5.1.1: a message ends with the silence of 3.5 characters, above 19200 baud with 1.75 ms; libmodbus
 * leaves that to its caller. */
static void silence_begins(struct modbus_link *l)
{
	enum { CHARACTER_BITS = 11, LEAST_NS = 1750000 };
	if (l->url.tcp)
		return;
	uint64_t ns = UINT64_C(35) * CHARACTER_BITS * 100000000 / (unsigned)l->url.baud;
	l->quiet_ns = feed_now_ns() + (ns > LEAST_NS ? ns : LEAST_NS);
}

static void silence_ends(const struct modbus_link *l)
{
	const struct timespec t = { .tv_sec = (time_t)(l->quiet_ns / 1000000000u),
				    .tv_nsec = (long)(l->quiet_ns % 1000000000u) };
	while (l->quiet_ns && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* r or p */
static int exchange(struct modbus_link *l, const struct modbus_range *r, uint16_t *to,
		    const struct modbus_point *p, const uint16_t *from, struct why *why)
{
	const unsigned unit = r ? r->unit : p->unit;
	enter(l);
	int err = connected(l, why);
	if (err == 0) {
		silence_ends(l);
		errno = 0;
		int n = modbus_set_slave(l->ctx, (int)unit);
		if (n == 0)
			n = r ? ask(l->ctx, r, to) : tell(l->ctx, p, from);
		if (n < 0) {
			int number = errno ? errno : EIO;
			after_error(l, number);
			err = say(l, unit, number, why);
		}
		silence_begins(l);
	}
	leave(l);
	return err;
}

int modbus_link_read(struct modbus_link *l, const struct modbus_range *r, uint16_t *raw,
		     struct why *why)
{
	return exchange(l, r, raw, NULL, NULL, why);
}

int modbus_link_write(struct modbus_link *l, const struct modbus_point *p, const uint16_t raw[2],
		      struct why *why)
{
	return exchange(l, NULL, NULL, p, raw, why);
}

/* ---- for the guard ---- */

static void put_u16(struct wr *w, uint16_t v) /* Modbus is big endian */
{
	wr_u8(w, (uint8_t)(v >> 8));
	wr_u8(w, (uint8_t)v);
}

int modbus_link_lend(struct modbus_link *l, const struct modbus_point *p, const uint16_t raw[2],
		     uint8_t *bytes, uint32_t cap, uint32_t *ret_length)
{
	enum { COIL_ON = 0xff00, TRANSACTION = 0xffff };
	struct wr w = wr_into(bytes, cap);
	const bool both = p->count == 2;
	const uint8_t function = p->table == MODBUS_COIL ? MODBUS_FC_WRITE_SINGLE_COIL
				 : both                  ? MODBUS_FC_WRITE_MULTIPLE_REGISTERS
							 : MODBUS_FC_WRITE_SINGLE_REGISTER;
	put_u16(&w, TRANSACTION);
	put_u16(&w, 0); /* protocol */
	put_u16(&w, both ? 11 : 6);
	wr_u8(&w, p->unit);
	wr_u8(&w, function);
	put_u16(&w, p->address);
	if (both) {
		put_u16(&w, 2);
		wr_u8(&w, 4);
		put_u16(&w, raw[0]);
		put_u16(&w, raw[1]);
	} else {
		put_u16(&w, p->table != MODBUS_COIL ? raw[0] : raw[0] ? COIL_ON : 0);
	}
	*ret_length = (uint32_t)w.len;
	enter(l);
	int fd = l->url.tcp && wr_ok(&w) && still_connected(l)
			 ? fcntl(modbus_get_socket(l->ctx), F_DUPFD_CLOEXEC, 0)
			 : -1;
	leave(l);
	return fd;
}

/* ---- all of them ---- */

struct modbus_link *modbus_link_find(const struct modbus_links *l, struct span name)
{
	for (unsigned i = 0; l && i < l->n; i++) {
		if (span_eq(name, l->link[i].c->name))
			return (struct modbus_link *)(uintptr_t)&l->link[i];
	}
	return NULL;
}

int modbus_unit_ok(const struct modbus_link *l, const struct modbus_point *p, struct why *why)
{
	if (l->url.tcp || (p->unit >= 1 && p->unit <= 247))
		return 0;
	return why_set(why, -E_INVALID,
		       "unit %u: on a serial line ([modbus.%s]) units are 1 to 247", p->unit,
		       l->c->name);
}

const char *modbus_link_name(const struct modbus_link *l)
{
	return l->c->name;
}

void modbus_link_stop(struct modbus_link *l)
{
	atomic_store(&l->stopping, true);
}

int modbus_links_new(const struct modbus_config *c, unsigned n, struct modbus_links **ret,
		     struct why *why)
{
	if (n > MODBUS_LINKS_MAX)
		return why_set(why, -E_CONFIG, "more than %d sections [modbus.NAME]",
			       MODBUS_LINKS_MAX);
	struct modbus_links *l = calloc(1, sizeof(*l));
	if (!l)
		return why_set(why, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < n; i++) {
		struct why reason = { 0 };
		struct modbus_link *one = &l->link[l->n++];
		one->c = &c[i];
		(void)pthread_mutex_init(&one->lock, NULL);
		(void)pthread_cond_init(&one->next, NULL);
		if (modbus_url_read(c[i].url, &one->url, &reason) < 0) {
			modbus_links_free(l);
			return why_set(why, -E_CONFIG, "[modbus.%s] %s", c[i].name, reason.text);
		}
	}
	*ret = l;
	return 0;
}

void modbus_links_free(struct modbus_links *l)
{
	for (unsigned i = 0; l && i < l->n; i++) {
		disconnect(&l->link[i]);
		(void)pthread_mutex_destroy(&l->link[i].lock);
		(void)pthread_cond_destroy(&l->link[i].next);
	}
	free(l);
}
