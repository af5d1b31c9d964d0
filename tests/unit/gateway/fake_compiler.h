/* SPDX-License-Identifier: Apache-2.0 */
/* A penstock-aot beside the test program that does what a word in the module tells it. */
#ifndef TESTS_UNIT_GATEWAY_FAKE_COMPILER_H
#define TESTS_UNIT_GATEWAY_FAKE_COMPILER_H

#include "tests/unit/gateway/scratch.h"

#include <errno.h>

#include "proto/manifest.h"
#include "proto/signature.h"

static const char fake_script[] =
	"#!/bin/sh\n"
	"fd=/proc/self/fd/0\n"
	"if grep -aq WORD-REFUSE $fd; then\n"
	"  echo '{\"ok\":false,\"error\":\"E_INVALID\",\"reason\":\"bad opcode at 0x10\"}' >&3\n"
	"  exit 65\n"
	"fi\n"
	"if grep -aq WORD-CRASH $fd; then kill -9 $$; fi\n"
	"if grep -aq WORD-SLOW $fd; then sleep 0.4; fi\n"
	"if grep -aq WORD-FOREVER $fd; then exec sleep 60; fi\n"
	"chunks=2 reused=0\n"
	"if grep -aq WORD-SMALL $fd; then chunks=1; fi\n"
	"case \" $* \" in *' --objects '*)\n"
	"  if grep -q objects /proc/self/fd/4; then\n"
	"    if grep -aq WORD-PICKY $fd; then exit 70; fi\n"
	"    reused=1\n"
	"  fi\n"
	"  echo objects >/proc/self/fd/4\n"
	"  if grep -aq WORD-LARGE $fd; then truncate -s 33M /proc/self/fd/4; fi\n"
	"esac\n"
	"echo native code\n"
	"echo '{\"ok\":true,\"compiler\":\"fake\",\"is_reactor\":true,'\\\n"
	"'\"chunks\":'$chunks',\"reused\":'$reused'}' >&3\n";

/* Written whole and renamed, for two tests may do it at the same time. */
static inline int fake_compiler(void **state)
{
	char self[512], to[600], part[640];
	(void)state;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -1;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	(void)snprintf(to, sizeof(to), "%s/penstock-aot", self);
	(void)snprintf(part, sizeof(part), "%s.%d", to, (int)getpid());
	FILE *f = fopen(part, "we");
	if (!f || fwrite(fake_script, 1, sizeof(fake_script) - 1, f) != sizeof(fake_script) - 1 ||
	    fclose(f) != 0 || chmod(part, 0755) != 0)
		return -1;
	return rename(part, to);
}

/* A signed module: an empty one with this manifest (NULL: none) and a custom section `word`. */
static inline void fake_module(const struct sig_secret *sk, const char *manifest, const char *word,
			       uint8_t **ret, size_t *ret_len)
{
	uint8_t plain[128] = { 0, 'a', 's', 'm', 1, 0, 0, 0, 0 };
	struct why why = { 0 };
	size_t n = strlen(word);
	assert_true(n < 100);
	plain[9] = (uint8_t)(n + 1);
	plain[10] = (uint8_t)n;
	memcpy(plain + 11, word, n);
	uint8_t *with = NULL;
	struct span m = { plain, 11 + n };
	if (manifest) {
		const struct span json = { (const uint8_t *)manifest, strlen(manifest) };
		if (manifest_embed(m, json, &with, &m.len, &why) != 0)
			fail_msg("%s", why.text);
		m.at = with;
	}
	if (sig_sign(m, sk, ret, ret_len, &why) != 0)
		fail_msg("%s", why.text);
	free(with);
}

#endif
