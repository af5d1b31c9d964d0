/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/gpio_line.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/own.h"
#include "base/rd.h"
#include "base/wr.h"

enum { CHIPS_MAX = 64, CHIP_LINES_MAX = 4096, EVENTS_KEPT = 1024, FOUND_NAMED = 4 };
enum { KERNEL_ENOTSUPP = 524 }; /* of its drivers, and no errno of the C library */

/* ---- the system ---- */

static int sys_open(void *arg, const char *path)
{
	(void)arg;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int sys_ioctl(void *arg, int fd, unsigned long request, void *value)
{
	(void)arg;
	return ioctl(fd, request, value) < 0 ? -errno : 0;
}

static const struct gpio_sys system_calls = { sys_open, sys_ioctl, NULL };

struct gpio_dev gpio_dev_of(const struct gpio_options *o)
{
	return (struct gpio_dev){ .dir = o && o->dev_dir ? o->dev_dir : "/dev",
				  .sys = o && o->sys ? *o->sys : system_calls };
}

/* What a driver calls things is foreign text, and goes into sentences. */
static void name_copy(char ret[GPIO_MAX_NAME_SIZE], const char from[GPIO_MAX_NAME_SIZE])
{
	size_t n = strnlen(from, GPIO_MAX_NAME_SIZE - 1);
	for (size_t i = 0; i < n; i++)
		ret[i] = from[i] < ' ' || from[i] > '~' ? '?' : from[i];
	ret[n] = '\0';
}

/* ---- the search ---- */

struct search {
	const struct gpio_dev *dev;
	const char *line;     /* as people wrote it */
	const char *slash;    /* of LABEL/OFFSET; NULL: it can only be a name */
	unsigned long offset; /* behind it */
	unsigned chips, found;
	uint32_t beyond; /* the offset is: of a chip with so many lines */
	char denied_node[32];
	struct gpio_place place;
	int fd; /* of its chip */
	struct wr labels, places;
	char labels_text[160], places_text[240];
};

static bool label_matches(const struct search *s, const char *label)
{
	size_t n = s->slash ? (size_t)(s->slash - s->line) : 0;
	return s->slash && strlen(label) == n && memcmp(label, s->line, n) == 0;
}

static int line_info(const struct gpio_dev *d, int fd, uint32_t offset,
		     struct gpio_v2_line_info *ret)
{
	*ret = (struct gpio_v2_line_info){ .offset = offset };
	return d->sys.ioctl(d->sys.arg, fd, GPIO_V2_GET_LINEINFO_IOCTL, ret);
}

static void found(struct search *s, int fd, const char *node, const char *label,
		  const struct gpio_v2_line_info *info)
{
	if (s->found++ == 0) {
		s->place.offset = info->offset;
		s->place.flags = info->flags;
		name_copy(s->place.consumer, info->consumer);
		(void)snprintf(s->place.node, sizeof(s->place.node), "%s", node);
		(void)snprintf(s->place.label, sizeof(s->place.label), "%s", label);
		s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	}
	if (s->found <= FOUND_NAMED)
		wr_fmt(&s->places, "%s%s/%u (%s)", s->found > 1 ? ", " : "", label, info->offset,
		       node);
}

static void search_chip(struct search *s, const char *node)
{
	char path[PATH_MAX], label[GPIO_MAX_NAME_SIZE];
	struct gpiochip_info chip = { 0 };
	struct gpio_v2_line_info info;
	const struct gpio_sys *sys = &s->dev->sys;
	(void)snprintf(path, sizeof(path), "%s/%s", s->dev->dir, node);
	OWN_FD fd = sys->open(sys->arg, path);
	int err = fd < 0 ? fd : sys->ioctl(sys->arg, fd, GPIO_GET_CHIPINFO_IOCTL, &chip);
	if (err == -EACCES || err == -EPERM)
		(void)snprintf(s->denied_node, sizeof(s->denied_node), "%s", node);
	if (err < 0)
		return; /* one that goes in this moment is not there */
	name_copy(label, chip.label[0] ? chip.label : chip.name);
	wr_fmt(&s->labels, "%s%s", s->chips++ ? ", " : "", label);
	bool by_label = label_matches(s, label);
	if (by_label && s->offset >= chip.lines) {
		s->beyond = chip.lines;
		by_label = false;
	}
	uint32_t lines = chip.lines < CHIP_LINES_MAX ? chip.lines : CHIP_LINES_MAX;
	for (uint32_t i = 0; i < lines; i++) {
		if (line_info(s->dev, fd, i, &info) < 0)
			continue;
		info.name[GPIO_MAX_NAME_SIZE - 1] = '\0';
		if (strcmp(info.name, s->line) == 0 || (by_label && i == s->offset))
			found(s, fd, node, label, &info);
	}
}

/* Links are other names of the same chip: Raspberry Pi OS keeps an old number that way. */
static int is_chip(const struct dirent *e)
{
	return strncmp(e->d_name, "gpiochip", 8) == 0 && e->d_type != DT_LNK &&
	       strlen(e->d_name) < sizeof(((struct gpio_place *)0)->node);
}

/* ---- sentences ---- */

static int denied(const struct search *s, struct why *why)
{
	return why_set(why, -EACCES,
		       "GPIO line \"%s\": permission denied for %s/%s: the gateway's user has to "
		       "be in the group gpio (`usermod -aG gpio penstock`, then start the gateway "
		       "anew); where no udev rule gives the chips to such a group, it needs one",
		       s->line, s->dev->dir, s->denied_node);
}

static int not_found(struct search *s, struct why *why)
{
	if (s->denied_node[0])
		return denied(s, why);
	if (s->chips == 0)
		return why_set(why, -ENOENT,
			       "GPIO line \"%s\": there is no GPIO chip (%s/gpiochip*): is the "
			       "driver loaded, the expander connected?",
			       s->line, s->dev->dir);
	if (s->beyond)
		return why_set(why, -ENOENT, "GPIO line \"%s\": that chip has lines 0 to %u only",
			       s->line, s->beyond - 1);
	bool by_number = strncmp(s->line, "gpiochip", 8) == 0;
	wr_u8(&s->labels, 0);
	return why_set(why, -ENOENT,
		       "GPIO line \"%s\" is not there: no line has that name, and no chip that "
		       "label%s; the chips here are %s; `gpioinfo` (package gpiod) lists their "
		       "lines",
		       s->line,
		       by_number ? " (numbers of chips change from kernel to kernel, so they are "
				   "no names)"
				 : "",
		       s->labels.overflow ? "many" : s->labels_text);
}

static int several(struct search *s, struct why *why)
{
	wr_u8(&s->places, 0);
	return why_set(why, -E_EXISTS,
		       "%u GPIO lines are \"%s\": %s%s; bind one of them by its chip's label and "
		       "its offset",
		       s->found, s->line, s->places.overflow ? "on several chips" : s->places_text,
		       s->found > FOUND_NAMED ? " ..." : "");
}

/* ---- what others call ---- */

int gpio_name_check(const char *line, struct why *why)
{
	size_t n = strlen(line);
	bool ok = n > 0 && n < 2 * GPIO_MAX_NAME_SIZE;
	for (size_t i = 0; ok && i < n; i++)
		ok = line[i] >= ' ' && line[i] <= '~';
	return ok ? 0
		  : why_set(why, -E_INVALID,
			    "GPIO line \"%.64s\": expected a line's name such as GPIO17, or "
			    "CHIP-LABEL/OFFSET such as pinctrl-bcm2711/17",
			    span_is_utf8((struct span){ (const uint8_t *)line, n }) ? line : "?");
}

int gpio_find(const struct gpio_dev *d, const char *line, int *ret_chip_fd, struct gpio_place *ret,
	      struct why *why)
{
	struct dirent **list = NULL;
	struct search s = { .dev = d, .line = line, .fd = -1 };
	s.labels = wr_into(s.labels_text, sizeof(s.labels_text));
	s.places = wr_into(s.places_text, sizeof(s.places_text));
	const char *slash = strrchr(line, '/');
	if (slash && slash[1] && strlen(slash + 1) < 6 &&
	    strspn(slash + 1, "0123456789") == strlen(slash + 1)) {
		s.slash = slash;
		s.offset = strtoul(slash + 1, NULL, 10);
	}
	int n = scandir(d->dir, &list, is_chip, versionsort);
	for (int i = 0; i < n; i++) {
		if (i < CHIPS_MAX)
			search_chip(&s, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	OWN_FD fd = s.fd;
	if (s.found == 0)
		return not_found(&s, why);
	if (s.found > 1)
		return several(&s, why);
	if (fd < 0)
		return why_set(why, -EMFILE, "GPIO line \"%s\": no descriptor left", line);
	*ret = s.place;
	*ret_chip_fd = fd_steal(&fd);
	return 0;
}

int gpio_busy(const char *line, const struct gpio_place *p, struct why *why)
{
	if (!(p->flags & GPIO_V2_LINE_FLAG_USED))
		return 0;
	bool ours = strcmp(p->consumer, "penstock") == 0;
	return why_set(why, -EBUSY, "GPIO line \"%s\" (%s/%u) is busy: %s%s%s has it; %s", line,
		       p->label, p->offset, p->consumer[0] ? "\"" : "",
		       p->consumer[0] ? p->consumer : "somebody without a name",
		       p->consumer[0] ? "\"" : "",
		       ours ? "another binding or output of this gateway, or of another gateway"
			    : "end that program, or take out the overlay or driver that claims it");
}

int gpio_take(const struct gpio_dev *d, const char *line, int chip_fd, struct gpio_place *p,
	      const struct gpio_v2_line_config *c, int *ret_fd, struct why *why)
{
	struct gpio_v2_line_request r = {
		.offsets = { p->offset }, .consumer = "penstock", .config = *c, .num_lines = 1
	};
	struct gpio_v2_line_info info;
	bool input = c->flags & GPIO_V2_LINE_FLAG_INPUT;
	if (input)
		r.event_buffer_size = EVENTS_KEPT;
	int err = d->sys.ioctl(d->sys.arg, chip_fd, GPIO_V2_GET_LINE_IOCTL, &r);
	if (err == 0) {
		(void)fcntl(r.fd, F_SETFL, O_NONBLOCK);
		*ret_fd = r.fd;
		return 0;
	}
	if (err == -EBUSY && line_info(d, chip_fd, p->offset, &info) == 0) {
		p->flags = info.flags | GPIO_V2_LINE_FLAG_USED;
		name_copy(p->consumer, info.consumer);
		return gpio_busy(line, p, why);
	}
	if (err == -EPERM || err == -EACCES)
		return why_set(why, err,
			       "GPIO line \"%s\" (%s/%u): permission denied: the kernel keeps this "
			       "line for itself, or the gateway may not have it",
			       line, p->label, p->offset);
	if (input && (err == -ENXIO || err == -KERNEL_ENOTSUPP || err == -EOPNOTSUPP))
		return why_set(why, err,
			       "GPIO line \"%s\" (%s/%u) gives no edges (%s): its chip has no "
			       "interrupts here (of an expander: its INT pin has to be "
			       "connected and in the device tree)",
			       line, p->label, p->offset, why_name(err));
	return why_set(why, err, "GPIO line \"%s\" (%s/%u) cannot be had as %s: %s", line, p->label,
		       p->offset, input ? "input" : "output", why_name(err));
}

int gpio_level(const struct gpio_dev *d, int fd)
{
	struct gpio_v2_line_values v = { .mask = 1 };
	int err = d->sys.ioctl(d->sys.arg, fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &v);
	return err < 0 ? err : (int)(v.bits & 1);
}
