/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance is like before an event: memory, globals, tables, which segments are dropped.
 * Taken once, of an instance that has been populated (and, for a reactor, has run _initialize);
 * then every event begins from it.
 *
 * Going back: the kernel knows which pages were ever touched (/proc/self/pagemap); each of those is
 * overwritten with the image's page or with zeros, which costs less than giving the pages back and
 * faulting them in again (facts/toolchain.md). Beyond IMAGE_KEEP_BYTES of them they are given
 * back. Without a pagemap, all are.
 */
#ifndef RUNTIME_IMAGE_H
#define RUNTIME_IMAGE_H

#include "base/util.h"
#include "base/why.h"
#include "sandbox/runtime/instance.h"

enum { IMAGE_KEEP_BYTES = 1 << 20 };

struct image;

/* -ENOMEM. The instance must have no imports but functions. */
int image_take(const struct instance *in, struct image **ret, struct why *why) MUST_USE;
void image_free(struct image *im);

/* Makes another, new instance of the same module like the image. -ENOMEM. */
int image_adopt(const struct image *im, struct instance *in) MUST_USE;
/* Makes an instance that ran an event like the image again: not a byte of that event is left.
 * pagemap_fd is /proc/self/pagemap or -1. On an error the instance must be freed. */
int image_reset(const struct image *im, struct instance *in, int pagemap_fd) MUST_USE;

#endif
