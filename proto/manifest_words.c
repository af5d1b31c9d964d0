/* SPDX-License-Identifier: Apache-2.0 */
/* Values of manifests as people write them. */
#include <string.h>

#include "proto/manifest.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool manifest_size_parse(const char *s, uint64_t *ret)
{
	static const struct {
		const char *name;
		unsigned shift;
	} units[] = { { "", 0 }, { "B", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 } };
	uint64_t v = 0;
	if (!is_digit(*s))
		return false;
	for (; is_digit(*s); s++) {
		if (v > UINT32_MAX)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (strcmp(s, units[i].name) != 0 || v > UINT64_MAX >> units[i].shift)
			continue;
		*ret = v << units[i].shift;
		return true;
	}
	return false;
}

const char *manifest_size_text(uint64_t v, char *buf, size_t cap)
{
	static const char *const unit[] = { "", "KiB", "MiB", "GiB" };
	unsigned u = 0;
	for (; u + 1 < ARRAY_LEN(unit) && v >= 1024 && v % 1024 == 0; u++)
		v /= 1024;
	(void)snprintf(buf, cap, "%llu%s", (unsigned long long)v, unit[u]);
	return buf;
}

static const char *const criticalities[CRITICALITIES] = { "normal", "low", "high" };

const char *criticality_name(uint32_t criticality)
{
	return criticality < CRITICALITIES ? criticalities[criticality] : "unknown";
}

bool criticality_parse(const char *name, uint32_t *ret)
{
	for (uint32_t i = 0; i < CRITICALITIES; i++) {
		if (strcmp(name, criticalities[i]) != 0)
			continue;
		*ret = i;
		return true;
	}
	return false;
}
