/* SPDX-License-Identifier: Apache-2.0 */
/* The whole API through a real socket. */
#include "tests/unit/gateway/api_server.h"

#include <sodium.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* ---- a client that says what it is told ---- */

static int dial(const struct server *s)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/penstock.sock", (char *)s->dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

struct answer {
	int status; /* 0: closed without one */
	char head[1024], body[65536];
	json_t *json;
};

static void send_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n <= 0)
			return; /* what counts is what comes back */
		at += n;
		len -= (size_t)n;
	}
}

/* One answer, by its Content-Length. */
static void receive(int fd, struct answer *a)
{
	size_t n = 0, want = 0;
	char *end;
	a->status = 0;
	a->head[0] = a->body[0] = '\0';
	a->json = NULL;
	while (n < sizeof(a->head) - 1 && !strstr(a->head, "\r\n\r\n")) {
		if (recv(fd, a->head + n, 1, 0) != 1)
			return;
		a->head[++n] = '\0';
	}
	a->status = (int)strtol(a->head + strlen("HTTP/1.1 "), NULL, 10);
	char *length = strstr(a->head, "content-length: ");
	want = length ? strtoul(length + strlen("content-length: "), &end, 10) : 0;
	assert_true(want < sizeof(a->body));
	for (n = 0; n < want;) {
		ssize_t got = recv(fd, a->body + n, want - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	a->body[n] = '\0';
	a->json = json_loads(a->body, 0, NULL);
}

static struct answer *answer_new(void)
{
	struct answer *a = calloc(1, sizeof(*a));
	assert_non_null(a);
	return a;
}

static void answer_free(struct answer *a)
{
	json_decref(a->json);
	free(a);
}

static struct answer *ask(const struct server *s, const char *line, const void *body, size_t len)
{
	char head[1024];
	struct answer *a = answer_new();
	int fd = dial(s);
	int n = snprintf(head, sizeof(head),
			 "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", line, len);
	assert_true(n > 0 && n < (int)sizeof(head));
	send_all(fd, head, (size_t)n);
	send_all(fd, body, len);
	receive(fd, a);
	(void)close(fd);
	return a;
}

static const char *text_at(const struct answer *a, const char *object, const char *key)
{
	const json_t *j = object ? json_object_get(a->json, object) : a->json;
	const char *text = json_string_value(json_object_get(j, key));
	return text ? text : "";
}

/* Asks, expects a status and a word in the body. */
static void expect(const struct server *s, const char *line, const char *body, int status,
		   const char *word)
{
	struct answer *a = ask(s, line, body, strlen(body));
	if (a->status != status || !strstr(a->body, word))
		fail_msg("%s: %d %s (want %d, \"%s\")", line, a->status, a->body, status, word);
	if (status >= 400) {
		assert_true(strlen(text_at(a, "error", "code")) > 0);
		assert_true(strlen(text_at(a, "error", "message")) > 0);
	}
	answer_free(a);
}

static void trust(const struct server *s)
{
	char base64[64], body[128];
	sodium_bin2base64(base64, sizeof(base64), s->pk.key, sizeof(s->pk.key),
			  sodium_base64_VARIANT_ORIGINAL);
	(void)snprintf(body, sizeof(body), "{\"public\":\"%s\",\"comment\":\"test\"}", base64);
	expect(s, "POST /api/v1/keys", body, 201, "\"comment\":\"test\"");
	expect(s, "POST /api/v1/keys", body, 200, "\"comment\":\"test\"");
}

static void deploy(const struct server *s, const char *line, const char *manifest, int status,
		   const char *word)
{
	uint8_t *wasm;
	size_t len;
	fake_module(&s->sk, manifest, "x", &wasm, &len);
	struct answer *a = ask(s, line, wasm, len);
	if (a->status != status || !strstr(a->body, word))
		fail_msg("%s: %d %s (want %d, \"%s\")", line, a->status, a->body, status, word);
	answer_free(a);
	free(wasm);
}

#define NAMED_F "{\"name\":\"f\",\"version\":\"1.0.0\",\"abi\":1}"
#define WANTS                                                                                      \
	"{\"name\":\"f\",\"version\":\"1.1.0\",\"abi\":1,\"capabilities\":{\"publish\":[\"a/"      \
	"#\"]}}"

static void versions_go_back_and_forth(void **state)
{
	static const char v1[] = "{\"name\":\"v\",\"version\":\"1.0.0\",\"abi\":1}";
	static const char v2[] = "{\"name\":\"v\",\"version\":\"1.1.0\",\"abi\":1}";
	static const char v3[] = "{\"name\":\"v\",\"version\":\"1.2.0\",\"abi\":1}";
	const struct server *s = *state;
	trust(s);
	deploy(s, "POST /api/v1/functions?granted=1&canary=10", v1, 404, "none");
	deploy(s, "POST /api/v1/functions?granted=1", v1, 201, "\"state\":\"active\"");
	expect(s, "GET /api/v1/functions/v", "", 200, "\"rollout\":null");
	expect(s, "POST /api/v1/functions/v/rollback", "", 404, "no older version");
	deploy(s, "POST /api/v1/functions?granted=1", v2, 201, "\"revision\":2");
	expect(s, "POST /api/v1/functions/v/rollback", "", 201, "\"version\":\"1.0.0\"");
	expect(s, "GET /api/v1/functions/v", "", 200, "\"version\":\"1.0.0\"");
	expect(s, "POST /api/v1/functions/v/rollback?revision=2", "", 201, "\"revision\":2");
	expect(s, "POST /api/v1/functions/v/rollback?revision=0", "", 400, "revision=0");
	expect(s, "POST /api/v1/functions/v/rollback?revision=7", "", 404, "no revision 7");
	deploy(s, "POST /api/v1/functions?granted=1", v1, 409, "E_OLDER");
	deploy(s, "POST /api/v1/functions?granted=1&older=1", v1, 201, "\"revision\":3");
	expect(s, "POST /api/v1/functions/v/promote", "", 404, "no candidate");
	expect(s, "DELETE /api/v1/functions/v/candidate", "", 404, "no candidate");
	deploy(s, "POST /api/v1/functions?canary=10&shadow=5", v3, 400, "not both");
	deploy(s, "POST /api/v1/functions?canary=101", v3, 400, "from 1 to 100");
	deploy(s, "POST /api/v1/functions?canary=10", v3, 201, "\"state\":\"canary\"");
	expect(s, "GET /api/v1/functions/v", "", 200, "\"percent\":10,\"state\":\"running\"");
	expect(s, "DELETE /api/v1/functions/v/candidate", "", 200, "\"withdrawn\":4");
	expect(s, "GET /api/v1/functions/v", "", 200, "\"reason\":\"withdrawn\"");
	deploy(s, "POST /api/v1/functions?shadow=100", v3, 201, "\"state\":\"shadow\"");
	expect(s, "POST /api/v1/functions/v/promote", "", 201, "\"revision\":5");
	expect(s, "GET /api/v1/functions/v", "", 200, "\"state\":\"promoted\"");
}

static void what_is_wrong_with_a_request_is_said(void **state)
{
	static const struct {
		const char *line, *body;
		int status;
		const char *word;
	} rows[] = {
		{ "GET /", "", 404, "nothing at /" },
		{ "GET /api/v1/nothing", "", 404, "E_UNKNOWN" },
		{ "PUT /api/v1/keys", "", 405, "GET, POST" },
		{ "DELETE /api/v1/status", "", 405, "GET" },
		{ "GET /api/v1/status?x=1", "", 400, "unknown query parameter" },
		{ "GET /api/v1/logs?limit=0", "", 400, "limit=0" },
		{ "GET /api/v1/events?limit=many", "", 400, "limit=many" },
		{ "GET /api/v1/events?limit=1001", "", 400, "1 to 1000" },
		{ "GET /api/v1/events?since_s=-1", "", 400, "since_s=-1" },
		{ "GET /api/v1/events?before=1x", "", 400, "before=1x" },
		{ "GET /api/v1/events/12abc", "", 404, "no event's number" },
		{ "POST /api/v1/events/12abc/retry", "", 404, "no event's number" },
		{ "POST /api/v1/events/-1/drop", "", 404, "no event's number" },
		{ "POST /api/v1/events/99999999999999999999/replay?commit=1", "", 404, "no event" },
		{ "GET /api/v1/events/0/export", "", 404, "no event's number" },
		{ "GET /api/v1/logs?level=loud", "", 400, "level=loud" },
		{ "GET /api/v1/logs?limit=1&limit=2", "", 400, "twice" },
		{ "POST /api/v1/keys", "", 400, "empty" },
		{ "POST /api/v1/keys", "{", 400, "line 1" },
		{ "POST /api/v1/keys", "[]", 400, "object" },
		{ "POST /api/v1/keys", "{\"public\":1}", 400, "does not fit" },
		{ "POST /api/v1/keys", "{\"public\":\"aGFsbG8=\"}", 400, "32 bytes" },
		{ "POST /api/v1/keys",
		  "{\"public\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}", 400, "Ed25519" },
		{ "POST /api/v1/bindings", "{\"function\":\"f\",\"filter\":\"a\",\"qos\":3}", 400,
		  "0, 1 or 2" },
		{ "POST /api/v1/bindings",
		  "{\"function\":\"f\",\"filter\":\"a\",\"qos\":4294967297}", 400, "0, 1 or 2" },
		{ "POST /api/v1/bindings",
		  "{\"function\":\"f\",\"filter\":\"a\",\"kind\":\"smoke\"}", 422, "mqtt" },
		{ "POST /api/v1/bindings", "{\"function\":\"f\",\"filter\":\"a\",\"x\":1}", 400,
		  "x" },
		{ "POST /api/v1/bindings", "{\"function\":\"f\",\"filter\":\"a\"}", 404,
		  "deployed" },
		{ "DELETE /api/v1/bindings/1", "", 404, "no binding 1" },
		{ "DELETE /api/v1/bindings/-1", "", 400, "penstock bindings shows the ids" },
		{ "DELETE /api/v1/keys/zz", "", 404, "zz" },
		{ "DELETE /api/v1/functions/f", "", 404, "deployed" },
		{ "GET /api/v1/functions/f", "", 404, "deployed" },
		{ "POST /api/v1/functions/f/invoke", "", 404, "deployed" },
		{ "POST /api/v1/functions/f/invoke?topic=a%2Bb", "", 400, "a+b" },
		{ "POST /api/v1/functions/f/invoke?timeout_ms=0", "", 400, "timeout_ms" },
		{ "POST /api/v1/functions/f/invoke?attr.topic=a", "", 400, "the topic is topic=" },
		{ "POST /api/v1/functions/f/invoke?attr.id=a", "", 400, "gateway's own" },
		{ "POST /api/v1/functions", "", 400, "empty" },
		{ "POST /api/v1/functions?granted=maybe", "x", 400, "maybe" },
		{ "POST /api/v1/functions?name=A", "x", 422, "function name" },
		{ "POST /api/v1/functions?name=f", "no wasm", 422, "WebAssembly" },
		{ "GET /api/v1/status", "a body", 400, "no body" },
	};
	const struct server *s = *state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect(s, rows[i].line, rows[i].body, rows[i].status, rows[i].word);
}

static void a_body_over_its_limit_is_413_also_while_it_is_being_sent(void **state)
{
	static const char *const lines[] = { "POST /api/v1/functions", "POST /api/v1/keys",
					     "POST /api/v1/functions/f/invoke" };
	const struct server *s = *state;
	const size_t len = 4 << 20;
	char *big = calloc(1, len);
	assert_non_null(big);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct answer *a = ask(s, lines[i], big, len);
		assert_int_equal(a->status, 413);
		assert_string_equal(text_at(a, "error", "code"), "E_LIMIT");
		answer_free(a);
	}
	free(big);
}

static void garbage_costs_its_connection_and_nothing_else(void **state)
{
	static const char *const rows[] = {
		"",
		"\r\n\r\n",
		"garbage\r\n\r\n",
		"GET\r\n\r\n",
		"GET /api/v1/functions/a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nabcde",
		"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: "
		"99999999999999999999\r\n\r\nab",
		"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: "
		"9\r\n\r\n"
		"abcd",
		"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nabcde\r\n0\r\n\r\n",
		"POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ncut short",
		"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
		"Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};
	const struct server *s = *state;
	uint8_t noise[4096];
	struct answer *a = answer_new();
	for (size_t i = 0; i < ARRAY_LEN(rows) + 50; i++) {
		int fd = dial(s);
		if (i < ARRAY_LEN(rows)) {
			send_all(fd, rows[i], strlen(rows[i]));
		} else {
			randombytes_buf_deterministic(noise, sizeof(noise),
						      (const uint8_t[32]){ (uint8_t)i });
			send_all(fd, noise, sizeof(noise));
		}
		(void)shutdown(fd, SHUT_WR);
		receive(fd, a);
		if (a->status == 101 || (a->status >= 200 && a->status < 300))
			fail_msg("row %zu: %d %s", i, a->status, a->body);
		json_decref(a->json);
		(void)close(fd);
	}
	a->json = NULL;
	answer_free(a);
	expect(s, "GET /api/v1/status", "", 200, "\"version\"");
}

static bool is_closed(int fd)
{
	char byte;
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || (errno != EAGAIN && errno != EINTR);
}

static void expect_body(const struct server *s, const char *line, const void *body, size_t len,
			int status, const char *code)
{
	struct answer *a = ask(s, line, body, len);
	assert_int_equal(a->status, status);
	assert_string_equal(text_at(a, "error", "code"), code);
	answer_free(a);
}

static void many_idle_connections_are_refused_before_they_cost(void **state)
{
	const struct server *s = *state;
	int fd[API_CONNECTIONS_MAX + 40];
	unsigned refused = 0;
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = dial(s);
	(void)usleep(100000);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		refused += is_closed(fd[i]);
		(void)close(fd[i]);
	}
	assert_int_equal(refused, 40);
	(void)usleep(100000);
	expect(s, "GET /api/v1/status", "", 200, "\"version\"");
}

/* What all bodies together may take: two of the largest modules, and room for small ones. */
static void uploads_at_the_same_time_have_a_limit(void **state)
{
	enum { ROOM = 6 };
	const struct server *s = *state;
	const size_t module = 1 << 20;
	char head[128];
	int fd[ROOM];
	char *body = calloc(1, module);
	int n = snprintf(
		head, sizeof(head),
		"POST /api/v1/functions HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
		module);
	for (size_t i = 0; i < ROOM; i++) {
		fd[i] = dial(s);
		send_all(fd[i], head, (size_t)n);
		send_all(fd[i], body, module - 1);
	}
	(void)usleep(100000);
	expect_body(s, "POST /api/v1/functions", body, module, 503, "E_BUSY");
	for (size_t i = 0; i < ROOM; i++)
		(void)close(fd[i]);
	(void)usleep(100000);
	expect_body(s, "POST /api/v1/functions", body, module, 422, "E_INVALID");
	free(body);
}

static void a_connection_serves_one_request_after_the_other(void **state)
{
	static const char twice[] = "GET /api/v1/keys HTTP/1.1\r\nHost: x\r\n\r\n";
	const struct server *s = *state;
	struct answer *a = answer_new();
	int fd = dial(s);
	for (int i = 0; i < 50; i++) {
		send_all(fd, twice, strlen(twice));
		receive(fd, a);
		assert_int_equal(a->status, 200);
		json_decref(a->json);
	}
	a->json = NULL;
	(void)close(fd);
	answer_free(a);
}

static void a_function_goes_through_its_whole_life(void **state)
{
	const struct server *s = *state;
	trust(s);
	deploy(s, "POST /api/v1/functions", WANTS, 409, "E_GRANT");
	deploy(s, "POST /api/v1/functions", WANTS, 409, "\"publish\":[\"a/#\"]");
	deploy(s, "POST /api/v1/functions?granted=1", WANTS, 201, "\"revision\":1");
	deploy(s, "POST /api/v1/functions?older=1", NAMED_F, 201, "\"previous\":{\"revision\":1");
	expect(s, "GET /api/v1/functions", "", 200, "\"counts\":{\"invoked\":3}");
	expect(s, "GET /api/v1/functions/f", "", 200, "\"active\":false");
	expect(s, "GET /api/v1/functions/f", "", 200, "\"limits\":{\"memory_bytes\"");
	expect(s, "POST /api/v1/bindings",
	       "{\"function\":\"f\",\"filter\":\"a/+\",\"publish\":\"b\"}", 201,
	       "\"publish_qos\":1");
	expect(s, "POST /api/v1/bindings",
	       "{\"function\":\"f\",\"filter\":\"a/+\",\"publish\":\"b\",\"qos\":1}", 200,
	       "\"warnings\":[]");
	expect(s, "POST /api/v1/bindings", "{\"function\":\"f\",\"filter\":\"a/+\"}", 409,
	       "penstock unbind 1");
	expect(s, "POST /api/v1/bindings",
	       "{\"function\":\"f\",\"filter\":\"x/#\",\"publish\":\"x/{1}\"}", 201,
	       "round and round");
	expect(s, "POST /api/v1/bindings",
	       "{\"function\":\"f\",\"filter\":\"a\",\"broker\":\"nix\"}", 404, "nix");
	expect(s, "POST /api/v1/bindings", "{\"function\":\"f\",\"filter\":\"a#\"}", 422, "a#");
	expect(s, "GET /api/v1/bindings", "", 200, "\"id\":1");
	expect(s, "GET /api/v1/status", "", 200, "\"ready\":true");
	s->g.path->pending = 1; /* of two bindings, one is not subscribed to yet */
	expect(s, "GET /api/v1/status", "", 200, "\"ready\":false");
	expect(s, "DELETE /api/v1/functions/f", "", 409, "E_BOUND");
	expect(s, "DELETE /api/v1/functions/f?bindings=1", "", 204, "");
	expect(s, "GET /api/v1/bindings", "", 200, "{\"items\":[]}");
	expect(s, "GET /api/v1/functions", "", 200, "{\"items\":[]}");
}

/* A right that the active version has needs nobody to grant it again. */
static void only_what_is_new_has_to_be_granted(void **state)
{
#define MAY(version, filter)                                                                       \
	"{\"name\":\"f\",\"version\":\"" version                                                   \
	"\",\"abi\":1,\"capabilities\":{\"publish\":[\"" filter "\"]}}"
	static const char add[] = "POST /api/v1/functions";
	const struct server *s = *state;
	trust(s);
	deploy(s, "POST /api/v1/functions?granted=1", MAY("1.0.0", "a/#"), 201, "\"revision\":1");
	deploy(s, add, MAY("1.0.0", "a/#"), 200, "\"unchanged\":true");
	deploy(s, add, MAY("1.0.1", "a/#"), 201, "\"revision\":2");
	deploy(s, add, MAY("1.0.2", "a/b"), 201, "\"revision\":3");
	deploy(s, add, MAY("1.0.3", "a/#"), 409, "E_GRANT");
	deploy(s, "POST /api/v1/functions?name=g", MAY("1.0.2", "a/b"), 409, "E_GRANT");
}

static void an_invocation_shows_everything_that_came_of_it(void **state)
{
	const struct server *s = *state;
	trust(s);
	deploy(s, "POST /api/v1/functions", NAMED_F, 201, "");
	expect(s, "POST /api/v1/functions/f/invoke", "hello", 200, "\"reply\":\"hello\"");
	expect(s, "POST /api/v1/functions/f/invoke", "hello", 200,
	       "\"event\":\"9007199254740993\"");
	expect(s, "POST /api/v1/functions/f/invoke", "hello", 200, "\"payload_base64\":\"//4=\"");
	expect(s, "POST /api/v1/functions/f/invoke", "hello", 200,
	       "\"log\":[{\"level\":\"warning\",\"text\":\"careful\"}");
	expect(s, "POST /api/v1/functions/f/invoke", "trap", 200, "\"trap\":\"divide-by-zero\"");
	expect(s, "POST /api/v1/functions/f/invoke?topic=a%2Fb+%2F%C3%A4&attr.unit=C", "", 200,
	       "\"reply\":\"a/b /\xc3\xa4\"");
	expect(s, "POST /api/v1/functions/f/invoke?timeout_ms=50", "slow", 504, "timeout_ms");
	(void)usleep(350000); /* its result comes now, to nobody */
	expect(s, "GET /api/v1/status", "", 200, "\"version\"");
}

static void a_client_that_leaves_early_harms_nobody(void **state)
{
	static const char *const rows[] = {
		"POST /api/v1/functions/f/invoke HTTP/1.1\r\nContent-Length: 4\r\n\r\nslow",
		"GET /api/v1/logs?wait_ms=60000&after=9000000000000000 HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /api/v1/functions HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\nfew",
	};
	const struct server *s = *state;
	trust(s);
	deploy(s, "POST /api/v1/functions", NAMED_F, 201, "");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = dial(s);
		send_all(fd, rows[i], strlen(rows[i]));
		(void)usleep(30000);
		(void)close(fd);
	}
	(void)usleep(350000);
	expect(s, "GET /api/v1/status", "", 200, "\"version\"");
}

static uint64_t now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void waiting_for_log_lines_ends_with_a_line_or_its_time(void **state)
{
	const struct server *s = *state;
	struct answer *a = ask(s, "GET /api/v1/logs", NULL, 0);
	char line[256];
	json_int_t next = json_integer_value(json_object_get(a->json, "next"));
	answer_free(a);

	uint64_t begun = now_ms();
	(void)snprintf(line, sizeof(line), "GET /api/v1/logs?wait_ms=200&after=%lld",
		       (long long)next);
	expect(s, line, "", 200, "\"items\":[]");
	assert_true(now_ms() - begun >= 190);

	(void)snprintf(line, sizeof(line),
		       "GET /api/v1/logs?wait_ms=20000&level=warning&after=%lld HTTP/1.1\r\n"
		       "Host: x\r\n\r\n",
		       (long long)next);
	begun = now_ms();
	int fd = dial(s);
	send_all(fd, line, strlen(line));
	(void)usleep(50000);
	LOG(LOG_INFO, "not this one");
	LOG(LOG_WARN, "this one");
	a = answer_new();
	receive(fd, a);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->body, "this one"));
	assert_null(strstr(a->body, "not this one"));
	assert_true(now_ms() - begun < 5000);
	(void)close(fd);
	answer_free(a);
}

static void waiting_clients_have_a_limit(void **state)
{
	const struct server *s = *state;
	static const char wait[] =
		"GET /api/v1/logs?wait_ms=60000&after=9000000000000000 HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd[API_WAITERS_MAX];
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = dial(s);
		send_all(fd[i], wait, strlen(wait));
	}
	(void)usleep(100000);
	expect(s, "GET /api/v1/logs?wait_ms=60000&after=9000000000000000", "", 503, "E_BUSY");
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		(void)close(fd[i]);
}

static void a_second_gateway_on_the_socket_is_refused(void **state)
{
	struct server *s = *state;
	struct gateway second = { .config = s->g.config };
	struct api *a = NULL;
	struct why why = { 0 };
	struct stat st;
	assert_int_equal(api_new(&second, &a, &why), -EADDRINUSE);
	assert_non_null(strstr(why.text, "another gateway"));
	assert_int_equal(stat(scratch_path(s->dir, "penstock.sock"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, server_start, server_stop)
	const struct CMUnitTest tests[] = {
		TEST(versions_go_back_and_forth),
		TEST(what_is_wrong_with_a_request_is_said),
		TEST(a_body_over_its_limit_is_413_also_while_it_is_being_sent),
		TEST(garbage_costs_its_connection_and_nothing_else),
		TEST(many_idle_connections_are_refused_before_they_cost),
		TEST(uploads_at_the_same_time_have_a_limit),
		TEST(a_connection_serves_one_request_after_the_other),
		TEST(a_function_goes_through_its_whole_life),
		TEST(only_what_is_new_has_to_be_granted),
		TEST(an_invocation_shows_everything_that_came_of_it),
		TEST(a_client_that_leaves_early_harms_nobody),
		TEST(waiting_for_log_lines_ends_with_a_line_or_its_time),
		TEST(waiting_clients_have_a_limit),
		TEST(a_second_gateway_on_the_socket_is_refused),
	};
	return cmocka_run_group_tests(tests, fake_compiler, NULL);
}
