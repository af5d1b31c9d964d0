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
 *				number is 0, else once when so many more were made (then FILE is removed).
 *	POWER_COPY=FOLDER	after each fdatasync() of a file whose name ends in -wal: FOLDER/last is what a power cut
 *				at this moment would leave of that file and of the database it belongs to
 *	CLOCK_FILE=FILE		eight bytes: seconds by which the wall clock is wrong
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
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

static int is_meant(int fd)
{
	const char *text = getenv("FAULT_PATH");
	char link[64], path[PATH_MAX];
	if (!text)
		return 0;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return strstr(path, text) != NULL;
}

/* The errno, or 0. */
static int fault(int fd)
{
	const char *file = getenv("FAULT_FILE");
	char text[32] = "";
	int err = 0, nth = 0;
	if (!file || access(file, F_OK) != 0 || !is_meant(fd))
		return 0;
	int in = open(file, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return 0;
	ssize_t n = read(in, text, sizeof(text) - 1);
	(void)close(in);
	if (n <= 0 || sscanf(text, "%d %d", &err, &nth) < 1)
		return 0;
	if (nth == 0)
		return err;
	if (atomic_fetch_add(&calls, 1) + 1 < nth)
		return 0;
	atomic_store(&calls, 0);
	(void)unlink(file);
	return err;
}

#define FAULTY(type, name, parameters, ...)                                                        \
	type name parameters                                                                       \
	{                                                                                          \
		static __typeof__(&name) real;                                                     \
		if (!real)                                                                         \
			real = REAL(name);                                                         \
		int err = fault(fd);                                                               \
		if (err) {                                                                         \
			errno = err;                                                               \
			return -1;                                                                 \
		}                                                                                  \
		return real(fd, ##__VA_ARGS__);                                                    \
	}
FAULTY(ssize_t, write, (int fd, const void *p, size_t n), p, n)
FAULTY(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), p, n, at)
FAULTY(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), p, n, at)
FAULTY(int, fsync, (int fd))
FAULTY(int, ftruncate, (int fd, off_t n), n)
FAULTY(int, ftruncate64, (int fd, off64_t n), n)

/* ---- power cuts ---- */

static void copy_file(const char *from, const char *folder, const char *name)
{
	char to[PATH_MAX], bytes[65536];
	(void)snprintf(to, sizeof(to), "%s/%s", folder, name);
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (ssize_t n; in >= 0 && (n = read(in, bytes, sizeof(bytes))) > 0;)
		if (write(out, bytes, (size_t)n) != n)
			abort();
	(void)close(in);
	(void)close(out);
}

/* Into one of two folders, of which FOLDER/last names the one that is whole. */
static void power_copy(int fd)
{
	static unsigned turn;
	const char *folder = getenv("POWER_COPY");
	char link[64], wal[PATH_MAX - 64], db[PATH_MAX - 64], to[PATH_MAX], name[PATH_MAX];
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = folder ? readlink(link, wal, sizeof(wal) - 1) : -1;
	if (n < 5)
		return;
	wal[n] = '\0';
	if (strcmp(wal + n - 4, "-wal") != 0)
		return;
	(void)snprintf(db, sizeof(db), "%.*s", (int)n - 4, wal);
	(void)snprintf(to, sizeof(to), "%s/%u", folder, turn++ % 2);
	(void)mkdir(to, 0700);
	copy_file(db, to, strrchr(db, '/') + 1);
	copy_file(wal, to, strrchr(wal, '/') + 1);
	(void)snprintf(name, sizeof(name), "%s/next", folder);
	(void)unlink(name);
	if (symlink(to, name) == 0) {
		(void)snprintf(to, sizeof(to), "%s/last", folder);
		(void)REAL(rename)(name, to);
	}
}

int fdatasync(int fd)
{
	int err = fault(fd);
	if (err) {
		errno = err;
		return -1;
	}
	int rc = REAL(fdatasync)(fd);
	if (rc == 0)
		power_copy(fd);
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
