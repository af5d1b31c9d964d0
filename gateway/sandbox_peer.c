/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/sandbox_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/child.h"
#include "base/log.h"
#include "base/own.h"

enum {
	QUICK_MS = 1000, /* died sooner: it may do so again */
	PAUSE_MS = 100,  /* after the second quick death; doubles */
	PAUSE_MOST_MS =
		2000,    /* all functions wait meanwhile; a start costs milliseconds of a core */
	HELLO_MS = 5000, /* a process that is silent longer never will speak */
	QUIT_MS = 1000,
	SOCKET_BYTES = 1 << 20,
};

struct sandbox_peer {
	struct sandbox_peer_spec spec;
	char *program;
	int sock;
	pthread_mutex_t lock; /* pidfd and killed_for, for sandbox_peer_kill */
	int pidfd;
	char killed_for[128];
	pid_t pid;
	enum { DOWN, STARTING, UP } state;
	unsigned restarts, quick;
	uint64_t started_ms;
	char last_death[160];
	uv_loop_t *loop;
	uv_poll_t watch; /* of pidfd */
	bool watching;
	uv_timer_t timer; /* DOWN: until the restart; STARTING: until HELLO is overdue */
	bool freeing;
	unsigned closing; /* handles that are not closed yet */
};

static void restart_later(struct sandbox_peer *p);

static void on_died(uv_poll_t *h, int status, int events);

static void hello_overdue(uv_timer_t *t)
{
	sandbox_peer_kill(t->data, "it did not say HELLO within 5 s");
}

/* fd 2 is shared, so that the sandbox's own last words reach the journal. */
static int spawn(struct sandbox_peer *p, int sock, struct why *why)
{
	char workers[16], spin[16];
	(void)snprintf(workers, sizeof(workers), "%u", p->spec.workers);
	(void)snprintf(spin, sizeof(spin), "%u", p->spec.spin_us);
	const char *argv[] = { "penstock-sandbox",
			       "serve",
			       "--workers",
			       workers,
			       "--spin-us",
			       spin,
			       p->spec.fifo ? "--fifo" : NULL,
			       NULL };
	struct child_spec child = { .path = p->program,
				    .argv = argv,
				    .fds = { -1, -1, STDERR_FILENO, sock },
				    .nfds = SANDBOX_SOCKET_FD + 1 };
	return child_start(&child, 1, &p->pid, why);
}

static int start(struct sandbox_peer *p, struct why *why)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return why_set(why, -errno, "socketpair: %s", strerrordesc_np(errno));
	OWN_FD ours = pair[0], theirs = pair[1];
	int bytes = SOCKET_BYTES; /* as much of it as the system allows */
	(void)setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	(void)setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	int err = spawn(p, theirs, why);
	if (err < 0)
		return err;
	OWN_FD pidfd = pidfd_open(p->pid, 0);
	if (pidfd < 0 || dup3(ours, p->sock, O_CLOEXEC) < 0) {
		err = why_set(why, -errno, "pidfd_open: %s", strerrordesc_np(errno));
		(void)kill(p->pid, SIGKILL); /* our child, not reaped: the id is still its own */
		(void)waitpid(p->pid, NULL, 0);
		p->pid = 0;
		return err;
	}
	(void)pthread_mutex_lock(&p->lock);
	p->pidfd = fd_steal(&pidfd);
	p->killed_for[0] = '\0';
	(void)pthread_mutex_unlock(&p->lock);
	(void)uv_poll_init(p->loop, &p->watch, p->pidfd);
	p->watch.data = p;
	(void)uv_poll_start(&p->watch, UV_READABLE, on_died);
	p->watching = true;
	p->state = STARTING;
	p->started_ms = uv_now(p->loop);
	(void)uv_timer_start(&p->timer, hello_overdue, HELLO_MS, 0);
	return 0;
}

void sandbox_peer_start(struct sandbox_peer *p)
{
	struct why why = { 0 };
	uv_update_time(p->loop);
	int err = start(p, &why);
	if (err < 0) {
		LOG(LOG_ERR, "cannot start penstock-sandbox, trying again later",
		    F_STR("program", p->program), F_STR("reason", why_text(&why, err)), F_ERR(err));
		(void)snprintf(p->last_death, sizeof(p->last_death), "cannot be started: %.120s",
			       why_text(&why, err));
		p->started_ms = uv_now(p->loop);
		restart_later(p);
		return;
	}
	LOG(LOG_INFO, "sandbox started", F_U64("pid", p->pid));
	p->spec.started(p->spec.arg);
}

static void on_restart(uv_timer_t *t)
{
	struct sandbox_peer *p = t->data;
	p->restarts++;
	sandbox_peer_start(p);
}

static void restart_later(struct sandbox_peer *p)
{
	uint64_t lived_ms = uv_now(p->loop) - p->started_ms, pause_ms = 0;
	p->quick = lived_ms < QUICK_MS ? p->quick + 1 : 0;
	if (p->quick > 1)
		pause_ms = p->quick > 6 ? PAUSE_MOST_MS : (uint64_t)PAUSE_MS << (p->quick - 2);
	LOG(LOG_WARN, "the sandbox is down", F_STR("reason", p->last_death),
	    F_U64("lived_ms", lived_ms), F_U64("restart_in_ms", pause_ms));
	p->state = DOWN;
	(void)uv_timer_start(&p->timer, on_restart, pause_ms, 0);
}

static void describe(struct sandbox_peer *p, int status)
{
	char how[64];
	if (WIFSIGNALED(status))
		(void)snprintf(how, sizeof(how), "killed by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	else
		(void)snprintf(how, sizeof(how), "exited with code %d", WEXITSTATUS(status));
	(void)pthread_mutex_lock(&p->lock);
	bool ours = p->killed_for[0] != '\0';
	(void)snprintf(p->last_death, sizeof(p->last_death), "%s%s", ours ? "we killed it: " : "",
		       ours ? p->killed_for : how);
	(void)pthread_mutex_unlock(&p->lock);
}

static void reap(struct sandbox_peer *p)
{
	int status = 0;
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	describe(p, status);
	(void)pthread_mutex_lock(&p->lock);
	(void)close(p->pidfd);
	p->pidfd = -1;
	(void)pthread_mutex_unlock(&p->lock);
	p->pid = 0;
}

static void one_closed(uv_handle_t *h)
{
	struct sandbox_peer *p = h->data;
	if (--p->closing > 0)
		return;
	(void)close(p->sock);
	(void)pthread_mutex_destroy(&p->lock);
	free(p->program);
	free(p);
}

static void watch_closed(uv_handle_t *h)
{
	struct sandbox_peer *p = h->data;
	if (p->freeing) {
		one_closed(h);
		return;
	}
	reap(p); /* after the loop let go of the descriptor */
	p->watching = false;
	p->state = DOWN;
	uv_update_time(p->loop);
	p->spec.died(p->spec.arg, p->last_death);
	restart_later(p);
}

static void on_died(uv_poll_t *h, int status, int events)
{
	struct sandbox_peer *p = h->data;
	(void)status;
	(void)events;
	(void)uv_timer_stop(&p->timer);
	(void)uv_poll_stop(h);
	uv_close((uv_handle_t *)h, watch_closed);
}

int sandbox_peer_new(uv_loop_t *loop, const struct sandbox_peer_spec *spec,
		     struct sandbox_peer **ret, struct why *why)
{
	int pair[2];
	struct sandbox_peer *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->spec = *spec;
	p->pidfd = p->sock = -1;
	p->loop = loop;
	p->program = strdup(spec->program);
	(void)pthread_mutex_init(&p->lock, NULL);
	/* A socket whose far end is closed holds the number until the first start. */
	if (!p->program || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		int err = why_set(why, -errno, "socketpair: %s", strerrordesc_np(errno));
		free(p->program);
		free(p);
		return err;
	}
	p->sock = pair[0];
	(void)close(pair[1]);
	(void)uv_timer_init(loop, &p->timer);
	p->timer.data = p;
	*ret = p;
	return 0;
}

void sandbox_peer_free(struct sandbox_peer *p)
{
	if (!p)
		return;
	if (p->pid > 0) { /* QUIT was sent, or it does not deserve one */
		int status;
		struct why why = { 0 };
		(void)!child_wait(p->pid, QUIT_MS, &status, &why);
		p->pid = 0;
	}
	p->freeing = true;
	p->closing = 1 + p->watching;
	if (p->watching && !uv_is_closing((uv_handle_t *)&p->watch)) {
		(void)uv_poll_stop(&p->watch);
		uv_close((uv_handle_t *)&p->watch, one_closed);
	}
	(void)uv_timer_stop(&p->timer);
	uv_close((uv_handle_t *)&p->timer, one_closed);
	if (p->pidfd >= 0)
		(void)close(p->pidfd);
}

int sandbox_peer_socket(const struct sandbox_peer *p)
{
	return p->sock;
}

void sandbox_peer_kill(struct sandbox_peer *p, const char *reason)
{
	(void)pthread_mutex_lock(&p->lock);
	if (p->pidfd >= 0) {
		if (p->killed_for[0] == '\0')
			(void)snprintf(p->killed_for, sizeof(p->killed_for), "%s", reason);
		(void)pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
	}
	(void)pthread_mutex_unlock(&p->lock);
}

void sandbox_peer_ready(struct sandbox_peer *p)
{
	if (p->state != STARTING)
		return;
	p->state = UP;
	(void)uv_timer_stop(&p->timer);
}

void sandbox_peer_status(const struct sandbox_peer *p, struct sandbox_peer_status *ret)
{
	static const char *const state[] = { "down", "starting", "up" };
	*ret = (struct sandbox_peer_status){ .pid = p->pid,
					     .state = state[p->state],
					     .restarts = p->restarts };
	(void)snprintf(ret->last_death, sizeof(ret->last_death), "%s", p->last_death);
}
