/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picontrol-cuse FILE NAME: /dev/NAME is the fake piControl FILE (picontrol-ctl makes it), for any program: the kernel
 * opens and closes, duplicates descriptors into other processes, and closes what a dead process had.
 */
#define FUSE_USE_VERSION 31
#include <cuse_lowlevel.h>
#include <errno.h>
#include <fuse_opt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/fake/picontrol.h"

enum {
	LOOK_US = 2000
}; /* between looks whether somebody who waits is to be told, or has had a signal */

static struct fake_pi *pi;

static void on_open(fuse_req_t req, struct fuse_file_info *fi)
{
	int h = fake_open(pi);
	if (h < 0) {
		fuse_reply_err(req, -h);
		return;
	}
	pi->open[h].pid = getpid(); /* the kernel says when it is closed */
	fi->fh = (uint64_t)h;
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void on_release(fuse_req_t req, struct fuse_file_info *fi)
{
	fake_close(pi, (int)fi->fh);
	fuse_reply_err(req, 0);
}

static void on_read(fuse_req_t req, size_t size, off_t at, struct fuse_file_info *fi)
{
	char buf[KB_IMAGE_BYTES];
	ssize_t n = fake_pread(pi, (int)fi->fh, buf, size < sizeof(buf) ? size : sizeof(buf), at);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void on_write(fuse_req_t req, const char *buf, size_t size, off_t at,
		     struct fuse_file_info *fi)
{
	ssize_t n = fake_pwrite(pi, (int)fi->fh, buf, size, at);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else
		fuse_reply_write(req, (size_t)n);
}

/* ---- waiting for a reset ---- */

struct waiting {
	fuse_req_t req;
	int h;
};

static void *wait_for_event(void *arg)
{
	struct waiting *w = arg;
	const uint32_t event = KB_EVENT_RESET;
	while (!fake_event(pi, w->h)) {
		if (fuse_req_interrupted(w->req)) { /* as the driver says it */
			fuse_reply_err(w->req, EFAULT);
			free(w);
			return NULL;
		}
		(void)usleep(LOOK_US);
	}
	fuse_reply_ioctl(w->req, 0, &event, sizeof(event));
	free(w);
	return NULL;
}

static void begin_wait(fuse_req_t req, int h)
{
	struct waiting *w = malloc(sizeof(*w));
	pthread_t thread;
	if (!w) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*w = (struct waiting){ req, h };
	if (pthread_create(&thread, NULL, wait_for_event, w) != 0) {
		free(w);
		fuse_reply_err(req, EAGAIN);
		return;
	}
	(void)pthread_detach(thread);
}

/* ---- the other requests ---- */

static const struct {
	unsigned request;
	size_t in, out;
} kinds[] = {
	{ KB_GET_VALUE, sizeof(struct kb_value), sizeof(struct kb_value) },
	{ KB_SET_VALUE, sizeof(struct kb_value), 0 },
	{ KB_FIND_VARIABLE, sizeof(struct kb_variable), sizeof(struct kb_variable) },
	{ KB_SET_OUTPUT_WATCHDOG, sizeof(unsigned long), 0 },
	{ KB_WAIT_FOR_EVENT, 0, sizeof(uint32_t) },
	{ KB_SET_EXPORTED_OUTPUTS, 0, 0 },
};

/* _IO() says nothing about sizes, so the kernel is told what to fetch and what to write in a second round. */
static void on_ioctl(fuse_req_t req, int cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
		     const void *in, size_t in_bytes, size_t out_bytes)
{
	unsigned char buf[64];
	size_t k = 0;
	(void)flags;
	while (k < sizeof(kinds) / sizeof(kinds[0]) && kinds[k].request != (unsigned)cmd)
		k++;
	if (k == sizeof(kinds) / sizeof(kinds[0])) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	if (in_bytes < kinds[k].in || out_bytes < kinds[k].out) {
		const struct iovec i = { arg, kinds[k].in }, o = { arg, kinds[k].out };
		fuse_reply_ioctl_retry(req, &i, kinds[k].in > 0, &o, kinds[k].out > 0);
		return;
	}
	if (kinds[k].request == KB_WAIT_FOR_EVENT && pi->running) {
		begin_wait(req, (int)fi->fh);
		return;
	}
	if (kinds[k].in)
		memcpy(buf, in, kinds[k].in);
	int rc = fake_ioctl(pi, (int)fi->fh, kinds[k].request, buf);
	if (rc < 0)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_ioctl(req, rc, buf, kinds[k].out);
}

static const struct cuse_lowlevel_ops ops = {
	.open = on_open,
	.release = on_release,
	.read = on_read,
	.write = on_write,
	.ioctl = on_ioctl,
};

int main(int argc, char **argv)
{
	char name[64] = "DEVNAME=";
	const char *info[] = { name };
	const struct cuse_info ci = { .dev_info_argc = 1,
				      .dev_info_argv = info,
				      .flags = CUSE_UNRESTRICTED_IOCTL };
	static char single[] = "-f";
	char *args[] = { argv[0], single, NULL };
	if (argc != 3 || strlen(argv[2]) > 40)
		return 64;
	pi = fake_attach(argv[1]);
	if (!pi) {
		perror(argv[1]);
		return 1;
	}
	(void)strncat(name, argv[2], 40);
	return cuse_lowlevel_main(2, args, &ci, &ops, NULL);
}
