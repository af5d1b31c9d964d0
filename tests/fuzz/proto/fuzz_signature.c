/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a signed module, or key file: nothing verifies with a key that signed nothing; and
 * whatever is a module can be signed, and verifies then. */
#include "proto/signature.h"

static struct sig_secret secret;
static struct sig_public public;

static void keys_make(void)
{
	static bool made;
	if (!made)
		ENSURE(sig_init() == 0 && sig_keygen(&secret, &public) == 0);
	made = true;
}

static void sign(struct span module)
{
	uint8_t *bytes;
	size_t len, index;
	if (sig_sign(module, &secret, &bytes, &len, NULL) < 0)
		return;
	ENSURE(sig_verify((struct span){ bytes, len }, &public, 1, &index, NULL) == 0);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span module = { data, size };
	struct sig_seen seen[4];
	struct sig_public pk;
	struct sig_secret sk;
	size_t n;
	keys_make();
	ENSURE(sig_verify(module, &public, 1, &n, NULL) < 0); /* a fresh key has signed nothing */
	if (sig_list(module, seen, ARRAY_LEN(seen), &n, NULL) == 0)
		ENSURE(n <= ARRAY_LEN(seen));
	(void)!sig_public_parse(module, &pk, NULL);
	(void)!sig_secret_parse(module, &sk, NULL);
	sign(module);
	return 0;
}
