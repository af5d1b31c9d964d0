/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between penstockd and penstock-sandbox: fields, limits, encoding and decoding. One
 * struct per message; encode and decode are exact mirrors, decode checks everything and believes
 * nothing. A message that does not decode costs its sender its life (STYLE.md, habit 12).
 *
 * Spans in decoded messages point into the caller's buffer.
 */
#ifndef PROTO_IPC_H
#define PROTO_IPC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rd.h"
#include "base/why.h"
#include "base/wr.h"

enum ipc_side { IPC_GATEWAY, IPC_SANDBOX };

enum ipc_type {
#define MSG(id, name, from, least, most) IPC_##name = (id),
#include "proto/messages.def"
#undef MSG
	IPC_AFTER_LAST
};

enum {
	IPC_INLINE_BYTES = 60000,     /* sum of a message's variable parts; more goes by memfd */
	IPC_PACKET_BYTES = 66560 + 4, /* size of a receive buffer */
	IPC_PAYLOAD_BYTES = 16 << 20, /* largest payload of an event or result, by memfd */
	IPC_EFFECTS_MAX = 4096,       /* per result */
	IPC_ATTRS_MAX = 64,           /* per event */
	IPC_EFFECT_ATTRS = 32,        /* per effect; and their bytes, encoded */
	IPC_EFFECT_ATTRS_BYTES = 8192,
	IPC_TOPIC_BYTES = 65535,
	IPC_BATCH = 16,           /* packets per system call, see ipc_inbox_recv() */
	IPC_LOG_BYTES = 16384,    /* of a guest's stderr and log calls, per event; then "..." */
	IPC_TRACE_BYTES = 4096,   /* sandbox/runtime/trace.h */
	IPC_STATE_OPS_MAX = 1024, /* per event: what it read and what it changes */
	IPC_STATE_BYTES = 36864,  /* of the list of them in a RESULT */
	IPC_STATE_VALUE_MAX = 32768,
	IPC_STATE_KEY_MAX = 512,
	IPC_STATE_BUCKET_MAX = 64,
};

struct ipc_hello {
	uint32_t version; /* AOT_ABI_VERSION */
	uint32_t workers; /* how many guests run at once */
};

struct ipc_load {
	uint32_t function;     /* handle, chosen by the gateway; must be free */
	uint32_t memory_pages; /* most that the guest may have */
	uint32_t stack_bytes;  /* guest stack; rounded up to pages */
	uint32_t output_bytes; /* most that one event may emit, reply and effects together */
	uint64_t cpu_ns;       /* CPU budget of one event, start function included */
	uint64_t wall_ns;      /* time from INVOKE to RESULT, sleep included; 0 = none */
	uint32_t concurrency;  /* events that may have an instance at a time; 0 = no bound */
	uint32_t host_calls;   /* most that one event may make; 0 = no bound */
	struct span name;      /* for messages: "overheat@3" */
	struct span env;       /* NUL-separated NAME=VALUE, for environ_get */
	struct span args;      /* NUL-separated, for args_get; first = name */
	struct span pad;       /* reserved; empty */
};

struct ipc_loaded {
	uint32_t function;
	int32_t err;     /* 0 or negative */
	struct span why; /* reason when err < 0 */
	uint8_t is_reactor;
};

struct ipc_attr {
	struct span name,
		value; /* CloudEvents names: "id", "source", "type", "time", "topic", ... */
};

struct ipc_invoke {
	uint64_t event;       /* unique while in flight */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = none */
	uint32_t function;
	uint32_t nattrs;
	struct span attrs;         /* encoded list; walk it with ipc_attr_next() */
	struct span payload;       /* empty when it travels by memfd: see payload_fd_bytes */
	uint32_t payload_fd_bytes; /* 0, or the size of the payload in the memfd */
	uint8_t is_replay;         /* clocks and random bytes come from trace */
	struct span trace;         /* of the RESULT that is to come again */
};

enum ipc_status {
	IPC_OK,      /* the guest finished; effects and reply are to be committed */
	IPC_FAILED,  /* finished and refused the event: exit code or on_event result != 0 */
	IPC_TRAPPED, /* see trap, why: "memory at overheat.c:41 check_limit" */
	IPC_REFUSED, /* did not start: unknown handle, no slot, queue full, deadline over */
	IPC_STATUS_COUNT
};

struct ipc_effect {
	uint8_t qos, retain;
	struct span topic; /* empty = the binding's own */
	struct span payload;
	struct span attrs; /* encoded list, see ipc_attr_next(); proto/message_attrs.h */
};

/* State: values under names in buckets; "" is the function's own bucket. What an event changes is in its
 * RESULT and is committed with it, if what it read has still the version that it saw; else it runs again. */
enum ipc_state_what {
	IPC_STATE_READ,   /* a key and its version: 0 = it was not there */
	IPC_STATE_PUT,    /* version: as READ, or IPC_STATE_ANY when it was not read before */
	IPC_STATE_DELETE, /* the same */
	IPC_STATE_LISTED, /* names were read: key is empty, version is the bucket's */
	IPC_STATE_WHATS
};
#define IPC_STATE_ANY UINT64_MAX

struct ipc_state_op {
	uint8_t what;
	uint64_t version;
	uint64_t ttl_ms; /* PUT: 0 = for ever */
	struct span bucket, key, value;
};

/* Answered by STATE_TELL with this ticket. */
struct ipc_state_ask {
	uint64_t event, ticket;
	uint8_t list; /* 0: the value of key; 1: names that begin with key and come after `after` */
	uint32_t most; /* bytes of names */
	struct span bucket, key, after;
};

struct ipc_state_tell {
	uint64_t ticket;
	int32_t err; /* 0; -E_UNKNOWN: no such key; -E_TRUST: not granted; -EIO */
	uint64_t
		version; /* of the key, also of one that is not there (0); of the bucket for names */
	struct span value; /* or names: u16 length and bytes each, in order */
};

struct ipc_result {
	uint64_t event;
	uint32_t status; /* enum ipc_status */
	uint32_t trap;   /* enum aot_trap */
	int32_t code;    /* exit code, or what on_event returned */
	uint32_t neffects;
	uint64_t queue_ns, run_ns, cpu_ns;
	uint64_t instantiate_ns; /* from the end of the queue until the guest ran */
	uint32_t memory_bytes;   /* high-water mark of linear memory */
	struct span why;
	struct span log;     /* lines: level byte '3'..'7', text, '\n' */
	struct span reply;   /* stdout of a command */
	struct span effects; /* encoded list; walk it with ipc_effect_next() */
	struct span trace;   /* of time and chance: to be kept for a replay */
	uint32_t nstate;
	struct span state; /* encoded list; walk it with ipc_state_next() */
	uint32_t fd_bytes; /* 0; else reply and effects are empty here and lie in the memfd, as
				 * u32 reply_len, reply, effects */
};

/* Each writes a whole packet, head included; false when it does not fit (nothing to send then). */
bool ipc_put_hello(struct wr *w, const struct ipc_hello *m);
bool ipc_put_load(struct wr *w, const struct ipc_load *m);
bool ipc_put_loaded(struct wr *w, const struct ipc_loaded *m);
bool ipc_put_unload(struct wr *w, uint32_t function);
/* Another event number and function in an INVOKE that ipc_put_invoke wrote. */
void ipc_invoke_retarget(struct wr *w, uint64_t event, uint32_t function);
bool ipc_put_invoke(struct wr *w, const struct ipc_invoke *m);
bool ipc_put_result(struct wr *w, const struct ipc_result *m);
bool ipc_put_cancel(struct wr *w, uint64_t event);
bool ipc_put_quit(struct wr *w);
bool ipc_put_state_ask(struct wr *w, const struct ipc_state_ask *m);
bool ipc_put_state_tell(struct wr *w, const struct ipc_state_tell *m);

/* Lists inside messages. */
void ipc_attr_put(struct wr *w, const struct ipc_attr *a);
bool ipc_attr_next(struct rd *list, struct ipc_attr *ret);
void ipc_effect_put(struct wr *w, const struct ipc_effect *e);
bool ipc_effect_next(struct rd *list, struct ipc_effect *ret);
void ipc_state_put(struct wr *w, const struct ipc_state_op *o);
bool ipc_state_next(struct rd *list, struct ipc_state_op *ret);

struct ipc_msg {
	enum ipc_type type;
	unsigned nfds; /* how many descriptors the sender says came with it */
	union {
		struct ipc_hello hello;
		struct ipc_load load;
		struct ipc_loaded loaded;
		struct ipc_invoke invoke;
		struct ipc_result result;
		uint32_t unload;
		uint64_t cancel;
		struct ipc_state_ask ask;
		struct ipc_state_tell tell;
	};
};

/* Decodes a packet that `from` sent. Returns 0 or -E_PROTO with the reason; lists inside are fully
 * checked (count, bounds, limits), so that walking them cannot fail afterwards. */
int ipc_parse(enum ipc_side from, const void *packet, size_t len, struct ipc_msg *ret_msg,
	      struct why *why) MUST_USE;

/* A result's reply and effects when they came by memfd: same checks on the mapped bytes. */
int ipc_result_unpack(struct ipc_result *m, const void *bytes, size_t len,
		      struct why *why) MUST_USE;

const char *ipc_name(enum ipc_type type);     /* "INVOKE"; "unknown" */
const char *ipc_status_name(uint32_t status); /* "ok", "failed", "trapped", "refused" */

/* ---- the socket ---- */

/* Sends one packet with nfds descriptors (at most 1; they stay the caller's). Returns 0, -EAGAIN
 * (the peer's queue is full), -EPIPE or another -errno. Never raises SIGPIPE. */
int ipc_send(int sock, const struct wr *packet, const int *fds, unsigned nfds, bool wait) MUST_USE;
/* Receives one packet into buf. *ret_fd is a received descriptor (close-on-exec, the caller's) or
 * -1. Returns the length, 0 at the peer's end, -EAGAIN when wait is false and there is none,
 * -E_PROTO for a cut packet or more than one descriptor, or another -errno. */
ssize_t ipc_recv(int sock, void *buf, size_t cap, int *ret_fd, bool wait) MUST_USE;
/* Many packets for one system call. An inbox takes what is there, without waiting: returns how many,
 * 0 at the peer's end, -EAGAIN, or another -errno. The bytes are good until the next call, the
 * descriptors (or -1) are the caller's. err is -E_PROTO where ipc_recv() would have said so. */
struct ipc_packet {
	const uint8_t *bytes;
	size_t len;
	int fd, err;
};
struct ipc_inbox *ipc_inbox_new(void) MUST_USE; /* NULL = no memory */
void ipc_inbox_free(struct ipc_inbox *in);
int ipc_inbox_recv(struct ipc_inbox *in, int sock, struct ipc_packet ret[IPC_BATCH]) MUST_USE;
/* Sends n <= IPC_BATCH packets without descriptors, and waits until all are gone. 0 or -errno. */
int ipc_send_all(int sock, const struct span *packets, unsigned n) MUST_USE;
/* A sealed memfd with these bytes (-errno), and the mapping of a received one: verifies the seals
 * (write, shrink, grow) and the exact size before it maps read-only; munmap(*ret_map, len). */
int ipc_memfd(const char *name, const struct span *parts, size_t nparts) MUST_USE;
int ipc_memfd_map(int fd, size_t len, const void **ret_map) MUST_USE;

#endif
