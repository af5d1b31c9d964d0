/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/archive.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

enum { BLOCK = 512, COPY_BYTES = 128 << 10, HEX_BYTES = 64, SUM_LINE_BYTES = 160 };

struct ustar { /* POSIX.1-1988, the fields that count */
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100],
		magic[6], version[2], rest[247];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "as on the disk");

static const char sums_name[] = "SHA256SUMS", module_prefix[] = "modules/",
		  module_suffix[] = ".wasm";

static unsigned sum_of(const struct ustar *h)
{
	struct ustar blank = *h;
	unsigned sum = 0;
	memset(blank.sum, ' ', sizeof(blank.sum));
	for (size_t i = 0; i < sizeof(blank); i++)
		sum += ((const uint8_t *)&blank)[i];
	return sum;
}

/* ---- the sums ---- */

static int sums_add(struct archive_sums *s, const char *name, crypto_hash_sha256_state *state,
		    char ret_hex[HEX_BYTES + 1])
{
	uint8_t digest[crypto_hash_sha256_BYTES];
	(void)crypto_hash_sha256_final(state, digest);
	sodium_bin2hex(ret_hex, HEX_BYTES + 1, digest, sizeof(digest));
	if (s->cap - s->len < SUM_LINE_BYTES) {
		size_t cap = s->cap ? s->cap * 2 : 16 * SUM_LINE_BYTES;
		char *more = realloc(s->text, cap);
		if (!more)
			return -ENOMEM;
		s->text = more;
		s->cap = cap;
	}
	s->len += (size_t)snprintf(s->text + s->len, s->cap - s->len, "%s  %s\n", ret_hex, name);
	return 0;
}

/* ---- writing ---- */

static int write_all(int fd, const void *bytes, size_t len, struct why *why)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const uint8_t *)bytes + at, len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return why_set(why, -errno, "writing the backup: %s", strerror(errno));
		at += (size_t)n;
	}
	return 0;
}

static int write_head(struct archive_out *o, const char *name, uint64_t bytes, struct why *why)
{
	struct ustar h = { .type = '0', .magic = "ustar", .version = "00" };
	ENSURE(strlen(name) <= ARCHIVE_NAME_MAX);
	if (bytes >= ARCHIVE_MEMBER_BYTES_MAX)
		return why_set(why, -E_LIMIT, "%s has %llu bytes; a backup takes 8 GiB at most",
			       name, (unsigned long long)bytes);
	memcpy(h.name, name, strlen(name));
	memcpy(h.mode, "0000600", 7);
	memcpy(h.uid, "0000000", 7);
	memcpy(h.gid, "0000000", 7);
	(void)snprintf(h.size, sizeof(h.size), "%011llo", (unsigned long long)bytes);
	(void)snprintf(h.mtime, sizeof(h.mtime), "%011llo",
		       (unsigned long long)(o->mtime_s & 077777777777));
	(void)snprintf(h.sum, sizeof(h.sum), "%06o", sum_of(&h));
	h.sum[7] = ' ';
	return write_all(o->fd, &h, sizeof(h), why);
}

static int write_padding(struct archive_out *o, uint64_t bytes, struct why *why)
{
	static const uint8_t zero[BLOCK];
	return bytes % BLOCK ? write_all(o->fd, zero, BLOCK - bytes % BLOCK, why) : 0;
}

int archive_add(struct archive_out *o, const char *name, int from, uint64_t bytes, struct why *why)
{
	OWN_FREE uint8_t *buf = malloc(COPY_BYTES);
	crypto_hash_sha256_state hash;
	char hex[HEX_BYTES + 1];
	if (!buf)
		return why_set(why, -ENOMEM, "out of memory");
	(void)crypto_hash_sha256_init(&hash);
	int err = write_head(o, name, bytes, why);
	for (uint64_t left = bytes; err == 0 && left > 0;) {
		ssize_t n = read(from, buf, left < COPY_BYTES ? (size_t)left : COPY_BYTES);
		if (n <= 0)
			return why_set(why, n < 0 ? -errno : -EIO, "reading %s: %s", name,
				       n < 0 ? strerror(errno) : "it became shorter");
		(void)crypto_hash_sha256_update(&hash, buf, (size_t)n);
		err = write_all(o->fd, buf, (size_t)n, why);
		left -= (uint64_t)n;
	}
	if (err == 0)
		err = write_padding(o, bytes, why);
	if (err == 0 && sums_add(&o->sums, name, &hash, hex) < 0)
		err = why_set(why, -ENOMEM, "out of memory");
	return err;
}

int archive_finish(struct archive_out *o, struct why *why)
{
	static const uint8_t end[2 * BLOCK];
	int err = write_head(o, sums_name, o->sums.len, why);
	if (err == 0)
		err = write_all(o->fd, o->sums.text, o->sums.len, why);
	if (err == 0)
		err = write_padding(o, o->sums.len, why);
	return err == 0 ? write_all(o->fd, end, sizeof(end), why) : err;
}

void archive_fini(struct archive_out *o)
{
	free(o->sums.text);
	o->sums = (struct archive_sums){ 0 };
}

/* ---- reading: every byte may be anything ---- */

struct reading {
	int fd;
	const struct archive_sink *sink;
	struct archive_sums sums;
	uint8_t *buf;
	char last[ARCHIVE_NAME_MAX + 1]; /* names go up, so none comes twice */
	unsigned members;
};

static int read_all(struct reading *r, void *to, size_t len, struct why *why)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = read(r->fd, (uint8_t *)to + at, len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return why_set(why, -errno, "%s", strerror(errno));
		if (n == 0)
			return why_set(why, -E_INVALID, "it is cut short");
		at += (size_t)n;
	}
	return 0;
}

/* Octal digits to the first NUL or space; false: something else. */
static bool octal(const char *field, size_t len, uint64_t *ret)
{
	*ret = 0;
	size_t i = 0;
	while (i < len && field[i] >= '0' && field[i] <= '7')
		*ret = *ret << 3 | (uint64_t)(field[i++] - '0');
	return i > 0 && i < len && (field[i] == '\0' || field[i] == ' ');
}

static bool is_module(const char *name)
{
	size_t prefix = sizeof(module_prefix) - 1;
	return strncmp(name, module_prefix, prefix) == 0 &&
	       strspn(name + prefix, "0123456789abcdef") == HEX_BYTES &&
	       strcmp(name + prefix + HEX_BYTES, module_suffix) == 0;
}

/* Which comes where: 1 registry.db, 2 journal.db, 3 modules, 4 the sums; 0: no name of ours. */
static unsigned place_of(const char *name)
{
	if (strcmp(name, "registry.db") == 0)
		return 1;
	if (strcmp(name, "journal.db") == 0)
		return 2;
	if (is_module(name))
		return 3;
	return strcmp(name, sums_name) == 0 ? 4 : 0;
}

static int head_check(struct reading *r, const struct ustar *h, char ret_name[ARCHIVE_NAME_MAX + 1],
		      uint64_t *ret_bytes, struct why *why)
{
	uint64_t sum;
	size_t len = strnlen(h->name, sizeof(h->name));
	if (memcmp(h->magic, "ustar", 6) != 0 || !octal(h->sum, sizeof(h->sum), &sum) ||
	    sum != sum_of(h))
		return why_set(why, -E_INVALID, "it is no tar archive, or damaged");
	if (len > ARCHIVE_NAME_MAX || h->type != '0' || !octal(h->size, sizeof(h->size), ret_bytes))
		return why_set(why, -E_INVALID, "it has a member that no backup has");
	memcpy(ret_name, h->name, len);
	ret_name[len] = '\0';
	unsigned place = place_of(ret_name), before = r->last[0] ? place_of(r->last) : 0;
	if (place == 0)
		return why_set(why, -E_INVALID, "it has a member that no backup has");
	if (place < before || (place == before && strcmp(ret_name, r->last) <= 0) ||
	    (place > 1 && before == 0) || ++r->members > ARCHIVE_MEMBERS_MAX)
		return why_set(why, -E_INVALID, "its members are not in order: %s", ret_name);
	memcpy(r->last, ret_name, len + 1);
	return 0;
}

/* The bytes of one member to the sink, and their hash; padding with them. */
static int member_read(struct reading *r, uint64_t bytes, crypto_hash_sha256_state *hash,
		       struct why *why)
{
	int err = 0;
	for (uint64_t left = bytes; err == 0 && left > 0;) {
		size_t n = left < COPY_BYTES ? (size_t)left : COPY_BYTES;
		err = read_all(r, r->buf, n, why);
		if (err == 0)
			err = r->sink->data(r->sink->arg, r->buf, n, why);
		(void)crypto_hash_sha256_update(hash, r->buf, n);
		left -= n;
	}
	return err == 0 && bytes % BLOCK ? read_all(r, r->buf, BLOCK - bytes % BLOCK, why) : err;
}

static int member(struct reading *r, const char *name, uint64_t bytes, struct why *why)
{
	crypto_hash_sha256_state hash;
	char hex[HEX_BYTES + 1];
	(void)crypto_hash_sha256_init(&hash);
	int err = r->sink->begin(r->sink->arg, name, bytes, why);
	if (err == 0)
		err = member_read(r, bytes, &hash, why);
	if (err == 0 && sums_add(&r->sums, name, &hash, hex) < 0)
		err = why_set(why, -ENOMEM, "out of memory");
	if (err == 0 && is_module(name) &&
	    memcmp(name + sizeof(module_prefix) - 1, hex, HEX_BYTES) != 0)
		err = why_set(why, -E_INVALID, "%s is damaged: its hash is %s", name, hex);
	return err == 0 ? r->sink->end(r->sink->arg, why) : err;
}

/* What we read gives the same text as what was written. */
static int sums_check(struct reading *r, uint64_t bytes, struct why *why)
{
	if (bytes != r->sums.len)
		return why_set(why, -E_INVALID, "its checksums are not those of its members");
	OWN_FREE char *text = malloc(r->sums.len + 1);
	if (!text)
		return why_set(why, -ENOMEM, "out of memory");
	int err = read_all(r, text, r->sums.len, why);
	if (err == 0 && memcmp(text, r->sums.text, r->sums.len) != 0)
		err = why_set(why, -E_INVALID, "a member is damaged: the checksums differ");
	return err;
}

int archive_read(int fd, const struct archive_sink *sink, struct why *why)
{
	struct reading r = { .fd = fd, .sink = sink, .buf = malloc(COPY_BYTES) };
	int err = r.buf ? 0 : why_set(why, -ENOMEM, "out of memory");
	for (bool last = false; err == 0 && !last;) {
		struct ustar h;
		char name[ARCHIVE_NAME_MAX + 1];
		uint64_t bytes;
		err = read_all(&r, &h, sizeof(h), why);
		if (err == 0)
			err = head_check(&r, &h, name, &bytes, why);
		last = err == 0 && strcmp(name, sums_name) == 0;
		if (err == 0)
			err = last ? sums_check(&r, bytes, why) : member(&r, name, bytes, why);
	}
	free(r.buf);
	free(r.sums.text);
	return err;
}
