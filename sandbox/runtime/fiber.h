/* SPDX-License-Identifier: Apache-2.0 */
/* What the sanitizers have to be told when a thread changes stacks; nothing in other builds. */
#ifndef RUNTIME_FIBER_H
#define RUNTIME_FIBER_H

#include <stddef.h>

/* ThreadSanitizer holds signals back until a thread calls into libc, so it cannot see a guest being
 * preempted: its builds look at everything else. */
#if __has_feature(thread_sanitizer)
#define FIBER_NO_TICKS 1
#else
#define FIBER_NO_TICKS 0
#endif

/* Just before a switch to the stack [low, low + bytes), and just after having arrived. */
void fiber_leaving(const void *low, size_t bytes);
void fiber_arrived(void);
void fiber_unpoison(const void *low, size_t bytes);
/* ThreadSanitizer's idea of a stack: made per stack, NULL elsewhere. */
void *fiber_new(void);
void *fiber_of_thread(void);
void fiber_free(void *fiber);
void fiber_switch(void *fiber);
/* The calling thread's own stack, for fiber_leaving(). */
void fiber_thread_stack(const void **ret_low, size_t *ret_bytes);

#endif
