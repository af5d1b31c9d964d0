/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD: in this program the file FAKE_PICONTROL, made by picontrol-ctl, is a piControl. What the program does with
 * other files goes to the kernel as ever.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fake/picontrol_calls.h"

static struct fake_calls fake;
static const char *path;

__attribute__((constructor)) static void begin(void)
{
	path = getenv("FAKE_PICONTROL");
	fake.pi = path ? fake_attach(path) : NULL;
}

static bool mine(int fd)
{
	return fake.pi && fd >= 0 && fd < FAKE_FDS && fake.handle[fd];
}

/* The kernel's, under the name that is hidden here. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

int open(const char *name, int flags, ...)
{
	va_list ap;
	va_start(ap, flags);
	mode_t mode = va_arg(ap, mode_t); /* of no meaning where none was given */
	va_end(ap);
	if (fake.pi && strcmp(name, path) == 0)
		return fake_calls_open(&fake, name);
	return NEXT(open)(name, flags, mode);
}

int close(int fd)
{
	return mine(fd) ? (fake_close(fake.pi, fake.handle[fd] - 1), fake.handle[fd] = 0,
			   NEXT(close)(fd))
			: NEXT(close)(fd);
}

ssize_t pread(int fd, void *buf, size_t n, off_t at)
{
	return mine(fd) ? fake_calls_pread(&fake, fd, buf, n, at) : NEXT(pread)(fd, buf, n, at);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	return mine(fd) ? fake_calls_pwrite(&fake, fd, buf, n, at) : NEXT(pwrite)(fd, buf, n, at);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	va_start(ap, request);
	void *argument = va_arg(ap, void *);
	va_end(ap);
	return mine(fd) ? fake_calls_ioctl(&fake, fd, request, argument)
			: NEXT(ioctl)(fd, request, argument);
}
