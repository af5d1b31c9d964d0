/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP through libwebsockets. The life of a request:
 *
 *	headers are in    -> request_new; a route, or an error that is kept for later
 *	body comes        -> into the buffer, or, after an error, thrown away
 *	body is complete  -> the handler, or the error
 *	request_reply     -> `out` is filled; lws calls back when the socket takes bytes
 *	all was sent      -> request_free; the connection may bring the next one
 *
 * A client that leaves while a handler has the request leaves it alive with wsi = NULL, until the
 * handler answers. An error waits for the end of the body, because a client that is still sending
 * does not read, and would see a broken pipe instead of our reason.
 */
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "gateway/api/request.h"
#include "gateway/api/socket.h"

struct api {
	struct gateway *g;
	struct lws_context *context;
	char *socket_path;
	void *loops[1];
	unsigned connections, connections_max, waiting;
	size_t buffered_bytes; /* bodies of all requests */
	bool watching, stopping;
	TAILQ_HEAD(, api_request) requests; /* all that exist */
	TAILQ_HEAD(, api_request) waiters;
};

struct connection { /* lws allocates and zeroes it */
	struct api_request *q;
};

enum { SEND_BYTES = 64 << 10, KEEPALIVE_SECONDS = 60 };

/* ---- requests ---- */

static struct api_request *request_new(struct api *a, struct lws *wsi)
{
	struct api_request *q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->api = a;
	q->g = a->g;
	q->wsi = wsi;
	q->out_fd = -1;
	TAILQ_INSERT_TAIL(&a->requests, q, link);
	return q;
}

static void buffer_free(struct api_request *q)
{
	q->api->buffered_bytes -= q->buffer_cap;
	free(q->buffer);
	q->buffer = NULL;
	q->buffer_cap = 0;
	q->body = (struct span){ 0 };
}

static void wait_end(struct api_request *q)
{
	if (!q->is_waiting)
		return;
	q->is_waiting = false;
	TAILQ_REMOVE(&q->api->waiters, q, waiter);
	q->api->waiting--;
}

static void request_free(struct api_request *q)
{
	if (!q)
		return;
	wait_end(q);
	buffer_free(q);
	TAILQ_REMOVE(&q->api->requests, q, link);
	own_fd_close(&q->out_fd);
	free(q->out);
	free(q);
}

uint8_t *request_body_steal(struct api_request *q)
{
	uint8_t *taken = q->buffer;
	q->api->buffered_bytes -= q->buffer_cap;
	q->buffer = NULL;
	q->buffer_cap = 0;
	q->body = (struct span){ 0 };
	return taken;
}

/* file_bytes: of out_fd, instead of text and end. */
static void reply(struct api_request *q, unsigned status, struct span text, const char *end,
		  uint64_t file_bytes)
{
	ENSURE(q->status == 0);
	wait_end(q);
	buffer_free(q);
	if (!q->wsi && q->is_handled) {
		request_free(q);
		return;
	}
	uint64_t len = 0;
	size_t end_len = strlen(end);
	q->out = malloc(LWS_PRE + (q->out_fd >= 0 ? SEND_BYTES : text.len + end_len + 1));
	if (!q->out)
		status = 500;
	else if (q->out_fd >= 0)
		len = file_bytes;
	else if (text.len > 0) {
		memcpy(q->out + LWS_PRE, text.at, text.len);
		memcpy(q->out + LWS_PRE + text.len, end, end_len);
		len = text.len + end_len;
	}
	q->status = status;
	q->out_len = len;
	if (q->is_handled)
		(void)lws_callback_on_writable(q->wsi);
}

void request_reply(struct api_request *q, unsigned status, json_t *body)
{
	OWN_FREE char *text =
		body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
	json_decref(body);
	q->content_type = "application/json";
	reply(q, body && !text ? 500 : status,
	      (struct span){ (const uint8_t *)text, text ? strlen(text) : 0 }, "\n", 0);
}

void request_reply_text(struct api_request *q, const char *content_type, struct span text)
{
	q->content_type = content_type;
	reply(q, 200, text, "", 0);
}

void request_reply_fd(struct api_request *q, const char *content_type, int fd, uint64_t bytes)
{
	const struct span piece = { (const uint8_t *)"", 0 };
	q->out_fd = fd; /* the request may be gone after the next line, and the file with it */
	q->content_type = content_type;
	reply(q, 200, piece, "", bytes);
}

void request_timer(struct api_request *q, uint64_t ms, void (*on_timer)(struct api_request *q))
{
	q->on_timer = on_timer;
	if (q->wsi)
		lws_set_timer_usecs(q->wsi, (lws_usec_t)(ms * 1000));
}

bool request_wait(struct api_request *q, void (*on_line)(struct api_request *q))
{
	if (q->is_waiting)
		return true;
	if (q->api->waiting == API_WAITERS_MAX)
		return false;
	q->on_line = on_line;
	q->is_waiting = true;
	q->api->waiting++;
	TAILQ_INSERT_TAIL(&q->api->waiters, q, waiter);
	return true;
}

static void on_lines(void *arg)
{
	struct api *a = arg;
	struct api_request *q, *next;
	for (q = TAILQ_FIRST(&a->waiters); q; q = next) {
		next = TAILQ_NEXT(q, waiter);
		q->on_line(q);
	}
}

/* ---- headers ---- */

static enum api_method method_of(struct lws *wsi, char **ret_uri, int *ret_len)
{
	switch (lws_http_get_uri_and_method(wsi, ret_uri, ret_len)) {
	case LWSHUMETH_GET:
		return API_GET;
	case LWSHUMETH_POST:
		return API_POST;
	case LWSHUMETH_DELETE:
		return API_DELETE;
	default:
		return API_OTHER;
	}
}

static int query_read(struct api_request *q, struct why *why)
{
	char pair[API_QUERY_BYTES_MAX];
	int err = 0;
	for (int i = 0; err == 0; i++) {
		int len = lws_hdr_copy_fragment(q->wsi, pair, sizeof(pair), WSI_TOKEN_HTTP_URI_ARGS,
						i);
		if (len < 0)
			break;
		if (len > 0)
			err = query_add(&q->query, q->route,
					(struct span){ (const uint8_t *)pair, (size_t)len }, why);
	}
	return err;
}

static int route_read(struct api_request *q, struct why *why)
{
	struct route_found found;
	char *uri = NULL;
	int len = 0;
	enum api_method method = method_of(q->wsi, &uri, &len);
	const struct span path = { (const uint8_t *)uri, uri && len > 0 ? (size_t)len : 0 };
	route_find(method, path, &found);
	if (!found.route && found.allow[0] != '\0') {
		memcpy(q->allow, found.allow, sizeof(q->allow));
		return why_set(why, -ENOSYS, "this path takes %s only", found.allow);
	}
	if (!found.route)
		return why_set(why, -ENOENT, "there is nothing at %.*s",
			       path.len > 200 ? 200 : (int)path.len, uri ? uri : "");
	if (found.arg.len >= sizeof(q->arg) || !span_is_utf8(found.arg))
		return why_set(why, -EINVAL, "a name in the path is too long or not UTF-8");
	if (found.arg.len > 0)
		memcpy(q->arg, found.arg.at, found.arg.len);
	q->route = found.route;
	return query_read(q, why);
}

static size_t body_most(const struct api_request *q)
{
	switch (q->route ? q->route->body : API_BODY_NONE) {
	case API_BODY_JSON:
		return API_JSON_BYTES_MAX;
	case API_BODY_MODULE:
		return q->g->config.module_bytes;
	case API_BODY_PAYLOAD:
		return q->g->config.payload_bytes;
	default:
		return 0;
	}
}

static int length_read(struct api_request *q, struct why *why)
{
	char text[24];
	uint64_t declared = 0;
	int len = lws_hdr_total_length(q->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
	if (lws_hdr_total_length(q->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0)
		return why_set(why, -EMSGSIZE, "a body without a Content-Length is not taken");
	if (len <= 0)
		return 0;
	if (len >= (int)sizeof(text) ||
	    lws_hdr_copy(q->wsi, text, sizeof(text), WSI_TOKEN_HTTP_CONTENT_LENGTH) != len ||
	    strspn(text, "0123456789") != (size_t)len)
		return why_set(why, -EINVAL, "the Content-Length makes no sense");
	declared = strtoull(text, NULL, 10);
	q->declared = declared;
	if (declared <= q->body_most)
		return 0;
	if (q->body_most == 0)
		return why_set(why, -EINVAL, "this request takes no body");
	return why_set(why, -E2BIG, "the body has %llu bytes, at most %zu are taken here",
		       (unsigned long long)declared, q->body_most);
}

static void handle(struct api_request *q)
{
	q->is_handled = true;
	if (q->status != 0) { /* refused at the headers */
		(void)lws_callback_on_writable(q->wsi);
		return;
	}
	lws_set_timeout(q->wsi, NO_PENDING_TIMEOUT, 0);
	q->route->handle(q);
}

/* curl and others ask before they send a large body, and wait a second for the answer. */
static int expectation_meet(struct lws *wsi)
{
	char go_on[LWS_PRE + 32];
	int n = snprintf(go_on + LWS_PRE, sizeof(go_on) - LWS_PRE, "HTTP/1.1 100 Continue\r\n\r\n");
	if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_EXPECT) == 0)
		return 0;
	return lws_write(wsi, (unsigned char *)go_on + LWS_PRE, (size_t)n, LWS_WRITE_RAW) == n ? 0
											       : -1;
}

/* Returns non-zero to close the connection. */
static int on_headers(struct api *a, struct connection *c, struct lws *wsi)
{
	struct why why = { 0 };
	struct api_request *q = request_new(a, wsi);
	if (!q)
		return -1;
	request_free(c->q); /* there is none, by the life above */
	c->q = q;
	int err = route_read(q, &why);
	q->body_most = body_most(q);
	int length_err = length_read(q, &why);
	err = err < 0 ? err : length_err;
	q->body_by_ns = uv_hrtime() + API_BODY_SECONDS * UINT64_C(1000000000);
	/* What cannot be read to its end cannot be followed by another request. */
	q->is_closing = length_err == -EMSGSIZE || q->declared > API_DRAIN_BYTES_MAX ||
			(q->declared > 0 && (!q->route || q->route->method != API_POST));
	if (a->stopping)
		err = why_set(&why, -E_GONE, "the gateway is stopping");
	if (err < 0)
		request_fail(q, err, &why);
	if (q->declared > 0 && !q->is_closing)
		return expectation_meet(wsi);
	handle(q);
	return 0;
}

/* ---- bodies ---- */

static int buffer_grow(struct api_request *q, size_t need)
{
	struct api *a = q->api;
	size_t cap = q->buffer_cap > 0 ? q->buffer_cap : 4096;
	while (cap < need)
		cap *= 2;
	if (cap > q->declared)
		cap = q->declared;
	/* Two uploads of the largest size at a time, or many small ones. */
	if (a->buffered_bytes - q->buffer_cap + cap >
	    2 * a->g->config.module_bytes + 64 * (size_t)API_JSON_BYTES_MAX)
		return -EAGAIN;
	uint8_t *more = realloc(q->buffer, cap);
	if (!more)
		return -ENOMEM;
	a->buffered_bytes += cap - q->buffer_cap;
	q->buffer = more;
	q->buffer_cap = cap;
	q->body.at = more;
	return 0;
}

static int on_body(struct api_request *q, const void *bytes, size_t len)
{
	int err = 0;
	if (!q || uv_hrtime() > q->body_by_ns)
		return -1;
	if (q->status != 0 || len == 0)
		return 0; /* thrown away */
	if (len > q->declared - q->body.len)
		return -1; /* lws counts too */
	if (q->body.len + len > q->buffer_cap)
		err = buffer_grow(q, q->body.len + len);
	if (err < 0) {
		request_error(q, err, "too many uploads at the same time", NULL, NULL);
		return 0;
	}
	memcpy(q->buffer + q->body.len, bytes, len);
	q->body.len += len;
	return 0;
}

/* ---- replies ---- */

static int send_head(struct api_request *q, struct lws *wsi)
{
	uint8_t head[LWS_PRE + 1024], *p = head + LWS_PRE, *end = head + sizeof(head) - 1;
	const char *allow = q->allow;
	if (lws_add_http_common_headers(wsi, q->status, q->out_len > 0 ? q->content_type : NULL,
					q->out_len, &p, end) != 0 ||
	    lws_add_http_header_by_name(wsi, (const uint8_t *)"cache-control:",
					(const uint8_t *)"no-store", 8, &p, end) != 0 ||
	    (*allow &&
	     lws_add_http_header_by_name(wsi, (const uint8_t *)"allow:", (const uint8_t *)allow,
					 (int)strlen(allow), &p, end) != 0))
		return -1;
	q->head_sent = true;
	return lws_finalize_write_http_header(wsi, head + LWS_PRE, &p, end);
}

/* The next n bytes, LWS_PRE bytes behind something that may be overwritten. A file that became shorter
 * goes on with zeros: it is an unlinked one of ours, so that is a broken disk, and its checksums tell. */
static uint8_t *piece_of(struct api_request *q, size_t n)
{
	if (q->out_fd < 0)
		return q->out + LWS_PRE + q->out_sent;
	(void)posix_fadvise(q->out_fd, (off_t)q->out_sent, 16 * SEND_BYTES, POSIX_FADV_WILLNEED);
	ssize_t got = pread(q->out_fd, q->out + LWS_PRE, n, (off_t)q->out_sent);
	size_t there = got > 0 ? (size_t)got : 0;
	memset(q->out + LWS_PRE + there, 0, n - there);
	return q->out + LWS_PRE;
}

static int on_writable(struct connection *c, struct lws *wsi)
{
	struct api_request *q = c->q;
	if (!q || q->status == 0 || !q->is_handled)
		return 0;
	if (!q->head_sent && send_head(q, wsi) != 0)
		return -1;
	uint64_t left = q->out_len - q->out_sent;
	size_t n = left < SEND_BYTES ? (size_t)left : SEND_BYTES;
	if (n > 0 && lws_write(wsi, piece_of(q, n), n,
			       n == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)n)
		return -1;
	q->out_sent += n;
	if (n < left) {
		lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, KEEPALIVE_SECONDS);
		(void)lws_callback_on_writable(wsi);
		return 0;
	}
	bool close_it = q->is_closing;
	c->q = NULL;
	request_free(q);
	return close_it || lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

/* The connection is gone; so is the request, unless a handler still has it. */
static void on_gone(struct connection *c)
{
	struct api_request *q = c ? c->q : NULL;
	if (!q)
		return;
	c->q = NULL;
	q->wsi = NULL;
	if (!q->is_handled || q->status != 0 || q->is_waiting)
		request_free(q);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		    size_t len)
{
	struct lws_context *context = lws_get_context(wsi);
	struct api *a = context ? lws_context_user(context) : NULL;
	struct connection *c = user;
	switch (reason) {
	case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
		return a->connections >= a->connections_max;
	case LWS_CALLBACK_WSI_CREATE:
		a->connections++;
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		a->connections--;
		return 0;
	case LWS_CALLBACK_HTTP:
		return on_headers(a, c, wsi);
	case LWS_CALLBACK_HTTP_BODY:
		return on_body(c->q, in, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		if (c->q && !c->q->is_handled)
			handle(c->q);
		return 0;
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return on_writable(c, wsi);
	case LWS_CALLBACK_TIMER:
		if (c && c->q && c->q->status == 0 && c->q->on_timer)
			c->q->on_timer(c->q);
		return 0;
	case LWS_CALLBACK_CLOSED_HTTP:
	case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
		on_gone(c);
		return 0;
	case LWS_CALLBACK_FILTER_HTTP_CONNECTION:
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: /* there is nothing to upgrade to */
		return reason == LWS_CALLBACK_HTTP_CONFIRM_UPGRADE ? -1 : 0;
	default:
		return 0;
	}
}

/* ---- the socket ---- */

static const struct lws_protocols protocols[] = {
	{ .name = "rest",
	  .callback = on_event,
	  .per_session_data_size = sizeof(struct connection) },
	{ 0 },
};

static void log_lws(int level, const char *line)
{
	size_t len = strcspn(line, "\r\n");
	LOG(level == LLL_ERR ? LOG_WARN : LOG_NOTE, "libwebsockets", F_BYTES("text", line, len));
}

static int listen_on(struct api *a, struct why *why)
{
	const struct lws_context_creation_info info = {
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_UNIX_SOCK,
		.iface = a->socket_path,
		.protocols = protocols,
		.foreign_loops = a->loops,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.user = a,
		.pcontext = &a->context, /* NULL again when nothing of it is left */
		.fd_limit_per_thread = API_CONNECTIONS_MAX + 16,
		.max_http_header_data = API_QUERY_BYTES_MAX,
		.max_http_header_pool = API_CONNECTIONS_MAX,
		.timeout_secs = 30,
		.keepalive_timeout = KEEPALIVE_SECONDS,
		.server_string = "penstock",
		.vhost_name = "penstock",
	};
	mode_t before = umask(0117); /* 0660 from the moment it exists */
	a->context = lws_create_context(&info);
	(void)umask(before);
	if (!a->context)
		return why_set(why, -EIO,
			       "libwebsockets cannot listen on %s (the log says why; package "
			       "libwebsockets-evlib-uv must be installed)",
			       a->socket_path);
	if (chmod(a->socket_path, 0660) < 0)
		return why_set(why, -errno, "cannot set the mode of %s: %s", a->socket_path,
			       strerror(errno));
	return 0;
}

/* At most half of the descriptors that this process may have: without one, accept() fails, and what waits for it
 * keeps the socket readable, so the loop would spin. */
static unsigned connections_max(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur / 2 >= API_CONNECTIONS_MAX)
		return API_CONNECTIONS_MAX;
	return (unsigned)(l.rlim_cur / 2);
}

int api_new(struct gateway *g, struct api **ret, struct why *why)
{
	struct api *a = calloc(1, sizeof(*a));
	if (!a)
		return why_set(why, -ENOMEM, "out of memory");
	a->g = g;
	a->connections_max = connections_max();
	a->loops[0] = &g->loop;
	TAILQ_INIT(&a->requests);
	TAILQ_INIT(&a->waiters);
	lws_set_log_level(LLL_ERR | LLL_WARN, log_lws);
	int err = asprintf(&a->socket_path, "%s/penstock.sock", g->config.runtime_dir) < 0
			  ? why_set(why, -ENOMEM, "out of memory")
			  : api_socket_clear(a->socket_path, why);
	if (err == 0)
		err = listen_on(a, why);
	if (err == 0)
		err = logs_watch(g->logs, &g->loop, on_lines, a, why);
	a->watching = err == 0;
	if (err < 0) {
		api_stop(a);
		api_free(a);
		return err;
	}
	*ret = a;
	return 0;
}

void api_stop(struct api *a)
{
	if (!a || a->stopping)
		return;
	a->stopping = true;
	if (a->watching)
		logs_unwatch(a->g->logs);
	if (a->context) {
		(void)unlink(a->socket_path);
		lws_context_destroy(a->context);
	}
}

void api_free(struct api *a)
{
	struct api_request *q;
	if (!a)
		return;
	while ((q = TAILQ_FIRST(&a->requests)) != NULL)
		request_free(q);
	/* On a loop of ours, the first call closes the handles, and only a second one, after the
	 * loop has let go of them, frees the context. */
	if (a->context)
		lws_context_destroy(a->context);
	free(a->socket_path);
	free(a);
}
