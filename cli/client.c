/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <string.h>

#include "base/own.h"

enum {
	ANSWER_BYTES_MAX = 64 << 20,
	TIMEOUT_S = 30,
	CONNECT_TIMEOUT_S = 5,
};

struct client {
	struct cli *cli;
	CURL *curl;
	const char *socket;
	int status; /* of the last answer */
};

struct client *client_new(struct cli *c)
{
	struct client *k = calloc(1, sizeof(*k));
	if (k && curl_global_init(CURL_GLOBAL_NOTHING) == CURLE_OK)
		k->curl = curl_easy_init();
	if (!k || !k->curl) {
		(void)cli_fail(c, CODE_FAILED, NULL, "the HTTP library cannot start");
		client_free(k);
		return NULL;
	}
	const char *env = getenv("PENSTOCK_SOCKET");
	const char *given = args_text(&c->args, "socket");
	k->cli = c;
	k->socket = given ? given : env && env[0] ? env : CLI_SOCKET_DEFAULT;
	return k;
}

void client_free(struct client *k)
{
	if (!k)
		return;
	curl_easy_cleanup(k->curl);
	curl_global_cleanup();
	free(k);
}

/* ---- paths ---- */

static void encoded_put(FILE *out, const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-._~";
	for (; *s; s++) {
		if (strchr(plain, *s))
			(void)fputc(*s, out);
		else
			(void)fprintf(out, "%%%02X", (unsigned char)*s);
	}
}

char *client_path(const char *fmt, ...)
{
	char *path = NULL;
	size_t size;
	FILE *out = open_memstream(&path, &size);
	ENSURE(out);
	va_list ap;
	va_start(ap, fmt);
	for (const char *f = fmt; *f; f++) {
		if (f[0] != '%') {
			(void)fputc(*f, out);
			continue;
		}
		ENSURE(*++f == 's');
		encoded_put(out, va_arg(ap, const char *));
	}
	va_end(ap);
	ENSURE(fclose(out) == 0 && path);
	return path;
}

/* ---- one call ---- */

struct answer {
	struct bytes body;
	size_t cap;
};

static size_t answer_take(char *data, size_t one, size_t n, void *arg)
{
	struct answer *a = arg;
	(void)one; /* always 1 */
	if (n > ANSWER_BYTES_MAX - a->body.len)
		return 0;
	if (n > a->cap - a->body.len) {
		size_t cap = (a->body.len + n) * 2;
		uint8_t *more = realloc(a->body.at, cap);
		if (!more)
			return 0;
		a->body.at = more;
		a->cap = cap;
	}
	memcpy(a->body.at + a->body.len, data, n);
	a->body.len += n;
	return n;
}

static int unreachable(const struct client *k, CURLcode code, struct why *why)
{
	long os = 0;
	(void)curl_easy_getinfo(k->curl, CURLINFO_OS_ERRNO, &os);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return why_set(why, -E_GONE, "the gateway at %s did not answer in time", k->socket);
	if (code != CURLE_COULDNT_CONNECT)
		return why_set(why, -E_GONE, "the gateway at %s: %s", k->socket,
			       curl_easy_strerror(code));
	return why_set(why, -E_GONE, "no gateway answers at %s%s%s", k->socket, os ? ": " : "",
		       os ? strerrordesc_np((int)os) : "");
}

static int body_parse(const struct answer *a, json_t **ret_json, struct why *why)
{
	json_error_t e;
	if (a->body.len == 0)
		return 0;
	*ret_json = json_loadb((const char *)a->body.at, a->body.len, 0, &e);
	if (!*ret_json)
		return why_set(why, -E_PROTO, "the gateway's answer is no JSON: line %d: %s",
			       e.line, e.text);
	return 0;
}

static void request_set(const struct client *k, const struct client_request *q, const char *url,
			const struct curl_slist *headers, struct answer *a)
{
	static const char *const verb[] = {
		[CLIENT_GET] = "GET", [CLIENT_POST] = "POST", [CLIENT_DELETE] = "DELETE"
	};
	long timeout = q->timeout_s ? (long)q->timeout_s : TIMEOUT_S;
	curl_easy_reset(k->curl);
	(void)curl_easy_setopt(k->curl, CURLOPT_UNIX_SOCKET_PATH, k->socket);
	(void)curl_easy_setopt(k->curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(k->curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(k->curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(k->curl, CURLOPT_TIMEOUT, timeout);
	(void)curl_easy_setopt(k->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	(void)curl_easy_setopt(k->curl, CURLOPT_WRITEFUNCTION, answer_take);
	(void)curl_easy_setopt(k->curl, CURLOPT_WRITEDATA, a);
	(void)curl_easy_setopt(k->curl, CURLOPT_HTTPHEADER, headers);
	if (q->method == CLIENT_POST) {
		(void)curl_easy_setopt(k->curl, CURLOPT_POSTFIELDSIZE_LARGE,
				       (curl_off_t)q->body.len);
		(void)curl_easy_setopt(k->curl, CURLOPT_POSTFIELDS,
				       q->body.len ? (const char *)q->body.at : "");
	}
	(void)curl_easy_setopt(k->curl, CURLOPT_CUSTOMREQUEST, verb[q->method]);
}

int client_call(struct client *k, const struct client_request *q, json_t **ret_json,
		struct why *why)
{
	OWN_FREE char *url = NULL;
	OWN_FREE char *type = NULL;
	ENSURE(asprintf(&url, "http://penstock/api/v1%s", q->path) >= 0);
	ENSURE(asprintf(&type, "Content-Type: %s", q->content_type ? q->content_type : "") >= 0);
	struct answer a = { 0 };
	/* "Expect: 100-continue" would cost a second where the server does not know it. */
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
	struct curl_slist *both = headers ? curl_slist_append(headers, type) : NULL;
	ENSURE(both);
	request_set(k, q, url, both, &a);
	CURLcode code = curl_easy_perform(k->curl);
	long status = 0;
	(void)curl_easy_getinfo(k->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(both);
	*ret_json = NULL;
	int err = code == CURLE_OK ? body_parse(&a, ret_json, why) : unreachable(k, code, why);
	bytes_fini(&a.body);
	k->status = (int)status;
	return err < 0 ? err : (int)status;
}

int client_status(const struct client *k)
{
	return k->status;
}

/* A refusal is JSON, and small. */
struct saving {
	const struct client *k;
	struct answer refusal;
	int fd, err;
	uint64_t bytes;
};

static size_t save_take(char *data, size_t one, size_t n, void *arg)
{
	struct saving *s = arg;
	long status = 0;
	(void)curl_easy_getinfo(s->k->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return answer_take(data, one, n, &s->refusal);
	for (size_t at = 0; at < n;) {
		ssize_t w = write(s->fd, data + at, n - at);
		if (w < 0 && errno != EINTR) {
			s->err = -errno;
			return 0;
		}
		at += w > 0 ? (size_t)w : 0;
	}
	s->bytes += n;
	return n;
}

int client_save(struct client *k, const char *path, unsigned timeout_s, int fd, uint64_t *ret_bytes)
{
	struct why why = { 0 };
	struct saving s = { .k = k, .fd = fd };
	const struct client_request q = { .method = CLIENT_GET,
					  .path = path,
					  .timeout_s = timeout_s };
	OWN_FREE char *url = NULL;
	OWN_JSON *body = NULL;
	ENSURE(asprintf(&url, "http://penstock/api/v1%s", path) >= 0);
	request_set(k, &q, url, NULL, &s.refusal);
	(void)curl_easy_setopt(k->curl, CURLOPT_WRITEFUNCTION, save_take);
	(void)curl_easy_setopt(k->curl, CURLOPT_WRITEDATA, &s);
	CURLcode code = curl_easy_perform(k->curl);
	long status = 0;
	(void)curl_easy_getinfo(k->curl, CURLINFO_RESPONSE_CODE, &status);
	int err = code == CURLE_OK ? 0 : unreachable(k, code, &why);
	if (err == 0 && status != 200)
		err = body_parse(&s.refusal, &body, &why);
	bytes_fini(&s.refusal.body);
	*ret_bytes = s.bytes;
	if (s.err < 0)
		return cli_fail(k->cli, CODE_FAILED, NULL, "writing: %s", strerrordesc_np(-s.err));
	if (err == 0 && status == 200)
		return CODE_OK;
	return client_refused(k, err < 0 ? err : (int)status, body, &why);
}

/* ---- errors ---- */

/* Refusals that mean more here than a failed operation, or for which there is a command. */
static const struct meaning {
	const char *name;
	bool is_about_module;
	const char *hint; /* NULL = the gateway's */
} meanings[] = {
	{ "E_INVALID", true, NULL },
	{ "E_UNSUPPORTED", true, NULL },
	{ "E_LIMIT", true, NULL },
	{ "E_SIGNATURE", true, NULL },
	{ "E_TRUST", true, "if you know whose key it is, trust it: penstock trust NAME.pub" },
	{ "E_BOUND", false, "penstock remove NAME --bindings removes them too" },
	{ "E_OLDER", false, "if that is what you want: penstock deploy FILE.wasm --older" },
	{ "E_GRANT", false, "penstock deploy FILE.wasm --grant" },
};

static const struct meaning *meaning_of(const char *name)
{
	static const struct meaning none = { 0 };
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (strcmp(name, meanings[i].name) == 0)
			return &meanings[i];
	}
	return &none;
}

static int not_there(struct client *k, const struct why *why, int err)
{
	long os = 0;
	(void)curl_easy_getinfo(k->curl, CURLINFO_OS_ERRNO, &os);
	if (err != -E_GONE)
		return cli_fail(k->cli, CODE_FAILED, NULL, "%s", why_text(why, err));
	if (os == EACCES)
		return cli_fail(
			k->cli, CODE_AWAY,
			"become a member of its group: sudo adduser $USER penstock, and log in "
			"again; or use sudo",
			"%s", why_text(why, err));
	return cli_fail(k->cli, CODE_AWAY,
			"is penstockd running? (systemctl status penstock); --socket PATH or "
			"$PENSTOCK_SOCKET names another socket",
			"%s", why_text(why, err));
}

int client_refused(struct client *k, int status, const json_t *body, const struct why *why)
{
	if (status < 0)
		return not_there(k, why, status);
	const json_t *error = json_object_get(body, "error");
	const char *message = json_text(error, "message");
	const struct meaning *m = meaning_of(json_text(error, "code"));
	bool is_module = m->is_about_module && k->cli->cmd == &command_deploy;
	const char *hint = m->hint ? m->hint : json_text(error, "hint");
	if (message[0])
		return cli_fail(k->cli, is_module ? CODE_REFUSED : CODE_FAILED, hint, "%s",
				message);
	return cli_fail(k->cli, CODE_FAILED, NULL, "the gateway answered with HTTP status %d",
			status);
}

int client_do(struct client *k, const struct client_request *q, json_t **ret_json)
{
	struct why why = { 0 };
	OWN_JSON *body = NULL;
	int status = client_call(k, q, &body, &why);
	if (status < 200 || status > 299)
		return client_refused(k, status, body, &why);
	if (ret_json)
		*ret_json = ptr_steal(&body);
	return CODE_OK;
}

/* ---- JSON ---- */

const char *json_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

double json_num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

void json_print(const struct cli *c, const json_t *j)
{
	(void)json_dumpf(j, c->out, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
	(void)fputc('\n', c->out);
}

struct bytes json_bytes(const json_t *o, const char *name)
{
	char with[64];
	(void)snprintf(with, sizeof(with), "%s_base64", name);
	const json_t *text = json_object_get(o, name);
	const char *base64 = json_text(o, with);
	size_t cap = json_is_string(text) ? json_string_length(text) : strlen(base64);
	struct bytes b = { .at = malloc(cap + 1), .len = cap };
	ENSURE(b.at);
	if (json_is_string(text))
		memcpy(b.at, json_string_value(text), cap);
	else
		(void)sodium_base642bin(b.at, cap, base64, cap, NULL, &b.len, NULL,
					sodium_base64_VARIANT_ORIGINAL);
	return b;
}
