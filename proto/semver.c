/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/semver.h"

#include <stddef.h>
#include <string.h>

static const char digits[] = "0123456789";
static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-";

/* Identifiers separated by dots, up to the first character that belongs to none; NULL when one is
 * empty or, where numbers are compared, has a leading zero. */
static const char *identifiers(const char *s, unsigned *ret_count, bool digits_only, bool is_build)
{
	for (*ret_count = 0;; s++) {
		size_t len = strspn(s, digits_only ? digits : letters);
		bool is_number = strspn(s, digits) == len;
		if (len == 0 || (is_number && !is_build && s[0] == '0' && len > 1))
			return NULL;
		s += len;
		++*ret_count;
		if (*s != '.')
			return s;
	}
}

bool semver_ok(const char *s)
{
	unsigned n;
	s = identifiers(s, &n, true, false);
	if (!s || n != 3)
		return false;
	if (*s == '-')
		s = identifiers(s + 1, &n, false, false);
	if (s && *s == '+')
		s = identifiers(s + 1, &n, false, true);
	return s && *s == '\0';
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

/* One identifier of each: numbers by value, and below words; words by their bytes. */
static int identifier_cmp(const char *a, size_t alen, const char *b, size_t blen)
{
	bool a_number = strspn(a, digits) >= alen, b_number = strspn(b, digits) >= blen;
	if (a_number != b_number)
		return a_number ? -1 : 1;
	if (a_number && alen != blen) /* no leading zeros: the longer one is larger */
		return alen < blen ? -1 : 1;
	int c = memcmp(a, b, alen < blen ? alen : blen);
	return c ? sign(c) : (alen > blen) - (alen < blen);
}

/* A dotted list each, to the end of the shorter one; the list that goes on is the newer. */
static int list_cmp(const char **a, const char **b)
{
	for (;;) {
		size_t alen = strspn(*a, letters), blen = strspn(*b, letters);
		int c = identifier_cmp(*a, alen, *b, blen);
		*a += alen;
		*b += blen;
		if (c)
			return c;
		if (**a != '.' || **b != '.')
			return (**a == '.') - (**b == '.');
		++*a;
		++*b;
	}
}

/* The numbers end where digits and dots do: '-' is a letter of identifiers only behind them. */
static int core_cmp(const char **a, const char **b)
{
	for (int part = 0; part < 3; part++) {
		size_t alen = strspn(*a, digits), blen = strspn(*b, digits);
		int c = identifier_cmp(*a, alen, *b, blen);
		if (c)
			return c;
		*a += alen + (part < 2);
		*b += blen + (part < 2);
	}
	return 0;
}

int semver_cmp(const char *a, const char *b)
{
	int c = core_cmp(&a, &b);
	if (c)
		return c;
	if ((*a == '-') != (*b == '-')) /* a pre-release comes before its release */
		return *a == '-' ? -1 : 1;
	if (*a != '-')
		return 0;
	a++;
	b++;
	return list_cmp(&a, &b);
}
