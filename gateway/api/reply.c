/* SPDX-License-Identifier: Apache-2.0 */
/* What errors look like from outside, and JSON bodies. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/api/request.h"
#include "gateway/text.h"

static const struct api_error errors[] = {
	{ -EINVAL, 400, "E_INVALID", "doc/API.md says what is accepted" },
	{ -ENOENT, 404, "E_UNKNOWN", "doc/API.md lists what there is" },
	{ -ENOSYS, 405, "E_METHOD", "" },
	{ -EMSGSIZE, 411, "E_LENGTH", "send a Content-Length (no chunked body)" },
	{ -EAGAIN, 503, "E_BUSY", "try again in a moment" },
	{ -E_PROTO, 400, "E_PROTO", "" },
	{ -E2BIG, 413, "E_LIMIT",
	  "make it smaller, or raise the limit in the gateway's configuration, [limits]" },
	{ -E_LIMIT, 422, "E_LIMIT",
	  "make it smaller, or raise the limit in the gateway's configuration, [limits]" },
	{ -E_INVALID, 422, "E_INVALID", "" },
	{ -E_UNSUPPORTED, 422, "E_UNSUPPORTED", "build it without this feature" },
	{ -E_SIGNATURE, 403, "E_SIGNATURE", "get it again from who signed it" },
	{ -E_TRUST, 403, "E_TRUST",
	  "sign it with a trusted key, or trust this one: penstock trust KEY.pub" },
	{ -E_EXISTS, 409, "E_EXISTS", "" },
	{ -E_UNKNOWN, 404, "E_UNKNOWN",
	  "penstock functions, bindings, keys and status show what there is" },
	{ -E_TRAP, 422, "E_TRAP", "" },
	{ -E_TIME, 504, "E_TIME", "" },
	{ -E_GONE, 503, "E_GONE", "try again in a moment" },
	{ -EPERM, 409, "E_GRANT",
	  "look at `manifest`; then deploy it with granted=1 (penstock deploy --grant)" },
	{ -ESTALE, 409, "E_OLDER",
	  "if that is what you want, deploy it with older=1 (penstock deploy --older)" },
	{ -EBUSY, 409, "E_BOUND",
	  "remove them with penstock unbind, or remove it with bindings=1" },
	{ -ENOSPC, 507, "ENOSPC", "the disk of the state directory is full" },
};

struct api_error api_error_of(int err)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		if (errors[i].err == err)
			return errors[i];
	return (struct api_error){ err, 500, why_name(err), "see the log: penstock logs" };
}

void request_error(struct api_request *q, int err, const char *message, const char *hint,
		   json_t *extra)
{
	const struct api_error e = api_error_of(err);
	json_t *body = extra ? extra : json_object();
	/* What a guest or a peer wrote may be in it: one bad byte must not cost the answer. */
	json_t *text = text_json((struct span){ (const uint8_t *)message, strlen(message) });
	(void)json_object_set_new(body, "error",
				  json_pack("{s:s, s:o, s:s}", "code", e.code, "message", text,
					    "hint", hint ? hint : e.hint));
	request_reply(q, e.status, body);
}

void request_fail(struct api_request *q, int err, const struct why *why)
{
	request_error(q, err, why_text(why, err), NULL, NULL);
}

int body_object(struct span text, json_t **ret, struct why *why)
{
	json_error_t e;
	if (text.len == 0)
		return why_set(why, -EINVAL, "the body is empty, a JSON object is expected");
	json_t *j = json_loadb((const char *)text.at, text.len, JSON_REJECT_DUPLICATES, &e);
	if (!j)
		return why_set(why, -EINVAL, "the body is no JSON: line %d, column %d: %s", e.line,
			       e.column, e.text);
	if (!json_is_object(j)) {
		json_decref(j);
		return why_set(why, -EINVAL, "the body is no JSON object");
	}
	*ret = j;
	return 0;
}

int body_json(struct span body, json_t **ret, struct why *why, const char *format, ...)
{
	json_error_t e;
	va_list ap;
	json_t *j = NULL;
	int err = body_object(body, &j, why);
	if (err < 0)
		return err;
	va_start(ap, format);
	err = json_vunpack_ex(j, &e, JSON_STRICT, format, ap);
	va_end(ap);
	if (err < 0) {
		json_decref(j);
		return why_set(why, -EINVAL, "the body does not fit: %s", e.text);
	}
	*ret = j;
	return 0;
}

int request_event(const struct api_request *q, uint64_t *ret, struct why *why)
{
	size_t digits = strspn(q->arg, "0123456789");
	errno = 0;
	*ret = strtoull(q->arg, NULL, 10);
	if (digits == 0 || q->arg[digits] != '\0' || errno != 0 || *ret == 0 || *ret > INT64_MAX)
		return why_set(why, -E_UNKNOWN, "\"%.40s\" is no event's number", q->arg);
	return 0;
}
