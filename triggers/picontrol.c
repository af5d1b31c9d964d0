/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/picontrol.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "triggers/picontrol_impl.h"

/* ---- the system's calls ---- */

static int sys_open(void *arg, const char *path)
{
	(void)arg;
	return open(path, O_RDWR | O_CLOEXEC);
}

static int sys_close(void *arg, int fd)
{
	(void)arg;
	return close(fd);
}

static ssize_t sys_pread(void *arg, int fd, void *buf, size_t n, off_t at)
{
	(void)arg;
	return pread(fd, buf, n, at);
}

static ssize_t sys_pwrite(void *arg, int fd, const void *buf, size_t n, off_t at)
{
	(void)arg;
	return pwrite(fd, buf, n, at);
}

static int sys_ioctl(void *arg, int fd, unsigned long request, void *argument)
{
	(void)arg;
	return ioctl(fd, request, argument);
}

static const struct picontrol_calls sys_calls = { .open = sys_open,
						  .close = sys_close,
						  .pread = sys_pread,
						  .pwrite = sys_pwrite,
						  .ioctl = sys_ioctl };

/* ---- begin and end ---- */

int picontrol_new(const struct picontrol_options *o, struct picontrol **ret, struct why *why)
{
	pthread_condattr_t attr;
	struct picontrol *d = calloc(1, sizeof(*d));
	if (!d)
		return why_set(why, -ENOMEM, "out of memory");
	d->o = *o;
	d->calls = o->calls ? *o->calls : sys_calls;
	d->fd = d->event_fd = -1;
	atomic_init(&d->refs, 1);
	atomic_init(&d->generation, 1);
	(void)snprintf(d->away, sizeof(d->away), "%.100s is not open yet", o->device);
	(void)pthread_mutex_init(&d->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&d->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	*ret = d;
	return 0;
}

struct picontrol *picontrol_ref(struct picontrol *d)
{
	(void)atomic_fetch_add(&d->refs, 1);
	return d;
}

void picontrol_unref(struct picontrol *d)
{
	if (!d || atomic_fetch_sub(&d->refs, 1) != 1)
		return;
	picontrol_stop(d);
	pictory_free(d->config);
	(void)pthread_cond_destroy(&d->wake);
	(void)pthread_mutex_destroy(&d->lock);
	free(d);
}

uint64_t picontrol_generation(struct picontrol *d)
{
	return atomic_load(&d->generation);
}

int picontrol_dup(struct picontrol *d)
{
	(void)pthread_mutex_lock(&d->lock);
	int fd = d->broken || d->fd < 0 ? -1 : fcntl(d->fd, F_DUPFD_CLOEXEC, 3);
	(void)pthread_mutex_unlock(&d->lock);
	return fd;
}

void picontrol_status(struct picontrol *d, struct picontrol_status *ret)
{
	(void)pthread_mutex_lock(&d->lock);
	*ret = (struct picontrol_status){ .open = d->fd >= 0 && !d->broken && !d->resetting,
					  .resets = d->resets,
					  .watchdog_late = d->watchdog_late };
	if (d->fd < 0 || d->broken)
		(void)snprintf(ret->detail, sizeof(ret->detail), "%s", d->away);
	else if (d->resetting)
		(void)snprintf(ret->detail, sizeof(ret->detail), PICONTROL_RESETTING, d->o.device);
	(void)pthread_mutex_unlock(&d->lock);
}

/* ---- one call of the driver; with the lock ---- */

/* What the driver's refusal means to us. The bridge being reset ends by itself; a descriptor that answers like this
 * will not get better, so the watcher opens another. */
int picontrol_refused(struct picontrol *d, const char *what, int err, struct why *why)
{
	if (err == EAGAIN) {
		d->resetting = true;
		return why_set(why, -EAGAIN, PICONTROL_RESETTING, d->o.device);
	}
	if (err == ENODEV || err == ENXIO || err == EIO || err == EBADF || err == ENOTCONN ||
	    err == ECONNABORTED || err == ESHUTDOWN) {
		d->broken = true;
		(void)snprintf(d->away, sizeof(d->away), "%.100s: %s: %s; it is opened again",
			       d->o.device, what, strerrordesc_np(err));
		picontrol_kick(d);
		return why_set(why, -EAGAIN, "%s", d->away);
	}
	return why_set(why, -err, "%.100s: %s: %s%s", d->o.device, what, strerrordesc_np(err),
		       err == ENOTTY
			       ? "; this is no piControl, or a 32-bit program on a 64-bit kernel"
			       : "");
}

static int usable(struct picontrol *d, struct why *why)
{
	if (d->fd >= 0 && !d->broken)
		return 0;
	if (d->broken)
		picontrol_kick(d); /* the last one may have come too early */
	return why_set(why, -EAGAIN, "%s", d->away);
}

/* It answered. After a reset the names may lie elsewhere, whether its event came or not. */
static void answered(struct picontrol *d)
{
	if (!d->resetting)
		return;
	d->resetting = false;
	(void)atomic_fetch_add(&d->generation, 1);
}

int picontrol_find(struct picontrol *d, const char *name, struct kb_variable *ret, struct why *why)
{
	*ret = (struct kb_variable){ .address = UINT16_MAX, .bit = UINT8_MAX, .bits = UINT16_MAX };
	(void)snprintf(ret->name, sizeof(ret->name), "%s", name); /* the driver cuts it, too */
	int rc = d->calls.ioctl(d->calls.arg, d->fd, KB_FIND_VARIABLE, ret);
	/* It knows the name or not, and says the latter with EFAULT. */
	if (rc < 0 && errno != EFAULT && errno != ENOENT)
		return picontrol_refused(d, "KB_FIND_VARIABLE", errno, why);
	answered(d);
	if (rc < 0 || ret->address * 8u + ret->bits > PICTORY_IMAGE_BYTES * 8u)
		return -ENOENT;
	return 0;
}

/* ---- names ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int config_current(struct picontrol *d, struct why *why)
{
	struct stat now = { 0 };
	int err = 0;
	if (stat(d->o.config_rsc, &now) == 0 && d->config && same_file(&now, &d->config_stat))
		return 0;
	pictory_free(d->config);
	d->config = NULL;
	err = pictory_load(d->o.config_rsc, &d->config, why);
	d->config_stat = now;
	return err == 0 || err == -E_CONFIG
		       ? err
		       : why_set(why, -E_CONFIG, "%.100s cannot be read", d->o.config_rsc);
}

static int agrees(struct picontrol *d, const struct pictory_variable *v,
		  const struct kb_variable *k, struct why *why)
{
	if (k->address == v->offset && k->bits == v->bits && (v->bits != 1 || k->bit == v->bit))
		return 0;
	if (strlen(v->name) >= KB_NAME_BYTES)
		return why_set(why, -E_CONFIG,
			       "the driver keeps %d bytes of a name, which \"%.127s\" shares with "
			       "another; give it a shorter one in PiCtory",
			       KB_NAME_BYTES - 1, v->name);
	return why_set(why, -E_CONFIG,
		       "\"%.60s\" is at byte %u, bit %u, %u bits in %.100s, but at byte %u, bit "
		       "%u, %u bits in "
		       "the driver: the configuration was saved and the driver not reset; piTest "
		       "-x does that",
		       v->name, v->offset, v->bit, v->bits, d->o.config_rsc, k->address, k->bit,
		       k->bits);
}

static int resolve(struct picontrol *d, struct span name, struct picontrol_place *ret,
		   struct why *why)
{
	struct kb_variable k;
	uint64_t generation = atomic_load(&d->generation);
	int err = usable(d, why);
	if (err == 0)
		err = config_current(d, why);
	if (err < 0)
		return err == -EAGAIN || err == -E_CONFIG ? err : -E_CONFIG;
	const struct pictory_variable *v = pictory_find(d->config, name);
	if (!v)
		return why_set(
			why, -E_UNKNOWN,
			"there is no \"%.*s\" among the %u names in %.100s; PiCtory shows them",
			name.len < 60 ? (int)name.len : 60, (const char *)name.at,
			pictory_count(d->config), d->o.config_rsc);
	if (v->area == PICTORY_MEMORY)
		return why_set(why, -E_UNSUPPORTED,
			       "\"%.60s\" is a setting of %s, which only PiCtory changes", v->name,
			       v->device);
	if (v->bits != 1 && v->bits != 8 && v->bits != 16 && v->bits != 32)
		return why_set(why, -E_UNSUPPORTED,
			       "\"%.60s\" of %s has %u bits; only 1, 8, 16 and 32 are numbers",
			       v->name, v->device, v->bits);
	err = picontrol_find(d, v->name, &k, why);
	if (err == -ENOENT)
		return why_set(
			why, -E_CONFIG,
			"\"%.60s\" is in %.100s, but the driver does not know it: the "
			"configuration was saved and the driver not reset; piTest -x does that",
			v->name, d->o.config_rsc);
	if (err == 0)
		err = agrees(d, v, &k, why);
	if (err < 0)
		return err;
	*ret = (struct picontrol_place){ .generation = generation,
					 .area = v->area,
					 .offset = v->offset,
					 .bit = v->bit,
					 .bits = (uint8_t)v->bits };
	(void)snprintf(ret->name, sizeof(ret->name), "%s", v->name);
	(void)snprintf(ret->device, sizeof(ret->device), "%s", v->device);
	return 0;
}

int picontrol_resolve(struct picontrol *d, struct span name, struct picontrol_place *ret,
		      struct why *why)
{
	(void)pthread_mutex_lock(&d->lock);
	int err = resolve(d, name, ret, why);
	(void)pthread_mutex_unlock(&d->lock);
	return err;
}

static int check(struct picontrol *d, const struct picontrol_place *p, struct why *why)
{
	struct kb_variable k;
	int err = usable(d, why);
	if (err == 0)
		err = picontrol_find(d, p->name, &k, why);
	if (err < 0 && err != -ENOENT)
		return err;
	if (err == 0 && p->generation == atomic_load(&d->generation) && k.address == p->offset &&
	    k.bits == p->bits && (p->bits != 1 || k.bit == p->bit))
		return 0;
	if (p->generation == atomic_load(&d->generation)) /* its event is still on the way */
		(void)atomic_fetch_add(&d->generation, 1);
	return why_set(why, -EAGAIN, "\"%.60s\" has moved: the driver was reset", p->name);
}

int picontrol_check(struct picontrol *d, const struct picontrol_place *p, struct why *why)
{
	(void)pthread_mutex_lock(&d->lock);
	int err = check(d, p, why);
	(void)pthread_mutex_unlock(&d->lock);
	return err;
}

/* ---- values ---- */

int picontrol_read(struct picontrol *d, uint8_t image[PICTORY_IMAGE_BYTES], struct why *why)
{
	(void)pthread_mutex_lock(&d->lock);
	int err = usable(d, why);
	if (err == 0) {
		ssize_t n = d->calls.pread(d->calls.arg, d->fd, image, PICTORY_IMAGE_BYTES, 0);
		if (n < 0)
			err = picontrol_refused(d, "read", errno, why);
		else if (n != PICTORY_IMAGE_BYTES) /* in two reads it would be two moments */
			err = why_set(why, -EAGAIN,
				      "%.100s gave %zd of %d bytes; this is no piControl",
				      d->o.device, n, PICTORY_IMAGE_BYTES);
		else
			answered(d);
	}
	(void)pthread_mutex_unlock(&d->lock);
	return err;
}

uint32_t picontrol_value(const uint8_t image[PICTORY_IMAGE_BYTES], const struct picontrol_place *p)
{
	struct rd r = rd_from(image + p->offset, (size_t)(PICTORY_IMAGE_BYTES - p->offset));
	if (p->bits == 1)
		return (uint32_t)(image[p->offset] >> p->bit & 1);
	return p->bits == 8 ? rd_u8(&r) : p->bits == 16 ? rd_u16(&r) : rd_u32(&r);
}

/* These bits and no others. */
int picontrol_put(struct picontrol *d, const struct picontrol_place *p, uint32_t value,
		  struct why *why)
{
	if (p->bits <= 8) {
		struct kb_value v = { .address = p->offset,
				      .bit = p->bits == 1 ? p->bit : KB_WHOLE_BYTE,
				      .value = (uint8_t)value };
		if (d->calls.ioctl(d->calls.arg, d->fd, KB_SET_VALUE, &v) < 0)
			return picontrol_refused(d, "KB_SET_VALUE", errno, why);
		return 0;
	}
	const uint8_t bytes[4] = { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
				   (uint8_t)(value >> 24) };
	ssize_t want = p->bits / 8;
	ssize_t n = d->calls.pwrite(d->calls.arg, d->fd, bytes, (size_t)want, p->offset);
	if (n < 0)
		return picontrol_refused(d, "write", errno, why);
	if (n != want)
		return why_set(why, -EIO, "%.100s took %zd of %zd bytes of \"%.60s\"", d->o.device,
			       n, want, p->name);
	return 0;
}

int picontrol_write(struct picontrol *d, const struct picontrol_place *p, uint32_t value,
		    struct why *why)
{
	ENSURE(p->area == PICTORY_OUTPUT);
	(void)pthread_mutex_lock(&d->lock);
	int err = check(d, p, why);
	if (err == 0)
		err = picontrol_arm(d, p, why);
	if (err == 0)
		err = picontrol_put(d, p, value, why);
	if (err == 0)
		answered(d);
	(void)pthread_mutex_unlock(&d->lock);
	return err;
}
