/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function owns for its own duration is released when it returns:
 *
 *	OWN_FD fd = open(...);
 *	...
 *	*ret_fd = fd_steal(&fd);	the caller owns it from here
 *
 * Not for frames that a guest's trap can leave (STYLE.md, habit 6).
 */
#ifndef BASE_OWN_H
#define BASE_OWN_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void own_fd_close(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}

static inline int fd_steal(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

static inline void own_free(void *p)
{
	free(*(void **)p);
}

static inline void *ptr_steal(void *pp)
{
	void *taken = *(void **)pp;
	*(void **)pp = NULL;
	return taken;
}

#define OWN_FD   __attribute__((cleanup(own_fd_close))) int
#define OWN_FREE __attribute__((cleanup(own_free)))

#endif
