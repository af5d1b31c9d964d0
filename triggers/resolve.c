/* SPDX-License-Identifier: Apache-2.0 */
#include "triggers/resolve.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SLICE_NS = 50 * 1000 * 1000 }; /* between looks at the flag */

/* Whoever leaves it last frees it. */
struct request {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	bool done, given_up;
	int rc;
	struct addrinfo *list;
	char host[256], port[6];
};

static void request_free(struct request *r)
{
	(void)pthread_cond_destroy(&r->answered);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

static void *ask(void *arg)
{
	struct request *r = arg;
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int rc = getaddrinfo(r->host, r->port, &hints, &list);
	(void)pthread_mutex_lock(&r->lock);
	bool given_up = r->given_up;
	r->done = true;
	r->rc = rc;
	r->list = list;
	(void)pthread_cond_signal(&r->answered);
	(void)pthread_mutex_unlock(&r->lock);
	if (given_up) {
		if (rc == 0)
			freeaddrinfo(list);
		request_free(r);
	}
	return NULL;
}

static struct request *begin(const char *host, const char *port)
{
	struct request *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;
	pthread_t thread;
	if (!r)
		return NULL;
	(void)snprintf(r->host, sizeof(r->host), "%s", host);
	(void)snprintf(r->port, sizeof(r->port), "%s", port);
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&r->answered, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (pthread_create(&thread, NULL, ask, r) != 0) {
		request_free(r);
		return NULL;
	}
	(void)pthread_detach(thread);
	return r;
}

int resolve(const char *host, const char *port, const atomic_bool *stop, struct addrinfo **ret)
{
	struct request *r = begin(host, port);
	if (!r)
		return EAI_MEMORY;
	(void)pthread_mutex_lock(&r->lock);
	while (!r->done && !atomic_load(stop)) {
		struct timespec t;
		(void)clock_gettime(CLOCK_MONOTONIC, &t);
		t.tv_nsec += SLICE_NS;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		(void)pthread_cond_timedwait(&r->answered, &r->lock, &t);
	}
	bool done = r->done;
	int rc = done ? r->rc : EAI_INTR;
	*ret = done ? r->list : NULL;
	r->given_up = !done;
	(void)pthread_mutex_unlock(&r->lock);
	if (done)
		request_free(r);
	return rc;
}
