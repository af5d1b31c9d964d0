/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "gateway/file.h"

#define SUFFIX ".wasm"

enum { HEX_BYTES = REGISTRY_HASH_TEXT - 1, NAME_BYTES = HEX_BYTES + sizeof(SUFFIX) };

struct store {
	int dir_fd;
};

int store_open(const char *state_dir, struct store **ret, struct why *why)
{
	struct store *s = malloc(sizeof(*s));
	if (!s)
		return why_set(why, -ENOMEM, "out of memory");
	int err = file_dir(state_dir, "modules", 0700, &s->dir_fd, why);
	if (err < 0) {
		free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	(void)close(s->dir_fd);
	free(s);
}

void store_hash(struct span wasm, char ret_hex[REGISTRY_HASH_TEXT])
{
	uint8_t digest[crypto_hash_sha256_BYTES];
	(void)crypto_hash_sha256(digest, wasm.at, wasm.len);
	sodium_bin2hex(ret_hex, REGISTRY_HASH_TEXT, digest, sizeof(digest));
}

static void file_name(const char *hash, char ret[NAME_BYTES])
{
	ENSURE(strspn(hash, "0123456789abcdef") == HEX_BYTES && hash[HEX_BYTES] == '\0');
	(void)snprintf(ret, NAME_BYTES, "%s" SUFFIX, hash);
}

int store_put(const struct store *s, const char *hash, struct span wasm, struct why *why)
{
	char name[NAME_BYTES];
	file_name(hash, name);
	return file_put(s->dir_fd, name, &wasm, 1, why);
}

int store_get(const struct store *s, const char *hash, size_t most, int *ret_fd, struct why *why)
{
	char name[NAME_BYTES], found[REGISTRY_HASH_TEXT];
	file_name(hash, name);
	struct stat st;
	struct span wasm;
	OWN_FD fd = -1;
	OWN_FD file = openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (file < 0 || fstat(file, &st) < 0)
		return why_set(why, -errno, "modules/%s: %s", name, strerror(errno));
	if ((uint64_t)st.st_size > most)
		return why_set(why, -E_LIMIT, "modules/%s has %lld bytes, the limit is %zu", name,
			       (long long)st.st_size, most);
	int err = file_to_memfd(file, 0, (size_t)st.st_size, "penstock-wasm", &fd, why);
	if (err == 0)
		err = file_map(fd, most, &wasm, why);
	if (err < 0)
		return err;
	store_hash(wasm, found);
	file_unmap(wasm);
	if (strcmp(found, hash) != 0)
		return why_set(why, -E_INVALID, "modules/%s was changed: deploy it again", name);
	*ret_fd = fd_steal(&fd);
	return 0;
}

void store_remove(const struct store *s, const char *hash)
{
	char name[NAME_BYTES];
	file_name(hash, name);
	(void)unlinkat(s->dir_fd, name, 0);
}

void store_sweep(const struct store *s, bool (*keep)(void *arg, const char *hash), void *arg)
{
	int fd = dup(s->dir_fd);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		char hash[REGISTRY_HASH_TEXT];
		size_t hex = strspn(e->d_name, "0123456789abcdef");
		if (hex != HEX_BYTES)
			continue; /* not ours */
		memcpy(hash, e->d_name, HEX_BYTES);
		hash[HEX_BYTES] = '\0';
		if (strcmp(e->d_name + hex, SUFFIX) != 0 || !keep(arg, hash))
			(void)unlinkat(s->dir_fd, e->d_name, 0);
	}
	(void)closedir(dir);
}
