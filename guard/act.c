/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/act.h"

#include <errno.h>
#include <linux/gpio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "proto/picontrol_abi.h"

/* In all less than a penstockd needs that is started again, and sets outputs itself. */
enum { TRIES = 9, PAUSE_NS = 100000000 };

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

/* The driver says where the name is now; of another length, it is not the output that was meant. */
static int do_pictl(const struct guard_action *a)
{
	struct kb_variable k;
	memcpy(&k, a->bytes, sizeof(k));
	const uint16_t bits = k.bits;
	const uint8_t bytes[4] = { (uint8_t)a->value, (uint8_t)(a->value >> 8),
				   (uint8_t)(a->value >> 16), (uint8_t)(a->value >> 24) };
	k.name[sizeof(k.name) - 1] = '\0';
	if (ioctl(a->fd, KB_FIND_VARIABLE, &k) < 0)
		return -errno;
	if (k.bits != bits || k.address * 8u + k.bits > KB_IMAGE_BYTES * 8u)
		return -ENOENT;
	if (bits <= 8) {
		struct kb_value v = { k.address, bits == 1 ? k.bit : KB_WHOLE_BYTE, bytes[0] };
		return ioctl(a->fd, KB_SET_VALUE, &v) < 0 ? -errno : 0;
	}
	if (bits != 16 && bits != 32)
		return -EINVAL;
	ssize_t n = pwrite(a->fd, bytes, bits / 8, k.address);
	return n < 0 ? -errno : n == bits / 8 ? 0 : -EIO;
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

/* True: some of them can be done a moment later, and last is false. */
static bool pass(struct acts *all, bool last)
{
	bool again = false;
	for (size_t i = 0; i < GUARD_OUTPUTS_MAX; i++) {
		struct guard_action *a = &all->of[i];
		int err = does[a->verb] ? does[a->verb](a) : 0;
		if (err == -EAGAIN && !last) {
			again = true;
			continue;
		}
		if (does[a->verb] && err == 0)
			LOG(LOG_WARN, "penstockd is gone: output brought to its safe state",
			    F_STR("output", a->name));
		else if (err < 0)
			LOG(LOG_ERR, "penstockd is gone: output NOT brought to its safe state",
			    F_STR("output", a->name), F_ERR(err));
		a->verb = GUARD_FORGET;
	}
	return again;
}

void acts_do(struct acts *all)
{
	static const struct timespec pause = { .tv_nsec = PAUSE_NS };
	for (unsigned tries = 1; pass(all, tries == TRIES); tries++)
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}
