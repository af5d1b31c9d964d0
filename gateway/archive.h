/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups are tar archives (POSIX ustar), so that tar(1), sqlite3(1) and sha256sum(1) can look into them:
 *
 *	registry.db  journal.db  modules/SHA256.wasm ...  SHA256SUMS
 *
 * The last member has a line for each of the others, in their order, as sha256sum(1) writes it; without it, or
 * with a byte changed, an archive is refused. A module's name is the hash of its bytes.
 *
 * Any thread.
 */
#ifndef GATEWAY_ARCHIVE_H
#define GATEWAY_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"
#include "base/why.h"

enum { ARCHIVE_NAME_MAX = 80, ARCHIVE_MEMBERS_MAX = 16384 };
#define ARCHIVE_MEMBER_BYTES_MAX (UINT64_C(8) << 30) /* what eleven octal digits can say */

struct archive_sums { /* the text of the last member */
	char *text;
	size_t len, cap;
};

struct archive_out {
	int fd;
	uint64_t mtime_s;
	struct archive_sums sums;
};

/* All of `from`, of so many bytes. -EIO when it has fewer; -E_LIMIT. */
int archive_add(struct archive_out *o, const char *name, int from, uint64_t bytes,
		struct why *why) MUST_USE;
int archive_finish(struct archive_out *o, struct why *why) MUST_USE;
/* Frees; closes nothing. */
void archive_fini(struct archive_out *o);

/* Who gets the members, in order; each returns 0 or an error with its reason. */
struct archive_sink {
	int (*begin)(void *arg, const char *name, uint64_t bytes, struct why *why);
	int (*data)(void *arg, const void *bytes, size_t len, struct why *why);
	int (*end)(void *arg, struct why *why);
	void *arg;
};
/* Reads one from fd's position. Names are one of the four above, each once, databases first. What sink got
 * is only to be believed when this returns 0. -E_INVALID, -errno. */
int archive_read(int fd, const struct archive_sink *sink, struct why *why) MUST_USE;

#endif
