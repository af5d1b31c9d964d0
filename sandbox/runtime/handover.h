/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handing things from many threads to whoever takes them, without a lock: a stack of Concurrency Kit that
 * is emptied as a whole. What was put is in no order. Its atomics are assembly, which
 * ThreadSanitizer cannot see: it is told that a put happens before the take that gets it.
 */
#ifndef RUNTIME_HANDOVER_H
#define RUNTIME_HANDOVER_H

#include <ck_stack.h>

#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
#endif

static inline void handover_put(ck_stack_t *to, ck_stack_entry_t *e)
{
#if __has_feature(thread_sanitizer)
	__tsan_release(to);
	AnnotateIgnoreWritesBegin(__FILE__, __LINE__); /* the link, which the stack guards itself */
	ck_stack_push_upmc(to, e);
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#else
	ck_stack_push_upmc(to, e);
#endif
}

/* All that is there, linked by next; NULL. */
static inline ck_stack_entry_t *handover_take(ck_stack_t *from)
{
	ck_stack_entry_t *all = ck_stack_batch_pop_upmc(from);
#if __has_feature(thread_sanitizer)
	__tsan_acquire(from);
#endif
	return all;
}

#endif
