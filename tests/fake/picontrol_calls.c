/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/picontrol_calls.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int handle_of(const struct fake_calls *c, int fd)
{
	return fd >= 0 && fd < FAKE_FDS ? c->handle[fd] - 1 : FAKE_NOBODY;
}

static ssize_t answer(ssize_t n)
{
	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

int fake_calls_open(void *arg, const char *path)
{
	struct fake_calls *c = arg;
	(void)path;
	if (c->open_errno)
		return (int)answer(-c->open_errno);
	int fd = eventfd(0, EFD_CLOEXEC), h = fake_open(c->pi);
	if (fd < 0 || fd >= FAKE_FDS || h < 0)
		return (int)answer(-EMFILE);
	c->handle[fd] = h + 1;
	return fd;
}

int fake_calls_close(void *arg, int fd)
{
	struct fake_calls *c = arg;
	fake_close(c->pi, handle_of(c, fd));
	c->handle[fd] = 0;
	return close(fd);
}

ssize_t fake_calls_pread(void *arg, int fd, void *buf, size_t n, off_t at)
{
	struct fake_calls *c = arg;
	return answer(c->read_errno ? -c->read_errno
				    : fake_pread(c->pi, handle_of(c, fd), buf, n, at));
}

ssize_t fake_calls_pwrite(void *arg, int fd, const void *buf, size_t n, off_t at)
{
	struct fake_calls *c = arg;
	c->longest_write = n > c->longest_write ? n : c->longest_write;
	return answer(fake_pwrite(c->pi, handle_of(c, fd), buf, n, at));
}

int fake_calls_ioctl(void *arg, int fd, unsigned long request, void *argument)
{
	struct fake_calls *c = arg;
	if (request == KB_WAIT_FOR_EVENT && c->wait_errno)
		return (int)answer(-c->wait_errno);
	return (int)answer(fake_ioctl(c->pi, handle_of(c, fd), request, argument));
}

struct picontrol_calls fake_calls_of(struct fake_calls *c)
{
	return (struct picontrol_calls){ .open = fake_calls_open,
					 .close = fake_calls_close,
					 .pread = fake_calls_pread,
					 .pwrite = fake_calls_pwrite,
					 .ioctl = fake_calls_ioctl,
					 .arg = c };
}

bool fake_config_write(const char *path, unsigned at)
{
	FILE *f = fopen(path, "w");
	if (!f)
		return false;
	fprintf(f,
		"{\"Devices\":[{\"position\":\"32\",\"offset\":%u,\"bmk\":\"RevPi DIO\","
		"\"inp\":{\"0\":[\"I_1\",\"0\",\"1\",\"0\",true,\"0\",\"\",\"0\"],"
		"\"1\":[\"I_2\",\"0\",\"1\",\"0\",true,\"0\",\"\",\"1\"],"
		"\"2\":[\"Counter_1\",\"0\",\"32\",\"6\",false,\"1\",\"\",\"\"],"
		"\"3\":[\"analogue\",\"0\",\"16\",\"10\",false,\"1\",\"\",\"\"]},"
		"\"out\":{\"4\":[\"O_1\",\"0\",\"1\",\"70\",true,\"2\",\"\",\"3\"],"
		"\"5\":[\"PWM_1\",\"0\",\"8\",\"72\",false,\"3\",\"\",\"\"],"
		"\"6\":[\"level\",\"0\",\"16\",\"74\",false,\"4\",\"\",\"\"],"
		"\"7\":[\"total\",\"0\",\"32\",\"76\",false,\"5\",\"\",\"\"],"
		"\"8\":[\"blob\",\"0\",\"64\",\"80\",false,\"6\",\"\",\"\"]},"
		"\"mem\":{\"9\":[\"InputMode_1\",\"0\",\"8\",\"88\",false,\"7\",\"\",\"\"]}},"
		"{\"position\":\"33\",\"offset\":2000,\"bmk\":\"other\",\"inp\":{},\"out\":"
		"{\"0\":[\"others\",\"0\",\"8\",\"0\",false,\"0\",\"\",\"\"]},\"mem\":[]}]}",
		at);
	return fclose(f) == 0;
}
