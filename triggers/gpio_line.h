/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPIO lines by the kernel's character device (version 2 of its ABI, linux/gpio.h), found by what does not change: the
 * line's name (GPIO17), or the chip's label and the offset (pinctrl-bcm2711/17). The numbers of chips do change from
 * kernel to kernel, so they mean nothing here.
 */
#ifndef TRIGGERS_GPIO_LINE_H
#define TRIGGERS_GPIO_LINE_H

#include <linux/gpio.h>
#include <stdint.h>

#include "base/why.h"

struct gpio_sys { /* what tests replace; each 0 (open: a descriptor) or -errno */
	int (*open)(void *arg, const char *path);
	int (*ioctl)(void *arg, int fd, unsigned long request, void *value);
	void *arg;
};

struct gpio_options {        /* NULL, and members that are NULL: the system's */
	const char *dev_dir; /* /dev */
	const struct gpio_sys *sys;
};

struct gpio_dev { /* the same, filled */
	const char *dir;
	struct gpio_sys sys;
};

struct gpio_place { /* where a line is now */
	char node[32];
	char label[GPIO_MAX_NAME_SIZE]; /* the chip's, NUL-terminated, as consumer */
	uint32_t offset;
	uint64_t flags; /* enum gpio_v2_line_flag */
	char consumer[GPIO_MAX_NAME_SIZE];
};

struct gpio_dev gpio_dev_of(const struct gpio_options *o);

/* Reads nothing but the name: is it one at all? -E_INVALID */
int gpio_name_check(const char *line, struct why *why) MUST_USE;
/* The chip, opened. -ENOENT: no such line; -E_EXISTS: several have the name; -EACCES; other -errno. why has a sentence. */
int gpio_find(const struct gpio_dev *d, const char *line, int *ret_chip_fd, struct gpio_place *ret,
	      struct why *why) MUST_USE;
/* One line, with this configuration; the descriptor does not block. -EBUSY names who has it. -errno */
int gpio_take(const struct gpio_dev *d, const char *line, int chip_fd, struct gpio_place *p,
	      const struct gpio_v2_line_config *c, int *ret_fd, struct why *why) MUST_USE;
/* 0, 1, or -errno */
int gpio_level(const struct gpio_dev *d, int fd) MUST_USE;
/* -EBUSY, with who has it, or 0. */
int gpio_busy(const char *line, const struct gpio_place *p, struct why *why) MUST_USE;

#endif
