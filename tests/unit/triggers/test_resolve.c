/* SPDX-License-Identifier: Apache-2.0 */
/* Names, with a name server that takes its time: this program's getaddrinfo is the one below. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "triggers/resolve.h"

static atomic_uint asked, given_back;

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		struct addrinfo **ret)
{
	atomic_fetch_add(&asked, 1);
	(void)port;
	assert_int_equal(hints->ai_socktype, SOCK_STREAM);
	if (strcmp(host, "nobody") == 0)
		return EAI_NONAME;
	if (strcmp(host, "slow") == 0)
		(void)poll(NULL, 0, 1000);
	*ret = calloc(1, sizeof(**ret));
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	atomic_fetch_add(&given_back, 1);
	free(list);
}

static uint64_t ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void an_answer_is_handed_on(void **state)
{
	atomic_bool stop = false;
	struct addrinfo *list = NULL;
	(void)state;
	assert_int_equal(resolve("broker", "1883", &stop, &list), 0);
	assert_non_null(list);
	freeaddrinfo(list);
	assert_int_equal(resolve("nobody", "1883", &stop, &list), EAI_NONAME);
}

static void who_is_to_stop_does_not_wait_for_the_name_server(void **state)
{
	atomic_bool stop = true;
	struct addrinfo *list = NULL;
	uint64_t before = ms();
	(void)state;
	unsigned had = given_back;
	assert_int_equal(resolve("slow", "1883", &stop, &list), EAI_INTR);
	assert_null(list);
	assert_in_range(ms() - before, 0, 500);
	for (unsigned i = 0; i < 300 && given_back == had; i++)
		(void)poll(NULL, 0, 10);
	assert_int_equal(given_back, had + 1); /* the late answer is not leaked */
	assert_int_equal(asked, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_handed_on),
		cmocka_unit_test(who_is_to_stop_does_not_wait_for_the_name_server),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
