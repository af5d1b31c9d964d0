/* SPDX-License-Identifier: Apache-2.0 */
/* GET /backup: an archive of everything that is worth keeping, while events go on. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/api/request.h"
#include "gateway/backup.h"

static void on_made(void *arg, int err, const char *reason, int fd, uint64_t bytes)
{
	struct api_request *q = arg;
	q->g->backing_up = false;
	if (err < 0) {
		LOG(LOG_WARN, "backup failed", F_STR("reason", reason), F_ERR(err));
		request_error(q, err, reason, NULL, NULL);
		return;
	}
	LOG(LOG_NOTE, "backup made", F_U64("bytes", bytes));
	request_reply_fd(q, "application/x-tar", fd, bytes);
}

void api_backup(struct api_request *q)
{
	struct why why = { 0 };
	int err = q->g->backing_up
			  ? why_set(&why, -EAGAIN, "a backup is being made already")
			  : backup_start(&q->g->loop, q->g->config.state_dir, on_made, q, &why);
	q->g->backing_up |= err == 0;
	if (err < 0)
		request_fail(q, err, &why);
}
