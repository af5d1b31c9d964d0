/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What LD_PRELOAD puts between a program and the system, each part asleep without its variable:
 *	DIE_AFTER_SAVE=FILE	while FILE is there, the next rename() is the last thing that the program does. For
 *				mosquitto, whose database is written and renamed on SIGUSR1: so it dies by
 *				SIGKILL at a random moment at which all that it ever acknowledged is on
 *				the disk. (At other moments it forgets what it acknowledged, and a gateway
 *				cannot answer for that.)
 *	FAULT_PATH=TEXT, FAULT_FILE=FILE	while FILE is there, writes and syncs of files with TEXT in their
 *				names fail: with the errno that is its first number, each time if its second
 *				number is 0, else once when so many more were made (then FILE is removed). An "s"
 *				behind them: syncs only.
 *	POWER_COPY=FOLDER	FOLDER/NAME.db is a folder with the last state of NAME.db and NAME.db-wal that a
 *				fdatasync() of the log has made durable: what a power cut may leave, at the worst
 *	CLOCK_FILE=FILE		eight bytes: seconds by which the wall clock is wrong
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int rename(const char *from, const char *to)
{
	const char *die = getenv("DIE_AFTER_SAVE");
	int rc = REAL(rename)(from, to);
	if (rc == 0 && die && unlink(die) == 0)
		(void)raise(SIGKILL);
	return rc;
}

/* ---- faults ---- */

static _Atomic int calls;

static bool path_of(int fd, char path[static PATH_MAX])
{
	char link[64];
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, PATH_MAX - 1);
	path[n < 0 ? 0 : n] = '\0';
	return n >= 0;
}

static bool is_meant(int fd)
{
	const char *text = getenv("FAULT_PATH");
	char path[PATH_MAX];
	return text && path_of(fd, path) && strstr(path, text) != NULL;
}

/* The errno, or 0. */
static int fault(int fd, bool is_sync)
{
	const char *file = getenv("FAULT_FILE");
	char text[32] = "", which = 'a';
	int err = 0, nth = 0;
	if (!file || access(file, F_OK) != 0 || !is_meant(fd))
		return 0;
	int in = open(file, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return 0;
	ssize_t n = read(in, text, sizeof(text) - 1);
	(void)close(in);
	if (n <= 0 || sscanf(text, "%d %d %c", &err, &nth, &which) < 1 ||
	    (which == 's' && !is_sync))
		return 0;
	if (nth == 0)
		return err;
	if (atomic_fetch_add(&calls, 1) + 1 < nth)
		return 0;
	atomic_store(&calls, 0);
	(void)unlink(file);
	return err;
}

/* ---- power cuts ---- */

/* Held by who writes to a database or syncs one, so that a copy is of one moment. */
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

static bool disk_hold(int fd)
{
	char path[PATH_MAX];
	if (!getenv("POWER_COPY") || !path_of(fd, path) || !strstr(path, ".db"))
		return false;
	(void)pthread_mutex_lock(&disk);
	return true;
}

static void disk_let_go(bool held)
{
	if (held)
		(void)pthread_mutex_unlock(&disk);
}

static void copy_file(const char *from, const char *folder)
{
	static char bytes[1 << 20];
	char to[PATH_MAX];
	(void)snprintf(to, sizeof(to), "%s%s", folder, strrchr(from, '/'));
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (ssize_t n; in >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0;)
		if (REAL(write)(out, bytes, (size_t)n) != n)
			abort();
	(void)close(in);
	(void)close(out);
}

/* Before the sync of the log: what is copied is on the disk when that is over, and only then it counts
 * (power_counts). Two folders take turns, so one is always whole. */
static bool power_copy(int fd, char to[static PATH_MAX])
{
	static unsigned turn;
	const char *folder = getenv("POWER_COPY");
	char wal[PATH_MAX], db[PATH_MAX];
	size_t n = folder && path_of(fd, wal) ? strlen(wal) : 0;
	if (n < 5 || strcmp(wal + n - 4, "-wal") != 0)
		return false;
	(void)snprintf(db, sizeof(db), "%.*s", (int)n - 4, wal);
	(void)snprintf(to, PATH_MAX, "%s%s.%u", folder, strrchr(db, '/'), turn++ % 2);
	(void)mkdir(to, 0700);
	copy_file(db, to);
	copy_file(wal, to);
	return true;
}

static void power_counts(const char *to)
{
	char name[PATH_MAX], next[PATH_MAX];
	(void)snprintf(name, sizeof(name), "%.*s", (int)strlen(to) - 2, to);
	(void)snprintf(next, sizeof(next), "%s.next", name);
	(void)unlink(next);
	if (symlink(to, next) == 0)
		(void)REAL(rename)(next, name);
}

/* ---- calls ---- */

#define FAULTY(type, name, is_sync, parameters, ...)                                               \
	type name parameters                                                                       \
	{                                                                                          \
		static __typeof__(&name) real;                                                     \
		if (!real)                                                                         \
			real = REAL(name);                                                         \
		int err = fault(fd, is_sync);                                                      \
		if (err) {                                                                         \
			errno = err;                                                               \
			return -1;                                                                 \
		}                                                                                  \
		bool held = disk_hold(fd);                                                         \
		type ret = real(fd, ##__VA_ARGS__);                                                \
		disk_let_go(held);                                                                 \
		return ret;                                                                        \
	}
FAULTY(ssize_t, write, false, (int fd, const void *p, size_t n), p, n)
FAULTY(ssize_t, pwrite, false, (int fd, const void *p, size_t n, off_t at), p, n, at)
FAULTY(ssize_t, pwrite64, false, (int fd, const void *p, size_t n, off64_t at), p, n, at)
FAULTY(int, fsync, true, (int fd))
FAULTY(int, ftruncate, false, (int fd, off_t n), n)
FAULTY(int, ftruncate64, false, (int fd, off64_t n), n)

int fdatasync(int fd)
{
	char copy[PATH_MAX];
	int err = fault(fd, true);
	if (err) {
		errno = err;
		return -1;
	}
	bool held = disk_hold(fd);
	bool copied = held && power_copy(fd, copy);
	int rc = REAL(fdatasync)(fd);
	if (rc == 0 && copied)
		power_counts(copy);
	disk_let_go(held);
	return rc;
}

/* ---- the wall clock ---- */

static int64_t shift_s(void)
{
	static _Atomic(const int64_t *) shift;
	const int64_t *at = atomic_load(&shift);
	const char *file = at ? NULL : getenv("CLOCK_FILE");
	if (file) {
		int fd = open(file, O_RDONLY | O_CLOEXEC);
		void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
		if (fd >= 0)
			(void)close(fd);
		if (p != MAP_FAILED)
			atomic_store(&shift, at = p);
	}
	return at ? *(const volatile int64_t *)at : 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	static __typeof__(&clock_gettime) real;
	if (!real)
		real = REAL(clock_gettime);
	int rc = real(clock, ret);
	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += shift_s();
	return rc;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec t;
	(void)zone;
	int rc = clock_gettime(CLOCK_REALTIME, &t);
	*ret = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
	return rc;
}

time_t time(time_t *ret)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}
