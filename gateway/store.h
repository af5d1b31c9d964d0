/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The uploaded modules, STATE_DIR/modules/HASH.wasm, named by the SHA-256 of their bytes.
 *
 * Files and not blobs of the registry, because
 *   1. they are up to 16 MiB: written on a thread of their own, while a blob would hold the loop
 *      for as long as an SD card takes, and be written twice (WAL, then database);
 *   2. the registry stays small enough to be checked in full at each start, and to be backed up;
 *   3. one module under ten names or in ten versions lies here once, and sha256sum(1) checks it.
 * The order keeps them together: the file is on the disk before the row that names it is committed,
 * and goes after the last such row is gone. What a crash in between leaves is swept at start.
 */
#ifndef GATEWAY_STORE_H
#define GATEWAY_STORE_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/util.h"
#include "base/why.h"
#include "gateway/registry.h"

struct store;

int store_open(const char *state_dir, struct store **ret, struct why *why) MUST_USE;
void store_close(struct store *s);

void store_hash(struct span wasm, char ret_hex[REGISTRY_HASH_TEXT]);

/* On the disk when it returns. Any thread. */
int store_put(const struct store *s, const char *hash, struct span wasm, struct why *why) MUST_USE;
/* A sealed memfd with the bytes. -ENOENT; -E_INVALID when they are not what the hash says. Any
 * thread. */
int store_get(const struct store *s, const char *hash, size_t most, int *ret_fd,
	      struct why *why) MUST_USE;
void store_remove(const struct store *s, const char *hash);
/* Removes what keep() does not want and what writes left half done. */
void store_sweep(const struct store *s, bool (*keep)(void *arg, const char *hash), void *arg);

#endif
