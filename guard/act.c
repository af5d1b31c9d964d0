/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/act.h"

#include <errno.h>
#include <linux/gpio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "guard/picontrol.h"

void acts_init(struct acts *all)
{
	for (size_t i = 0; i < GUARD_OUTPUTS_MAX; i++)
		all->of[i] = (struct guard_action){ .verb = GUARD_FORGET, .fd = -1 };
}

void acts_put(struct acts *all, const struct guard_action *a)
{
	struct guard_action *at = &all->of[a->output];
	if (at->fd >= 0)
		(void)close(at->fd);
	*at = *a;
}

/* 0, or -errno; of a write that was cut short -EIO. */
static int ended(ssize_t n, const struct guard_action *a)
{
	return n < 0 ? -errno : n == (ssize_t)a->length ? 0 : -EIO;
}

static int do_gpio(const struct guard_action *a)
{
	struct gpio_v2_line_values v = { .bits = a->value, .mask = 1 };
	return ioctl(a->fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &v) < 0 ? -errno : 0;
}

static int do_write(const struct guard_action *a)
{
	return ended(pwrite(a->fd, a->bytes, a->length, (off_t)a->offset), a);
}

static int do_pictl(const struct guard_action *a)
{
	uint8_t value[GUARD_SPI_BYTES];
	memcpy(value, a->bytes, sizeof(value));
	return ioctl(a->fd, PICONTROL_SET_VALUE, value) < 0 ? -errno : 0;
}

/* Never waits: the others come after it. */
static int do_send(const struct guard_action *a)
{
	ssize_t n = send(a->fd, a->bytes, a->length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno == ENOTSOCK)
		n = write(a->fd, a->bytes, a->length);
	return ended(n, a);
}

static int (*const does[GUARD_VERBS])(const struct guard_action *a) = {
	[GUARD_GPIO] = do_gpio,
	[GUARD_WRITE] = do_write,
	[GUARD_PICTL] = do_pictl,
	[GUARD_SEND] = do_send,
};

void acts_do(const struct acts *all)
{
	for (size_t i = 0; i < GUARD_OUTPUTS_MAX; i++) {
		const struct guard_action *a = &all->of[i];
		if (!does[a->verb])
			continue;
		int err = does[a->verb](a);
		if (err == 0)
			LOG(LOG_WARN, "penstockd is gone: output brought to its safe state",
			    F_STR("output", a->name));
		else
			LOG(LOG_ERR, "penstockd is gone: output NOT brought to its safe state",
			    F_STR("output", a->name), F_ERR(err));
	}
}
