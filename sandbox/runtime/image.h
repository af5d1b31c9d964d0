/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance is like before an event: memory, globals, tables, which segments are dropped.
 * Taken once, of an instance that has been populated (and, for a reactor, has run _initialize);
 * then every event begins from it.
 *
 * The memory's contents are a sealed file in memory, and each instance has a private view of it, so
 * what no instance has written to exists once. Going back is either copying the pages that may have
 * been written (memory.h) or a new view; choice.h says which.
 */
#ifndef RUNTIME_IMAGE_H
#define RUNTIME_IMAGE_H

#include "base/util.h"
#include "base/why.h"
#include "sandbox/runtime/instance.h"

enum {
	IMAGE_KEEP_BYTES = 1 << 20, /* of pages that an instance keeps for itself between events */
	IMAGE_FORGET_EVENTS = 4096, /* now and then it learns anew which pages those are */
};

struct image;

/* -ENOMEM. The instance must have no imports but functions. */
int image_take(const struct instance *in, struct image **ret, struct why *why) MUST_USE;
void image_free(struct image *im);

/* Makes another, new instance of the same module like the image. -ENOMEM. */
int image_adopt(const struct image *im, struct instance *in) MUST_USE;
/* Makes an instance that ran an event like the image again: not a byte of that event is left.
 * run_ns is how long the event ran. On an error the instance must be freed. Any number of threads
 * may do this with instances of their own. */
int image_reset(struct image *im, struct instance *in, uint64_t run_ns) MUST_USE;

#endif
