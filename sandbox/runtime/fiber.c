/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime/fiber.h"

#if __has_feature(address_sanitizer)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* Fake stacks would move locals off the guest's stack, away from what a trap leaves behind; the
 * signal stack is ours; LeakSanitizer wants ptrace, which the jail refuses. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0:use_sigaltstack=0:detect_leaks=0";
}

void fiber_leaving(const void *low, size_t bytes)
{
	__sanitizer_start_switch_fiber(NULL, low, bytes);
}

void fiber_arrived(void)
{
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
}

void fiber_unpoison(const void *low, size_t bytes)
{
	__asan_unpoison_memory_region(low, bytes);
}

void fiber_thread_stack(const void **ret_low, size_t *ret_bytes)
{
	pthread_attr_t attr;
	void *low = NULL;
	*ret_bytes = 0;
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		(void)pthread_attr_getstack(&attr, &low, ret_bytes);
		(void)pthread_attr_destroy(&attr);
	}
	*ret_low = low;
}
#else
void fiber_leaving(const void *low, size_t bytes)
{
	(void)low;
	(void)bytes;
}

void fiber_arrived(void)
{
}

void fiber_unpoison(const void *low, size_t bytes)
{
	(void)low;
	(void)bytes;
}

void fiber_thread_stack(const void **ret_low, size_t *ret_bytes)
{
	*ret_low = NULL;
	*ret_bytes = 0;
}
#endif

#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>

void *fiber_new(void)
{
	return __tsan_create_fiber(0);
}

void *fiber_of_thread(void)
{
	return __tsan_get_current_fiber();
}

void fiber_free(void *fiber)
{
	if (fiber)
		__tsan_destroy_fiber(fiber);
}

/* Not instrumented: it would be entered on one fiber's shadow stack and left on the other's, which
 * is empty when a fiber is new. */
__attribute__((disable_sanitizer_instrumentation)) void fiber_switch(void *fiber)
{
	if (__tsan_get_current_fiber() != fiber)
		__tsan_switch_to_fiber(fiber, 0);
}
#else
void *fiber_new(void)
{
	return NULL;
}

void *fiber_of_thread(void)
{
	return NULL;
}

void fiber_free(void *fiber)
{
	(void)fiber;
}

void fiber_switch(void *fiber)
{
	(void)fiber;
}
#endif
