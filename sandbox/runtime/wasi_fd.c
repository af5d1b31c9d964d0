/* SPDX-License-Identifier: Apache-2.0 */
/* wasi_snapshot_preview1: reading, writing and describing the three streams. */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sandbox/runtime/guest.h"
#include "sandbox/runtime/wasi.h"

#pragma clang diagnostic ignored "-Wmissing-prototypes" /* hostcall.def is their list */

enum { IOVS_MAX = 1024, DIRECT_IOVS = 16 };

struct guest_iovec {
	uint32_t at, len;
};

/* The i-th of a guest's vectors, as host memory. */
static bool iov_span(const struct aot_instance *self, uint32_t iovs, uint32_t i, struct iovec *ret)
{
	struct guest_iovec v;
	const uint8_t *p = guest_span(self, iovs + (uint64_t)i * sizeof(v), sizeof(v));
	if (!p)
		return false;
	memcpy(&v, p, sizeof(v));
	*ret = (struct iovec){ guest_span(self, v.at, v.len), v.len };
	return ret->iov_base != NULL;
}

static uint32_t errno_of(int err)
{
	switch (err) {
	case EAGAIN:
		return WASI_EAGAIN;
	case EBADF:
		return WASI_EBADF;
	case EPIPE:
		return WASI_EPIPE;
	case EINVAL:
		return WASI_EINVAL;
	default:
		return WASI_EIO;
	}
}

/* One readv or writev on a descriptor of this process, which may take its time. */
static uint32_t direct_io(struct task *t, int fd, const struct iovec *v, int n, bool out,
			  uint32_t *ret_done)
{
	for (;;) {
		t->blocked = true;
		ssize_t done = out ? writev(fd, v, n) : readv(fd, v, n);
		int err = errno;
		t->blocked = false;
		if (done >= 0) {
			*ret_done = (uint32_t)done;
			return WASI_OK;
		}
		if (err != EINTR)
			return errno_of(err);
		task_checkpoint(t);
	}
}

static uint32_t direct(struct aot_instance *self, struct task *t, int fd, uint32_t iovs, uint32_t n,
		       uint32_t *ret_done)
{
	struct iovec v[DIRECT_IOVS];
	int used = 0;
	for (uint32_t i = 0; i < n && used < DIRECT_IOVS; i++) {
		if (!iov_span(self, iovs, i, &v[used]))
			return WASI_EFAULT;
		used += v[used].iov_len > 0;
	}
	return direct_io(t, fd, v, used, fd != STDIN_FILENO, ret_done);
}

static uint32_t read_payload(struct aot_instance *self, struct host *h, uint32_t iovs, uint32_t n,
			     uint32_t *ret_done)
{
	for (uint32_t i = 0; i < n; i++) {
		struct iovec v;
		size_t left = h->payload.len - h->payload_read;
		if (!iov_span(self, iovs, i, &v))
			return WASI_EFAULT;
		size_t take = v.iov_len < left ? v.iov_len : left;
		if (take > 0)
			memcpy(v.iov_base, h->payload.at + h->payload_read, take);
		h->payload_read += take;
		*ret_done += (uint32_t)take;
	}
	return WASI_OK;
}

static uint32_t write_event(struct aot_instance *self, struct task *t, enum host_stream to,
			    struct guest_iovec list, uint32_t *ret_done)
{
	struct host *h = t->host;
	for (uint32_t i = 0; i < list.len; i++) {
		struct iovec v;
		if (!iov_span(self, list.at, i, &v) || *ret_done + v.iov_len > UINT32_MAX)
			return WASI_EFAULT;
		if (to == HOST_STDERR)
			host_log_stream(h, v.iov_base, v.iov_len);
		else if (v.iov_len > host_output_left(h))
			task_trap(t, AOT_TRAP_LIMIT, t->host_pc,
				  "more output than limits.output allows");
		else if (!outbuf_put(&h->reply, v.iov_base, v.iov_len))
			return WASI_ENOMEM;
		*ret_done += (uint32_t)v.iov_len;
		task_checkpoint(t);
	}
	return WASI_OK;
}

uint32_t wasi_fd_read(struct aot_instance *self, uint32_t fd, uint32_t iovs, uint32_t n,
		      uint32_t ret_nread)
{
	struct task *t = GUEST_ENTER();
	uint32_t done = 0, err;
	if (wasi_stream(t->host, fd) != HOST_STDIN)
		return guest_return(t, WASI_EBADF);
	if (n > IOVS_MAX)
		return guest_return(t, WASI_EINVAL);
	if (!guest_span(self, ret_nread, 4))
		return guest_return(t, WASI_EFAULT);
	if (t->host->direct)
		err = direct(self, t, STDIN_FILENO, iovs, n, &done);
	else
		err = read_payload(self, t->host, iovs, n, &done);
	if (err == WASI_OK && !guest_put_u32(self, ret_nread, done))
		err = WASI_EFAULT;
	return guest_return(t, err);
}

uint32_t wasi_fd_write(struct aot_instance *self, uint32_t fd, uint32_t iovs, uint32_t n,
		       uint32_t ret_nwritten)
{
	struct task *t = GUEST_ENTER();
	enum host_stream to = wasi_stream(t->host, fd);
	uint32_t done = 0, err;
	if (to != HOST_STDOUT && to != HOST_STDERR)
		return guest_return(t, WASI_EBADF);
	if (n > IOVS_MAX)
		return guest_return(t, WASI_EINVAL);
	if (!guest_span(self, ret_nwritten, 4))
		return guest_return(t, WASI_EFAULT);
	if (t->host->direct)
		err = direct(self, t, to == HOST_STDOUT ? STDOUT_FILENO : STDERR_FILENO, iovs, n,
			     &done);
	else
		err = write_event(self, t, to, (struct guest_iovec){ iovs, n }, &done);
	if (err == WASI_OK && !guest_put_u32(self, ret_nwritten, done))
		err = WASI_EFAULT;
	return guest_return(t, err);
}

uint32_t wasi_fd_close(struct aot_instance *self, uint32_t fd)
{
	struct task *t = GUEST_ENTER();
	(void)self;
	if (wasi_stream(t->host, fd) == HOST_CLOSED)
		return guest_return(t, WASI_EBADF);
	t->host->fds[fd] = HOST_CLOSED;
	return guest_return(t, WASI_OK);
}

uint32_t wasi_fd_renumber(struct aot_instance *self, uint32_t from, uint32_t to)
{
	struct task *t = GUEST_ENTER();
	struct host *h = t->host;
	(void)self;
	if (wasi_stream(h, from) == HOST_CLOSED || wasi_stream(h, to) == HOST_CLOSED)
		return guest_return(t, WASI_EBADF);
	if (from != to) {
		h->fds[to] = h->fds[from];
		h->fds[from] = HOST_CLOSED;
	}
	return guest_return(t, WASI_OK);
}

static enum wasi_filetype filetype(const struct host *h, enum host_stream s)
{
	static const int fd_of[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	/* Only a terminal is a character device for the guest: its libc buffers by line then. */
	return h->direct && isatty(fd_of[s]) ? WASI_TYPE_CHARACTER : WASI_TYPE_UNKNOWN;
}

uint32_t wasi_fd_fdstat_get(struct aot_instance *self, uint32_t fd, uint32_t ret)
{
	struct task *t = GUEST_ENTER();
	enum host_stream s = wasi_stream(t->host, fd);
	/* filetype u8, flags u16 at 2, rights u64 at 8, inheriting rights u64 at 16 */
	uint8_t stat[24] = { 0 };
	if (s == HOST_CLOSED)
		return guest_return(t, WASI_EBADF);
	uint64_t rights =
		WASI_RIGHT_POLL | (s == HOST_STDIN ? (uint64_t)WASI_RIGHT_READ : WASI_RIGHT_WRITE);
	stat[0] = (uint8_t)filetype(t->host, s);
	memcpy(stat + 8, &rights, sizeof(rights));
	bool ok = guest_put(self, ret, stat, sizeof(stat));
	return guest_return(t, ok ? WASI_OK : WASI_EFAULT);
}

uint32_t wasi_fd_fdstat_set_flags(struct aot_instance *self, uint32_t fd, uint32_t flags)
{
	struct task *t = GUEST_ENTER();
	(void)self;
	if (wasi_stream(t->host, fd) == HOST_CLOSED)
		return guest_return(t, WASI_EBADF);
	return guest_return(t, flags == 0 ? WASI_OK : WASI_ENOTSUP);
}

uint32_t wasi_fd_filestat_get(struct aot_instance *self, uint32_t fd, uint32_t ret)
{
	struct task *t = GUEST_ENTER();
	enum host_stream s = wasi_stream(t->host, fd);
	/* dev, ino, filetype u8 at 16, nlink at 24, size at 32, times at 40, 48, 56 */
	uint8_t stat[64] = { 0 };
	if (s == HOST_CLOSED)
		return guest_return(t, WASI_EBADF);
	uint64_t size = s == HOST_STDIN ? t->host->payload.len : 0;
	stat[16] = (uint8_t)filetype(t->host, s);
	stat[24] = 1;
	memcpy(stat + 32, &size, sizeof(size));
	bool ok = guest_put(self, ret, stat, sizeof(stat));
	return guest_return(t, ok ? WASI_OK : WASI_EFAULT);
}
