/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads of picontrol. The watcher opens the device, which the driver may let wait for seconds, and then waits in
 * the driver for a reset; the keeper keeps up the output watchdog.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "triggers/picontrol_impl.h"

enum {
	PAUSE_MIN_MS = 100, /* between attempts to open */
	PAUSE_MAX_MS = 3000,
	AGAIN_MS = 50, /* in a reset, the driver does not let anybody wait */
	KICK_MS = 10,
	REFRESHES = 3, /* per watchdog time */
};

static uint64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct timespec after_ms(unsigned ms)
{
	uint64_t t = now_ns() + ms * UINT64_C(1000000);
	return (struct timespec){ .tv_sec = (time_t)(t / 1000000000u),
				  .tv_nsec = (long)(t % 1000000000u) };
}

/* With the lock: until then, or until the end. */
static void pause_ms(struct picontrol *d, unsigned ms)
{
	const struct timespec until = after_ms(ms);
	while (!d->stop && pthread_cond_timedwait(&d->wake, &d->lock, &until) != ETIMEDOUT)
		;
}

/* ---- the watcher ---- */

/* SIGUSR2 does nothing but end a system call early. It may come before the call begins, so who sends it sends it
 * until it has worked. */
static void on_kick(int signum)
{
	(void)signum;
}

void picontrol_kick(struct picontrol *d)
{
	if (d->has_watcher)
		(void)pthread_kill(d->watcher, SIGUSR2);
}

static const char *open_advice(int err)
{
	switch (err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return "; is this a Revolution Pi, and is its driver loaded (modprobe piControl)?";
	case EACCES:
	case EPERM:
		return "; the service needs DeviceAllow=/dev/piControl0 rw, and its user the right "
		       "to write it";
	default:
		return "";
	}
}

/* Without the lock: the driver waits up to 3 s here for a bridge that does not run. */
static int open_both(struct picontrol *d, int ret_fd[2], struct why *why)
{
	for (int i = 0; i < 2; i++) {
		ret_fd[i] = d->calls.open(d->calls.arg, d->o.device);
		int err = errno;
		if (ret_fd[i] >= 0)
			continue;
		if (i == 1)
			(void)d->calls.close(d->calls.arg, ret_fd[0]);
		return why_set(why, -err, "%.100s: %s%s", d->o.device, strerrordesc_np(err),
			       open_advice(err));
	}
	return 0;
}

static bool device_open(struct picontrol *d)
{
	struct why why = { 0 };
	int fd[2];
	(void)pthread_mutex_unlock(&d->lock);
	int err = open_both(d, fd, &why);
	(void)pthread_mutex_lock(&d->lock);
	if (err < 0) {
		if (strcmp(d->away, why.text) != 0)
			LOG(LOG_NOTE, "process image not open", F_STR("why", why.text));
		(void)snprintf(d->away, sizeof(d->away), "%.255s", why.text);
		return false;
	}
	d->fd = fd[0];
	d->event_fd = fd[1];
	d->broken = d->resetting = d->armed = false;
	d->away[0] = '\0';
	(void)atomic_fetch_add(&d->generation, 1);
	LOG(LOG_INFO, "process image open", F_STR("device", d->o.device));
	return true;
}

/* A planned end is no reason to switch off what others have switched on. */
static void disarm(struct picontrol *d)
{
	unsigned long none = 0;
	if (d->armed)
		(void)d->calls.ioctl(d->calls.arg, d->fd, KB_SET_OUTPUT_WATCHDOG, &none);
	d->armed = false;
}

static void device_close(struct picontrol *d)
{
	disarm(d);
	(void)d->calls.close(d->calls.arg, d->fd);
	(void)d->calls.close(d->calls.arg, d->event_fd);
	d->fd = d->event_fd = -1;
	if (d->away[0] == '\0')
		(void)snprintf(d->away, sizeof(d->away), "%.100s was closed", d->o.device);
}

/* Waits once. False: this descriptor is of no use any more. */
static bool wait_event(struct picontrol *d)
{
	uint32_t event = 0;
	int fd = d->event_fd;
	(void)pthread_mutex_unlock(&d->lock);
	int rc = d->calls.ioctl(d->calls.arg, fd, KB_WAIT_FOR_EVENT, &event);
	int err = errno;
	(void)pthread_mutex_lock(&d->lock);
	if (d->stop || d->broken)
		return false;
	if (rc >= 0) {
		if (event != KB_EVENT_RESET)
			return true;
		d->resets++;
		(void)atomic_fetch_add(&d->generation, 1);
		LOG(LOG_NOTE, "piControl was reset: names are looked up again");
		return true;
	}
	if (err == EAGAIN || err == EINTR || err == EFAULT) { /* a reset; a signal: EFAULT, too */
		pause_ms(d, AGAIN_MS);
		return !d->stop;
	}
	d->broken = true;
	(void)snprintf(d->away, sizeof(d->away), "%.100s: KB_WAIT_FOR_EVENT: %s%s", d->o.device,
		       strerrordesc_np(err),
		       err == ENOTTY || err == EINVAL
			       ? "; this is no piControl, or a 32-bit program on a 64-bit kernel"
			       : "");
	LOG(LOG_WARN, "process image lost", F_STR("why", d->away));
	return false;
}

static void *watch(void *arg)
{
	struct picontrol *d = arg;
	unsigned pause = PAUSE_MIN_MS;
	sigset_t kick;
	(void)sigemptyset(&kick);
	(void)sigaddset(&kick, SIGUSR2);
	(void)pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	(void)pthread_setname_np(pthread_self(), "picontrol");
	(void)pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		if (device_open(d)) {
			uint64_t begun = now_ns();
			while (wait_event(d))
				;
			device_close(d);
			if (now_ns() - begun > PAUSE_MAX_MS * UINT64_C(1000000))
				pause = PAUSE_MIN_MS;
		}
		pause_ms(d, pause);
		pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
	}
	d->watcher_gone = true;
	(void)pthread_cond_broadcast(&d->wake);
	(void)pthread_mutex_unlock(&d->lock);
	return NULL;
}

int picontrol_start(struct picontrol *d, struct why *why)
{
	struct sigaction kick = { .sa_handler = on_kick }; /* no SA_RESTART: that is its point */
	int err = 0;
	(void)pthread_mutex_lock(&d->lock);
	if (!d->has_watcher) {
		(void)sigaction(SIGUSR2, &kick, NULL);
		err = -pthread_create(&d->watcher, NULL, watch, d);
		d->has_watcher = err == 0;
	}
	(void)pthread_mutex_unlock(&d->lock);
	return err < 0 ? why_set(why, err, "no thread for the process image: %s",
				 strerrordesc_np(-err))
		       : 0;
}

/* ---- the keeper ---- */

/* Writes what is there: an output that somebody switched off, the watchdog itself perhaps, stays off. */
static int write_again(struct picontrol *d, struct why *why)
{
	uint8_t image[PICTORY_IMAGE_BYTES];
	const struct picontrol_place *p = &d->own;
	ssize_t n = d->calls.pread(d->calls.arg, d->fd, image, sizeof(image), 0);
	if (n < 0)
		return picontrol_refused(d, "read", errno, why);
	if (n != sizeof(image))
		return why_set(why, -EIO, "short read");
	return picontrol_put(d, p, picontrol_value(image, p), why);
}

static void refresh(struct picontrol *d)
{
	struct why why = { 0 };
	uint64_t now = now_ns(), since = now - d->refreshed_ns;
	if (since > d->o.watchdog_ms * UINT64_C(1000000)) {
		d->watchdog_late++;
		LOG(LOG_WARN,
		    "output watchdog refreshed too late: the driver has switched off all outputs",
		    F_U64("ms", since / 1000000), F_U64("watchdog_ms", d->o.watchdog_ms));
		d->refreshed_ns = now; /* said once */
	}
	/* Where the driver has it now, or not at all: after a reset others' bits lie where it was. config.rsc is not
	 * asked: one that is just being saved must not switch off a plant. */
	struct kb_variable k;
	if (picontrol_find(d, d->own.name, &k, &why) < 0 || k.bits != d->own.bits)
		return;
	d->own.offset = k.address;
	d->own.bit = k.bit;
	if (write_again(d, &why) == 0)
		d->refreshed_ns = now_ns();
}

static void *keep(void *arg)
{
	struct picontrol *d = arg;
	(void)pthread_setname_np(pthread_self(), "pi-watchdog");
	(void)pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		pause_ms(d, d->o.watchdog_ms / REFRESHES);
		if (!d->stop && d->armed && !d->broken && d->fd >= 0)
			refresh(d);
	}
	(void)pthread_mutex_unlock(&d->lock);
	return NULL;
}

int picontrol_arm(struct picontrol *d, const struct picontrol_place *p, struct why *why)
{
	unsigned long ms = d->o.watchdog_ms; /* the driver reads a long, whatever its manual says */
	if (ms == 0)
		return 0;
	d->own = *p;
	d->refreshed_ns = now_ns();
	if (d->armed)
		return 0;
	if (d->calls.ioctl(d->calls.arg, d->fd, KB_SET_OUTPUT_WATCHDOG, &ms) < 0)
		return picontrol_refused(d, "KB_SET_OUTPUT_WATCHDOG", errno, why);
	d->armed = true;
	if (d->has_keeper)
		return 0;
	int err = -pthread_create(&d->keeper, NULL, keep, d);
	d->has_keeper = err == 0;
	if (err < 0)
		disarm(d);
	return err < 0 ? why_set(why, err, "no thread for the output watchdog: %s",
				 strerrordesc_np(-err))
		       : 0;
}

void picontrol_stop(struct picontrol *d)
{
	(void)pthread_mutex_lock(&d->lock);
	d->stop = true;
	(void)pthread_cond_broadcast(&d->wake);
	while (d->has_watcher && !d->watcher_gone) {
		const struct timespec until = after_ms(KICK_MS);
		picontrol_kick(d);
		(void)pthread_cond_timedwait(&d->wake, &d->lock, &until);
	}
	(void)pthread_mutex_unlock(&d->lock);
	if (d->has_keeper)
		(void)pthread_join(d->keeper, NULL);
	if (d->has_watcher)
		(void)pthread_join(d->watcher, NULL);
}
