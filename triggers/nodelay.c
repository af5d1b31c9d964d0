/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/nodelay.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "triggers/paho_wait.h"

enum {
	FDS_MAX = 1024,
	WATCH_FDS_MAX = 64,
	AHEAD_BYTES = 16 * 1024,
	HOLD_BYTES = 16 * 1024,
	HOLD_PACKET_MAX = 5 * 1024, /* what nodelay_writable answers for, and PACKET_COST */
	DRAINS_MAX = 32,
	PENDING_POLL_MS = 5,
	READER_MS = 100, /* how long Paho's reader wants to sleep */
	READER_SLEEP_MS = 1000,
	BRIEF_MS = 1,
	/* A socket that can be polled for writing has a third of its buffer free, 28 KiB in the worst
	 * case (Ethernet); a small packet takes a kilobyte more than its bytes. */
	ROOM_BYTES = 16 * 1024,
	PACKET_COST = 1024,
};

struct ahead {
	atomic_bool open;        /* went through our connect() and was not closed since */
	atomic_bool established; /* a write went out whole once */
	atomic_bool cut;         /* the last write was cut short: Paho waits for POLLOUT */
	atomic_bool unacked;     /* was read since TCP_QUICKACK was armed or something written */
	atomic_int room; /* bytes that the last look promised, less what was written since */
	_Atomic(void *) owner;
	size_t at, len;
	uint8_t bytes[AHEAD_BYTES];
	pthread_mutex_t held_lock; /* innermost */
	atomic_size_t held_len;    /* written under the lock, looked at without */
	uint8_t held[HOLD_BYTES];
};

/* libc's calls carry no context, so this table is the process's: one entry per descriptor number,
 * made once and kept for the number's next use, so that no reader can meet a freed one. */
static _Atomic(struct ahead *) table[FDS_MAX];
static _Thread_local int last_connected = -1;
static _Thread_local void *connecting_owner;
static _Thread_local bool reader, corked, refilled;
static _Thread_local bool again; /* the drains are to run once more before it sleeps */
static _Thread_local bool brief; /* it is to sleep for BRIEF_MS */

int __real_connect(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len);
ssize_t __real_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __real_writev(int fd, const struct iovec *iov, int n);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int n);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __real_close(int fd);
int __wrap_close(int fd);

static struct ahead *ahead_of(int fd)
{
	if (fd < 0 || fd >= FDS_MAX)
		return NULL;
	struct ahead *a = atomic_load_explicit(&table[fd], memory_order_acquire);
	return a && atomic_load_explicit(&a->open, memory_order_acquire) ? a : NULL;
}

static void ahead_open(int fd)
{
	if (fd < 0 || fd >= FDS_MAX)
		return;
	struct ahead *a = atomic_load(&table[fd]);
	if (!a) {
		if (!(a = calloc(1, sizeof(*a))))
			return; /* slower, not wrong */
		(void)pthread_mutex_init(&a->held_lock, NULL);
	}
	a->at = a->len = 0;
	atomic_store(&a->owner, connecting_owner);
	(void)pthread_mutex_lock(&a->held_lock);
	a->held_len = 0;
	(void)pthread_mutex_unlock(&a->held_lock);
	atomic_store(&a->established, false);
	atomic_store(&a->cut, false);
	atomic_store(&a->unacked, false);
	atomic_store(&a->room, 0);
	atomic_store_explicit(&a->open, true, memory_order_release);
	atomic_store_explicit(&table[fd], a, memory_order_release);
}

static void reader_wake(void);

static void set_tcp(int fd, int option)
{
	int on = 1;
	/* A socket that refuses is slower, not wrong. */
	(void)setsockopt(fd, IPPROTO_TCP, option, &on, sizeof(on));
}

int __wrap_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	bool tcp = addr && (addr->sa_family == AF_INET || addr->sa_family == AF_INET6);
	if (tcp) {
		set_tcp(fd, TCP_NODELAY);
		ahead_open(fd);
		last_connected = fd;
	}
	int rc = __real_connect(fd, addr, len);
	if (tcp && (rc == 0 || errno == EINPROGRESS)) {
		int err = errno;
		reader_wake();
		errno = err;
	}
	return rc;
}

int __wrap_close(int fd)
{
	struct ahead *a = ahead_of(fd);
	if (a) {
		atomic_store_explicit(&a->open, false, memory_order_release);
		paho_closing();
	}
	return __real_close(fd);
}

static size_t take(struct ahead *a, void *buf, size_t n)
{
	if (n > a->len)
		n = a->len;
	memcpy(buf, a->bytes + a->at, n);
	a->at += n;
	a->len -= n;
	return n;
}

/* ---- writes that are held back ---- */

/* Writes what is held. True: nothing is left. held_lock held. */
static bool flush_locked(struct ahead *a, int fd)
{
	size_t at = 0;
	if (a->held_len == 0)
		return true;
	atomic_store(&a->unacked, false);
	while (at < a->held_len) {
		ssize_t n = send(fd, a->held + at, a->held_len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			break;
		else if (n == 0 || errno != EINTR)
			at = a->held_len; /* lost with the connection, as the reader will find */
	}
	memmove(a->held, a->held + at, a->held_len - at);
	a->held_len -= at;
	return a->held_len == 0;
}

static bool flush(struct ahead *a, int fd)
{
	if (atomic_load_explicit(&a->held_len, memory_order_relaxed) == 0)
		return true;
	(void)pthread_mutex_lock(&a->held_lock);
	bool all = flush_locked(a, fd);
	(void)pthread_mutex_unlock(&a->held_lock);
	return all;
}

void nodelay_cork(void)
{
	corked = true;
}

void nodelay_uncork(int fd)
{
	struct ahead *a = ahead_of(fd);
	corked = false;
	if (a && !flush(a, fd))
		reader_wake(); /* it goes on when there is room */
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
	struct ahead *a = ahead_of(fd);
	if (!a || n == 0 || flags != 0)
		return __real_recv(fd, buf, n, flags);
	size_t got = take(a, buf, n);
	if (got == n)
		return (ssize_t)got;
	if (reader) { /* one batch is through: its answers go before the next is read */
		refilled = true;
		(void)flush(a, fd);
	}
	ssize_t more;
	if (n - got >= sizeof(a->bytes)) { /* large: straight to where it belongs */
		more = __real_recv(fd, (char *)buf + got, n - got, 0);
		if (more > 0)
			return (ssize_t)got + more;
	} else {
		more = __real_recv(fd, a->bytes, sizeof(a->bytes), 0);
		if (more > 0) {
			a->at = 0;
			a->len = (size_t)more;
			return (ssize_t)(got + take(a, (char *)buf + got, n - got));
		}
	}
	/* End or error: the next call meets it again, after what we have. */
	return got > 0 ? (ssize_t)got : more;
}

/* Can this write be taken into memory? held_lock held. What is cut has to go on first, and Paho has it. */
static bool may_hold(struct ahead *a, int fd, size_t bytes)
{
	if (!(reader || corked) || bytes > HOLD_PACKET_MAX || !atomic_load(&a->established) ||
	    atomic_load(&a->cut))
		return false;
	if (bytes > HOLD_BYTES - a->held_len)
		(void)flush_locked(a, fd);
	return bytes <= HOLD_BYTES - a->held_len;
}

static void hold(struct ahead *a, const struct iovec *iov, int n)
{
	size_t at = a->held_len;
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(a->held + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	a->held_len = at;
}

static ssize_t write_now(struct ahead *a, int fd, const struct iovec *iov, int n, size_t all)
{
	/* What we write carries the acknowledgement. Cleared first: what the reader gets after this
	 * write has to be acknowledged anew. */
	atomic_store(&a->unacked, false);
	ssize_t sent = -1;
	if (flush_locked(a, fd))
		sent = __real_writev(fd, iov, n);
	else
		errno = EAGAIN; /* behind what is held, and that is stuck */
	atomic_fetch_sub_explicit(&a->room,
				  (int)(all < ROOM_BYTES ? all : ROOM_BYTES) + PACKET_COST,
				  memory_order_relaxed);
	bool whole = sent >= 0 && (size_t)sent == all;
	if (whole && !atomic_load_explicit(&a->established, memory_order_relaxed))
		atomic_store(&a->established, true);
	if (whole == atomic_load_explicit(&a->cut, memory_order_relaxed)) {
		int err = errno;
		atomic_store(&a->cut, !whole);
		if (!whole)
			reader_wake();
		errno = err;
	}
	return sent;
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int n)
{
	struct ahead *a = ahead_of(fd);
	if (!a)
		return __real_writev(fd, iov, n);
	size_t all = 0;
	for (int i = 0; i < n; i++)
		all += iov[i].iov_len;
	(void)pthread_mutex_lock(&a->held_lock);
	bool held = may_hold(a, fd, all);
	ssize_t sent = (ssize_t)all;
	if (held)
		hold(a, iov, n);
	else
		sent = write_now(a, fd, iov, n, all);
	(void)pthread_mutex_unlock(&a->held_lock);
	return sent;
}

/* Serves a poll from what was read ahead; 0: nothing there. */
static int poll_ahead(struct pollfd *fds, nfds_t n)
{
	int ready = 0;
	for (nfds_t i = 0; i < n; i++) {
		struct ahead *a = fds[i].events & POLLIN ? ahead_of(fds[i].fd) : NULL;
		ready += a && a->len > 0;
	}
	for (nfds_t i = 0; ready > 0 && i < n; i++) {
		struct ahead *a = fds[i].events & POLLIN ? ahead_of(fds[i].fd) : NULL;
		fds[i].revents = a && a->len > 0 ? POLLIN : 0;
	}
	return ready;
}

/* Paho asks before each packet whether its sockets can be written, to go on with cut writes, and
 * reads only from those that can. Nothing is cut: so they can, or if not, that is no reason to stop
 * reading. */
static bool only_asks_for_cut_writes(const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++) {
		struct ahead *a = ahead_of(fds[i].fd);
		if (!a || (fds[i].events & POLLIN) ||
		    !atomic_load_explicit(&a->established, memory_order_relaxed) ||
		    atomic_load_explicit(&a->cut, memory_order_relaxed))
			return false;
	}
	return n > 0;
}

/* About to sleep in poll: write what is held back, send the acknowledgements that the kernel holds
 * back, and do not sleep long while a cut write waits, because Paho goes on with it only between two
 * polls for reading. */
static int before_sleep(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	for (nfds_t i = 0; i < n; i++) {
		struct ahead *a = fds[i].events & POLLIN ? ahead_of(fds[i].fd) : NULL;
		if (!a)
			continue;
		if (!flush(a, fds[i].fd))
			fds[i].events |= POLLOUT;
		if (atomic_exchange_explicit(&a->unacked, false, memory_order_relaxed))
			set_tcp(fds[i].fd, TCP_QUICKACK);
		if (atomic_load_explicit(&a->cut, memory_order_relaxed) &&
		    (timeout_ms < 0 || timeout_ms > PENDING_POLL_MS))
			timeout_ms = PENDING_POLL_MS;
		/* It is being connected, and Paho looks for that only between two polls. */
		if (!atomic_load_explicit(&a->established, memory_order_relaxed) &&
		    paho_all_hurry_now() && (timeout_ms < 0 || timeout_ms > PAHO_HURRY_MS))
			timeout_ms = PAHO_HURRY_MS;
	}
	return timeout_ms;
}

/* ---- the watch ---- */

static struct {
	pthread_mutex_t lock; /* held while its functions run */
	struct nodelay_watch w;
	struct drain {
		void (*run)(void *arg);
		void *arg;
	} drain[DRAINS_MAX];
	unsigned ndrains;
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Paho's reader wakes ten times a second to see whether it has new sockets or cut writes. It sleeps
 * for a second here, and whoever makes one or the other wakes it. -1: it could not be made; then the
 * reader sleeps as Paho wants. */
static pthread_once_t reader_once = PTHREAD_ONCE_INIT;
static int reader_fd = -1;

static void reader_open(void)
{
	reader_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void reader_wake(void)
{
	uint64_t one = 1;
	(void)pthread_once(&reader_once, reader_open);
	(void)!write(reader_fd, &one, sizeof(one)); /* full: it is awake already */
}

void nodelay_set_watch(const struct nodelay_watch *w)
{
	(void)pthread_mutex_lock(&watch.lock);
	watch.w = w ? *w : (struct nodelay_watch){ 0 };
	(void)pthread_mutex_unlock(&watch.lock);
}

bool nodelay_add_drain(void (*run)(void *arg), void *arg)
{
	(void)pthread_mutex_lock(&watch.lock);
	bool room = watch.ndrains < DRAINS_MAX;
	if (room)
		watch.drain[watch.ndrains++] = (struct drain){ run, arg };
	(void)pthread_mutex_unlock(&watch.lock);
	return room;
}

void nodelay_remove_drain(void *arg)
{
	(void)pthread_mutex_lock(&watch.lock);
	for (unsigned i = 0; i < watch.ndrains; i++) {
		if (watch.drain[i].arg == arg) {
			watch.drain[i] = watch.drain[--watch.ndrains];
			break;
		}
	}
	(void)pthread_mutex_unlock(&watch.lock);
}

/* watch.lock held */
static void run_drains(void)
{
	refilled = false;
	for (unsigned i = 0; i < watch.ndrains; i++)
		watch.drain[i].run(watch.drain[i].arg);
}

static int watch_before_sleep(void)
{
	(void)pthread_mutex_lock(&watch.lock);
	brief = false;
	int fd = watch.w.before_sleep ? watch.w.before_sleep(watch.w.arg) : -1;
	do { /* what one has committed lets another go on */
		again = false;
		run_drains();
	} while (again);
	(void)pthread_mutex_unlock(&watch.lock);
	return fd;
}

/* The reader has read more, and does not sleep. */
static void watch_between(void)
{
	(void)pthread_mutex_lock(&watch.lock);
	run_drains();
	(void)pthread_mutex_unlock(&watch.lock);
}

static void watch_ready(void)
{
	(void)pthread_mutex_lock(&watch.lock);
	if (watch.w.ready)
		watch.w.ready(watch.w.arg);
	(void)pthread_mutex_unlock(&watch.lock);
}

/* Paho's reader is about to sleep on its sockets. An early return without one that is ready would
 * make it pause for 100 ms, so the watched descriptor is served here. */
static int poll_watching(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct pollfd all[WATCH_FDS_MAX + 2];
	uint64_t count;
	(void)pthread_once(&reader_once, reader_open);
	if (timeout_ms == READER_MS && reader_fd >= 0)
		timeout_ms = READER_SLEEP_MS;
	int64_t end = paho_ms_now() + timeout_ms;
	reader = true;
	all[n + 1] = (struct pollfd){ .fd = reader_fd, .events = POLLIN };
	for (;;) {
		memcpy(all, fds, n * sizeof(*fds));
		all[n] = (struct pollfd){ .fd = watch_before_sleep(), .events = POLLIN };
		int64_t left = timeout_ms < 0 ? -1 : end - paho_ms_now();
		int wait_ms = before_sleep(all, n, left < 0 && timeout_ms >= 0 ? 0 : (int)left);
		bool back_soon = brief && (wait_ms < 0 || wait_ms > BRIEF_MS);
		int ready = __real_poll(all, n + 2, back_soon ? BRIEF_MS : wait_ms);
		if (ready == 0 && back_soon)
			continue;
		if (ready > 0 && all[n].revents != 0)
			watch_ready();
		bool woken = ready > 0 && all[n + 1].revents != 0;
		if (woken)
			(void)!read(reader_fd, &count, sizeof(count));
		int theirs = 0;
		for (nfds_t i = 0; i < n; i++) {
			bool room = all[i].events != fds[i].events; /* asked for by us */
			fds[i].revents = ready > 0 ? all[i].revents & ~(room ? POLLOUT : 0) : 0;
			theirs += fds[i].revents != 0;
		}
		if (theirs > 0 || woken || ready <= 0 || (timeout_ms >= 0 && paho_ms_now() >= end))
			return ready < 0 ? ready : theirs;
	}
}

static bool is_reader(const struct pollfd *fds, nfds_t n)
{
	return n > 0 && n <= WATCH_FDS_MAX && (fds[0].events & POLLIN) && ahead_of(fds[0].fd);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	int ready = poll_ahead(fds, n);
	if (ready > 0) {
		if (reader && refilled)
			watch_between();
		return ready;
	}
	if (timeout_ms == 0 && only_asks_for_cut_writes(fds, n)) {
		for (nfds_t i = 0; i < n; i++)
			fds[i].revents = POLLOUT;
		return (int)n;
	}
	if (timeout_ms != 0 && is_reader(fds, n))
		ready = poll_watching(fds, n, timeout_ms);
	else
		ready = __real_poll(fds, n, timeout_ms);
	for (nfds_t i = 0; ready > 0 && i < n; i++) {
		struct ahead *a = fds[i].revents & POLLIN ? ahead_of(fds[i].fd) : NULL;
		if (a)
			atomic_store(&a->unacked, true);
	}
	return ready;
}

bool nodelay_writable(int fd, size_t bytes)
{
	struct ahead *a = ahead_of(fd);
	if (!a || !atomic_load(&a->established) || atomic_load(&a->cut))
		return false;
	if (reader) { /* it only has to fit into memory, from where nobody waits for it */
		(void)pthread_mutex_lock(&a->held_lock);
		bool room = may_hold(a, fd, bytes + PACKET_COST);
		(void)pthread_mutex_unlock(&a->held_lock);
		return room;
	}
	if (atomic_load(&a->held_len) == 0 && atomic_load(&a->room) >= (int)bytes + PACKET_COST)
		return true;
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	if (__real_poll(&p, 1, 0) != 1 || p.revents != POLLOUT)
		return false;
	atomic_store(&a->room, ROOM_BYTES);
	return true;
}

bool nodelay_sent(int fd, uint64_t *ret_written, uint64_t *ret_there)
{
	struct ahead *a = ahead_of(fd);
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	int waiting = 0, unread = 0;
	if (!a || a->len > 0 || atomic_load(&a->cut) || ioctl(fd, SIOCINQ, &unread) < 0 ||
	    unread > 0 || ioctl(fd, SIOCOUTQ, &waiting) < 0 ||
	    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return false;
	*ret_there = info.tcpi_bytes_acked;
	*ret_written = info.tcpi_bytes_acked + (uint64_t)waiting;
	return true;
}

bool nodelay_more(int fd)
{
	const struct ahead *a = reader ? ahead_of(fd) : NULL;
	return a && a->len > 0;
}

bool nodelay_reads(void)
{
	return reader;
}

void nodelay_own(void *owner)
{
	connecting_owner = owner;
}

bool nodelay_connecting(void)
{
	return connecting_owner != NULL;
}

void *nodelay_owner(int fd)
{
	struct ahead *a = ahead_of(fd);
	return a ? atomic_load(&a->owner) : NULL;
}

void nodelay_wake(void)
{
	if (reader)
		again = true;
	else
		reader_wake();
}

void nodelay_sleep_briefly(void)
{
	brief = true;
}

int nodelay_last_connected(void)
{
	return last_connected;
}
