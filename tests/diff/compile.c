/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/diff/compile.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "proto/aot_job.h"

enum { FD_PATH = 32, ARENA_BYTES = 256 << 20 };

/* What the compiling process tells, in memory that both see. */
struct verdict {
	bool begun, done;
	int err;
	struct why why;
};

/* What each object defines under the same name. In one file they need names of their own, of the same
 * length: a letter and the module's number behind the prefix. */
static const char *const symbols[] = { AOT_MODULE_SYMBOL, "penstock_lines" };
static const char prefix[] = "penstock_";
enum { PREFIX_LEN = sizeof(prefix) - 1, SYMBOL_MAX = 32 };

static void symbol_of(const char *symbol, size_t i, char ret[SYMBOL_MAX])
{
	(void)snprintf(ret, SYMBOL_MAX, "%s%c%0*zu", prefix, symbol[PREFIX_LEN],
		       (int)strlen(symbol) - PREFIX_LEN - 1, i);
}

static void rename_symbols(char *object, size_t size, size_t index)
{
	char to[SYMBOL_MAX], *name;
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		size_t len = strlen(symbols[i]);
		symbol_of(symbols[i], index, to);
		while ((name = memmem(object, size, symbols[i], len + 1)))
			memcpy(name, to, len);
	}
}

/* Each module has the time of a compile. */
static void limit_time(void)
{
	struct rusage u;
	(void)getrusage(RUSAGE_SELF, &u);
	rlim_t s = (rlim_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + AOT_JOB_CPU_SECONDS;
	struct rlimit l = { s, RLIM_INFINITY };
	(void)setrlimit(RLIMIT_CPU, &l);
}

static void *map_file(const char *path, size_t *ret_len, struct why *why)
{
	OWN_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p = MAP_FAILED;
	if (fd >= 0 && fstat(fd, &st) == 0) {
		*ret_len = (size_t)st.st_size;
		p = mmap(NULL, *ret_len, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	if (p != MAP_FAILED)
		return p;
	(void)why_set(why, -errno, "%s: %s", path, strerror(errno));
	return NULL;
}

static int compile_one(const struct target *t, const struct compile_options *o, const char *path,
		       int fd, size_t index, struct why *why)
{
	struct arena arena;
	const struct wasm_module *m;
	struct compile_result r = { 0 };
	size_t len;
	void *wasm = map_file(path, &len, why);
	if (!wasm)
		return -EIO;
	arena_init(&arena, ARENA_BYTES);
	int err = module_decode(wasm, len, &arena, &m, why);
	if (err == 0)
		err = compile_module(m, t, o, &r, why);
	arena_fini(&arena);
	(void)munmap(wasm, len);
	if (err < 0)
		return err;
	size_t size = LLVMGetBufferSize(r.object);
	OWN_FREE char *object = malloc(size);
	if (!object)
		return -ENOMEM;
	memcpy(object, LLVMGetBufferStart(r.object), size);
	compile_result_fini(&r);
	rename_symbols(object, size, index);
	return write(fd, object, size) == (ssize_t)size ? 0 : why_set(why, -EIO, "short write");
}

/* Goes on behind the module that a process before died of. Never returns. */
static void child(const struct target *t, const struct compile_options *o,
		  const struct compiled *list, size_t n, const int *fds, struct verdict *v)
{
	struct rlimit memory = { (rlim_t)AOT_JOB_MEMORY_MB << 20, RLIM_INFINITY };
	(void)setrlimit(RLIMIT_DATA, &memory);
	for (size_t i = 0; i < n; i++) {
		if (v[i].begun)
			continue;
		limit_time();
		v[i].begun = true;
		v[i].err = compile_one(t, o, list[i].path, fds[i], i, &v[i].why);
		v[i].done = true;
	}
	_exit(0);
}

static void died(struct verdict *v, size_t n, int status)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	for (size_t i = 0; i < n; i++) {
		if (!v[i].begun || v[i].done)
			continue;
		v[i].done = true;
		v[i].err = sig == SIGXCPU ? why_set(&v[i].why, -E_TIME, "compiling took over %d s",
						    AOT_JOB_CPU_SECONDS)
					  : why_set(&v[i].why, -E_GONE,
						    "the compiler died: status 0x%x, signal %d",
						    (unsigned)status, sig);
	}
}

static bool all_done(const struct verdict *v, size_t n)
{
	while (n > 0 && v[n - 1].done)
		n--;
	return n == 0;
}

static int compile_all(const struct target *t, const struct compile_options *o,
		       const struct compiled *list, size_t n, const int *fds, struct verdict *v,
		       struct why *why)
{
	while (!all_done(v, n)) {
		int status;
		pid_t pid = fork();
		if (pid < 0)
			return why_set(why, -errno, "fork: %s", strerror(errno));
		if (pid == 0)
			child(t, o, list, n, fds, v);
		if (waitpid(pid, &status, 0) != pid)
			return why_set(why, -errno, "waitpid: %s", strerror(errno));
		died(v, n, status);
	}
	return 0;
}

/* As link.c of the compiler does it, all objects into one file. */
static int link_all(const int *fds, const struct verdict *v, size_t n, bool is_x86, int out_fd,
		    struct why *why)
{
	static const char *const flags[] = {
		"ld.lld",
		"-shared",
		"-z",
		"max-page-size=65536",
		"-z",
		"defs",
		"-z",
		"now",
		"-z",
		"relro",
		"-z",
		"noexecstack",
		"--hash-style=gnu",
		"--build-id=none",
		"--eh-frame-hdr",
		"--threads=1",
		"--strip-debug",
		"--whole-archive",
	};
	const char *argv[ARRAY_LEN(flags) + 6 + BATCH_MAX];
	char paths[BATCH_MAX][FD_PATH];
	size_t at = ARRAY_LEN(flags);
	memcpy(argv, flags, sizeof(flags));
	argv[at++] = "--whole-archive"; /* an archive for each module */
	argv[at++] = "-m";
	argv[at++] = is_x86 ? "elf_x86_64" : "aarch64linux";
	argv[at++] = "-o";
	argv[at++] = "-"; /* a file it would replace by another of that name */
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(paths[i], sizeof(paths[i]), "/proc/self/fd/%d", fds[i]);
		if (v[i].err == 0)
			argv[at++] = paths[i];
	}
	argv[at] = NULL;
	pid_t pid;
	posix_spawn_file_actions_t to_out;
	(void)posix_spawn_file_actions_init(&to_out);
	int status, err = posix_spawn_file_actions_adddup2(&to_out, out_fd, 1);
	if (err == 0)
		err = posix_spawn(&pid, "/usr/bin/ld.lld-19", &to_out, NULL, (char *const *)argv,
				  environ);
	(void)posix_spawn_file_actions_destroy(&to_out);
	if (err != 0 || waitpid(pid, &status, 0) != pid)
		return why_set(why, -EIO, "cannot start the linker");
	return status == 0 ? 0 : why_set(why, -EIO, "the linker failed: status 0x%x", status);
}

static int load_all(int so_fd, struct compiled *list, size_t n, struct why *why)
{
	char path[FD_PATH], symbol[SYMBOL_MAX];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", so_fd);
	void *dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!dl)
		return why_set(why, -EIO, "the batch cannot be loaded: %s", dlerror());
	for (size_t i = 0; i < n; i++) {
		symbol_of(AOT_MODULE_SYMBOL, i, symbol);
		list[i].aot = list[i].err == 0 ? dlsym(dl, symbol) : NULL;
		if (list[i].err == 0 && !list[i].aot)
			return why_set(why, -EIO, "%s: no descriptor in its code", list[i].path);
	}
	return 0;
}

static int batch(const struct target *t, const struct compile_options *o, struct compiled *list,
		 size_t n, const int *fds, struct verdict *v, struct why *why)
{
	int err = compile_all(t, o, list, n, fds, v, why);
	size_t good = 0;
	for (size_t i = 0; err == 0 && i < n; i++) {
		list[i].err = v[i].err;
		list[i].why = v[i].why;
		good += v[i].err == 0;
	}
	if (err < 0 || good == 0)
		return err;
	/* Inherited by the linker; its name would be the same in each batch, so not closed: to
	 * dlopen() the same path is the same file. */
	int so = memfd_create("batch", 0);
	err = so < 0 ? -errno : link_all(fds, v, n, t->is_x86, so, why);
	return err < 0 ? err : load_all(so, list, n, why);
}

int compile_batch(const struct target *t, const struct compile_options *o, struct compiled *list,
		  size_t n, struct why *why)
{
	int fds[BATCH_MAX];
	size_t bytes = BATCH_MAX * sizeof(struct verdict);
	ENSURE(n <= BATCH_MAX);
	struct verdict *v =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v == MAP_FAILED)
		return why_set(why, -errno, "mmap: %s", strerror(errno));
	for (size_t i = 0; i < n; i++)
		fds[i] = memfd_create("object", 0);
	int err = batch(t, o, list, n, fds, v, why);
	for (size_t i = 0; i < n; i++)
		own_fd_close(&fds[i]);
	(void)munmap(v, bytes);
	return err;
}
