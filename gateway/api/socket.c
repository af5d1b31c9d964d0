/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/api/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"

int api_socket_clear(const char *path, struct why *why)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(un.sun_path))
		return why_set(why, -ENAMETOOLONG,
			       "%s is too long for a socket (%zu bytes at most): choose a shorter "
			       "runtime_dir",
			       path, sizeof(un.sun_path) - 1);
	memcpy(un.sun_path, path, strlen(path));
	OWN_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return why_set(why, -errno, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0 || errno == EAGAIN)
		return why_set(why, -EADDRINUSE,
			       "another gateway answers on %s: stop it, or choose another "
			       "runtime_dir",
			       path);
	if (unlink(path) < 0 && errno != ENOENT)
		return why_set(why, -errno, "cannot remove the old socket %s: %s", path,
			       strerror(errno));
	return 0;
}
