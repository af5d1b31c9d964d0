/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/own.h"
#include "base/rd.h"
#include "base/wr.h"
#include "gateway/file.h"
#include "proto/aot_abi.h"

enum {
	KEY_BYTES = crypto_generichash_KEYBYTES,
	MAC_BYTES = 32,
	FORMAT = 1,
	/* magic, format, ABI, three texts, code size */
	HEAD_MAX = 8 + 4 + 4 + 3 * (2 + SEAL_TEXT_MAX) + 8,
};

static const struct {
	const char *magic, *suffix, *memfd_name;
	size_t bytes_max;
} kinds[] = {
	[SEAL_CODE] = { "PNSTCODE", "code", "penstock-code", SEAL_CODE_BYTES_MAX },
	[SEAL_OBJECTS] = { "PNSTOBJS", "objects", "penstock-objects", SEAL_OBJECTS_BYTES_MAX },
};

struct seal {
	int dir_fd;
	uint8_t *key; /* sodium_malloc: guarded, not in core dumps */
};

/* ---- the device key ---- */

static int key_create(int state_fd, struct seal *s, struct why *why)
{
	randombytes_buf(s->key, KEY_BYTES);
	return file_put(state_fd, "device.key", &(struct span){ .at = s->key, .len = KEY_BYTES }, 1,
			why);
}

static int key_read(int fd, const char *state_dir, struct seal *s, struct why *why)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return why_set(why, -errno, "%s/device.key: %s", state_dir, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size != KEY_BYTES)
		return why_set(why, -E_INVALID,
			       "%s/device.key is not a device key (%d bytes); remove it: a new one "
			       "is made, and all functions are compiled again",
			       state_dir, KEY_BYTES);
	if ((st.st_mode & 077) != 0)
		return why_set(why, -EPERM,
			       "%s/device.key has mode %03o, others can read it: chmod 600 it, or "
			       "remove it for a new one",
			       state_dir, st.st_mode & 0777);
	if (read(fd, s->key, KEY_BYTES) != KEY_BYTES)
		return why_set(why, -EIO, "%s/device.key cannot be read", state_dir);
	return 0;
}

static int key_load(const char *state_dir, struct seal *s, struct why *why)
{
	OWN_FD state_fd = -1;
	int err = file_dir(state_dir, "", 0700, &state_fd, why);
	if (err < 0)
		return err;
	OWN_FD fd = openat(state_fd, "device.key", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return key_create(state_fd, s, why);
	if (fd < 0)
		return why_set(why, -errno, "%s/device.key: %s", state_dir, strerror(errno));
	return key_read(fd, state_dir, s, why);
}

int seal_open(const char *state_dir, struct seal **ret, struct why *why)
{
	if (sodium_init() < 0)
		return why_set(why, -EIO, "libsodium does not start");
	struct seal *s = calloc(1, sizeof(*s));
	if (!s)
		return why_set(why, -ENOMEM, "out of memory");
	s->dir_fd = -1;
	s->key = sodium_malloc(KEY_BYTES);
	int err = s->key ? key_load(state_dir, s, why) : why_set(why, -ENOMEM, "out of memory");
	if (err == 0)
		err = file_dir(state_dir, "code", 0700, &s->dir_fd, why);
	if (err < 0) {
		seal_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

void seal_close(struct seal *s)
{
	if (!s)
		return;
	if (s->dir_fd >= 0)
		(void)close(s->dir_fd);
	sodium_free(s->key);
	free(s);
}

/* ---- files ---- */

static bool file_name(const char *hash, enum seal_kind kind, char ret[SEAL_TEXT_MAX])
{
	size_t n = strspn(hash, "0123456789abcdef");
	if (n != 64 || hash[n] != '\0')
		return false;
	(void)snprintf(ret, SEAL_TEXT_MAX, "%s.%s", hash, kinds[kind].suffix);
	return true;
}

static void put_text(struct wr *w, const char *text)
{
	size_t len = strlen(text);
	ENSURE(len < SEAL_TEXT_MAX);
	wr_u16(w, (uint16_t)len);
	wr_bytes(w, text, len);
}

/* The head in full: what we expect of a file is compared byte by byte with what it has. */
static void put_head(struct wr *w, const struct seal_id *id, uint64_t code_bytes)
{
	wr_str(w, kinds[id->kind].magic);
	wr_u32(w, FORMAT);
	wr_u32(w, AOT_ABI_VERSION);
	put_text(w, id->hash);
	put_text(w, id->compiler);
	put_text(w, id->cpu);
	wr_u64(w, code_bytes);
	ENSURE(wr_ok(w));
}

static void mac(const struct seal *s, struct span head, struct span code, uint8_t ret[MAC_BYTES])
{
	crypto_generichash_state state;
	(void)crypto_generichash_init(&state, s->key, KEY_BYTES, MAC_BYTES);
	(void)crypto_generichash_update(&state, head.at, head.len);
	(void)crypto_generichash_update(&state, code.at, code.len);
	(void)crypto_generichash_final(&state, ret, MAC_BYTES);
}

int seal_put(const struct seal *s, const struct seal_id *id, int fd, struct why *why)
{
	char name[SEAL_TEXT_MAX];
	if (!file_name(id->hash, id->kind, name))
		return why_set(why, -E_INVALID, "not a hash: %.80s", id->hash);
	struct span code;
	int err = file_map(fd, kinds[id->kind].bytes_max, &code, why);
	if (err < 0)
		return err;
	uint8_t head[HEAD_MAX], code_mac[MAC_BYTES];
	struct wr w = wr_into(head, sizeof(head));
	put_head(&w, id, code.len);
	mac(s, (struct span){ head, w.len }, code, code_mac);
	const struct span parts[] = { { head, w.len }, { code_mac, MAC_BYTES }, code };
	err = file_put(s->dir_fd, name, parts, ARRAY_LEN(parts), why);
	file_unmap(code);
	return err;
}

/* Where the parts of a cached file are. head ends before the MAC. */
struct cached {
	uint8_t head[HEAD_MAX + MAC_BYTES];
	size_t head_bytes;
	const uint8_t *mac;
	uint64_t code_bytes;
};

/* Lengths only; the contents are compared and verified later. */
static int head_read(int fd, size_t bytes_max, struct cached *c, struct why *why)
{
	struct stat st;
	ssize_t n = pread(fd, c->head, sizeof(c->head), 0);
	if (n < 0 || fstat(fd, &st) < 0)
		return why_set(why, -errno, "cannot be read: %s", strerror(errno));
	struct rd r = rd_from(c->head, (size_t)n);
	(void)rd_span(&r, 8 + 4 + 4);
	for (int i = 0; i < 3; i++)
		(void)rd_span(&r, rd_u16(&r));
	c->code_bytes = rd_u64(&r);
	c->head_bytes = (size_t)n - r.left;
	c->mac = rd_span(&r, MAC_BYTES).at;
	if (!rd_ok(&r) || c->code_bytes > bytes_max ||
	    (uint64_t)st.st_size != c->head_bytes + MAC_BYTES + c->code_bytes)
		return why_set(why, -E_SIGNATURE, "is cut short or malformed");
	return 0;
}

int seal_get(const struct seal *s, const struct seal_id *id, int *ret_fd, struct why *why)
{
	char name[SEAL_TEXT_MAX];
	if (!file_name(id->hash, id->kind, name))
		return why_set(why, -E_INVALID, "not a hash: %.80s", id->hash);
	OWN_FD file = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0)
		return why_set(why, -errno, "%s: %s", name, strerror(errno));
	struct cached c;
	struct span code;
	OWN_FD fd = -1;
	int err = head_read(file, kinds[id->kind].bytes_max, &c, why);
	/* Sealed before it is verified: what was verified can then never change. */
	if (err == 0)
		err = file_to_memfd(file, (off_t)(c.head_bytes + MAC_BYTES), c.code_bytes,
				    kinds[id->kind].memfd_name, &fd, why);
	if (err == 0)
		err = file_map(fd, kinds[id->kind].bytes_max, &code, why);
	if (err < 0)
		return err;
	uint8_t expected[MAC_BYTES], head[HEAD_MAX];
	mac(s, (struct span){ c.head, c.head_bytes }, code, expected);
	file_unmap(code);
	if (sodium_memcmp(expected, c.mac, MAC_BYTES) != 0)
		return why_set(why, -E_SIGNATURE,
			       "%s was not sealed by this device, or was changed since", name);
	struct wr w = wr_into(head, sizeof(head));
	put_head(&w, id, c.code_bytes);
	if (w.len != c.head_bytes || memcmp(head, c.head, w.len) != 0)
		return why_set(why, -ESTALE, "%s is of another compiler or for another CPU", name);
	*ret_fd = fd_steal(&fd);
	return 0;
}

void seal_remove(const struct seal *s, const char *hash)
{
	char name[SEAL_TEXT_MAX];
	for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++)
		if (file_name(hash, (enum seal_kind)kind, name))
			(void)unlinkat(s->dir_fd, name, 0);
}

/* ---- identities ---- */

/* Lines of /proc/cpuinfo that say which instructions there are (x86, then arm). */
static const char *const cpu_lines[] = { "vendor_id",   "cpu family",      "model\t",
					 "flags",       "CPU implementer", "CPU architecture",
					 "CPU variant", "CPU part",        "Features" };

static bool is_cpu_line(const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(cpu_lines); i++)
		if (strncmp(line, cpu_lines[i], strlen(cpu_lines[i])) == 0)
			return true;
	return false;
}

/* Over all cores, each distinct line once: cores may differ (big.LITTLE), and how many are online
 * must not matter. Lines of equal cores follow each other in the same order, so a set of digests
 * as small as this one is enough; beyond it lines count each time, which is only less stable. */
static void cpu_digest(FILE *f, uint8_t ret[8])
{
	enum { SEEN_MAX = 256 };
	uint8_t seen[SEEN_MAX][16], one[16];
	size_t nseen = 0, cap = 0;
	OWN_FREE char *line = NULL;
	crypto_generichash_state all;
	(void)crypto_generichash_init(&all, NULL, 0, 16);
	while (getline(&line, &cap, f) > 0) {
		size_t i = 0;
		if (!is_cpu_line(line))
			continue;
		(void)crypto_generichash(one, sizeof(one), (const uint8_t *)line, strlen(line),
					 NULL, 0);
		while (i < nseen && memcmp(seen[i], one, sizeof(one)) != 0)
			i++;
		if (i < nseen)
			continue;
		if (nseen < SEEN_MAX)
			memcpy(seen[nseen++], one, sizeof(one));
		(void)crypto_generichash_update(&all, one, sizeof(one));
	}
	(void)crypto_generichash_final(&all, one, sizeof(one));
	memcpy(ret, one, 8);
}

void seal_cpu_id(char ret[SEAL_TEXT_MAX])
{
	struct utsname u;
	uint8_t digest[8] = { 0 };
	char hex[2 * sizeof(digest) + 1];
	FILE *f = fopen("/proc/cpuinfo", "re");
	if (f) {
		cpu_digest(f, digest);
		(void)fclose(f);
	}
	sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
	(void)snprintf(ret, SEAL_TEXT_MAX, "%.64s-%s", uname(&u) == 0 ? u.machine : "unknown", hex);
}

static void digest_file(crypto_generichash_state *all, const char *path)
{
	struct stat st = { 0 };
	char text[SEAL_TEXT_MAX];
	(void)stat(path, &st);
	int n = snprintf(text, sizeof(text), "%lld %lld.%09ld", (long long)st.st_size,
			 (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	(void)crypto_generichash_update(all, (const uint8_t *)path, strlen(path) + 1);
	(void)crypto_generichash_update(all, (const uint8_t *)text, (size_t)n + 1);
}

/* Sizes and times of files, not their contents: a package's file has the time of its build, and
 * reading 120 MB at each start would cost more than a needless compile now and then. */
void seal_compiler_id(const char *compiler_path, char ret[SEAL_TEXT_MAX])
{
	uint8_t digest[16];
	char hex[2 * sizeof(digest) + 1];
	glob_t llvm = { 0 };
	crypto_generichash_state all;
	(void)crypto_generichash_init(&all, NULL, 0, sizeof(digest));
	digest_file(&all, compiler_path);
	if (glob("/usr/lib/*/libLLVM*", 0, NULL, &llvm) == 0)
		for (size_t i = 0; i < llvm.gl_pathc; i++)
			digest_file(&all, llvm.gl_pathv[i]);
	globfree(&llvm);
	(void)crypto_generichash_final(&all, digest, sizeof(digest));
	sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
	(void)snprintf(ret, SEAL_TEXT_MAX, "penstock %s aot %s", PENSTOCK_VERSION, hex);
}
