/* SPDX-License-Identifier: Apache-2.0 */
/* backup, restore */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/own.h"
#include "cli/client.h"
#include "cli/text.h"

#define GROUP "Gateway"

enum { BACKUP_TIMEOUT_S = 3600 };

/* To FILE.part, which becomes FILE when it is complete and on the disk. */
static int save(struct cli *c, struct client *k, const char *to, uint64_t *ret_bytes)
{
	OWN_FREE char *part = NULL;
	ENSURE(asprintf(&part, "%s.part", to) >= 0);
	OWN_FD fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return cli_fail(c, CODE_FAILED, NULL, "%s: %s", part, strerror(errno));
	int code = client_save(k, "/backup", BACKUP_TIMEOUT_S, fd, ret_bytes);
	if (code == CODE_OK && (fsync(fd) < 0 || rename(part, to) < 0))
		code = cli_fail(c, CODE_FAILED, NULL, "%s: %s", to, strerror(errno));
	if (code != CODE_OK)
		(void)unlink(part);
	return code;
}

static int backup_run(struct cli *c)
{
	uint64_t bytes = 0;
	OWN_CLIENT *k = client_new(c);
	if (!k)
		return CODE_FAILED;
	int code = save(c, k, cli_arg(c, 0), &bytes);
	if (code == CODE_OK) {
		text_put(c->out, cli_arg(c, 0));
		(void)fprintf(c->out, ": %llu bytes; look into it with tar tvf\n",
			      (unsigned long long)bytes);
	}
	return code;
}

const struct command command_backup = {
	.name = "backup",
	.group = GROUP,
	.summary = "Everything worth keeping of a running gateway, into one file",
	.usage = "FILE",
	.more = "Functions with their modules, bindings, trusted keys, the journal with what "
		"functions\n"
		"remember and what waits to be sent. Events go on meanwhile. Not in it: the "
		"configuration,\n"
		"and the device's own key: native code is compiled again where it is restored.\n"
		"It holds payloads: keep it as you keep those. penstock restore FILE is the way "
		"back.",
	.needs = "FILE",
	.least_args = 1,
	.most_args = 1,
	.asks_gateway = true,
	.run = backup_run,
};

/* ---- restore: penstockd's work, without a running one ---- */

static const struct option_row restore_rows[] = {
	{ "force", 0, OPT_FLAG, NULL, "move the state that is there aside", 0, 0 },
	{ "config", 0, OPT_TEXT, "FILE", "the gateway's configuration, which names the state_dir",
	  0, 0 },
};

/* Beside this program, or in the sbin beside its folder. malloc'd; NULL. */
static char *penstockd_find(struct why *why)
{
	char self[PATH_MAX], *path = child_sibling("penstockd", NULL);
	if (path)
		return path;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if (asprintf(&path, "%s/../sbin/penstockd", self) >= 0 && access(path, X_OK) == 0)
		return path;
	free(path);
	(void)why_set(why, -ENOENT, "there is no penstockd beside %s or in ../sbin", self);
	return NULL;
}

static int restore_run(struct cli *c)
{
	struct why why = { 0 };
	const char *words[8] = { "penstockd", "--restore", cli_arg(c, 0) };
	const char *config = args_text(&c->args, "config");
	size_t n = 3;
	OWN_FREE char *path = penstockd_find(&why);
	if (!path)
		return cli_fail(c, CODE_FAILED, "install the gateway's package", "%s", why.text);
	if (args_flag(&c->args, "force"))
		words[n++] = "--force";
	if (config) {
		words[n++] = "--config";
		words[n++] = config;
	}
	(void)execv(path, (char *const *)words);
	return cli_fail(c, CODE_FAILED, NULL, "%s: %s", path, strerror(errno));
}

const struct command command_restore = {
	.name = "restore",
	.group = GROUP,
	.summary = "Put a backup in place of the state of a gateway that does not run",
	.usage = "FILE [--force] [--config FILE]",
	.more = "Stop the gateway first: systemctl stop penstock. The backup is checked as a "
		"whole; "
		"until\n"
		"it is found good nothing changes. What was there is moved to "
		"before-restore-TIME in the\n"
		"state directory. What had not been sent at the time of the backup is sent "
		"(again), "
		"with\n"
		"the effect ids of then.\n"
		"It is penstockd --restore FILE, as the user that the gateway runs as, or as root.",
	.options = restore_rows,
	.noptions = ARRAY_LEN(restore_rows),
	.needs = "FILE",
	.least_args = 1,
	.most_args = 1,
	.may = MAY_LACK_FILE,
	.run = restore_run,
};
