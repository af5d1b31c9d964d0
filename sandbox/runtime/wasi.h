/* SPDX-License-Identifier: Apache-2.0 */
/* wasi_snapshot_preview1: the numbers of its documentation (witx "typenames"). */
#ifndef RUNTIME_WASI_H
#define RUNTIME_WASI_H

#include "sandbox/runtime/host.h"

enum wasi_errno {
	WASI_OK = 0,
	WASI_E2BIG = 1,
	WASI_EAGAIN = 6,
	WASI_EBADF = 8,
	WASI_EFAULT = 21,
	WASI_EINVAL = 28,
	WASI_EIO = 29,
	WASI_ENOMEM = 48,
	WASI_ENOSYS = 52,
	WASI_ENOTSOCK = 57,
	WASI_ENOTSUP = 58,
	WASI_EPIPE = 64,
	WASI_ESPIPE = 70,
	WASI_ENOTCAPABLE = 76,
};

enum wasi_filetype { WASI_TYPE_UNKNOWN = 0, WASI_TYPE_CHARACTER = 2 };
enum wasi_right { WASI_RIGHT_READ = 1 << 1, WASI_RIGHT_WRITE = 1 << 6, WASI_RIGHT_POLL = 1 << 27 };
enum wasi_clock { WASI_REALTIME, WASI_MONOTONIC, WASI_PROCESS_CPU, WASI_THREAD_CPU };

/* HOST_CLOSED when the guest has no such descriptor. */
static inline enum host_stream wasi_stream(const struct host *h, uint32_t fd)
{
	return fd < HOST_FDS ? h->fds[fd] : HOST_CLOSED;
}

#endif
