/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

/* Opens, and makes where it is not, a folder that is the user's own. */
static int open_own(int at, const char *name, const char *shown, int *ret_fd, struct why *why)
{
	struct stat st;
	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return why_set(why, -errno, "%s: cannot make this folder: %s", shown,
			       strerrordesc_np(errno));
	OWN_FD fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return why_set(why, -errno, "%s: %s", shown, strerrordesc_np(errno));
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return why_set(why, -E_CONFIG,
			       "%s: others may write there, and what lies there is run; "
			       "chown and chmod go-w it",
			       shown);
	*ret_fd = fd_steal(&fd);
	return 0;
}

int cache_open(const char *kind, char **ret_path, int *ret_fd, struct why *why)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	OWN_FREE char *base = NULL;
	OWN_FREE char *path = NULL;
	OWN_FD top = -1;
	if (xdg && xdg[0] == '/') {
		base = strdup(xdg);
	} else if (home && home[0] == '/') {
		if (asprintf(&base, "%s/.cache", home) < 0)
			base = NULL;
	} else {
		return why_set(why, -E_CONFIG, "neither XDG_CACHE_HOME nor HOME is set");
	}
	if (!base || asprintf(&path, "%s/penstock/%s", base, kind) < 0)
		return why_set(why, -ENOMEM, "out of memory");
	if (mkdir(base, 0700) < 0 && errno != EEXIST)
		return why_set(why, -errno, "%s: cannot make this folder: %s", base,
			       strerrordesc_np(errno));
	OWN_FD base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (base_fd < 0)
		return why_set(why, -errno, "%s: %s", base, strerrordesc_np(errno));
	int err = open_own(base_fd, "penstock", path, &top, why);
	if (err == 0)
		err = open_own(top, kind, path, ret_fd, why);
	if (err == 0)
		*ret_path = ptr_steal(&path);
	return err;
}

int cache_path(const char *kind, const char *like, const char *ending, char **ret_path,
	       struct why *why)
{
	OWN_FREE char *folder = NULL;
	OWN_FD fd = -1;
	int err = cache_open(kind, &folder, &fd, why);
	if (err < 0)
		return err;
	const char *slash = strrchr(like, '/'), *name = slash ? slash + 1 : like;
	const char *dot = strrchr(name, '.');
	size_t len = dot && dot > name ? (size_t)(dot - name) : strlen(name);
	if (asprintf(ret_path, "%s/%.*s%s", folder, (int)len, name, ending) < 0)
		return why_set(why, -ENOMEM, "out of memory");
	return 0;
}
