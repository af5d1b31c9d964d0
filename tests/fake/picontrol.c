/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/picontrol.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- begin and end ---- */

static struct fake_pi *map(const char *path, bool create)
{
	int fd = path ? open(path, O_RDWR | O_CLOEXEC | (create ? O_CREAT | O_TRUNC : 0), 0666)
		      : memfd_create("piControl", MFD_CLOEXEC);
	struct fake_pi *f = NULL;
	if (fd >= 0 && (!create || ftruncate(fd, sizeof(*f)) == 0))
		f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		(void)close(fd);
	return f == MAP_FAILED ? NULL : f;
}

struct fake_pi *fake_attach(const char *path)
{
	return map(path, false);
}

struct fake_pi *fake_new(const char *path)
{
	pthread_mutexattr_t attr;
	struct fake_pi *f = map(path, true);
	if (!f)
		return NULL;
	(void)pthread_mutexattr_init(&attr);
	(void)pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	(void)pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	(void)pthread_mutex_init(&f->lock, &attr);
	(void)pthread_mutexattr_destroy(&attr);
	f->running = true;
	return f;
}

void fake_free(struct fake_pi *f)
{
	if (f)
		(void)munmap(f, sizeof(*f));
}

/* ---- what the driver's own thread does; here, before each call ---- */

static void zero_outputs(struct fake_pi *f)
{
	for (unsigned i = 0; i < f->nmodules; i++)
		memset(f->image + f->module[i].at, 0, f->module[i].bytes);
	f->zeroed++;
}

static void release(struct fake_pi *f, int h)
{
	if (f->open[h].watchdog_ms)
		zero_outputs(f);
	memset(&f->open[h], 0, sizeof(f->open[h]));
}

static void tick(struct fake_pi *f)
{
	uint64_t now = now_ns();
	for (int h = 0; h < FAKE_OPENS; h++) {
		if (!f->open[h].used)
			continue;
		if (f->open[h].pid != getpid() && kill(f->open[h].pid, 0) < 0 && errno == ESRCH) {
			release(f, h); /* the kernel would have, when it died */
		} else if (f->open[h].watchdog_ms && now > f->open[h].deadline_ns) {
			zero_outputs(f);
			f->open[h].deadline_ns = now + f->open[h].watchdog_ms * 1000000u;
		}
	}
	if (f->exported_gap_ns && now - f->exported_ns > 2 * f->exported_gap_ns) {
		zero_outputs(f); /* "logiRTS timeout" */
		f->exported_ns = f->exported_gap_ns = 0;
	}
}

static void lock(struct fake_pi *f)
{
	if (pthread_mutex_lock(&f->lock) == EOWNERDEAD)
		(void)pthread_mutex_consistent(&f->lock);
	tick(f);
}

static void unlock(struct fake_pi *f)
{
	(void)pthread_mutex_unlock(&f->lock);
}

static void refreshed(struct fake_pi *f, int h)
{
	if (h >= 0 && f->open[h].watchdog_ms)
		f->open[h].deadline_ns = now_ns() + f->open[h].watchdog_ms * 1000000u;
}

/* ---- system calls ---- */

int fake_open(struct fake_pi *f)
{
	int h = 0;
	lock(f);
	while (h < FAKE_OPENS && f->open[h].used)
		h++;
	if (h < FAKE_OPENS) {
		f->open[h].used = true;
		f->open[h].pid = getpid();
	}
	unlock(f);
	return h < FAKE_OPENS ? h : -EMFILE;
}

void fake_close(struct fake_pi *f, int h)
{
	lock(f);
	if (h >= 0)
		release(f, h);
	unlock(f);
}

ssize_t fake_pread(struct fake_pi *f, int h, void *buf, size_t n, off_t at)
{
	ssize_t got = -EAGAIN;
	(void)h;
	lock(f);
	if (f->running) {
		got = at < 0 || at >= KB_IMAGE_BYTES      ? 0
		      : (size_t)(KB_IMAGE_BYTES - at) < n ? KB_IMAGE_BYTES - at
							  : (ssize_t)n;
		if (got > 0)
			memcpy(buf, f->image + at, (size_t)got);
		f->reads++;
	}
	unlock(f);
	return got;
}

ssize_t fake_pwrite(struct fake_pi *f, int h, const void *buf, size_t n, off_t at)
{
	ssize_t got = -EAGAIN;
	lock(f);
	if (f->running) {
		got = at < 0 || at >= KB_IMAGE_BYTES      ? 0
		      : (size_t)(KB_IMAGE_BYTES - at) < n ? KB_IMAGE_BYTES - at
							  : (ssize_t)n;
		if (got > 0)
			memcpy(f->image + at, buf, (size_t)got);
		f->writes++;
		refreshed(f, h);
	}
	unlock(f);
	return got;
}

static const struct fake_entry *find(const struct fake_pi *f, const char *name)
{
	for (unsigned i = 0; i < f->nentries; i++) {
		if (strncmp(f->entry[i].name, name, KB_NAME_BYTES - 1) == 0)
			return &f->entry[i];
	}
	return NULL;
}

static int find_variable(struct fake_pi *f, struct kb_variable *v)
{
	v->name[KB_NAME_BYTES - 1] = '\0';
	const struct fake_entry *e = find(f, v->name);
	f->finds++;
	v->address = e ? e->address : UINT16_MAX;
	v->bit = e ? e->bit : UINT8_MAX;
	v->bits = e ? e->bits : UINT16_MAX;
	return e ? 0 : -EFAULT;
}

static int value(struct fake_pi *f, int h, unsigned long request, struct kb_value *v)
{
	if (v->address >= KB_IMAGE_BYTES)
		return -EFAULT;
	uint8_t *at = &f->image[v->address], bit = (uint8_t)(1u << (v->bit & 7));
	if (request == KB_GET_VALUE) {
		v->value = v->bit >= 8 ? *at : !!(*at & bit);
		return 0;
	}
	*at = (uint8_t)(v->bit >= 8 ? v->value : v->value ? *at | bit : *at & ~bit);
	f->sets++;
	refreshed(f, h);
	return 0;
}

static int set_exported(struct fake_pi *f)
{
	uint64_t now = now_ns();
	f->exported_gap_ns = f->exported_ns ? now - f->exported_ns : 0;
	f->exported_ns = now;
	f->exported++;
	return 0;
}

static int set_watchdog(struct fake_pi *f, int h, const unsigned long *ms)
{
	if (h < 0)
		return -EFAULT;
	f->open[h].watchdog_ms = *ms; /* the upper half, too: who gave 4 bytes is in for it */
	f->open[h].deadline_ns = now_ns() + *ms * 1000000u;
	return 0;
}

bool fake_event(struct fake_pi *f, int h)
{
	lock(f);
	bool event = h >= 0 && f->open[h].event;
	if (event)
		f->open[h].event = false;
	unlock(f);
	return event;
}

/* A signal ends it, which the driver says with EFAULT. */
static int wait_for_event(struct fake_pi *f, int h, uint32_t *ret)
{
	for (;;) {
		uint32_t seq = __atomic_load_n(&f->event_seq, __ATOMIC_ACQUIRE);
		if (fake_event(f, h))
			break;
		if (syscall(SYS_futex, &f->event_seq, FUTEX_WAIT, seq, NULL, NULL, 0) < 0 &&
		    errno == EINTR)
			return -EFAULT;
	}
	*ret = KB_EVENT_RESET;
	return 0;
}

int fake_ioctl(struct fake_pi *f, int h, unsigned long request, void *argument)
{
	int rc = -EINVAL;
	lock(f);
	if (!f->running)
		rc = -EAGAIN;
	else if (request == KB_FIND_VARIABLE)
		rc = find_variable(f, argument);
	else if (request == KB_GET_VALUE || request == KB_SET_VALUE)
		rc = value(f, h, request, argument);
	else if (request == KB_SET_OUTPUT_WATCHDOG)
		rc = set_watchdog(f, h, argument);
	else if (request == KB_SET_EXPORTED_OUTPUTS)
		rc = set_exported(f);
	else if (request == KB_WAIT_FOR_EVENT)
		rc = 1;
	unlock(f);
	return rc == 1 ? wait_for_event(f, h, argument) : rc;
}

/* ---- the plant ---- */

void fake_stop(struct fake_pi *f)
{
	lock(f);
	f->running = false;
	unlock(f);
}

void fake_run(struct fake_pi *f)
{
	lock(f);
	f->running = true;
	f->resets++;
	for (int h = 0; h < FAKE_OPENS; h++)
		f->open[h].event = f->open[h].used;
	unlock(f);
	(void)__atomic_add_fetch(&f->event_seq, 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &f->event_seq, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

uint32_t fake_get(struct fake_pi *f, const char *name)
{
	uint32_t v = 0;
	lock(f);
	const struct fake_entry *e = find(f, name);
	if (e && e->bits == 1)
		v = f->image[e->address] >> e->bit & 1;
	for (unsigned i = 0; e && e->bits >= 8 && i < e->bits / 8u; i++)
		v |= (uint32_t)f->image[e->address + i] << (8 * i);
	unlock(f);
	return v;
}

void fake_set(struct fake_pi *f, const char *name, uint32_t v)
{
	lock(f);
	const struct fake_entry *e = find(f, name);
	if (e && e->bits == 1)
		f->image[e->address] =
			(uint8_t)((f->image[e->address] & ~(1u << e->bit)) | (v & 1) << e->bit);
	for (unsigned i = 0; e && e->bits >= 8 && i < e->bits / 8u; i++)
		f->image[e->address + i] = (uint8_t)(v >> (8 * i));
	unlock(f);
}
