/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of wasi_snapshot_preview1 that a function without files, directories and sockets can
 * only be refused: EBADF for a descriptor it does not have, else the row's error. Generated code
 * passes more arguments than are named here; by the C convention of every platform that this runs
 * on, the caller cleans them up.
 */
#include "sandbox/runtime/guest.h"
#include "sandbox/runtime/wasi.h"

static uint32_t refuse(uintptr_t return_address, uint32_t fd, uint32_t err)
{
	struct task *t = guest_enter(return_address);
	return guest_return(t, wasi_stream(t->host, fd) == HOST_CLOSED ? WASI_EBADF : err);
}

#define REFUSE(name, err)                                                                          \
	uint32_t wasi_##name(struct aot_instance *self, uint32_t fd);                              \
	uint32_t wasi_##name(struct aot_instance *self, uint32_t fd)                               \
	{                                                                                          \
		(void)self;                                                                        \
		return refuse((uintptr_t)__builtin_return_address(0), fd, err);                    \
	}

REFUSE(fd_advise, WASI_ESPIPE)
REFUSE(fd_allocate, WASI_ESPIPE)
REFUSE(fd_datasync, WASI_EINVAL)
REFUSE(fd_sync, WASI_EINVAL)
REFUSE(fd_fdstat_set_rights, WASI_OK)
REFUSE(fd_filestat_set_size, WASI_EINVAL)
REFUSE(fd_filestat_set_times, WASI_ENOTCAPABLE)
REFUSE(fd_pread, WASI_ESPIPE)
REFUSE(fd_pwrite, WASI_ESPIPE)
REFUSE(fd_readdir, WASI_ENOTCAPABLE)
REFUSE(fd_seek, WASI_ESPIPE)
REFUSE(fd_tell, WASI_ESPIPE)
REFUSE(fd_prestat_get, WASI_EBADF)
REFUSE(fd_prestat_dir_name, WASI_EBADF)
REFUSE(path_create_directory, WASI_ENOTCAPABLE)
REFUSE(path_filestat_get, WASI_ENOTCAPABLE)
REFUSE(path_filestat_set_times, WASI_ENOTCAPABLE)
REFUSE(path_link, WASI_ENOTCAPABLE)
REFUSE(path_open, WASI_ENOTCAPABLE)
REFUSE(path_readlink, WASI_ENOTCAPABLE)
REFUSE(path_remove_directory, WASI_ENOTCAPABLE)
REFUSE(path_rename, WASI_ENOTCAPABLE)
REFUSE(path_unlink_file, WASI_ENOTCAPABLE)
REFUSE(sock_accept, WASI_ENOTSOCK)
REFUSE(sock_recv, WASI_ENOTSOCK)
REFUSE(sock_send, WASI_ENOTSOCK)
REFUSE(sock_shutdown, WASI_ENOTSOCK)

/* Its descriptor comes after the old path. */
uint32_t wasi_path_symlink(struct aot_instance *self, uint32_t path, uint32_t len, uint32_t fd);
uint32_t wasi_path_symlink(struct aot_instance *self, uint32_t path, uint32_t len, uint32_t fd)
{
	(void)self;
	(void)path;
	(void)len;
	return refuse((uintptr_t)__builtin_return_address(0), fd, WASI_ENOTCAPABLE);
}
