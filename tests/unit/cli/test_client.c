/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that talk to a gateway, with a stand-in that answers each call with the next of some
 * prepared answers: what is asked, what is shown, and which exit code comes of it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/file.h"

static char dir[] = "/tmp/penstock-test-XXXXXX";

enum { ANSWERS_MAX = 4, WORDS_MAX = 12, ASKED_BYTES = 4096 };

/* ---- the stand-in ---- */

static struct {
	int listener;
	pthread_t thread;
	const char *const *answers;           /* NULL-terminated */
	char asked[ANSWERS_MAX][ASKED_BYTES]; /* heads and bodies, as far as they fit */
	unsigned calls;
} gateway;

/* Reads one request: its head, and as many bytes as Content-Length says. */
static void request_read(int sock, char *into)
{
	size_t have = 0, want = SIZE_MAX;
	while (have < want && have < ASKED_BYTES - 1) {
		ssize_t n = recv(sock, into + have, ASKED_BYTES - 1 - have, 0);
		if (n <= 0)
			break;
		have += (size_t)n;
		into[have] = '\0';
		const char *end = strstr(into, "\r\n\r\n");
		const char *length = strstr(into, "Content-Length: ");
		if (end)
			want = (size_t)(end - into) + 4 +
			       (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
	}
}

static void *gateway_run(void *arg)
{
	(void)arg;
	for (; gateway.answers[gateway.calls]; gateway.calls++) {
		int sock = accept4(gateway.listener, NULL, NULL, SOCK_CLOEXEC);
		if (sock < 0)
			break;
		request_read(sock, gateway.asked[gateway.calls]);
		const char *answer = gateway.answers[gateway.calls];
		(void)send(sock, answer, strlen(answer), MSG_NOSIGNAL);
		(void)shutdown(sock, SHUT_RDWR);
		(void)close(sock);
	}
	return NULL;
}

static void gateway_start(const char *const *answers)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "gw.sock" };
	(void)unlink("gw.sock");
	memset(gateway.asked, 0, sizeof(gateway.asked));
	gateway.calls = 0;
	gateway.answers = answers;
	gateway.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(gateway.listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(gateway.listener, 4), 0);
	assert_int_equal(pthread_create(&gateway.thread, NULL, gateway_run, NULL), 0);
}

static void gateway_stop(void)
{
	(void)shutdown(gateway.listener, SHUT_RDWR);
	(void)pthread_join(gateway.thread, NULL);
	(void)close(gateway.listener);
}

/* ---- the program ---- */

static char *out, *err;

static int penstock(const char *const *words)
{
	const char *argv[WORDS_MAX + 1] = { "penstock" };
	int n = 1;
	for (; words[n - 1]; n++)
		argv[n] = words[n - 1];
	free(out);
	free(err);
	size_t size;
	FILE *o = open_memstream(&out, &size), *e = open_memstream(&err, &size);
	int code = cli_main(n, argv, o, e);
	assert_int_equal(fclose(o), 0);
	assert_int_equal(fclose(e), 0);
	return code;
}

#define JSON(status, body)                                                                         \
	"HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" body
#define ERROR(status, code)                                                                        \
	JSON(status, "{\"error\":{\"code\":\"" code                                                \
		     "\",\"message\":\"the reason\",\"hint\":\"the hint\"}}")

#define SHEET                                                                                      \
	"{\"name\":\"f\",\"version\":\"1.0.0\",\"description\":\"\",\"limits\":{\"memory_bytes\":" \
	"4194304},"                                                                                \
	"\"capabilities\":{\"publish\":[\"alerts/#\"],\"state\":true},"                            \
	"\"bindings\":[{\"mqtt\":\"a/+\",\"publish\":\"b/{1}\",\"qos\":1}]}"
#define BEFORE                                                                                     \
	"{\"name\":\"f\",\"version\":\"0.9.0\",\"limits\":{\"memory_bytes\":2097152},"             \
	"\"capabilities\":{\"publish\":[\"old/#\"],\"state\":true},\"bindings\":[]}"
#define DEPLOYED                                                                                   \
	JSON("201 Created",                                                                        \
	     "{\"name\":\"f\",\"version\":\"1.0.0\",\"revision\":4,\"key_id\":\"abc\","            \
	     "\"compile_ms\":17,\"manifest\":" SHEET "}")
#define GRANT                                                                                      \
	JSON("409 Conflict",                                                                       \
	     "{\"error\":{\"code\":\"E_GRANT\",\"message\":\"m\"},\"manifest\":" SHEET             \
	     ",\"previous\":{\"revision\":3,\"version\":\"0.9.0\",\"manifest\":" BEFORE "}}")

static const struct {
	const char *words[WORDS_MAX], *answers[ANSWERS_MAX];
	int code;
	const char *out, *err;
	const char *asked[ANSWERS_MAX]; /* parts of the requests */
} rows[] = {
	{ { "keys" },
	  { JSON("200 OK", "{\"items\":[{\"id\":\"0123\",\"comment\":\"a\\u001bb\"}]}") },
	  CODE_OK,
	  "0123  ",
	  NULL,
	  { "GET /api/v1/keys HTTP/1.1" } },
	{ { "keys" },
	  { JSON("200 OK", "{\"items\":[{\"id\":\"0123\",\"comment\":\"a\\u001bb\"}]}") },
	  CODE_OK,
	  "a\\x1bb",
	  NULL,
	  { NULL } },
	{ { "keys", "--json" },
	  { JSON("200 OK", "{\"items\":[]}") },
	  CODE_OK,
	  "\"items\": []",
	  NULL,
	  { NULL } },
	{ { "status" },
	  { ERROR("500 Oops", "EIO") },
	  CODE_FAILED,
	  NULL,
	  "hint: the hint",
	  { NULL } },
	{ { "status" },
	  { JSON("500 Oops", "{}") },
	  CODE_FAILED,
	  NULL,
	  "HTTP status 500",
	  { NULL } },
	{ { "status" }, { JSON("200 OK", "no json") }, CODE_FAILED, NULL, "no JSON", { NULL } },
	{ { "status" }, { JSON("200 OK", "[[[") }, CODE_FAILED, NULL, "no JSON", { NULL } },
	{ { "status" }, { "rubbish\r\n\r\n" }, CODE_AWAY, NULL, "penstockd", { NULL } },
	{ { "status" }, { "" }, CODE_AWAY, NULL, "penstockd", { NULL } },
	{ { "status" }, { JSON("200 OK", "[]") }, CODE_OK, "not ready", NULL, { NULL } },
	{ { "status" },
	  { JSON("200 OK",
		 "{\"ready\":true,\"version\":\"1\",\"brokers\":[{\"name\":\"default\","
		 "\"state\":\"connected\"}],\"memory\":[{\"process\":\"p\",\"rss_kb\":2048}]}") },
	  CODE_OK,
	  "2.0 MiB",
	  NULL,
	  { "GET /api/v1/status" } },
	{ { "remove", "a b/c?d" },
	  { JSON("204 No Content", "") },
	  CODE_OK,
	  "removed",
	  NULL,
	  { "DELETE /api/v1/functions/a%20b%2Fc%3Fd?bindings=0 " } },
	{ { "remove", "f", "--bindings" },
	  { ERROR("404 No", "E_UNKNOWN") },
	  CODE_FAILED,
	  NULL,
	  "the reason",
	  { "functions/f?bindings=1 " } },
	{ { "bind", "f", "--mqtt", "a/+", "--publish", "b/{1}", "--qos", "2", "--retain" },
	  { JSON("201 Created",
		 "{\"id\":7,\"filter\":\"a/+\",\"function\":\"f\",\"publish\":\"b/{1}\"}") },
	  CODE_OK,
	  "7: a/+ -> f -> b/{1}",
	  NULL,
	  { "\"filter\": \"a/+\", \"options\": {}, \"qos\": 2, \"retain\": true, \"publish\": "
	    "\"b/{1}\"}" } },
	{ { "bind", "f", "--mqtt", "a", "--publish-qos", "0", "--broker", "x" },
	  { JSON("201 Created", "{\"id\":8}") },
	  CODE_OK,
	  "8:",
	  NULL,
	  { "\"qos\": 1, \"retain\": false, \"broker\": \"x\", \"publish_qos\": 0}" } },
	{ { "bind", "f", "--mqtt", "a" },
	  { JSON("200 OK", "{\"id\":8,\"filter\":\"a\",\"function\":\"f\"}") },
	  CODE_OK,
	  "already bound as 8: a -> f",
	  NULL,
	  { NULL } },
	{ { "bind", "f", "--mqtt", "a" },
	  { JSON("201 Created", "{\"id\":8,\"warnings\":[\"round and round\"]}") },
	  CODE_OK,
	  "bound     8",
	  "warning   round and round",
	  { NULL } },
	{ { "bindings" },
	  { JSON("200 OK", "{\"items\":[{\"id\":1,\"counts\":{\"invoked\":17}}]}") },
	  CODE_OK,
	  "17\n",
	  NULL,
	  { NULL } },
	{ { "unbind", "1", "2", "3" },
	  { JSON("204 No Content", ""), ERROR("404 No", "E_UNKNOWN"), JSON("204 No Content", "") },
	  CODE_FAILED,
	  "unbound   1\nunbound   3\n",
	  "the reason",
	  { "DELETE /api/v1/bindings/1 ", "DELETE /api/v1/bindings/2 ",
	    "DELETE /api/v1/bindings/3 " } },
	{ { "unbind", "1", "--json" },
	  { JSON("204 No Content", "") },
	  CODE_OK,
	  "\"unbound\": [",
	  NULL,
	  { NULL } },
	{ { "bindings" },
	  { JSON("200 OK", "{\"items\":[{\"id\":1,\"function\":\"f\",\"filter\":\"a\\nb\"}]}") },
	  CODE_OK,
	  "a\\x0ab",
	  NULL,
	  { NULL } },
	{ { "invoke", "f", "--payload", "hi", "--topic", "a/b&c", "--attr", "unit=C",
	    "--timeout-ms", "50" },
	  { JSON("200 OK",
		 "{\"status\":\"ok\",\"reply\":\"an answer\",\"effects\":[{\"topic\":\"t\","
		 "\"payload_base64\":\"/w==\"}],\"log\":[{\"level\":\"info\",\"text\":\"l\"}]}") },
	  CODE_OK,
	  "an answer",
	  "publish   t  qos 0  \\xff",
	  { "POST /api/v1/functions/f/invoke?topic=a%2Fb%26c&timeout_ms=50&attr.unit=C HTTP" } },
	{ { "invoke", "f", "--payload", "hi" },
	  { JSON("200 OK", "{\"status\":\"trapped\",\"reason\":\"memory at f+0x1\"}") },
	  CODE_TRAP,
	  NULL,
	  "memory at f+0x1",
	  { "invoke HTTP", NULL } },
	{ { "invoke", "f", "-p", "hi", "--json" },
	  { JSON("200 OK", "{\"status\":\"failed\"}") },
	  CODE_FAILED,
	  "\"failed\"",
	  NULL,
	  { "\r\n\r\nhi" } },
	{ { "invoke", "f", "--attr", "unit" }, { NULL }, CODE_USAGE, NULL, "NAME=VALUE", { NULL } },
	{ { "invoke", "f", "-a", "topic=a" }, { NULL }, CODE_USAGE, NULL, "--topic", { NULL } },
	{ { "invoke", "f", "-t", "a/#" }, { NULL }, CODE_USAGE, NULL, "no wildcards", { NULL } },
	{ { "invoke", "f", "-p", "hi" },
	  { JSON("200 OK", "{\"status\":\"failed\",\"reply\":\"two\\nlines\",\"effects\":"
			   "[{\"topic\":\"t\",\"payload\":\"p\"}]}") },
	  CODE_FAILED,
	  "two\nlines",
	  "\nwithheld  t",
	  { NULL } },
	{ { "functions" },
	  { JSON("200 OK", "{\"items\":[]}") },
	  CODE_OK,
	  "NAME",
	  "no functions yet",
	  { NULL } },
	{ { "functions" },
	  { JSON("200 OK",
		 "{\"items\":[{\"name\":\"f\",\"state\":\"quarantined\",\"reason\":\"why\","
		 "\"counts\":{\"ok\":5,\"failed\":1,\"trapped\":2},\"cpu_us_mean\":12.4}]}") },
	  CODE_OK,
	  "f: why",
	  NULL,
	  { NULL } },
	{ { "functions", "f" },
	  { JSON("200 OK", "{\"name\":\"f\",\"versions\":[{\"revision\":3,\"hash\":"
			   "\"0123456789abcdef0123\",\"active\":true}]}") },
	  CODE_OK,
	  "0123456789abcdef  active",
	  NULL,
	  { "GET /api/v1/functions/f HTTP" } },
	{ { "logs", "-n", "5", "--function", "f g", "--level", "warning" },
	  { JSON("200 OK", "{\"items\":[{\"at\":\"now\",\"level\":\"warning\",\"message\":\"m\","
			   "\"fields\":{\"event\":\"17\",\"name\":\"x\\ny\"}}],\"next\":9}") },
	  CODE_OK,
	  "warning m  event=17  name=x\\x0ay",
	  NULL,
	  { "/logs?limit=5&function=f%20g&level=warning " } },
	{ { "logs", "-n", "0", "-f", "--json" },
	  { JSON("200 OK", "{\"items\":[{\"seq\":1}],\"next\":9}"),
	    JSON("200 OK", "{\"items\":[{\"seq\":22}],\"next\":10}"), ERROR("500 Oops", "EIO") },
	  CODE_FAILED,
	  "22",
	  "the reason",
	  { "limit=1 ", "after=9&wait_ms=" } },
	{ { "logs", "--function", "nope" },
	  { JSON("200 OK", "{\"items\":[],\"next\":9}"), ERROR("404 No", "E_UNKNOWN") },
	  CODE_OK,
	  NULL,
	  "no function nope is deployed",
	  { NULL, "GET /api/v1/functions/nope " } },
	{ { "logs", "-f", "--json" },
	  { JSON("200 OK", "{\"items\":[{\"seq\":1}],\"next\":9007199254740993}"),
	    JSON("200 OK", "{\"items\":[{\"seq\":2}],\"next\":9007199254740994}"),
	    ERROR("500 Oops", "EIO") },
	  CODE_FAILED,
	  "{\"seq\":1}\n{\"seq\":2}\n",
	  "the reason",
	  { "limit=100 ", "after=9007199254740993&wait_ms=", "after=9007199254740994&" } },
	{ { "logs", "-f", "--json" },
	  { JSON("200 OK", "{\"items\":[{\"seq\":1}],\"next\":9}"), "", ERROR("500 Oops", "EIO") },
	  CODE_FAILED,
	  "{\"seq\":1}\n",
	  "the gateway is away; waiting for it, Ctrl-C ends this\n"
	  "penstock logs: the gateway is back\n",
	  { "limit=100 ", "after=9&wait_ms=", "after=9&" } },
	{ { "deploy", "m.wasm", "--name", "f" },
	  { DEPLOYED },
	  CODE_OK,
	  "f@4 (1.0.0)",
	  NULL,
	  { "POST /api/v1/functions?granted=0&name=f " } },
	{ { "deploy", "m.wasm" },
	  { DEPLOYED },
	  CODE_OK,
	  "penstock bind f --mqtt 'a/+' --publish 'b/{1}'",
	  NULL,
	  { NULL } },
	{ { "deploy", "m.wasm", "--grant" },
	  { GRANT, DEPLOYED },
	  CODE_OK,
	  "+ memory 2MiB -> 4MiB",
	  NULL,
	  { "granted=0 ", "granted=1 " } },
	{ { "deploy", "m.wasm", "--yes" },
	  { GRANT, DEPLOYED },
	  CODE_OK,
	  "  + publish to alerts/#\n  - publish to old/#\n",
	  NULL,
	  { NULL } },
	{ { "deploy", "m.wasm" }, { GRANT }, CODE_FAILED, "alerts/#", "--grant", { NULL } },
	{ { "deploy", "m.wasm", "--name", "f" },
	  { JSON("200 OK", "{\"name\":\"f\",\"version\":\"1.0.0\",\"revision\":4,\"key_id\":"
			   "\"abc\",\"unchanged\":true,\"manifest\":" SHEET "}") },
	  CODE_OK,
	  "unchanged, active as f@4 (1.0.0)",
	  NULL,
	  { NULL } },
	{ { "deploy", "m.wasm" },
	  { DEPLOYED },
	  CODE_OK,
	  "  publish to      alerts/#\n  share state in  no bucket\n  set output      none\n"
	  "  remember        what it wants, in its own bucket\nuses",
	  NULL,
	  { NULL } },
	{ { "deploy", "m.wasm", "--bind" },
	  { DEPLOYED, JSON("200 OK", "{\"id\":3}") },
	  CODE_OK,
	  "already bound as 3",
	  NULL,
	  { NULL } },
	{ { "deploy", "m.wasm", "--bind" },
	  { DEPLOYED, JSON("201 Created", "{}") },
	  CODE_OK,
	  "compiled  in 17 ms",
	  NULL,
	  { NULL, "\"filter\": \"a/+\", \"publish\": \"b/{1}\", \"qos\": 1}" } },
	{ { "deploy", "m.wasm" },
	  { ERROR("403 Forbidden", "E_TRUST") },
	  CODE_REFUSED,
	  NULL,
	  "the reason",
	  { NULL } },
	{ { "deploy", "m.wasm" },
	  { ERROR("503 Busy", "E_GONE") },
	  CODE_FAILED,
	  NULL,
	  "the hint",
	  { NULL } },
};

static void each_command_asks_shows_and_ends_as_it_should(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		gateway_start(rows[i].answers);
		int code = penstock(rows[i].words);
		gateway_stop();
		if (code != rows[i].code)
			fail_msg("row %zu, %s: code %d: %s%s", i, rows[i].words[0], code, out, err);
		if (rows[i].out && !strstr(out, rows[i].out))
			fail_msg("row %zu: \"%s\" is not in: %s", i, rows[i].out, out);
		if (rows[i].err && !strstr(err, rows[i].err))
			fail_msg("row %zu: \"%s\" is not in: %s", i, rows[i].err, err);
		for (size_t k = 0; k < ANSWERS_MAX; k++)
			if (rows[i].asked[k] && !strstr(gateway.asked[k], rows[i].asked[k]))
				fail_msg("row %zu, call %zu: \"%s\" is not in: %s", i, k,
					 rows[i].asked[k], gateway.asked[k]);
	}
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chdir(dir) != 0 || setenv("PENSTOCK_SOCKET", "gw.sock", 1) != 0)
		return -1;
	if (!freopen("/dev/null", "r", stdin)) /* nobody is there to be asked */
		return -1;
	return file_write("m.wasm", (struct span){ (const uint8_t *)"wasm", 4 }, FILE_NEW, 0644,
			  NULL);
}

static int teardown(void **state)
{
	(void)state;
	free(out);
	free(err);
	(void)unlink("gw.sock");
	(void)unlink("m.wasm");
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_command_asks_shows_and_ends_as_it_should),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
