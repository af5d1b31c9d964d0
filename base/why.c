/* SPDX-License-Identifier: Apache-2.0 */
#include "base/why.h"

#include <stdarg.h>
#include <string.h>

static const struct {
	const char *name, *text;
} own[] = {
	[E_PROTO - E_PROTO] = { "E_PROTO", "malformed data" },
	[E_LIMIT - E_PROTO] = { "E_LIMIT", "a limit was reached" },
	[E_INVALID - E_PROTO] = { "E_INVALID", "the module is not valid" },
	[E_UNSUPPORTED - E_PROTO] = { "E_UNSUPPORTED", "not supported" },
	[E_SIGNATURE - E_PROTO] = { "E_SIGNATURE", "the signature does not match" },
	[E_TRUST - E_PROTO] = { "E_TRUST", "the key is not trusted" },
	[E_EXISTS - E_PROTO] = { "E_EXISTS", "exists already" },
	[E_UNKNOWN - E_PROTO] = { "E_UNKNOWN", "no such thing" },
	[E_TRAP - E_PROTO] = { "E_TRAP", "the function trapped" },
	[E_TIME - E_PROTO] = { "E_TIME", "out of time" },
	[E_CONFIG - E_PROTO] = { "E_CONFIG", "the configuration is wrong" },
	[E_GONE - E_PROTO] = { "E_GONE", "the process is away" },
};
_Static_assert(ARRAY_LEN(own) == E_AFTER_LAST - E_PROTO, "every error has a name");

int why_set(struct why *w, int err, const char *fmt, ...)
{
	if (w && w->text[0] == '\0') {
		va_list ap;
		va_start(ap, fmt);
		(void)vsnprintf(w->text, sizeof(w->text), fmt, ap);
		va_end(ap);
	}
	return err;
}

const char *why_name(int err)
{
	int e = err < 0 ? -err : err;
	if (e >= E_PROTO && e < E_AFTER_LAST)
		return own[e - E_PROTO].name;
	const char *name = strerrorname_np(e);
	return name ? name : "unknown error";
}

const char *why_text(const struct why *w, int err)
{
	if (w && w->text[0] != '\0')
		return w->text;
	int e = err < 0 ? -err : err;
	if (e >= E_PROTO && e < E_AFTER_LAST)
		return own[e - E_PROTO].text;
	const char *text = strerrordesc_np(e);
	return text ? text : "unknown error";
}
