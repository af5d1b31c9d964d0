/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gate.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static long futex(atomic_uint *word, int op, unsigned value)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

int gate_init(struct gate *g)
{
	*g = (struct gate){ .nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	return g->nudge_fd < 0 ? -errno : 0;
}

void gate_fini(struct gate *g)
{
	if (g->nudge_fd >= 0)
		(void)close(g->nudge_fd);
	g->nudge_fd = -1;
}

void gate_expect(struct gate *g)
{
	atomic_fetch_add(&g->expected, 1);
}

void gate_answered(struct gate *g, unsigned n)
{
	ENSURE(atomic_fetch_sub(&g->expected, n) >= n);
}

static void wake(struct gate *g)
{
	if (atomic_exchange(&g->armed, 1) == 0)
		(void)futex(&g->armed, FUTEX_WAKE, 1);
}

void gate_arm(struct gate *g)
{
	if (atomic_load(&g->expected) > 0 && atomic_load(&g->attended) == 0) {
		atomic_store(&g->quiet, false);
		wake(g);
	}
}

void gate_force(struct gate *g)
{
	atomic_store(&g->quiet, false);
	wake(g);
}

static void nudge(struct gate *g)
{
	uint64_t one = 1;
	(void)!write(g->nudge_fd, &one, sizeof(one)); /* full: it is nudged already */
}

bool gate_attend(struct gate *g)
{
	unsigned none = 0;
	if (!atomic_compare_exchange_strong(&g->attended, &none, 1))
		return false;
	if (!atomic_exchange(&g->quiet, true) && atomic_load(&g->armed))
		nudge(g);
	return true;
}

void gate_leave(struct gate *g)
{
	ENSURE(atomic_fetch_sub(&g->attended, 1) == 1);
	if (atomic_load(&g->expected) > 0) {
		atomic_store(&g->quiet, false);
		wake(g);
	}
}

void gate_down(struct gate *g, unsigned generation)
{
	atomic_store(&g->down, generation);
}

void gate_up(struct gate *g)
{
	atomic_fetch_add(&g->generation, 1);
	gate_arm(g);
	/* It may still be in poll() on the number of the old socket: woken for its end, poll looks the
	 * number up again, finds the new one silent, and goes back to sleep on the old one's queue. */
	nudge(g);
}

bool gate_is_down(struct gate *g)
{
	return atomic_load(&g->down) == atomic_load(&g->generation);
}

void gate_stop(struct gate *g)
{
	atomic_store(&g->stop, true);
	wake(g);
	nudge(g);
}

static bool may_sleep(struct gate *g)
{
	return gate_is_down(g) || (atomic_load(&g->quiet) && (atomic_load(&g->expected) == 0 ||
							      atomic_load(&g->attended) > 0));
}

bool gate_wait(struct gate *g, int sock)
{
	for (;;) {
		if (atomic_load(&g->stop))
			return false;
		if (may_sleep(g)) {
			atomic_store(&g->armed, 0); /* argument 4 */
			bool needed = atomic_load(&g->expected) > 0 && !gate_is_down(g) &&
				      atomic_load(&g->attended) == 0;
			if (needed || atomic_load(&g->stop))
				atomic_store(&g->armed, 1);
			else
				(void)futex(&g->armed, FUTEX_WAIT, 0);
			if (atomic_load(&g->armed) == 0)
				continue; /* woken without cause */
		}
		struct pollfd p[] = { { .fd = sock, .events = POLLIN },
				      { .fd = g->nudge_fd, .events = POLLIN } };
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			return !atomic_load(&g->stop);
		uint64_t count;
		if (p[1].revents)
			(void)!read(g->nudge_fd, &count, sizeof(count));
		if (p[0].revents)
			return true;
	}
}
